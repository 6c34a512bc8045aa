//! Sums of table rows: the embedding of a position is the sum of the rows that its features name.

use std::sync::Arc;

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor, bail};
use rayon::prelude::*;

use super::{gradient, guarded, values};

/// Which table rows each output row sums, and the way back.
pub(in crate::train) struct RowIndex {
    /// Features of output `i`: `features[starts[i]..starts[i + 1]]`.
    starts: Vec<u32>,
    features: Vec<u32>,
    /// Outputs that use table row `r`: `users[user_starts[r]..user_starts[r + 1]]`, in ascending order.
    user_starts: Vec<u32>,
    users: Vec<u32>,
}

impl RowIndex {
    /// An index of the lists `features[starts[i]..starts[i + 1]]` of rows of a table of `table_rows` rows.
    ///
    /// # Panics
    ///
    /// If `starts` does not ascend from 0 to the number of features or a feature is no row of the table:
    /// a mistake in the caller, which numbers both.
    pub(in crate::train) fn new(starts: Vec<u32>, features: Vec<u32>, table_rows: usize) -> Self {
        assert_eq!(starts.last().map(|end| *end as usize), Some(features.len()), "lists cover the features");
        let mut user_starts = vec![0_u32; table_rows + 1];
        for row in &features {
            user_starts[*row as usize + 1] += 1;
        }
        for row in 0..table_rows {
            user_starts[row + 1] += user_starts[row];
        }
        let mut cursor = user_starts.clone();
        let mut users = vec![0; features.len()];
        for (output, bounds) in starts.windows(2).enumerate() {
            for row in &features[bounds[0] as usize..bounds[1] as usize] {
                let slot = &mut cursor[*row as usize];
                users[*slot as usize] = output as u32;
                *slot += 1;
            }
        }
        Self { starts, features, user_starts, users }
    }

    /// How many rows the result has.
    fn outputs(&self) -> usize {
        self.starts.len() - 1
    }
}

/// `out[i] = sum of the table rows that index names for i`; table `[table rows, width]`, output
/// `[outputs, width]`.
pub(in crate::train) struct GatherSum {
    /// Which rows to sum; shared with the caller, who may run the same batch again.
    pub(in crate::train) index: Arc<RowIndex>,
}

const NAME: &str = "gather_sum";

/// `out[i] = sum of source[list[k]]` for `k` in `starts[i]..starts[i + 1]`, in that order.
fn sum_rows(source: &[f32], width: usize, starts: &[u32], list: &[u32]) -> Vec<f32> {
    let mut out = vec![0.0; (starts.len() - 1) * width];
    out.par_chunks_mut(width).zip(starts.par_windows(2)).with_min_len(64).for_each(|(out, bounds)| {
        for row in &list[bounds[0] as usize..bounds[1] as usize] {
            let row = &source[*row as usize * width..][..width];
            out.iter_mut().zip(row).for_each(|(sum, value)| *sum += value);
        }
    });
    out
}

impl CustomOp1 for GatherSum {
    fn name(&self) -> &'static str {
        NAME
    }

    fn cpu_fwd(&self, table: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (rows, width) = layout.shape().dims2()?;
        if rows + 1 != self.index.user_starts.len() {
            bail!("{NAME}: a table of {rows} rows for an index of {}", self.index.user_starts.len() - 1);
        }
        let table = values(table, layout, NAME)?;
        let out = sum_rows(table, width, &self.index.starts, &self.index.features);
        Ok((CpuStorage::F32(out), Shape::from((self.index.outputs(), width))))
    }

    fn bwd(&self, table: &Tensor, _result: &Tensor, upstream: &Tensor) -> Result<Option<Tensor>> {
        let upstream = upstream.contiguous()?;
        let (guard, layout) = upstream.storage_and_layout();
        let slope = guarded(&guard, layout, NAME)?;
        let (_, width) = table.dims2()?;
        gradient(sum_rows(slope, width, &self.index.user_starts, &self.index.users), table)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{assert_close, check_gradients, random};
    use super::{Arc, GatherSum, RowIndex};
    use candle_core::{Device, Tensor};

    fn op() -> GatherSum {
        let index = RowIndex::new(vec![0, 2, 2, 5, 6], vec![0, 2, 3, 3, 1, 2], 5);
        GatherSum { index: Arc::new(index) }
    }

    #[test]
    fn sums_the_named_rows() {
        let table = Tensor::from_vec((0..5).map(|v| v as f32).collect(), (5, 1), &Device::Cpu).unwrap();
        let expected = Tensor::from_vec(vec![2.0_f32, 0.0, 7.0, 2.0], (4, 1), &Device::Cpu).unwrap();
        assert_close(&table.apply_op1(op()).unwrap(), &expected, 0.0);
    }

    #[test]
    fn backward_agrees_with_finite_differences() {
        check_gradients(&[random(&[5, 3], 1)], |t| t[0].apply_op1(op()));
    }
}
