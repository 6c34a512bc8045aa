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
//! learning (Cheng et al., 2016). The exported graph (`crate::onnx`) computes the same from `input_ids` and
//! `attention_mask`.

mod build;

use std::sync::Arc;

use candle_core::{Result, Tensor, Var};

use super::architecture::{Head, NormPlacement};
use super::config::NetworkConfig;
use super::data::{Batch, Features};
use super::ops::{Attention, Dropout, GatherSum, LayerNorm, Linear, RowIndex, WeightedSum};
use super::table::{SparseTable, Touched};
use super::weights::Weights;

pub(super) use build::CONFIG_FILE;

/// All parameters. Those of the dense layers are candle variables; the tables are sparse.
pub(crate) struct Network {
    pub(crate) config: NetworkConfig,
    /// The encoder's embeddings, one row per feature of its layout.
    pub(crate) embedding: SparseTable,
    /// The side path's weights, one row per feature and one column per label.
    pub(crate) ngrams: Option<SparseTable>,
    embedding_norm: Option<Affine>,
    embedding_projection: Option<Affine>,
    layers: Vec<Layer>,
    /// After the last layer, where layers normalise their inputs.
    final_norm: Option<Affine>,
    /// Of the first token, where the head reads that.
    pooler: Option<Affine>,
    head: Affine,
    dense: Vec<(String, Var)>,
}

/// A matrix and a vector (dense layer), or two vectors (layer normalisation).
struct Affine {
    weight: Var,
    bias: Var,
}

struct Layer {
    attention_norm: Affine,
    projection: Affine,
    attention_output: Affine,
    feed_forward_norm: Affine,
    expand: Affine,
    contract: Affine,
}

/// The table rows that a batch reads.
pub(super) struct Inputs {
    pub(super) embedding: TableRows,
    pub(super) ngrams: Option<TableRows>,
}

/// The rows of one table that a batch reads, as a variable, and which position sums which of them.
pub(super) struct TableRows {
    pub(super) rows: Vec<u32>,
    pub(super) values: Var,
    index: Arc<RowIndex>,
}

impl TableRows {
    pub(super) fn new(table: &SparseTable, features: Features) -> Result<Self> {
        let Touched { rows, local } = table.touch(&features.rows);
        let values = Var::from_tensor(&table.select(&rows)?)?;
        let index = Arc::new(RowIndex::new(features.starts, local, rows.len()));
        Ok(Self { rows, values, index })
    }

    fn sums(&self) -> Result<Tensor> {
        self.values.apply_op1(GatherSum { index: Arc::clone(&self.index) })
    }
}

/// All weights of a network at one moment, without the optimiser's state.
pub(super) struct Snapshot {
    dense: Vec<Tensor>,
    embedding: Vec<f32>,
    ngrams: Option<Vec<f32>>,
}

/// Dropout of a training step: the rate, and a seed that changes with every use.
pub(super) struct DropoutSource {
    pub(super) rate: f32,
    pub(super) seed: u64,
}

/// Applies dropout in training, nothing otherwise.
fn drop(x: Tensor, source: &mut Option<DropoutSource>) -> Result<Tensor> {
    match source {
        Some(source) if source.rate > 0.0 => {
            source.seed = source.seed.wrapping_add(1);
            x.apply_op1(Dropout { rate: source.rate, seed: source.seed })
        }
        _ => Ok(x),
    }
}

impl Affine {
    fn linear(&self, x: &Tensor) -> Result<Tensor> {
        x.apply_op3(self.weight.as_tensor(), self.bias.as_tensor(), Linear)
    }

    fn norm(&self, x: &Tensor, epsilon: f32) -> Result<Tensor> {
        x.apply_op3(self.weight.as_tensor(), self.bias.as_tensor(), LayerNorm { epsilon })
    }
}

impl Layer {
    fn forward(
        &self,
        hidden: &Tensor,
        config: &NetworkConfig,
        lengths: &[usize],
        dropout: &mut Option<DropoutSource>,
    ) -> Result<Tensor> {
        let epsilon = config.architecture.norm_epsilon;
        match config.architecture.norm {
            NormPlacement::Pre => {
                let normed = self.attention_norm.norm(hidden, epsilon)?;
                let hidden = (hidden + self.attention(&normed, config, lengths, dropout)?)?;
                let normed = self.feed_forward_norm.norm(&hidden, epsilon)?;
                &hidden + self.feed_forward(&normed, config, dropout)?
            }
            NormPlacement::Post => {
                let sum = (hidden + self.attention(hidden, config, lengths, dropout)?)?;
                let hidden = self.attention_norm.norm(&sum, epsilon)?;
                let sum = (&hidden + self.feed_forward(&hidden, config, dropout)?)?;
                self.feed_forward_norm.norm(&sum, epsilon)
            }
        }
    }

    fn attention(
        &self,
        x: &Tensor,
        config: &NetworkConfig,
        lengths: &[usize],
        dropout: &mut Option<DropoutSource>,
    ) -> Result<Tensor> {
        let attention = Attention { heads: config.encoder.heads, lengths: lengths.to_vec() };
        let mixed = self.projection.linear(x)?.apply_op1(attention)?;
        drop(self.attention_output.linear(&mixed)?, dropout)
    }

    fn feed_forward(
        &self,
        x: &Tensor,
        config: &NetworkConfig,
        dropout: &mut Option<DropoutSource>,
    ) -> Result<Tensor> {
        let expanded = config.architecture.activation.apply(&self.expand.linear(x)?)?;
        drop(self.contract.linear(&expanded)?, dropout)
    }
}

impl Network {
    /// The dense parameters by name, in a fixed order.
    pub(super) fn dense(&self) -> &[(String, Var)] {
        &self.dense
    }

    /// Shape and values of a dense parameter.
    ///
    /// # Errors
    ///
    /// There is no parameter of that name.
    pub(crate) fn dense_values(&self, name: &str) -> Result<(Vec<usize>, Vec<f32>)> {
        let Some((_, var)) = self.dense.iter().find(|(known, _)| known == name) else {
            candle_core::bail!("the network has no parameter `{name}`");
        };
        Ok((var.dims().to_vec(), var.flatten_all()?.to_vec1()?))
    }

    /// Everything trained.
    pub(super) fn weights(&self) -> Result<Weights> {
        let mut weights = Weights::default();
        for (name, _) in &self.dense {
            let (shape, values) = self.dense_values(name)?;
            weights.insert(name, shape, values);
        }
        let tables =
            [Some(("embedding", &self.embedding)), self.ngrams.as_ref().map(|table| ("ngrams", table))];
        for (name, table) in tables.into_iter().flatten() {
            let shape = vec![table.values().len() / table.width(), table.width()];
            weights.insert(name, shape, table.values().to_vec());
        }
        Ok(weights)
    }

    /// A copy of all weights.
    pub(super) fn snapshot(&self) -> Result<Snapshot> {
        Ok(Snapshot {
            dense: self.dense.iter().map(|(_, var)| var.copy()).collect::<Result<_>>()?,
            embedding: self.embedding.values().to_vec(),
            ngrams: self.ngrams.as_ref().map(|table| table.values().to_vec()),
        })
    }

    /// Puts the weights of a snapshot of this network back.
    pub(super) fn restore(&mut self, snapshot: Snapshot) -> Result<()> {
        for ((_, var), values) in self.dense.iter().zip(&snapshot.dense) {
            var.set(values)?;
        }
        self.embedding.set_values(snapshot.embedding);
        if let (Some(table), Some(values)) = (&mut self.ngrams, snapshot.ngrams) {
            table.set_values(values);
        }
        Ok(())
    }

    /// How many numbers are trained.
    pub(crate) fn parameters(&self) -> u64 {
        let dense: usize = self.dense.iter().map(|(_, var)| var.elem_count()).sum();
        let tables = self.embedding.values().len() + self.ngrams.as_ref().map_or(0, |t| t.values().len());
        (dense + tables) as u64
    }

    /// The table rows of a batch without dropout.
    fn inputs(&self, batch: &Batch<'_>) -> Result<Inputs> {
        let rows = |table: &SparseTable, layout| TableRows::new(table, batch.features(layout, None));
        let ngrams = self.ngrams.as_ref().zip(self.config.ngrams.as_ref());
        Ok(Inputs {
            embedding: rows(&self.embedding, &self.config.embedding)?,
            ngrams: ngrams.map(|(table, layout)| rows(table, layout)).transpose()?,
        })
    }

    /// Logits `[rows, labels]` of a batch, without dropout.
    pub(super) fn logits(&self, batch: &Batch<'_>) -> Result<Tensor> {
        self.forward(batch, &self.inputs(batch)?, None)
    }

    /// Logits `[rows, labels]` of a batch from chosen table rows.
    pub(super) fn forward(
        &self,
        batch: &Batch<'_>,
        inputs: &Inputs,
        mut dropout: Option<DropoutSource>,
    ) -> Result<Tensor> {
        let embedded = self.embed(batch, inputs)?;
        let mut hidden = drop(embedded.clone(), &mut dropout)?;
        if let Some(projection) = &self.embedding_projection {
            hidden = projection.linear(&hidden)?;
        }
        for layer in &self.layers {
            hidden = layer.forward(&hidden, &self.config, &batch.lengths, &mut dropout)?;
        }
        if let Some(norm) = &self.final_norm {
            hidden = norm.norm(&hidden, self.config.architecture.norm_epsilon)?;
        }
        let pooled = drop(self.pool(batch, &hidden, &embedded)?, &mut dropout)?;
        let deep = self.head.linear(&pooled)?;
        let Some(ngrams) = &inputs.ngrams else { return Ok(deep) };
        let scores = ngrams.sums()?.reshape((batch.lengths.len(), batch.tokens, self.config.labels))?;
        deep + mean(batch, &scores)?
    }

    /// The embeddings of all positions, `[rows, tokens, embedding width]`.
    fn embed(&self, batch: &Batch<'_>, inputs: &Inputs) -> Result<Tensor> {
        let shape = (batch.lengths.len(), batch.tokens, self.config.embedding_width());
        let embedded = inputs.embedding.sums()?.reshape(shape)?;
        match &self.embedding_norm {
            Some(norm) => norm.norm(&embedded, self.config.architecture.norm_epsilon),
            None => Ok(embedded),
        }
    }

    /// What the head reads of each row: `[rows, inputs of the head]`.
    fn pool(&self, batch: &Batch<'_>, hidden: &Tensor, embedded: &Tensor) -> Result<Tensor> {
        match (self.config.architecture.head, &self.pooler) {
            (Head::Means, _) => Tensor::cat(&[mean(batch, hidden)?, mean(batch, embedded)?], 1),
            (Head::FirstToken(activation), Some(pooler)) => {
                let first = hidden.narrow(1, 0, 1)?.squeeze(1)?.contiguous()?;
                activation.apply(&pooler.linear(&first)?)
            }
            (Head::Mean | Head::FirstToken(_), _) => mean(batch, hidden),
        }
    }
}

/// The mean over the real tokens of each row.
fn mean(batch: &Batch<'_>, x: &Tensor) -> Result<Tensor> {
    x.apply_op1(WeightedSum { weights: batch.mean_weights() })
}
