//! The network: a transformer encoder with a classifier and, beside it, a linear classifier over n-grams.
//!
//! Our own encoder, with normalisation before each part:
//!
//! ```text
//! x      = E[token] + P[position]
//! h      = dropout(x);  per layer: h += attention(norm(h)); h += feed_forward(norm(h))
//! deep   = W [mean(norm(h)); mean(x)] + b                       means over real tokens
//! wide   = mean(N[token] + N[bigram] + N[trigram])
//! logits = deep + wide
//! ```
//!
//! An encoder of the BERT family, with normalisation after each sum and no side path:
//!
//! ```text
//! x      = norm(E[token] + P[position])                         projected to the encoder's width if need be
//! h      = dropout(x);  per layer: h = norm(h + attention(h)); h = norm(h + feed_forward(h))
//! logits = W mean(h) + b   or   W activation(V h[first token] + c) + b
//! ```
//!
//! `Architecture` says which of them is computed. The encoder is that of Vaswani et al. (2017), ours with
//! normalisation first (Xiong et al., 2020); adding a linear model over sparse features is wide and deep
//! learning (Cheng et al., 2016). The exported graph (`crate::onnx`) computes the same logits from
//! `input_ids` and `attention_mask`.

mod buffers;
mod build;
#[cfg(any(feature = "cuda", test))]
mod candle;
mod dense;
mod device;
mod dropout;
mod embed;
mod layer;
mod passes;
mod pool;
mod step;

use fenliu_model::{ModelError, Result};
use rand::rngs::SmallRng;

use crate::data::{Batch, Features};
use crate::parameter::Parameter;
use crate::shape::NetworkConfig;
use crate::table::SparseTable;
use crate::tensors::{Tensors, Vector};
use crate::weights::Weights;
use dense::{Linear, Norm};
use layer::Layer;

pub(super) use buffers::Buffers;
pub(super) use build::CONFIG_FILE;
#[cfg(test)]
pub(super) use candle::Accelerator;
pub(super) use device::open_device;
pub(super) use dropout::DropoutSource;
pub(super) use passes::Passes;
pub(super) use step::{States, Step, StepInput, TableGradient};

/// All parameters of a network. Each dense parameter records whether it is trained; the tables follow `frozen`.
pub(crate) struct Network {
    pub(crate) config: NetworkConfig,
    /// The encoder's embeddings, one row per feature of its layout.
    pub(crate) embedding: SparseTable,
    /// The side path's weights, one row per feature and one column per label.
    pub(crate) ngrams: Option<SparseTable>,
    embedding_norm: Option<Norm>,
    embedding_projection: Option<Linear>,
    layers: Vec<Layer>,
    /// Normalises the output of the last layer; only where layers normalise their inputs.
    final_norm: Option<Norm>,
    /// The dense layer over the first token; only where the head reads that token.
    pooler: Option<Linear>,
    head: Linear,
    /// The lower part of the network, which no training step changes.
    frozen: Frozen,
}

/// The lower part of a network that is frozen: none of its parameters is trained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Frozen {
    /// Nothing: everything is trained, including the embeddings.
    Nothing,
    /// The embeddings and this many layers.
    Layers(usize),
    /// Everything below the head.
    BelowHead,
}

/// The table rows that a batch reads.
pub(super) struct Inputs {
    pub(super) embedding: Features,
    pub(super) ngrams: Option<Features>,
}

impl Network {
    /// All dense parameters, trained or frozen, in a fixed order.
    pub(super) fn dense(&self) -> Vec<&Parameter> {
        let mut all = Vec::new();
        all.extend(self.embedding_norm.iter().flat_map(Norm::parameters));
        all.extend(self.embedding_projection.iter().flat_map(Linear::parameters));
        all.extend(self.layers.iter().flat_map(Layer::parameters));
        all.extend(self.final_norm.iter().flat_map(Norm::parameters));
        all.extend(self.pooler.iter().flat_map(Linear::parameters));
        all.extend(self.head.parameters());
        all
    }

    /// As [`Network::dense`], mutable.
    pub(super) fn dense_mut(&mut self) -> Vec<&mut Parameter> {
        let mut all = Vec::new();
        all.extend(self.embedding_norm.iter_mut().flat_map(Norm::parameters_mut));
        all.extend(self.embedding_projection.iter_mut().flat_map(Linear::parameters_mut));
        all.extend(self.layers.iter_mut().flat_map(Layer::parameters_mut));
        all.extend(self.final_norm.iter_mut().flat_map(Norm::parameters_mut));
        all.extend(self.pooler.iter_mut().flat_map(Linear::parameters_mut));
        all.extend(self.head.parameters_mut());
        all
    }

    /// Shape and values of a dense parameter.
    ///
    /// # Errors
    ///
    /// There is no parameter of that name.
    pub(crate) fn dense_values(&self, name: &str) -> Result<(&[usize], &[f32])> {
        match self.dense().into_iter().find(|parameter| parameter.name == name) {
            Some(parameter) => Ok((&parameter.shape, &parameter.values)),
            None => Err(ModelError::Weights(format!("the network has no parameter `{name}`"))),
        }
    }

    /// A copy of all weights, as they are stored in a bundle.
    pub(super) fn weights(&self) -> Weights {
        let mut weights = Weights::default();
        for parameter in self.dense() {
            weights.insert(&parameter.name, parameter.shape.clone(), parameter.values.clone());
        }
        let tables =
            [Some(("embedding", &self.embedding)), self.ngrams.as_ref().map(|table| ("ngrams", table))];
        for (name, table) in tables.into_iter().flatten() {
            let shape = vec![table.values().len() / table.width(), table.width()];
            weights.insert(name, shape, table.values().to_vec());
        }
        weights
    }

    /// A copy of all weights that are trained.
    pub(super) fn trained(&self) -> Tensors {
        let mut tensors = Tensors::default();
        for parameter in self.dense().into_iter().filter(|parameter| parameter.is_trained()) {
            tensors.insert(&parameter.name, Vector::Floats(parameter.values.clone()));
        }
        if self.frozen == Frozen::Nothing {
            tensors.insert("embedding", Vector::Floats(self.embedding.values().to_vec()));
        }
        if let Some(table) = &self.ngrams {
            tensors.insert("ngrams", Vector::Floats(table.values().to_vec()));
        }
        tensors
    }

    /// Sets all trained weights to those in `tensors`, and removes them there.
    ///
    /// # Errors
    ///
    /// One is missing or has another size. The network then has some old and some new weights and must be
    /// dropped.
    pub(super) fn restore(&mut self, tensors: &mut Tensors) -> Result<()> {
        for parameter in self.dense_mut().into_iter().filter(|parameter| parameter.is_trained()) {
            parameter.values = tensors.floats(&parameter.name, parameter.values.len())?;
        }
        if self.frozen == Frozen::Nothing {
            self.embedding.set_values(tensors.floats("embedding", self.embedding.values().len())?);
        }
        if let Some(table) = &mut self.ngrams {
            table.set_values(tensors.floats("ngrams", table.values().len())?);
        }
        // The trained factors have changed; the sums with their matrices are what passes read.
        self.refresh();
        Ok(())
    }

    /// The number of weights.
    pub(crate) fn parameters(&self) -> u64 {
        let dense: usize = self.dense().iter().map(|parameter| parameter.values.len()).sum();
        let tables = self.embedding.values().len() + self.ngrams.as_ref().map_or(0, |t| t.values().len());
        (dense + tables) as u64
    }

    /// The frozen part.
    pub(super) fn frozen(&self) -> Frozen {
        self.frozen
    }

    /// Makes everything above `frozen` trained, the side path included, and freezes the rest.
    pub(super) fn freeze(&mut self, frozen: Frozen) {
        self.frozen = frozen;
        let lowest = match frozen {
            Frozen::Nothing => 0,
            Frozen::Layers(layers) => layers,
            Frozen::BelowHead => usize::MAX,
        };
        let is_embedding_trained = frozen == Frozen::Nothing;
        let is_final_norm_trained = frozen != Frozen::BelowHead;
        for parameter in self.embedding_norm.iter_mut().flat_map(Norm::parameters_mut) {
            parameter.set_trained(is_embedding_trained);
        }
        for parameter in self.embedding_projection.iter_mut().flat_map(Linear::parameters_mut) {
            parameter.set_trained(is_embedding_trained);
        }
        for (number, layer) in self.layers.iter_mut().enumerate() {
            layer.parameters_mut().into_iter().for_each(|p| p.set_trained(number >= lowest));
        }
        for parameter in self.final_norm.iter_mut().flat_map(Norm::parameters_mut) {
            parameter.set_trained(is_final_norm_trained);
        }
        for parameter in self.pooler.iter_mut().flat_map(Linear::parameters_mut) {
            parameter.set_trained(true);
        }
        self.head.parameters_mut().into_iter().for_each(|parameter| parameter.set_trained(true));
    }

    /// Freezes everything below the head, then adds a low-rank product, which is trained, to each matrix of
    /// the layers.
    pub(super) fn add_low_rank(&mut self, rank: usize, scale: f32, generator: &mut SmallRng) {
        self.freeze(Frozen::BelowHead);
        // The products are trained in every layer, so only the embeddings below the first are constant and can be
        // cached.
        self.frozen = Frozen::Layers(0);
        for linear in self.layers.iter_mut().flat_map(Layer::linears_mut) {
            linear.add_low_rank(rank, scale, generator);
        }
    }

    /// Computes the sums of matrices and low-rank products again. Must be called after every change of a
    /// product.
    pub(super) fn refresh(&mut self) {
        self.layers.iter_mut().flat_map(Layer::linears_mut).for_each(Linear::refresh);
    }

    /// Replaces matrices by their sums with low-rank products, and removes the products.
    pub(super) fn merge(&mut self) {
        self.layers.iter_mut().flat_map(Layer::linears_mut).for_each(Linear::merge);
    }

    /// Multiplies the logits of the encoder and those of the side path.
    pub(super) fn scale(&mut self, encoder: f32, side: f32) {
        for parameter in self.head.parameters_mut() {
            parameter.values.iter_mut().for_each(|value| *value *= encoder);
        }
        if let Some(table) = &mut self.ngrams {
            table.scale(side);
        }
    }

    /// The table rows of a batch without dropout.
    pub(super) fn inputs(&self, batch: &Batch<'_>) -> Inputs {
        Inputs {
            embedding: batch.features(&self.config.embedding, None),
            ngrams: self.config.ngrams.as_ref().map(|layout| batch.features(layout, None)),
        }
    }

    /// Logits, `[rows, labels]`, of a batch, without dropout.
    pub(super) fn logits(&self, batch: &Batch<'_>, buffers: &mut Buffers) -> Vec<f32> {
        let inputs = self.inputs(batch);
        let states = self.states(batch, &inputs.embedding, self.layers.len(), buffers);
        self.logits_from(states, batch, inputs.ngrams.as_ref(), buffers)
    }
}
