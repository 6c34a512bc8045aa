//! The graph of our network; see the module `network` for the formulas.

use fenliu_model::Result;
use fenliu_model::onnx::ModelProto;

use super::features::EncoderGraph;
use super::graph::{Axis, GraphBuilder, Value, integer};
use super::pieces::{COLUMNS, ROWS};
use crate::architecture::{Head, NormPlacement};
use crate::features::{FeatureLayout, MULTIPLIERS};
use crate::network::Network;

/// The network as an ONNX model.
///
/// # Errors
///
/// The network lacks a parameter of its architecture.
pub(crate) fn encoder_model(network: &Network) -> Result<ModelProto> {
    let mut writer = Writer::new(network);
    let embedded = writer.embedding()?;
    let hidden = writer.encoder(&embedded)?;
    let mut logits = writer.head(&hidden, &embedded)?;
    if let Some(wide) = writer.side_path() {
        logits = writer.builder.node("Add", &[&logits, &wide], vec![]);
    }
    let axes = [Axis::Named("batch"), Axis::Fixed(network.config.labels)];
    writer.builder.output("logits", &logits, &axes);
    Ok(writer.builder.build("fenliu-encoder"))
}

/// The network without its head and side path.
///
/// # Errors
///
/// The network lacks a parameter of its architecture.
pub(crate) fn encoder_graph(network: &Network) -> Result<EncoderGraph> {
    let mut writer = Writer::new(network);
    let embedded = writer.embedding()?;
    let hidden = writer.encoder(&embedded)?;
    let Writer { builder, mask, .. } = writer;
    Ok(EncoderGraph { builder, hidden, mask, width: network.config.encoder.width })
}

struct Writer<'a> {
    builder: GraphBuilder,
    network: &'a Network,
    ids: Value,
    /// 1.0 at tokens, 0.0 at padding: `[batch, tokens]`.
    mask: Value,
}

impl<'a> Writer<'a> {
    fn new(network: &'a Network) -> Self {
        let mut builder = GraphBuilder::default();
        let (ids, mask) = builder.inputs();
        Self { builder, network, ids, mask }
    }

    /// The constant of a dense parameter.
    fn parameter(&mut self, name: &str) -> Result<Value> {
        let (shape, values) = self.network.dense_values(name)?;
        Ok(self.builder.floats(name, shape, values))
    }

    fn linear(&mut self, x: &Value, name: &str) -> Result<Value> {
        let weight = self.parameter(&format!("{name}.weight"))?;
        let bias = self.parameter(&format!("{name}.bias"))?;
        let product = self.builder.node("MatMul", &[x, &weight], vec![]);
        Ok(self.builder.node("Add", &[&product, &bias], vec![]))
    }

    fn norm(&mut self, x: &Value, name: &str) -> Result<Value> {
        let weight = self.parameter(&format!("{name}.weight"))?;
        let bias = self.parameter(&format!("{name}.bias"))?;
        let epsilon = self.network.config.architecture.norm_epsilon;
        Ok(self.builder.layer_norm(x, &weight, Some(&bias), epsilon))
    }

    /// Columns `start..end` of the last axis of a matrix of ids.
    fn columns(&mut self, x: &Value, start: i64, end: i64) -> Value {
        let (start, end) = (self.builder.integers(&[start]), self.builder.integers(&[end]));
        let axes = self.builder.integers(&[1]);
        self.builder.node("Slice", &[x, &start, &end, &axes], vec![])
    }

    fn embedding(&mut self) -> Result<Value> {
        let (layout, width) = (self.network.config.embedding, self.network.config.embedding_width());
        let sum = self.table_sum("embedding", &layout, width, self.network.embedding.values());
        if self.network.config.architecture.embedding_norm {
            self.norm(&sum, "embedding_norm")
        } else {
            Ok(sum)
        }
    }

    /// The sum of a table's rows at every token: `[batch, tokens, width]`.
    fn table_sum(&mut self, name: &str, layout: &FeatureLayout, width: usize, values: &[f32]) -> Value {
        let FeatureLayout { tokens, bigrams, trigrams, positions } = *layout;
        let mut start = 0;
        let mut part = |builder: &mut GraphBuilder, part: &str, rows: usize| {
            let table = &values[start * width..(start + rows) * width];
            start += rows;
            builder.floats(&format!("{name}.{part}"), &[rows, width], table)
        };
        let table = part(&mut self.builder, "tokens", tokens);
        let mut sum = self.builder.node("Gather", &[&table, &self.ids], vec![]);
        for (name, order, buckets) in [("bigrams", 2, bigrams), ("trigrams", 3, trigrams)] {
            if buckets > 0 {
                let table = part(&mut self.builder, name, buckets);
                let rows = self.ngram_rows(order, buckets);
                let gathered = self.builder.node("Gather", &[&table, &rows], vec![]);
                sum = self.builder.node("Add", &[&sum, &gathered], vec![]);
            }
        }
        if positions > 0 {
            let table = part(&mut self.builder, "positions", positions);
            let used = self.builder.first_rows(&table, &self.ids);
            sum = self.builder.node("Add", &[&sum, &used], vec![]);
        }
        sum
    }

    /// The bucket of the n-gram that ends at each token, `[batch, tokens]`. N-grams at the start are padded
    /// with id 0.
    fn ngram_rows(&mut self, order: usize, buckets: usize) -> Value {
        let mut ids = self.ids.clone();
        let mut sum: Option<Value> = None;
        // From the newest token, which has the last factor, back to the oldest: each further term moves the ids by
        // one more place.
        for multiplier in MULTIPLIERS.iter().rev().take(order) {
            if sum.is_some() {
                ids = self.shifted(&ids);
            }
            let multiplier = self.builder.integers(&[*multiplier]);
            let product = self.builder.node("Mul", &[&ids, &multiplier], vec![]);
            sum = Some(match sum {
                Some(sum) => self.builder.node("Add", &[&sum, &product], vec![]),
                None => product,
            });
        }
        let buckets = self.builder.integers(&[buckets as i64]);
        self.builder.node("Mod", &[&sum.unwrap_or(ids), &buckets], vec![])
    }

    /// Ids moved one place to the right, with 0 in front.
    fn shifted(&mut self, ids: &Value) -> Value {
        let first = self.columns(ids, 0, 1);
        let zero = self.builder.integers(&[0]);
        // Zeros of the batch's size, which is known only when the graph runs: a column of ids times 0.
        let front = self.builder.node("Mul", &[&first, &zero], vec![]);
        let rest = self.columns(ids, 0, -1);
        self.builder.node("Concat", &[&front, &rest], vec![integer("axis", 1)])
    }

    fn encoder(&mut self, embedded: &Value) -> Result<Value> {
        let attention_bias = self.builder.padding_bias(&self.mask);
        let architecture = self.network.config.architecture;
        let mut hidden = match architecture.embedding_width {
            Some(_) => self.linear(embedded, "embedding_projection")?,
            None => embedded.clone(),
        };
        for number in 0..self.network.config.encoder.layers {
            hidden = self.layer(number, &hidden, &attention_bias)?;
        }
        match architecture.norm {
            NormPlacement::Pre => self.norm(&hidden, "final_norm"),
            NormPlacement::Post => Ok(hidden),
        }
    }

    fn layer(&mut self, number: usize, hidden: &Value, bias: &Value) -> Result<Value> {
        let attention_norm = format!("layer.{number}.attention_norm");
        let feed_forward_norm = format!("layer.{number}.feed_forward_norm");
        match self.network.config.architecture.norm {
            NormPlacement::Pre => {
                let normed = self.norm(hidden, &attention_norm)?;
                let mixed = self.attention(number, &normed, bias)?;
                let hidden = self.builder.node("Add", &[hidden, &mixed], vec![]);
                let normed = self.norm(&hidden, &feed_forward_norm)?;
                let contracted = self.feed_forward(number, &normed)?;
                Ok(self.builder.node("Add", &[&hidden, &contracted], vec![]))
            }
            NormPlacement::Post => {
                let mixed = self.attention(number, hidden, bias)?;
                let sum = self.builder.node("Add", &[hidden, &mixed], vec![]);
                let hidden = self.norm(&sum, &attention_norm)?;
                let contracted = self.feed_forward(number, &hidden)?;
                let sum = self.builder.node("Add", &[&hidden, &contracted], vec![]);
                self.norm(&sum, &feed_forward_norm)
            }
        }
    }

    fn feed_forward(&mut self, number: usize, x: &Value) -> Result<Value> {
        let expanded = self.linear(x, &format!("layer.{number}.expand"))?;
        let activated = self.builder.activation(&expanded, self.network.config.architecture.activation);
        self.linear(&activated, &format!("layer.{number}.contract"))
    }

    fn attention(&mut self, number: usize, x: &Value, bias: &Value) -> Result<Value> {
        let packed = self.linear(x, &format!("layer.{number}.projection"))?;
        let mixed = self.mix(&packed, bias);
        self.linear(&mixed, &format!("layer.{number}.attention_output"))
    }

    /// Attention over packed queries, keys and values.
    fn mix(&mut self, packed: &Value, bias: &Value) -> Value {
        let (width, heads) = (self.network.config.encoder.width, self.network.config.encoder.heads);
        let head_width = width / heads;
        let sizes = self.builder.integers(&[width as i64; 3]);
        let parts = self.builder.nodes("Split", &[packed, &sizes], vec![integer("axis", 2)], 3);
        let mut by_head =
            |part: &Value, order: [i64; 4]| self.builder.split_heads(part, heads, head_width, order);
        let (queries, keys, values) =
            (by_head(&parts[0], ROWS), by_head(&parts[1], COLUMNS), by_head(&parts[2], ROWS));
        let scale = 1.0 / (head_width as f32).sqrt();
        let scores = self.builder.scores(&queries, &keys, scale, &[bias]);
        self.builder.mixed(&scores, &values, width)
    }

    fn head(&mut self, hidden: &Value, embedded: &Value) -> Result<Value> {
        let pooled = match self.network.config.architecture.head {
            Head::Means => {
                let lengths = self.builder.lengths(&self.mask);
                let mean = |builder: &mut GraphBuilder, x: &Value| builder.mean(x, &self.mask, &lengths);
                let means = [mean(&mut self.builder, hidden), mean(&mut self.builder, embedded)];
                self.builder.node("Concat", &[&means[0], &means[1]], vec![integer("axis", 1)])
            }
            Head::Mean => {
                let lengths = self.builder.lengths(&self.mask);
                self.builder.mean(hidden, &self.mask, &lengths)
            }
            Head::FirstToken(activation) => {
                let first = self.builder.first_token(hidden);
                let dense = self.linear(&first, "pooler")?;
                self.builder.activation(&dense, activation)
            }
        };
        self.linear(&pooled, "head")
    }

    /// The linear classifier over n-grams, if the network has one.
    fn side_path(&mut self) -> Option<Value> {
        let layout = self.network.config.ngrams?;
        let table = self.network.ngrams.as_ref()?;
        let scores = self.table_sum("ngrams", &layout, self.network.config.labels, table.values());
        let lengths = self.builder.lengths(&self.mask);
        Some(self.builder.mean(&scores, &self.mask, &lengths))
    }
}
