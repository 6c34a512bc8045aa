//! One layer of the encoder: attention and a feed-forward part, each added to its input.
//!
//! ```text
//! pre    s = x + attention(norm(x));   y = s + feed_forward(norm(s))
//! post   h = norm(x + attention(x));   y = norm(h + feed_forward(h))
//! ```

use super::buffers::Buffers;
use super::dense::{Linear, Norm};
use super::dropout::DropoutSource;
use crate::architecture::{Activation, NormPlacement};
use crate::ops::{
    Dropout, Write, activate, activate_backward, add, add_branch, attention, attention_backward,
};
use crate::parameter::Parameter;

pub(super) struct Layer {
    pub(super) attention_norm: Norm,
    /// Queries, keys and values side by side.
    pub(super) projection: Linear,
    pub(super) attention_output: Linear,
    pub(super) feed_forward_norm: Norm,
    pub(super) expand: Linear,
    pub(super) contract: Linear,
    pub(super) heads: usize,
    pub(super) placement: NormPlacement,
    pub(super) activation: Activation,
}

/// Intermediate results of a forward pass that the backward pass needs, named as in [`Layer::forward`].
pub(super) struct Saved {
    x: Vec<f32>,
    /// The normalised input of attention; empty if attention reads `x` itself.
    normed: Vec<f32>,
    packed: Vec<f32>,
    mixed: Vec<f32>,
    /// `x` plus attention.
    sum: Vec<f32>,
    /// The input of the feed-forward part.
    middle: Vec<f32>,
    expanded: Vec<f32>,
    activated: Vec<f32>,
    /// The sum of `middle` and the feed-forward part if it is normalised, otherwise empty.
    last: Vec<f32>,
    dropouts: [Dropout; 2],
}

impl Saved {
    /// Gives all memory back.
    pub(super) fn release(self, buffers: &mut Buffers) {
        let Self { x, normed, packed, mixed, sum, middle, expanded, activated, last, .. } = self;
        for buffer in [x, normed, packed, mixed, sum, middle, expanded, activated, last] {
            buffers.give(buffer);
        }
    }
}

impl Layer {
    pub(super) fn parameters(&self) -> Vec<&Parameter> {
        let norms = [&self.attention_norm, &self.feed_forward_norm];
        let linears = [&self.projection, &self.attention_output, &self.expand, &self.contract];
        let norms = norms.into_iter().flat_map(Norm::parameters);
        norms.chain(linears.into_iter().flat_map(Linear::parameters)).collect()
    }

    pub(super) fn parameters_mut(&mut self) -> Vec<&mut Parameter> {
        let norms = [&mut self.attention_norm, &mut self.feed_forward_norm];
        let linears =
            [&mut self.projection, &mut self.attention_output, &mut self.expand, &mut self.contract];
        let norms = norms.into_iter().flat_map(Norm::parameters_mut);
        norms.chain(linears.into_iter().flat_map(Linear::parameters_mut)).collect()
    }

    /// The dense layers.
    pub(super) fn linears_mut(&mut self) -> [&mut Linear; 4] {
        [&mut self.projection, &mut self.attention_output, &mut self.expand, &mut self.contract]
    }

    /// The layer's output for the rows of `x`; document `i` has the rows `starts[i]..starts[i + 1]`.
    pub(super) fn forward(
        &self,
        x: Vec<f32>,
        starts: &[usize],
        dropout: &mut DropoutSource,
        buffers: &mut Buffers,
    ) -> (Vec<f32>, Saved) {
        let width = self.projection.inputs();
        let tokens = x.len() / width;
        let is_pre = self.placement == NormPlacement::Pre;
        let dropouts = [dropout.next(), dropout.next()];

        let mut normed = Vec::new();
        if is_pre {
            normed = buffers.take(x.len());
            self.attention_norm.forward(&x, &mut normed);
        }
        let mut packed = buffers.take(tokens * 3 * width);
        self.projection.forward(if is_pre { &normed } else { &x }, &mut packed);
        let mut mixed = buffers.take(x.len());
        attention(&packed, starts, width, self.heads, &mut mixed);
        let mut sum = buffers.take(x.len());
        self.attention_output.product(&mixed, &mut sum);
        // Bias, dropout and residual sum in one loop over the memory.
        add_branch(&mut sum, &self.attention_output.bias.values, &x, dropouts[0]);

        let mut middle = buffers.take(x.len());
        let norm = if is_pre { &self.feed_forward_norm } else { &self.attention_norm };
        norm.forward(&sum, &mut middle);
        let mut expanded = buffers.take(tokens * self.expand.outputs());
        self.expand.product(&middle, &mut expanded);
        let mut activated = buffers.take(expanded.len());
        activate(self.activation, &mut expanded, &self.expand.bias.values, &mut activated);
        // Pre-norm adds the branch to the sum before the normalisation, post-norm to the normalised values, which
        // the branch has read.
        let mut last = buffers.take(x.len());
        self.contract.product(&activated, &mut last);
        add_branch(&mut last, &self.contract.bias.values, if is_pre { &sum } else { &middle }, dropouts[1]);

        let mut saved =
            Saved { x, normed, packed, mixed, sum, middle, expanded, activated, last: Vec::new(), dropouts };
        if is_pre {
            return (last, saved);
        }
        let mut out = buffers.take(saved.x.len());
        self.feed_forward_norm.forward(&last, &mut out);
        saved.last = last;
        (out, saved)
    }

    /// Adds to the gradients of the trained parameters and returns the gradient of `x`, given that of the
    /// output. Without `wants_input` the returned values are meaningless.
    pub(super) fn backward(
        &mut self,
        saved: Saved,
        starts: &[usize],
        mut gradient: Vec<f32>,
        wants_input: bool,
        buffers: &mut Buffers,
    ) -> Vec<f32> {
        let is_pre = self.placement == NormPlacement::Pre;
        // Post-norm normalises last in the forward pass, so its gradient comes first.
        if !is_pre {
            self.feed_forward_norm.backward(&saved.last, &mut gradient);
        }
        self.feed_forward_backward(&saved, &mut gradient, buffers);
        if !is_pre {
            self.attention_norm.backward(&saved.sum, &mut gradient);
        }
        self.attention_backward(&saved, starts, &mut gradient, wants_input, buffers);
        saved.release(buffers);
        gradient
    }

    /// From the gradient of the sum with the feed-forward part to that of the part's input, in place.
    fn feed_forward_backward(&mut self, saved: &Saved, gradient: &mut [f32], buffers: &mut Buffers) {
        let mut by_activated = buffers.take(saved.activated.len());
        with_dropped(saved.dropouts[1], gradient, buffers, |gradient| {
            self.contract.backward(&saved.activated, gradient, Some((&mut by_activated, Write::Set)));
        });
        // `expanded` contains the bias: `activate` added it in place.
        activate_backward(self.activation, &saved.expanded, &mut by_activated);
        match self.placement {
            NormPlacement::Pre => {
                // `gradient` is that of the residual sum. It passes to the input unchanged; the branch adds its own
                // through the normalisation.
                let mut by_middle = buffers.take(gradient.len());
                self.expand.backward(&saved.middle, &by_activated, Some((&mut by_middle, Write::Set)));
                self.feed_forward_norm.backward(&saved.sum, &mut by_middle);
                add(gradient, &by_middle);
                buffers.give(by_middle);
            }
            NormPlacement::Post => {
                // The branch reads the same values as the residual path, so both gradients are added.
                self.expand.backward(&saved.middle, &by_activated, Some((gradient, Write::Add)));
            }
        }
        buffers.give(by_activated);
    }

    /// From the gradient of the sum of `x` and attention to that of `x`, in place.
    fn attention_backward(
        &mut self,
        saved: &Saved,
        starts: &[usize],
        gradient: &mut [f32],
        wants_input: bool,
        buffers: &mut Buffers,
    ) {
        let width = self.projection.inputs();
        let mut by_mixed = buffers.take(saved.mixed.len());
        with_dropped(saved.dropouts[0], gradient, buffers, |gradient| {
            self.attention_output.backward(&saved.mixed, gradient, Some((&mut by_mixed, Write::Set)));
        });
        let mut by_packed = buffers.take(saved.packed.len());
        attention_backward(&saved.packed, starts, width, self.heads, &by_mixed, &mut by_packed);
        buffers.give(by_mixed);
        match self.placement {
            NormPlacement::Pre if wants_input || self.attention_norm.weight.is_trained() => {
                let mut by_normed = buffers.take(gradient.len());
                self.projection.backward(&saved.normed, &by_packed, Some((&mut by_normed, Write::Set)));
                self.attention_norm.backward(&saved.x, &mut by_normed);
                add(gradient, &by_normed);
                buffers.give(by_normed);
            }
            // Nothing below the lowest trained layer needs a gradient, and its normalisation is frozen, too
            // (low-rank training): only the projection is left.
            NormPlacement::Pre => self.projection.backward(&saved.normed, &by_packed, None),
            NormPlacement::Post => {
                let by_input = wants_input.then_some((gradient, Write::Add));
                self.projection.backward(&saved.x, &by_packed, by_input);
            }
        }
        buffers.give(by_packed);
    }
}

/// Calls `use_gradient` with the gradient of the values that dropout was applied to.
fn with_dropped(
    dropout: Dropout,
    gradient: &[f32],
    buffers: &mut Buffers,
    use_gradient: impl FnOnce(&[f32]),
) {
    if dropout.is_none() {
        return use_gradient(gradient);
    }
    let mut dropped = buffers.take(gradient.len());
    dropout.apply(gradient, &mut dropped);
    use_gradient(&dropped);
    buffers.give(dropped);
}
