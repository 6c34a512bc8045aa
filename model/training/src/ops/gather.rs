//! Sums of table rows: the embedding of a position is the sum of the rows that its features name.

use rayon::prelude::*;

use super::residual::add;

/// For each table row the outputs whose sum it is part of: the index that the backward pass of [`sum_rows`]
/// needs.
pub(crate) struct RowIndex {
    /// Outputs that use table row `r`: `users[user_starts[r]..user_starts[r + 1]]`, in ascending order.
    user_starts: Vec<u32>,
    users: Vec<u32>,
}

impl RowIndex {
    /// An index of the lists of rows `features[starts[i]..starts[i + 1]]`, for a table of `table_rows` rows.
    ///
    /// # Panics
    ///
    /// If `starts` does not ascend from 0 to the number of features, or a feature is not a row of the table:
    /// a mistake in the caller, which numbers both.
    pub(crate) fn new(starts: &[u32], features: &[u32], table_rows: usize) -> Self {
        assert_eq!(starts.last().map(|end| *end as usize), Some(features.len()), "lists cover the features");
        let mut user_starts = vec![0_u32; table_rows + 1];
        // A counting sort by table row: count, sum up to starts, then place each use.
        for row in features {
            user_starts[*row as usize + 1] += 1;
        }
        for row in 0..table_rows {
            user_starts[row + 1] += user_starts[row];
        }
        // Outputs are visited in ascending order, so the users of each row are sorted: a gradient is summed in the
        // same order in each run.
        let mut cursor = user_starts.clone();
        let mut users = vec![0; features.len()];
        for (output, bounds) in starts.windows(2).enumerate() {
            for row in &features[bounds[0] as usize..bounds[1] as usize] {
                let slot = &mut cursor[*row as usize];
                users[*slot as usize] = output as u32;
                *slot += 1;
            }
        }
        Self { user_starts, users }
    }

    /// The gradient of each table row, `[table rows, width]`, given that of the outputs, `[outputs, width]`.
    pub(crate) fn table_gradient(&self, gradient: &[f32], width: usize) -> Vec<f32> {
        let mut out = vec![0.0; (self.user_starts.len() - 1) * width];
        // The gradient of a sum is passed on to each of its terms: a table row gets the sum over the outputs that
        // use it.
        sum_rows(gradient, width, &self.user_starts, &self.users, &mut out);
        out
    }
}

/// `out[i] = sum of source[list[k]]` for `k` in `starts[i]..starts[i + 1]`, in that order.
pub(crate) fn sum_rows(source: &[f32], width: usize, starts: &[u32], list: &[u32], out: &mut [f32]) {
    out.par_chunks_mut(width).zip(starts.par_windows(2)).with_min_len(64).for_each(|(out, bounds)| {
        out.fill(0.0);
        for row in &list[bounds[0] as usize..bounds[1] as usize] {
            add(out, &source[*row as usize * width..][..width]);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::super::{check_gradient, random, weighted};
    use super::*;

    const STARTS: [u32; 5] = [0, 2, 2, 5, 6];
    const FEATURES: [u32; 6] = [0, 2, 3, 3, 1, 2];

    fn forward(table: &[f32], width: usize) -> Vec<f32> {
        let mut out = vec![f32::NAN; 4 * width];
        sum_rows(table, width, &STARTS, &FEATURES, &mut out);
        out
    }

    #[test]
    fn sums_the_named_rows() {
        assert_eq!(forward(&[0.0, 1.0, 2.0, 3.0, 4.0], 1), [2.0, 0.0, 7.0, 2.0]);
    }

    #[test]
    fn gradients_agree_with_finite_differences() {
        let (table, gradient) = (random(5 * 3, 1), random(4 * 3, 2));
        let by_table = RowIndex::new(&STARTS, &FEATURES, 5).table_gradient(&gradient, 3);
        check_gradient(&table, &by_table, |table| weighted(&forward(table, 3), &gradient));
    }
}
