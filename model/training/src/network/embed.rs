//! The embeddings: from table rows to the states before the first layer, and back.

use super::step::{Next, States};
use super::{Buffers, DropoutSource, Network};
use crate::architecture::Head;
use crate::data::Features;
use crate::ops::{Dropout, Write, mean_rows, mean_rows_backward, sum_rows};

/// Intermediate results of the embeddings that the backward pass needs.
pub(super) struct Embedded {
    /// The input of the normalisation, if there is one.
    sums: Vec<f32>,
    /// The input of the projection, if there is one.
    narrow: Vec<f32>,
    dropout: Dropout,
}

impl Network {
    /// From table rows to the states before the first layer.
    pub(super) fn embed(
        &self,
        starts: &[usize],
        features: &Features,
        dropout: &mut DropoutSource,
        buffers: &mut Buffers,
    ) -> (States, Embedded) {
        let (width, tokens) = (self.config.embedding_width(), features.starts.len() - 1);
        let mut sums = buffers.take(tokens * width);
        sum_rows(self.embedding.values(), width, &features.starts, &features.rows, &mut sums);
        let mut hidden = match &self.embedding_norm {
            Some(norm) => {
                let mut normed = buffers.take(sums.len());
                norm.forward(&sums, &mut normed);
                normed
            }
            None => std::mem::take(&mut sums),
        };
        // The head reads the mean of the embeddings before dropout and projection.
        let mut means = Vec::new();
        if self.config.architecture.head == Head::Means {
            means = buffers.take((starts.len() - 1) * width);
            mean_rows(&hidden, starts, width, &mut means);
        }
        let dropout = dropout.next();
        if !dropout.is_none() {
            let mut dropped = buffers.take(hidden.len());
            dropout.apply(&hidden, &mut dropped);
            buffers.give(std::mem::replace(&mut hidden, dropped));
        }
        let mut narrow = Vec::new();
        if let Some(projection) = &self.embedding_projection {
            let mut wide = buffers.take(tokens * self.config.encoder.width);
            projection.forward(&hidden, &mut wide);
            narrow = std::mem::replace(&mut hidden, wide);
        }
        let states = States { hidden, means, starts: starts.to_vec(), next: Next::Layer(0) };
        (states, Embedded { sums, narrow, dropout })
    }

    /// The gradient of the sums of table rows, given those of the hidden states and of the mean embeddings.
    pub(super) fn embed_backward(
        &mut self,
        embedded: Embedded,
        mut gradient: Vec<f32>,
        means: &[f32],
        starts: &[usize],
        buffers: &mut Buffers,
    ) -> Vec<f32> {
        if let Some(projection) = &mut self.embedding_projection {
            let mut by_narrow = buffers.take(embedded.narrow.len());
            projection.backward(&embedded.narrow, &gradient, Some((&mut by_narrow, Write::Set)));
            buffers.give(std::mem::replace(&mut gradient, by_narrow));
        }
        if !embedded.dropout.is_none() {
            let mut dropped = buffers.take(gradient.len());
            embedded.dropout.apply(&gradient, &mut dropped);
            buffers.give(std::mem::replace(&mut gradient, dropped));
        }
        // The means were taken before dropout, so their gradient is added after that of dropout.
        if !means.is_empty() {
            mean_rows_backward(means, starts, self.config.embedding_width(), &mut gradient);
        }
        if let Some(norm) = &mut self.embedding_norm {
            norm.backward(&embedded.sums, &mut gradient);
        }
        embedded.release(buffers);
        gradient
    }
}

impl Embedded {
    pub(super) fn release(self, buffers: &mut Buffers) {
        buffers.give(self.sums);
        buffers.give(self.narrow);
    }
}
