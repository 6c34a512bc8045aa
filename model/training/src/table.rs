//! Sparse tables: embeddings of which a batch uses few rows.
//!
//! A step has gradients for the used rows only, and the optimiser (AdamW, Loshchilov and Hutter, 2019)
//! updates only those. Bias correction counts the updates of each row instead of the steps of the run;
//! otherwise the first updates of a rare row would be larger than those of a frequent one.

use fenliu_model::{ModelError, Result};
use rayon::prelude::*;

use crate::ops::add;
use crate::optimizer::{AdamW, Moving, Pace};
use crate::tensors::{Tensors, Vector};

/// A table of `rows` x `width` with the optimiser's state for each row.
pub(crate) struct SparseTable {
    width: usize,
    values: Vec<f32>,
    state: Vec<RowState>,
}

#[derive(Clone, Default)]
struct RowState {
    updates: u32,
    first: Vec<f32>,
    second: Vec<f32>,
}

/// The table rows that a batch uses, and the features of the batch renumbered to them.
pub(super) struct Touched {
    /// Table rows, each once, in order of first use.
    pub(super) rows: Vec<u32>,
    /// For each feature the position of its row in `rows`.
    pub(super) local: Vec<u32>,
}

impl SparseTable {
    /// A table of `values`, row by row; their number is a multiple of `width`.
    pub(super) fn new(width: usize, values: Vec<f32>) -> Self {
        let rows = values.len() / width.max(1);
        Self { width, values, state: vec![RowState::default(); rows] }
    }

    /// All values, row by row.
    pub(crate) fn values(&self) -> &[f32] {
        &self.values
    }

    /// Replaces all values; the number must be the same.
    pub(super) fn set_values(&mut self, values: Vec<f32>) {
        debug_assert_eq!(values.len(), self.values.len(), "the shape of a table is fixed");
        self.values = values;
    }

    /// Adds `moves` (`[rows, width]`) to `rows`, which are distinct; returns their previous values.
    pub(super) fn shift(&mut self, rows: &[u32], moves: &[f32]) -> Vec<f32> {
        let mut before = Vec::with_capacity(moves.len());
        for (row, moves) in rows.iter().zip(moves.chunks_exact(self.width)) {
            let values = &mut self.values[*row as usize * self.width..][..self.width];
            before.extend_from_slice(values);
            add(values, moves);
        }
        before
    }

    /// Restores the values that [`SparseTable::shift`] returned.
    pub(super) fn put_back(&mut self, rows: &[u32], before: &[f32]) {
        for (row, before) in rows.iter().zip(before.chunks_exact(self.width)) {
            self.values[*row as usize * self.width..][..self.width].copy_from_slice(before);
        }
    }

    /// Multiplies all values.
    pub(super) fn scale(&mut self, factor: f32) {
        self.values.iter_mut().for_each(|value| *value *= factor);
    }

    /// Values per row.
    pub(super) fn width(&self) -> usize {
        self.width
    }

    /// Numbers the distinct rows that `features` name.
    pub(super) fn touch(&self, features: &[u32]) -> Touched {
        let mut numbers = vec![u32::MAX; self.state.len()];
        let mut rows = Vec::new();
        let mut local = Vec::with_capacity(features.len());
        for row in features {
            let slot = &mut numbers[*row as usize];
            if *slot == u32::MAX {
                *slot = rows.len() as u32;
                rows.push(*row);
            }
            local.push(*slot);
        }
        Touched { rows, local }
    }

    /// Adds the optimiser's state of all rows that were ever updated to `tensors`, as `name/rows`,
    /// `name/updates`, `name/first` and `name/second`.
    pub(super) fn save_state(&self, name: &str, tensors: &mut Tensors) {
        // Untouched rows have zero moments, so a checkpoint leaves them out.
        let moved = || self.state.iter().enumerate().filter(|(_, state)| state.updates > 0);
        let rows = moved().map(|(row, _)| row as u32).collect();
        tensors.insert(&format!("{name}/rows"), Vector::Integers(rows));
        let updates = moved().map(|(_, state)| state.updates).collect();
        tensors.insert(&format!("{name}/updates"), Vector::Integers(updates));
        let first = moved().flat_map(|(_, state)| state.first.iter().copied()).collect();
        tensors.insert(&format!("{name}/first"), Vector::Floats(first));
        let second = moved().flat_map(|(_, state)| state.second.iter().copied()).collect();
        tensors.insert(&format!("{name}/second"), Vector::Floats(second));
    }

    /// Restores what [`SparseTable::save_state`] saved.
    ///
    /// # Errors
    ///
    /// A part is missing, or it names a row that the table does not have.
    pub(super) fn restore_state(&mut self, name: &str, tensors: &mut Tensors) -> Result<()> {
        let rows = tensors.integers(&format!("{name}/rows"))?;
        let updates = tensors.integers(&format!("{name}/updates"))?;
        let first = tensors.floats(&format!("{name}/first"), rows.len() * self.width)?;
        let second = tensors.floats(&format!("{name}/second"), rows.len() * self.width)?;
        self.state.fill(RowState::default());
        let moments = first.chunks_exact(self.width).zip(second.chunks_exact(self.width));
        for ((row, updates), (first, second)) in rows.iter().zip(updates).zip(moments) {
            let state = self.state.get_mut(*row as usize);
            let state = state.ok_or_else(|| {
                ModelError::Training(format!("a checkpoint names row {row} of `{name}`, which is not there"))
            })?;
            *state = RowState { updates, first: first.to_vec(), second: second.to_vec() };
        }
        Ok(())
    }

    /// Updates `rows`, which are distinct, with `scale` times their `gradient` (`[rows, width]`).
    pub(super) fn update(
        &mut self,
        rows: &[u32],
        gradient: &[f32],
        scale: f32,
        optimizer: &AdamW,
        rate: f32,
    ) {
        let width = self.width;
        // In ascending order of the rows, mutable slices can be split off one after another.
        let mut order: Vec<(u32, usize)> = rows.iter().enumerate().map(|(at, row)| (*row, at)).collect();
        order.sort_unstable();
        let mut work = Vec::with_capacity(order.len());
        let (mut values, mut state) = (self.values.as_mut_slice(), self.state.as_mut_slice());
        let mut passed = 0;
        for (row, at) in order {
            let skip = row as usize - passed;
            let (row_values, rest) = values[skip * width..].split_at_mut(width);
            let (row_state, rest_state) = state[skip..].split_at_mut(1);
            (values, state, passed) = (rest, rest_state, row as usize + 1);
            work.push((row_values, &mut row_state[0], &gradient[at * width..][..width]));
        }
        work.into_par_iter().with_min_len(64).for_each(|(values, state, gradient)| {
            // Moments are allocated with the first update of a row, because a batch uses few rows of a large table.
            state.first.resize(width, 0.0);
            state.second.resize(width, 0.0);
            state.updates += 1;
            let RowState { first, second, updates } = state;
            optimizer
                .update(Moving { values, gradient, first, second }, Pace { scale, updates: *updates, rate });
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: AdamW = AdamW { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 0.0 };

    #[test]
    fn features_are_numbered_by_first_use() {
        let table = SparseTable::new(1, vec![0.0; 9]);
        let touched = table.touch(&[7, 2, 7, 8, 2]);
        assert_eq!(touched.rows, [7, 2, 8]);
        assert_eq!(touched.local, [0, 1, 0, 2, 1]);
    }

    #[test]
    fn an_update_changes_the_used_rows_only() {
        let mut table = SparseTable::new(2, vec![0.5, -0.25, 0.125, 0.0, 0.25, -0.5, 0.1, 0.2]);
        let before = table.values().to_vec();
        table.update(&[3, 1], &[1.0, -1.0, 0.5, 0.5], 1.0, &PLAIN, 0.1);
        let moved: Vec<f32> =
            table.values().iter().zip(&before).map(|(after, before)| after - before).collect();
        let expected = [0.0, 0.0, -0.1, -0.1, 0.0, 0.0, -0.1, 0.1];
        for (moved, expected) in moved.iter().zip(expected) {
            assert!((moved - expected).abs() < 1e-5, "{moved} and {expected}");
        }
    }
}
