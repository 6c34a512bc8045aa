//! The network: a pre-norm transformer encoder and, beside it, a linear classifier over n-grams.
//!
//! ```text
//! x      = E[token] + P[position]
//! h      = dropout(x);  per layer: h += attention(norm(h)); h += feed_forward(norm(h))
//! deep   = W [mean(norm(h)); mean(x)] + b                       means over real tokens
//! wide   = mean(N[token] + N[bigram] + N[trigram])
//! logits = deep + wide
//! ```
//!
//! The encoder is that of Vaswani et al. (2017) with normalisation first (Xiong et al., 2020); adding a
//! linear model over sparse features is wide and deep learning (Cheng et al., 2016). The exported graph
//! (`crate::onnx`) computes the same from `input_ids` and `attention_mask`.

use std::sync::Arc;

use candle_core::{Device, Result, Tensor, Var};
use rand::{Rng, rngs::SmallRng};

use super::config::{EncoderShape, NetworkConfig};
use super::data::{Batch, Features};
use super::ops::{Attention, Dropout, GatherSum, Gelu, LayerNorm, Linear, RowIndex, WeightedSum};
use super::table::{SparseTable, Touched};
use super::weights::{WEIGHTS_FILE, Weights};
use crate::bundle::Bundle;
use crate::error::ModelError;

/// Where the configuration lies in a bundle.
pub(super) const CONFIG_FILE: &str = "config.json";

/// All parameters. Those of the dense layers are candle variables; the tables are sparse.
pub(crate) struct Network {
    pub(crate) config: NetworkConfig,
    /// The encoder's embeddings, one row per feature of its layout.
    pub(crate) embedding: SparseTable,
    /// The side path's weights, one row per feature and one column per label.
    pub(crate) ngrams: Option<SparseTable>,
    layers: Vec<Layer>,
    final_norm: Affine,
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

/// Where the values of a network under construction come from.
enum Origin<'a> {
    /// Drawn at random, or constant where training starts from a constant.
    Random(&'a mut SmallRng),
    /// Taken out of these.
    Stored(&'a mut Weights),
}

/// Starting values of a parameter that is not stored.
#[derive(Clone, Copy)]
enum Start {
    Constant(f32),
    /// Uniform in `[-range, range)`.
    Uniform(f32),
}

/// Makes named parameters.
struct Builder<'a> {
    origin: Origin<'a>,
    dense: Vec<(String, Var)>,
}

impl Builder<'_> {
    fn values(&mut self, name: &str, shape: &[usize], start: Start) -> crate::Result<Vec<f32>> {
        let count = shape.iter().product();
        match (&mut self.origin, start) {
            (Origin::Stored(weights), _) => weights.take(name, shape),
            (Origin::Random(_), Start::Constant(value)) => Ok(vec![value; count]),
            (Origin::Random(generator), Start::Uniform(range)) => {
                Ok((0..count).map(|_| generator.random_range(-range..range)).collect())
            }
        }
    }

    fn variable(&mut self, name: String, shape: &[usize], start: Start) -> crate::Result<Var> {
        let values = self.values(&name, shape, start)?;
        let var = Var::from_vec(values, shape, &Device::Cpu)?;
        self.dense.push((name, var.clone()));
        Ok(var)
    }

    fn table(&mut self, name: &str, rows: usize, width: usize, start: Start) -> crate::Result<SparseTable> {
        Ok(SparseTable::new(width, self.values(name, &[rows, width], start)?))
    }

    /// Uniform Glorot weights (Glorot and Bengio, 2010) times `gain`, zero biases.
    fn linear(&mut self, name: &str, inputs: usize, outputs: usize, gain: f32) -> crate::Result<Affine> {
        let range = gain * (6.0 / (inputs + outputs) as f32).sqrt();
        Ok(Affine {
            weight: self.variable(format!("{name}.weight"), &[inputs, outputs], Start::Uniform(range))?,
            bias: self.variable(format!("{name}.bias"), &[outputs], Start::Constant(0.0))?,
        })
    }

    fn norm(&mut self, name: &str, width: usize) -> crate::Result<Affine> {
        Ok(Affine {
            weight: self.variable(format!("{name}.weight"), &[width], Start::Constant(1.0))?,
            bias: self.variable(format!("{name}.bias"), &[width], Start::Constant(0.0))?,
        })
    }

    fn layer(&mut self, number: usize, shape: EncoderShape) -> crate::Result<Layer> {
        let EncoderShape { layers, width, feed_forward, .. } = shape;
        // Branches that are added up start smaller, so that the sum keeps its size (GPT-2).
        let residual = 1.0 / (2.0 * layers as f32).sqrt();
        let name = |part: &str| format!("layer.{number}.{part}");
        Ok(Layer {
            attention_norm: self.norm(&name("attention_norm"), width)?,
            projection: self.linear(&name("projection"), width, 3 * width, 1.0)?,
            attention_output: self.linear(&name("attention_output"), width, width, residual)?,
            feed_forward_norm: self.norm(&name("feed_forward_norm"), width)?,
            expand: self.linear(&name("expand"), width, feed_forward, 1.0)?,
            contract: self.linear(&name("contract"), feed_forward, width, residual)?,
        })
    }
}

impl Affine {
    fn linear(&self, x: &Tensor) -> Result<Tensor> {
        x.apply_op3(self.weight.as_tensor(), self.bias.as_tensor(), Linear)
    }

    fn norm(&self, x: &Tensor) -> Result<Tensor> {
        x.apply_op3(self.weight.as_tensor(), self.bias.as_tensor(), LayerNorm)
    }
}

impl Layer {
    fn forward(
        &self,
        hidden: &Tensor,
        heads: usize,
        lengths: &[usize],
        dropout: &mut Option<DropoutSource>,
    ) -> Result<Tensor> {
        let packed = self.projection.linear(&self.attention_norm.norm(hidden)?)?;
        let mixed = packed.apply_op1(Attention { heads, lengths: lengths.to_vec() })?;
        let hidden = (hidden + drop(self.attention_output.linear(&mixed)?, dropout)?)?;
        let expanded = self.expand.linear(&self.feed_forward_norm.norm(&hidden)?)?.apply_op1(Gelu)?;
        &hidden + drop(self.contract.linear(&expanded)?, dropout)?
    }
}

impl Network {
    /// A network with random weights; the side path starts at zero.
    pub(super) fn new(config: NetworkConfig, generator: &mut SmallRng) -> crate::Result<Self> {
        Self::build(config, Origin::Random(generator))
    }

    /// A network with given weights, which are taken out of `weights`; what it has no use for stays there.
    ///
    /// # Errors
    ///
    /// A tensor is missing or does not have the shape that `config` asks for.
    pub(crate) fn from_weights(config: NetworkConfig, weights: &mut Weights) -> crate::Result<Self> {
        Self::build(config, Origin::Stored(weights))
    }

    fn build(config: NetworkConfig, origin: Origin<'_>) -> crate::Result<Self> {
        let shape = config.encoder;
        let mut builder = Builder { origin, dense: Vec::new() };
        // Embeddings of unit variance over the square root of the width, as a linear layer would have.
        let range = Start::Uniform((3.0 / shape.width as f32).sqrt());
        let embedding = builder.table("embedding", config.embedding.rows(), shape.width, range)?;
        let ngrams = config
            .ngrams
            .map(|layout| builder.table("ngrams", layout.rows(), config.labels, Start::Constant(0.0)))
            .transpose()?;
        let layers =
            (0..shape.layers).map(|number| builder.layer(number, shape)).collect::<crate::Result<_>>()?;
        let final_norm = builder.norm("final_norm", shape.width)?;
        let head = builder.linear("head", 2 * shape.width, config.labels, 1.0)?;
        Ok(Self { config, embedding, ngrams, layers, final_norm, head, dense: builder.dense })
    }

    /// The network of a bundle: `config.json` and `weights/model.safetensors`.
    ///
    /// # Errors
    ///
    /// A file is missing or not valid, or a tensor is missing, superfluous or of another shape than
    /// `config.json` asks for.
    pub(crate) fn load(bundle: &Bundle) -> crate::Result<Self> {
        let path = bundle.path().join(CONFIG_FILE);
        let bytes = std::fs::read(&path).map_err(ModelError::io("read", &path))?;
        let config = serde_json::from_slice(&bytes).map_err(ModelError::json(&path))?;
        let path = bundle.path().join(WEIGHTS_FILE);
        let mut weights = Weights::read(&path)?;
        let network = Self::from_weights(config, &mut weights).and_then(|network| {
            weights.check_empty()?;
            Ok(network)
        });
        network.map_err(|error| ModelError::bundle(bundle.path(), format!("{WEIGHTS_FILE}: {error}")))
    }

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
    pub(super) fn parameters(&self) -> u64 {
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
        let (rows, tokens) = (batch.lengths.len(), batch.tokens);
        let embedded = inputs.embedding.sums()?.reshape((rows, tokens, self.config.encoder.width))?;
        let mut hidden = drop(embedded.clone(), &mut dropout)?;
        for layer in &self.layers {
            hidden = layer.forward(&hidden, self.config.encoder.heads, &batch.lengths, &mut dropout)?;
        }
        let hidden = self.final_norm.norm(&hidden)?;
        let mean = |x: &Tensor| x.apply_op1(WeightedSum { weights: batch.mean_weights() });
        let pooled = drop(Tensor::cat(&[mean(&hidden)?, mean(&embedded)?], 1)?, &mut dropout)?;
        let deep = self.head.linear(&pooled)?;
        let Some(ngrams) = &inputs.ngrams else { return Ok(deep) };
        let scores = ngrams.sums()?.reshape((rows, tokens, self.config.labels))?;
        deep + mean(&scores)?
    }
}
