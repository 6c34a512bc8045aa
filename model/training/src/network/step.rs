//! Passes through the whole network, forward and backward.
//!
//! The network has three parts: the embeddings, the layers, and the head with its pooling. The hidden states
//! between two parts are [`States`]. If the lower part is frozen, its states can be computed once and cached.

use std::collections::HashMap;

use super::layer::Saved;
use super::pool::{Pooled, copy_first};
use super::{Buffers, DropoutSource, Frozen, Inputs, Network};
use crate::architecture::Head;
use crate::data::{Batch, Features};
use crate::ops::{Loss, RowIndex, Target, add, mean_rows, mean_rows_backward, sum_rows};
use crate::table::{SparseTable, Touched};

/// The hidden states of a batch between two parts of the network.
pub(crate) struct States {
    /// One row of the encoder's width for each token, or for each document where they are pooled already.
    pub(crate) hidden: Vec<f32>,
    /// The mean embedding of each document if the head reads it, otherwise empty.
    pub(crate) means: Vec<f32>,
    /// The rows of document `i` are `starts[i]..starts[i + 1]`.
    pub(crate) starts: Vec<usize>,
    /// The part of the network that follows.
    pub(super) next: Next,
}

/// The part of the network that takes states as its input.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    Layer(usize),
    Head,
}

/// The input of a training step.
pub(crate) struct StepInput<'a> {
    pub(crate) batch: Batch<'a>,
    pub(crate) inputs: Inputs,
    /// States of the frozen part; without them the pass starts from the embeddings.
    pub(crate) states: Option<States>,
    /// One for each document.
    pub(crate) targets: Vec<Target<'a>>,
}

/// The result of a training step. The gradients of dense parameters are not here: they are added to those
/// that the parameters hold.
pub(crate) struct Step {
    pub(crate) loss: f32,
    /// `None` if the embeddings are frozen.
    pub(crate) embedding: Option<TableGradient>,
    pub(crate) ngrams: Option<TableGradient>,
}

/// The gradient of the table rows that a batch used.
pub(crate) struct TableGradient {
    /// Each once.
    pub(crate) rows: Vec<u32>,
    /// `[rows, width]`.
    pub(crate) values: Vec<f32>,
}

/// The loss of a batch and its gradients with respect to the encoder's logits and to the n-gram table.
pub(super) struct LossGradients {
    pub(super) loss: f32,
    /// With respect to the encoder's logits.
    pub(super) gradient: Vec<f32>,
    pub(super) ngrams: Option<TableGradient>,
}

/// Intermediate results of the layers and the head that the backward pass needs.
struct Trace {
    starts: Vec<usize>,
    first_layer: usize,
    layers: Vec<Saved>,
    /// The input of the final normalisation, if there is one.
    unnormed: Vec<f32>,
    /// The input of pooling.
    hidden: Vec<f32>,
    pooled: Pooled,
    next: Next,
}

impl Network {
    /// The states of a batch after the first `layers` layers, without dropout.
    pub(super) fn states(
        &self,
        batch: &Batch<'_>,
        features: &Features,
        layers: usize,
        buffers: &mut Buffers,
    ) -> States {
        let (mut states, embedded) = self.embed(&batch.starts, features, &mut DropoutSource::none(), buffers);
        embedded.release(buffers);
        for layer in self.layers.iter().take(layers) {
            let (hidden, saved) =
                layer.forward(states.hidden, &states.starts, &mut DropoutSource::none(), buffers);
            saved.release(buffers);
            states.hidden = hidden;
        }
        states.next = Next::Layer(layers);
        states
    }

    /// The states of a batch after the frozen part, without dropout; `None` if nothing is frozen.
    pub(crate) fn frozen_states(
        &self,
        batch: &Batch<'_>,
        features: &Features,
        buffers: &mut Buffers,
    ) -> Option<States> {
        match self.frozen {
            Frozen::Nothing => None,
            Frozen::Layers(layers) => Some(self.states(batch, features, layers, buffers)),
            Frozen::BelowHead => {
                let states = self.states(batch, features, self.layers.len(), buffers);
                Some(self.condensed(states, buffers))
            }
        }
    }

    /// The states after the last layer, pooled to one row for each document.
    fn condensed(&self, states: States, buffers: &mut Buffers) -> States {
        let width = self.config.encoder.width;
        let States { mut hidden, means, starts, .. } = states;
        if let Some(norm) = &self.final_norm {
            let mut normed = buffers.take(hidden.len());
            norm.forward(&hidden, &mut normed);
            buffers.give(std::mem::replace(&mut hidden, normed));
        }
        let documents = starts.len() - 1;
        let mut rows = buffers.take(documents * width);
        match self.config.architecture.head {
            Head::Means | Head::Mean => mean_rows(&hidden, &starts, width, &mut rows),
            Head::FirstToken(_) => copy_first(&hidden, &starts, width, &mut rows),
        }
        buffers.give(hidden);
        States { hidden: rows, means, starts: (0..=documents).collect(), next: Next::Head }
    }

    /// Builds states as [`Network::frozen_states`] returns them from cached rows.
    pub(crate) fn kept_states(&self, hidden: Vec<f32>, means: Vec<f32>, starts: Vec<usize>) -> States {
        let next = match self.frozen {
            Frozen::Nothing => Next::Layer(0),
            Frozen::Layers(layers) => Next::Layer(layers),
            Frozen::BelowHead => Next::Head,
        };
        States { hidden, means, starts, next }
    }

    /// Logits of a batch from its states, without dropout.
    pub(crate) fn logits_from(
        &self,
        states: States,
        batch: &Batch<'_>,
        ngrams: Option<&Features>,
        buffers: &mut Buffers,
    ) -> Vec<f32> {
        let (mut logits, trace) = self.upper(states, &mut DropoutSource::none(), false, buffers);
        self.add_side_path(batch, ngrams, &mut logits, buffers);
        trace.release(buffers);
        logits
    }

    /// Forward and backward: the loss of a batch, and its gradients added to those of all trained parameters.
    pub(crate) fn step(
        &mut self,
        step_input: StepInput<'_>,
        mut dropout: DropoutSource,
        loss: &Loss,
        buffers: &mut Buffers,
    ) -> Step {
        let StepInput { batch, inputs, states, targets } = step_input;
        let (states, embedded) = match states {
            Some(states) => (states, None),
            None => {
                let (states, embedded) = self.embed(&batch.starts, &inputs.embedding, &mut dropout, buffers);
                (states, Some(embedded))
            }
        };
        let (logits, trace) = self.upper(states, &mut dropout, true, buffers);
        let LossGradients { loss, gradient, ngrams } =
            self.loss_and_gradients(logits, &batch, &inputs, loss, &targets, buffers);
        let (hidden, means) = self.upper_backward(trace, &gradient, embedded.is_some(), buffers);
        let embedding = embedded.map(|embedded| {
            let by_sums = self.embed_backward(embedded, hidden, &means, &batch.starts, buffers);
            let gradient = TableGradient::new(&self.embedding, &inputs.embedding, &by_sums);
            buffers.give(by_sums);
            gradient
        });
        Step { loss, embedding, ngrams }
    }

    /// From states to logits. With `keep`, the trace holds everything that the backward pass needs.
    fn upper(
        &self,
        states: States,
        dropout: &mut DropoutSource,
        keep: bool,
        buffers: &mut Buffers,
    ) -> (Vec<f32>, Trace) {
        let States { mut hidden, means, starts, next } = states;
        // States for the head are pooled and normalised already: no layer and no final normalisation is left to
        // run.
        let first_layer = if let Next::Layer(layer) = next { layer } else { self.layers.len() };
        let mut layers = Vec::new();
        for layer in self.layers.iter().skip(first_layer) {
            let (output, saved) = layer.forward(hidden, &starts, dropout, buffers);
            hidden = output;
            if keep {
                layers.push(saved);
            } else {
                saved.release(buffers);
            }
        }
        let mut unnormed = Vec::new();
        if let (Some(norm), Next::Layer(_)) = (&self.final_norm, next) {
            let mut normed = buffers.take(hidden.len());
            norm.forward(&hidden, &mut normed);
            unnormed = std::mem::replace(&mut hidden, normed);
        }
        let pooled = self.pool(&hidden, means, &starts, dropout.next(), buffers);
        let labels = self.config.labels;
        let mut logits = vec![0.0; (starts.len() - 1) * labels];
        self.head.forward(&pooled.dropped, &mut logits);
        (logits, Trace { starts, first_layer, layers, unnormed, hidden, pooled, next })
    }

    /// From the gradient of the logits to those of the hidden states and of the mean embeddings that `upper`
    /// started from. Without `wants_states` the returned values are meaningless.
    fn upper_backward(
        &mut self,
        trace: Trace,
        gradient: &[f32],
        wants_states: bool,
        buffers: &mut Buffers,
    ) -> (Vec<f32>, Vec<f32>) {
        let Trace { starts, first_layer, layers, unnormed, hidden, pooled, next } = trace;
        let (mut gradient, means) = self.pool_backward(pooled, gradient, &starts, hidden.len(), buffers);
        buffers.give(hidden);
        if let (Some(norm), Next::Layer(_)) = (&mut self.final_norm, next) {
            norm.backward(&unnormed, &mut gradient);
        }
        buffers.give(unnormed);
        for (number, saved) in layers.into_iter().enumerate().rev() {
            // Below the lowest layer of this pass everything is frozen if the states came from outside.
            let wants_input = wants_states || number > 0;
            let layer = &mut self.layers[first_layer + number];
            gradient = layer.backward(saved, &starts, gradient, wants_input, buffers);
        }
        (gradient, means)
    }

    /// The logits of the side path for a batch, `[documents, labels]`; `None` without a side path.
    pub(crate) fn side_logits(&self, batch: &Batch<'_>, buffers: &mut Buffers) -> Option<Vec<f32>> {
        let table = self.ngrams.as_ref()?;
        Some(side_path(table, batch, &self.inputs(batch).ngrams?, buffers))
    }

    /// Adds the logits of the side path, if there is one.
    pub(super) fn add_side_path(
        &self,
        batch: &Batch<'_>,
        features: Option<&Features>,
        logits: &mut [f32],
        buffers: &mut Buffers,
    ) {
        if let Some((table, features)) = self.ngrams.as_ref().zip(features) {
            let side = side_path(table, batch, features, buffers);
            add(logits, &side);
            buffers.give(side);
        }
    }

    /// The loss of a batch and its gradients; `logits` are the encoder's.
    pub(super) fn loss_and_gradients(
        &self,
        mut logits: Vec<f32>,
        batch: &Batch<'_>,
        inputs: &Inputs,
        loss: &Loss,
        targets: &[Target<'_>],
        buffers: &mut Buffers,
    ) -> LossGradients {
        let labels = self.config.labels;
        let Some((table, features)) = self.ngrams.as_ref().zip(inputs.ngrams.as_ref()) else {
            let (loss, gradient) = loss.of(&logits, labels, targets);
            return LossGradients { loss, gradient, ngrams: None };
        };
        let side = side_path(table, batch, features, buffers);
        let (value, gradient, side_gradient) = if loss.separate {
            let (own, gradient) = loss.of(&logits, labels, targets);
            // No consistency term: n-gram dropout removes half of the features, so two passes over one document
            // legitimately differ.
            let loss = Loss { consistency: 0.0, ..loss.clone() };
            let (of_side, side_gradient) = loss.of(&side, labels, targets);
            (own + of_side, gradient, side_gradient)
        } else {
            add(&mut logits, &side);
            let (value, gradient) = loss.of(&logits, labels, targets);
            // The logits are a sum, so both terms have the gradient of the sum.
            (value, gradient.clone(), gradient)
        };
        buffers.give(side);
        // The side path is a mean over positions of sums over features; its gradient goes back in that order.
        let mut by_position = vec![0.0; (features.starts.len() - 1) * labels];
        mean_rows_backward(&side_gradient, &batch.starts, labels, &mut by_position);
        LossGradients {
            loss: value,
            gradient,
            ngrams: Some(TableGradient::new(table, features, &by_position)),
        }
    }
}

/// The logits of the linear classifier over n-grams, `[documents, labels]`.
fn side_path(table: &SparseTable, batch: &Batch<'_>, features: &Features, buffers: &mut Buffers) -> Vec<f32> {
    let labels = table.width();
    let mut sums = buffers.take((features.starts.len() - 1) * labels);
    sum_rows(table.values(), labels, &features.starts, &features.rows, &mut sums);
    let mut means = buffers.take((batch.starts.len() - 1) * labels);
    mean_rows(&sums, &batch.starts, labels, &mut means);
    buffers.give(sums);
    means
}

impl TableGradient {
    /// The gradient of the table, given that of the sums of the rows that `features` name.
    pub(super) fn new(table: &SparseTable, features: &Features, gradient: &[f32]) -> Self {
        // The gradient has a row for each used row of the table only: a batch uses few of the hundreds of
        // thousands.
        let Touched { rows, local } = table.touch(&features.rows);
        let index = RowIndex::new(&features.starts, &local, rows.len());
        Self { values: index.table_gradient(gradient, table.width()), rows }
    }

    /// The part that belongs to table rows below `end`.
    pub(crate) fn below(&self, end: u32) -> Self {
        let width = self.values.len() / self.rows.len().max(1);
        let parts = self.rows.iter().zip(self.values.chunks_exact(width.max(1)));
        let parts: Vec<(u32, &[f32])> =
            parts.filter(|(row, _)| **row < end).map(|(row, v)| (*row, v)).collect();
        Self {
            rows: parts.iter().map(|(row, _)| *row).collect(),
            values: parts.iter().flat_map(|(_, values)| *values).copied().collect(),
        }
    }

    /// Adds the gradient of another batch of the same step.
    pub(crate) fn merge(&mut self, other: &Self) {
        let width = self.values.len() / self.rows.len().max(1);
        let known: HashMap<u32, usize> = self.rows.iter().enumerate().map(|(at, row)| (*row, at)).collect();
        for (row, values) in other.rows.iter().zip(other.values.chunks_exact(width.max(1))) {
            match known.get(row) {
                Some(at) => add(&mut self.values[at * width..][..width], values),
                None => {
                    self.rows.push(*row);
                    self.values.extend_from_slice(values);
                }
            }
        }
    }
}

impl Trace {
    fn release(self, buffers: &mut Buffers) {
        self.layers.into_iter().for_each(|saved| saved.release(buffers));
        buffers.give(self.unnormed);
        buffers.give(self.hidden);
        self.pooled.release(buffers);
    }
}

#[cfg(test)]
mod tests {
    use rand::{SeedableRng, rngs::SmallRng};

    use super::*;
    use crate::architecture::{Activation, Architecture, NormPlacement};
    use crate::features::FeatureLayout;
    use crate::ops::check_gradient;
    use crate::shape::{EncoderShape, NetworkConfig};

    const DOCUMENTS: [&[u32]; 3] = [&[1, 2, 3], &[4], &[2, 2]];
    fn config(architecture: Architecture) -> NetworkConfig {
        let layout = FeatureLayout { tokens: 5, bigrams: 0, trigrams: 0, positions: 3 };
        NetworkConfig {
            labels: 2,
            encoder: EncoderShape { layers: 2, width: 4, heads: 2, feed_forward: 6 },
            embedding: layout,
            ngrams: (architecture.head == Head::Means).then_some(FeatureLayout { positions: 0, ..layout }),
            architecture,
        }
    }

    fn architectures() -> [Architecture; 5] {
        let own = Architecture::default();
        let bert = Architecture {
            norm: NormPlacement::Post,
            embedding_norm: true,
            head: Head::FirstToken(Activation::Tanh),
            ..own
        };
        let electra = Architecture { embedding_width: Some(3), activation: Activation::GeluTanh, ..bert };
        let megatron = Architecture { head: Head::FirstToken(Activation::Tanh), ..own };
        [own, bert, electra, megatron, Architecture { head: Head::Mean, ..bert }]
    }

    fn network(architecture: Architecture) -> Network {
        Network::new(config(architecture), &mut SmallRng::seed_from_u64(3)).unwrap()
    }

    fn step(network: &mut Network, separate: bool) -> Step {
        let batch = Batch::new(DOCUMENTS.to_vec());
        let (inputs, mut buffers) = (network.inputs(&batch), Buffers::default());
        let states = None;
        let gold = |label| Target { gold: Some(label), soft: None };
        let dropout = DropoutSource { rate: 0.3, seed: 5 };
        let targets = vec![gold(0), gold(1), gold(1)];
        let loss = Loss { separate, ..Loss::SMOOTHED };
        network.step(StepInput { batch, inputs, states, targets }, dropout, &loss, &mut buffers)
    }

    #[test]
    fn gradients_of_all_parameters_agree_with_finite_differences() {
        for architecture in architectures() {
            for separate in [false, true] {
                check_gradients(architecture, separate);
            }
        }
    }

    fn check_gradients(architecture: Architecture, separate: bool) {
        let changed = |change: &dyn Fn(&mut Network)| {
            let mut network = network(architecture);
            change(&mut network);
            f64::from(step(&mut network, separate).loss)
        };
        let mut network = network(architecture);
        let step = step(&mut network, separate);
        for (number, parameter) in network.dense().into_iter().enumerate() {
            check_gradient(&parameter.values, &parameter.gradient, |values| {
                changed(&|network| network.dense_mut()[number].values = values.to_vec())
            });
        }
        let check_table = |gradient: TableGradient, table: fn(&mut Network) -> Option<&mut SparseTable>| {
            let mut network = self::network(architecture);
            let Some(values) = table(&mut network).map(|table| table.values().to_vec()) else { return };
            let width = gradient.values.len() / gradient.rows.len();
            for (row, gradient) in gradient.rows.iter().zip(gradient.values.chunks(width)) {
                let start = *row as usize * width;
                check_gradient(&values[start..start + width], gradient, |row| {
                    let mut all = values.clone();
                    all[start..start + width].copy_from_slice(row);
                    changed(&|network| table(network).unwrap().set_values(all.clone()))
                });
            }
        };
        check_table(step.embedding.unwrap(), |network| Some(&mut network.embedding));
        if let Some(gradient) = step.ngrams {
            check_table(gradient, |network| network.ngrams.as_mut());
        }
    }

    #[test]
    fn trained_separately_the_encoder_gets_the_gradients_of_one_without_a_side_path() {
        let mut both = network(Architecture::default());
        let joint = step(&mut both, false);
        let mut both = network(Architecture::default());
        let separate = step(&mut both, true);
        let mut alone = network(Architecture::default());
        alone.ngrams = None;
        let encoder = step(&mut alone, true);
        for (with, without) in both.dense().into_iter().zip(alone.dense()) {
            assert_eq!(with.gradient, without.gradient, "{}", with.name);
        }
        assert!(encoder.ngrams.is_none() && separate.ngrams.is_some());
        assert!(separate.loss > encoder.loss && joint.loss < separate.loss);
    }

    #[test]
    fn frozen_parameters_get_no_gradient_and_do_not_change_the_gradients_of_others() {
        for architecture in architectures() {
            // There is no dropout in the frozen part, so its states equal those of a full pass.
            let gradients = |frozen: Frozen| {
                let mut network = network(architecture);
                network.freeze(frozen);
                let batch = Batch::new(DOCUMENTS.to_vec());
                let (inputs, mut buffers) = (network.inputs(&batch), Buffers::default());
                let states = network.frozen_states(&batch, &inputs.embedding, &mut buffers);
                let targets = vec![Target { gold: Some(0), soft: None }; 3];
                let step_input = StepInput { batch, inputs, states, targets };
                network.step(step_input, DropoutSource::none(), &Loss::SMOOTHED, &mut buffers);
                network.dense().into_iter().map(|p| (p.name.clone(), p.gradient.clone())).collect::<Vec<_>>()
            };
            let all = gradients(Frozen::Nothing);
            for frozen in [Frozen::Layers(1), Frozen::BelowHead] {
                for ((name, expected), (_, got)) in all.iter().zip(gradients(frozen)) {
                    let is_above = name.starts_with("head") || name.starts_with("pooler");
                    let is_top = name.starts_with("layer.1") || name.starts_with("final_norm");
                    if is_above || (is_top && frozen == Frozen::Layers(1)) {
                        crate::ops::assert_close(&got, expected, 1e-6);
                    } else {
                        assert!(got.is_empty(), "{frozen:?}: {name}");
                    }
                }
            }
        }
    }
}
