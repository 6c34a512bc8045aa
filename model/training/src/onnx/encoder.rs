//! The graph of our network; see the module `network` for the formulas.

use fenliu_model::Result;
use fenliu_model::onnx::{FLOAT, ModelProto};

use super::graph::{Axis, GraphBuilder, Value, float, integer, integers};
use crate::architecture::{Activation, Head, NormPlacement};
use crate::features::{FeatureLayout, MULTIPLIERS};
use crate::network::Network;

/// Added to the attention scores of padding. The probability of padding is then exactly zero in `f32`, and
/// the number is still representable in 16-bit floats.
const PADDING_SCORE: f32 = -1e4;

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

pub(super) struct Writer<'a> {
    pub(super) builder: GraphBuilder,
    network: &'a Network,
    ids: Value,
    /// 1.0 at tokens, 0.0 at padding: `[batch, tokens]`.
    mask: Value,
}

impl<'a> Writer<'a> {
    /// A graph with its inputs alone.
    pub(super) fn new(network: &'a Network) -> Self {
        let mut builder = GraphBuilder::default();
        let axes = [Axis::Named("batch"), Axis::Named("tokens")];
        let ids = builder.input("input_ids", &axes);
        let attention_mask = builder.input("attention_mask", &axes);
        let mask = builder.node("Cast", &[&attention_mask], vec![integer("to", i64::from(FLOAT))]);
        Self { builder, network, ids, mask }
    }
}

impl Writer<'_> {
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
        let attributes = vec![integer("axis", -1), float("epsilon", epsilon)];
        Ok(self.builder.node("LayerNormalization", &[x, &weight, &bias], attributes))
    }

    fn unsqueeze(&mut self, x: &Value, axes: &[i64]) -> Value {
        let axes = self.builder.integers(axes);
        self.builder.node("Unsqueeze", &[x, &axes], vec![])
    }

    fn reshape(&mut self, x: &Value, shape: &[i64]) -> Value {
        let shape = self.builder.integers(shape);
        self.builder.node("Reshape", &[x, &shape], vec![])
    }

    fn transpose(&mut self, x: &Value, order: &[i64]) -> Value {
        self.builder.node("Transpose", &[x], vec![integers("perm", order)])
    }

    fn scale(&mut self, x: &Value, factor: f32) -> Value {
        let factor = self.builder.scalar(factor);
        self.builder.node("Mul", &[x, &factor], vec![])
    }

    /// Columns `start..end` of the last axis of a matrix of ids.
    fn columns(&mut self, x: &Value, start: i64, end: i64) -> Value {
        let (start, end) = (self.builder.integers(&[start]), self.builder.integers(&[end]));
        let axes = self.builder.integers(&[1]);
        self.builder.node("Slice", &[x, &start, &end, &axes], vec![])
    }

    pub(super) fn embedding(&mut self) -> Result<Value> {
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
            let used = self.first_rows(&table);
            sum = self.builder.node("Add", &[&sum, &used], vec![]);
        }
        sum
    }

    /// The first rows of a table, as many as the batch has tokens.
    fn first_rows(&mut self, table: &Value) -> Value {
        // The token axis of the ids: positions are the numbers 0 to tokens - 1, so the first rows of the table are
        // theirs.
        let shape = self.builder.node("Shape", &[&self.ids], vec![integer("start", 1), integer("end", 2)]);
        let (zero, axis) = (self.builder.integers(&[0]), self.builder.integers(&[0]));
        self.builder.node("Slice", &[table, &zero, &shape, &axis], vec![])
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

    pub(super) fn encoder(&mut self, embedded: &Value) -> Result<Value> {
        let padding = self.builder.scalar(PADDING_SCORE);
        let one = self.builder.scalar(1.0);
        // A bias of 0 for tokens and of `PADDING_SCORE` for padding, added to the scores of each key.
        let absent = self.builder.node("Sub", &[&one, &self.mask], vec![]);
        let absent = self.builder.node("Mul", &[&absent, &padding], vec![]);
        let attention_bias = self.unsqueeze(&absent, &[1, 2]);
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
        let activated = self.activation(&expanded, self.network.config.architecture.activation);
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
        let mut by_head = |part: &Value, order: &[i64]| {
            // A size of 0 in `Reshape` copies the size of the input: batch and tokens stay dynamic.
            let split = self.reshape(part, &[0, 0, heads as i64, head_width as i64]);
            self.transpose(&split, order)
        };
        // Queries and values become `[batch, heads, tokens, head width]`. Keys are transposed for the product:
        // `[batch, heads, head width, tokens]`.
        let queries = by_head(&parts[0], &[0, 2, 1, 3]);
        let keys = by_head(&parts[1], &[0, 2, 3, 1]);
        let values = by_head(&parts[2], &[0, 2, 1, 3]);
        let scores = self.builder.node("MatMul", &[&queries, &keys], vec![]);
        let scores = self.scale(&scores, 1.0 / (head_width as f32).sqrt());
        let scores = self.builder.node("Add", &[&scores, bias], vec![]);
        let weights = self.builder.node("Softmax", &[&scores], vec![integer("axis", -1)]);
        let mixed = self.builder.node("MatMul", &[&weights, &values], vec![]);
        let mixed = self.transpose(&mixed, &[0, 2, 1, 3]);
        self.reshape(&mixed, &[0, 0, width as i64])
    }

    fn activation(&mut self, x: &Value, activation: Activation) -> Value {
        match activation {
            Activation::Gelu => self.gelu(x),
            Activation::GeluTanh => self.gelu_tanh(x),
            Activation::Relu => self.builder.node("Relu", &[x], vec![]),
            Activation::Tanh => self.builder.node("Tanh", &[x], vec![]),
        }
    }

    /// `x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 x^3)))`
    fn gelu_tanh(&mut self, x: &Value) -> Value {
        let square = self.builder.node("Mul", &[x, x], vec![]);
        let cube = self.builder.node("Mul", &[&square, x], vec![]);
        let cube = self.scale(&cube, 0.044_715);
        let sum = self.builder.node("Add", &[x, &cube], vec![]);
        let scaled = self.scale(&sum, (2.0 / std::f32::consts::PI).sqrt());
        let tanh = self.builder.node("Tanh", &[&scaled], vec![]);
        let one = self.builder.scalar(1.0);
        let shifted = self.builder.node("Add", &[&tanh, &one], vec![]);
        let product = self.builder.node("Mul", &[x, &shifted], vec![]);
        self.scale(&product, 0.5)
    }

    fn gelu(&mut self, x: &Value) -> Value {
        let root = self.builder.scalar(std::f32::consts::SQRT_2);
        let scaled = self.builder.node("Div", &[x, &root], vec![]);
        let erf = self.builder.node("Erf", &[&scaled], vec![]);
        let one = self.builder.scalar(1.0);
        let shifted = self.builder.node("Add", &[&erf, &one], vec![]);
        let product = self.builder.node("Mul", &[x, &shifted], vec![]);
        self.scale(&product, 0.5)
    }

    /// The number of tokens of each row: `[batch, 1]`.
    pub(super) fn lengths(&mut self) -> Value {
        let axis = self.builder.integers(&[1]);
        self.builder.node("ReduceSum", &[&self.mask, &axis], vec![integer("keepdims", 1)])
    }

    /// The mean of `x` over the tokens of each row: `[batch, width]`.
    pub(super) fn pooled(&mut self, x: &Value, lengths: &Value) -> Value {
        // As a product with the mask, so that padding, whose hidden states are arbitrary, does not count.
        let weights = self.builder.node("Div", &[&self.mask, lengths], vec![]);
        let weights = self.unsqueeze(&weights, &[1]);
        let sum = self.builder.node("MatMul", &[&weights, x], vec![]);
        let axis = self.builder.integers(&[1]);
        self.builder.node("Squeeze", &[&sum, &axis], vec![])
    }

    fn head(&mut self, hidden: &Value, embedded: &Value) -> Result<Value> {
        let pooled = match self.network.config.architecture.head {
            Head::Means => {
                let lengths = self.lengths();
                let means = [self.pooled(hidden, &lengths), self.pooled(embedded, &lengths)];
                self.builder.node("Concat", &[&means[0], &means[1]], vec![integer("axis", 1)])
            }
            Head::Mean => {
                let lengths = self.lengths();
                self.pooled(hidden, &lengths)
            }
            Head::FirstToken(activation) => {
                let first = self.builder.index(0);
                let first = self.builder.node("Gather", &[hidden, &first], vec![integer("axis", 1)]);
                let dense = self.linear(&first, "pooler")?;
                self.activation(&dense, activation)
            }
        };
        self.linear(&pooled, "head")
    }

    /// The linear classifier over n-grams, if the network has one.
    fn side_path(&mut self) -> Option<Value> {
        let layout = self.network.config.ngrams?;
        let table = self.network.ngrams.as_ref()?;
        let scores = self.table_sum("ngrams", &layout, self.network.config.labels, table.values());
        let lengths = self.lengths();
        Some(self.pooled(&scores, &lengths))
    }
}
