//! Pooling: from the hidden states of all tokens to one vector for each document, which the head reads; and
//! back.

use super::{Buffers, Network};
use crate::architecture::Head;
use crate::ops::{Dropout, Write, activate, activate_backward, mean_rows, mean_rows_backward};

/// Intermediate results of pooling that the backward pass needs.
pub(super) struct Pooled {
    /// First tokens, before the pooler, if there is one.
    pub(super) first: Vec<f32>,
    /// The pooler's output before its activation.
    pub(super) linear: Vec<f32>,
    /// The pooled vectors after dropout, which the head reads.
    pub(super) dropped: Vec<f32>,
    pub(super) dropout: Dropout,
}

impl Network {
    /// Pools the hidden states of each document.
    pub(super) fn pool(
        &self,
        hidden: &[f32],
        means: Vec<f32>,
        starts: &[usize],
        dropout: Dropout,
        buffers: &mut Buffers,
    ) -> Pooled {
        let (width, documents) = (self.config.encoder.width, starts.len() - 1);
        let mut rows = buffers.take(documents * width);
        let (mut first, mut linear) = (Vec::new(), Vec::new());
        match (self.config.architecture.head, &self.pooler) {
            (Head::FirstToken(activation), Some(pooler)) => {
                copy_first(hidden, starts, width, &mut rows);
                first = std::mem::replace(&mut rows, buffers.take(documents * width));
                linear = buffers.take(documents * width);
                pooler.product(&first, &mut linear);
                activate(activation, &mut linear, &pooler.bias.values, &mut rows);
            }
            _ => mean_rows(hidden, starts, width, &mut rows),
        }
        if !means.is_empty() {
            let joined = side_by_side(&rows, width, &means, self.config.embedding_width());
            buffers.give(std::mem::replace(&mut rows, joined));
            buffers.give(means);
        }
        let mut dropped = buffers.take(rows.len());
        dropout.apply(&rows, &mut dropped);
        buffers.give(rows);
        Pooled { first, linear, dropped, dropout }
    }

    /// From the gradient of the logits to those of the hidden states (`size` values) and of the mean embeddings,
    /// which are empty if the head does not read them.
    pub(super) fn pool_backward(
        &mut self,
        pooled: Pooled,
        gradient: &[f32],
        starts: &[usize],
        size: usize,
        buffers: &mut Buffers,
    ) -> (Vec<f32>, Vec<f32>) {
        let width = self.config.encoder.width;
        let mut by_dropped = buffers.take(pooled.dropped.len());
        self.head.backward(&pooled.dropped, gradient, Some((&mut by_dropped, Write::Set)));
        let mut rows = buffers.take(by_dropped.len());
        pooled.dropout.apply(&by_dropped, &mut rows);
        buffers.give(by_dropped);
        let mut means = Vec::new();
        if self.config.architecture.head == Head::Means {
            let (left, right) = split_columns(&rows, width, self.config.embedding_width());
            buffers.give(std::mem::replace(&mut rows, left));
            means = right;
        }
        let mut by_hidden = buffers.take(size);
        // Buffers have any content, and pooling adds to its gradient or writes only the first tokens.
        by_hidden.fill(0.0);
        match (self.config.architecture.head, &mut self.pooler) {
            (Head::FirstToken(activation), Some(pooler)) => {
                activate_backward(activation, &pooled.linear, &mut rows);
                let mut by_first = buffers.take(rows.len());
                pooler.backward(&pooled.first, &rows, Some((&mut by_first, Write::Set)));
                for (row, start) in by_first.chunks_exact(width).zip(starts) {
                    by_hidden[start * width..][..width].copy_from_slice(row);
                }
                buffers.give(by_first);
            }
            _ => mean_rows_backward(&rows, starts, width, &mut by_hidden),
        }
        buffers.give(rows);
        pooled.release(buffers);
        (by_hidden, means)
    }
}

impl Pooled {
    pub(super) fn release(self, buffers: &mut Buffers) {
        buffers.give(self.first);
        buffers.give(self.linear);
        buffers.give(self.dropped);
    }
}

/// Writes the first of each document's rows to `out`.
pub(super) fn copy_first(rows: &[f32], starts: &[usize], width: usize, out: &mut [f32]) {
    for (out, start) in out.chunks_exact_mut(width).zip(starts) {
        out.copy_from_slice(&rows[start * width..][..width]);
    }
}

/// Each row of `left` followed by the same row of `right`.
fn side_by_side(left: &[f32], left_width: usize, right: &[f32], right_width: usize) -> Vec<f32> {
    let rows = left.chunks_exact(left_width).zip(right.chunks_exact(right_width));
    rows.flat_map(|(left, right)| left.iter().chain(right).copied()).collect()
}

/// The inverse of [`side_by_side`].
fn split_columns(rows: &[f32], left_width: usize, right_width: usize) -> (Vec<f32>, Vec<f32>) {
    let rows = rows.chunks_exact(left_width + right_width).map(|row| row.split_at(left_width));
    let (left, right): (Vec<&[f32]>, Vec<&[f32]>) = rows.unzip();
    (left.concat(), right.concat())
}
