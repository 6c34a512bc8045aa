//! The parts that graphs of encoders are made of.
//!
//! `mask` is 1.0 at tokens and 0.0 at padding, float32 `[batch, tokens]`; hidden states are `[batch, tokens, width]`.

use fenliu_model::onnx::FLOAT;

use super::graph::{Axis, GraphBuilder, Value, float, integer, integers};
use crate::architecture::Activation;

/// Added to the attention scores of padding. The probability of padding is then exactly zero in `f32`, and
/// the number is still representable in 16-bit floats.
pub(crate) const PADDING_SCORE: f32 = -1e4;

/// The order of axes of queries and values: `[batch, heads, tokens, head width]`.
pub(crate) const ROWS: [i64; 4] = [0, 2, 1, 3];
/// The order of axes of keys, which are transposed for the product: `[batch, heads, head width, tokens]`.
pub(crate) const COLUMNS: [i64; 4] = [0, 2, 3, 1];

impl GraphBuilder {
    /// Declares the inputs; returns the token ids, int64 `[batch, tokens]`, and the mask.
    pub(crate) fn inputs(&mut self) -> (Value, Value) {
        let axes = [Axis::Named("batch"), Axis::Named("tokens")];
        let ids = self.input("input_ids", &axes);
        let attention_mask = self.input("attention_mask", &axes);
        let mask = self.node("Cast", &[&attention_mask], vec![integer("to", i64::from(FLOAT))]);
        (ids, mask)
    }

    pub(crate) fn unsqueeze(&mut self, x: &Value, axes: &[i64]) -> Value {
        let axes = self.integers(axes);
        self.node("Unsqueeze", &[x, &axes], vec![])
    }

    /// A size of 0 copies the size of the input.
    pub(crate) fn reshape(&mut self, x: &Value, shape: &[i64]) -> Value {
        let shape = self.integers(shape);
        self.node("Reshape", &[x, &shape], vec![])
    }

    pub(crate) fn transpose(&mut self, x: &Value, order: &[i64]) -> Value {
        self.node("Transpose", &[x], vec![integers("perm", order)])
    }

    pub(crate) fn scale(&mut self, x: &Value, factor: f32) -> Value {
        let factor = self.scalar(factor);
        self.node("Mul", &[x, &factor], vec![])
    }

    pub(crate) fn add(&mut self, x: &Value, y: &Value) -> Value {
        self.node("Add", &[x, y], vec![])
    }

    /// Normalisation over the last axis.
    pub(crate) fn layer_norm(
        &mut self,
        x: &Value,
        weight: &Value,
        bias: Option<&Value>,
        epsilon: f32,
    ) -> Value {
        let inputs: Vec<&Value> = [x, weight].into_iter().chain(bias).collect();
        let attributes = vec![integer("axis", -1), float("epsilon", epsilon)];
        self.node("LayerNormalization", &inputs, attributes)
    }

    /// The first rows of a table, as many as the batch has tokens: `[tokens, width]`.
    pub(crate) fn first_rows(&mut self, table: &Value, ids: &Value) -> Value {
        // Positions are the numbers 0 to tokens - 1, so the first rows of the table are theirs.
        let shape = self.node("Shape", &[ids], vec![integer("start", 1), integer("end", 2)]);
        let (zero, axis) = (self.integers(&[0]), self.integers(&[0]));
        self.node("Slice", &[table, &zero, &shape, &axis], vec![])
    }

    /// How far each query lies behind each key: int64 `[tokens, tokens]`, negative where the key comes later.
    pub(crate) fn distances(&mut self, ids: &Value) -> Value {
        let shape = self.node("Shape", &[ids], vec![]);
        let tokens_axis = self.index(1);
        let tokens = self.node("Gather", &[&shape, &tokens_axis], vec![]);
        let (zero, one) = (self.index(0), self.index(1));
        let positions = self.node("Range", &[&zero, &tokens, &one], vec![]);
        let (queries, keys) = (self.unsqueeze(&positions, &[1]), self.unsqueeze(&positions, &[0]));
        self.node("Sub", &[&queries, &keys], vec![])
    }

    /// A bias of 0 for tokens and of [`PADDING_SCORE`] for padding, for the scores of each key:
    /// `[batch, 1, 1, tokens]`.
    pub(crate) fn padding_bias(&mut self, mask: &Value) -> Value {
        let one = self.scalar(1.0);
        let absent = self.node("Sub", &[&one, mask], vec![]);
        let bias = self.scale(&absent, PADDING_SCORE);
        self.unsqueeze(&bias, &[1, 2])
    }

    /// Hidden states by head, with their axes in the order [`ROWS`] or [`COLUMNS`].
    pub(crate) fn split_heads(
        &mut self,
        x: &Value,
        heads: usize,
        head_width: usize,
        order: [i64; 4],
    ) -> Value {
        let split = self.reshape(x, &[0, 0, heads as i64, head_width as i64]);
        self.transpose(&split, &order)
    }

    /// Attention scores `[batch, heads, tokens, tokens]`: scaled products of queries (in the order [`ROWS`]) and keys
    /// ([`COLUMNS`]), plus biases.
    pub(crate) fn scores(&mut self, queries: &Value, keys: &Value, scale: f32, biases: &[&Value]) -> Value {
        let products = self.node("MatMul", &[queries, keys], vec![]);
        let scores = self.scale(&products, scale);
        biases.iter().fold(scores, |scores, bias| self.add(&scores, bias))
    }

    /// Values mixed by the softmax of scores: `[batch, tokens, width]`.
    pub(crate) fn mixed(&mut self, scores: &Value, values: &Value, width: usize) -> Value {
        let weights = self.node("Softmax", &[scores], vec![integer("axis", -1)]);
        let mixed = self.node("MatMul", &[&weights, values], vec![]);
        let mixed = self.transpose(&mixed, &ROWS);
        self.reshape(&mixed, &[0, 0, width as i64])
    }

    /// The hidden state of the first token: `[batch, width]`.
    pub(crate) fn first_token(&mut self, hidden: &Value) -> Value {
        let first = self.index(0);
        self.node("Gather", &[hidden, &first], vec![integer("axis", 1)])
    }

    /// The number of tokens of each row: `[batch, 1]`.
    pub(crate) fn lengths(&mut self, mask: &Value) -> Value {
        let axis = self.integers(&[1]);
        self.node("ReduceSum", &[mask, &axis], vec![integer("keepdims", 1)])
    }

    /// The mean of `x` over the tokens of each row: `[batch, width]`.
    pub(crate) fn mean(&mut self, x: &Value, mask: &Value, lengths: &Value) -> Value {
        // As a product with the mask, so that padding, whose hidden states are arbitrary, does not count.
        let weights = self.node("Div", &[mask, lengths], vec![]);
        let weights = self.unsqueeze(&weights, &[1]);
        let sum = self.node("MatMul", &[&weights, x], vec![]);
        let axis = self.integers(&[1]);
        self.node("Squeeze", &[&sum, &axis], vec![])
    }

    pub(crate) fn activation(&mut self, x: &Value, activation: Activation) -> Value {
        match activation {
            Activation::Gelu => self.gelu(x),
            Activation::GeluTanh => self.gelu_tanh(x),
            Activation::Relu => self.node("Relu", &[x], vec![]),
            Activation::Tanh => self.node("Tanh", &[x], vec![]),
        }
    }

    /// `x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 x^3)))`
    fn gelu_tanh(&mut self, x: &Value) -> Value {
        let square = self.node("Mul", &[x, x], vec![]);
        let cube = self.node("Mul", &[&square, x], vec![]);
        let cube = self.scale(&cube, 0.044_715);
        let sum = self.add(x, &cube);
        let scaled = self.scale(&sum, (2.0 / std::f32::consts::PI).sqrt());
        let tanh = self.node("Tanh", &[&scaled], vec![]);
        let one = self.scalar(1.0);
        let shifted = self.add(&tanh, &one);
        let product = self.node("Mul", &[x, &shifted], vec![]);
        self.scale(&product, 0.5)
    }

    fn gelu(&mut self, x: &Value) -> Value {
        let root = self.scalar(std::f32::consts::SQRT_2);
        let scaled = self.node("Div", &[x, &root], vec![]);
        let erf = self.node("Erf", &[&scaled], vec![]);
        let one = self.scalar(1.0);
        let shifted = self.add(&erf, &one);
        let product = self.node("Mul", &[x, &shifted], vec![]);
        self.scale(&product, 0.5)
    }
}
