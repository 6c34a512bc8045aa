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

/// One parameter as it is saved.
pub(super) struct NamedWeights {
    pub(super) name: String,
    pub(super) shape: Vec<usize>,
    pub(super) values: Vec<f32>,
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

/// Makes named variables.
struct Builder<'a> {
    generator: &'a mut SmallRng,
    dense: Vec<(String, Var)>,
}

impl Builder<'_> {
    fn variable(&mut self, name: String, values: Vec<f32>, shape: &[usize]) -> Result<Var> {
        let var = Var::from_vec(values, shape, &Device::Cpu)?;
        self.dense.push((name, var.clone()));
        Ok(var)
    }

    /// Uniform Glorot weights (Glorot and Bengio, 2010) times `gain`, zero biases.
    fn linear(&mut self, name: &str, inputs: usize, outputs: usize, gain: f32) -> Result<Affine> {
        let range = gain * (6.0 / (inputs + outputs) as f32).sqrt();
        let values = (0..inputs * outputs).map(|_| self.generator.random_range(-range..range)).collect();
        Ok(Affine {
            weight: self.variable(format!("{name}.weight"), values, &[inputs, outputs])?,
            bias: self.variable(format!("{name}.bias"), vec![0.0; outputs], &[outputs])?,
        })
    }

    fn norm(&mut self, name: &str, width: usize) -> Result<Affine> {
        Ok(Affine {
            weight: self.variable(format!("{name}.weight"), vec![1.0; width], &[width])?,
            bias: self.variable(format!("{name}.bias"), vec![0.0; width], &[width])?,
        })
    }

    fn layer(&mut self, number: usize, shape: EncoderShape) -> Result<Layer> {
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
    pub(super) fn new(config: NetworkConfig, generator: &mut SmallRng) -> Result<Self> {
        let shape = config.encoder;
        // Embeddings of unit variance over the square root of the width, as a linear layer would have.
        let range = (3.0 / shape.width as f32).sqrt();
        let embedding = SparseTable::new(config.embedding.rows(), shape.width, range, generator);
        let ngrams =
            config.ngrams.map(|layout| SparseTable::new(layout.rows(), config.labels, 0.0, generator));
        let mut builder = Builder { generator, dense: Vec::new() };
        let layers = (0..shape.layers).map(|number| builder.layer(number, shape)).collect::<Result<_>>()?;
        let final_norm = builder.norm("final_norm", shape.width)?;
        let head = builder.linear("head", 2 * shape.width, config.labels, 1.0)?;
        Ok(Self { config, embedding, ngrams, layers, final_norm, head, dense: builder.dense })
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
    pub(super) fn weights(&self) -> Result<Vec<NamedWeights>> {
        let mut weights = Vec::new();
        for (name, _) in &self.dense {
            let (shape, values) = self.dense_values(name)?;
            weights.push(NamedWeights { name: name.clone(), shape, values });
        }
        let tables =
            [Some(("embedding", &self.embedding)), self.ngrams.as_ref().map(|table| ("ngrams", table))];
        for (name, table) in tables.into_iter().flatten() {
            let shape = vec![table.values().len() / table.width(), table.width()];
            weights.push(NamedWeights { name: name.to_owned(), shape, values: table.values().to_vec() });
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
