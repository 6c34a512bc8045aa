//! Graphs of encoders that our network does not compute, written from the tensors of a checkpoint. They can be served but
//! not trained.

mod rotary;

use fenliu_model::Result;
use fenliu_model::onnx::ModelProto;

use super::config::EncoderSettings;
use super::families::network::LayerNames;
use super::tensors::StoredTensors;
use crate::onnx::{Axis, EncoderGraph, GraphBuilder, Value};

pub(super) use rotary::{Pairs, Rotary, angles};

/// An encoder with the head of its family.
pub(super) trait Encoder {
    /// Width of the hidden states.
    fn width(&self) -> usize;

    /// Number of positions that tokens can have.
    fn positions(&self) -> usize;

    /// Adds the encoder; returns its hidden states, `[batch, tokens, width]`.
    fn hidden(&self, writer: &mut Writer<'_>) -> Result<Value>;

    /// Adds the trained head; returns the logits, `[batch, labels]`.
    fn head(&self, writer: &mut Writer<'_>, hidden: &Value, labels: usize) -> Result<Value>;
}

/// The graph of a classifier, and the number of weights in it.
pub(super) fn classifier(
    encoder: &dyn Encoder,
    tensors: &StoredTensors,
    prefix: &str,
    labels: usize,
) -> Result<(ModelProto, u64)> {
    let mut writer = Writer::new(tensors, prefix);
    let hidden = encoder.hidden(&mut writer)?;
    let logits = encoder.head(&mut writer, &hidden, labels)?;
    writer.builder.output("logits", &logits, &[Axis::Named("batch"), Axis::Fixed(labels)]);
    Ok((writer.builder.build("fenliu-encoder"), writer.parameters))
}

/// The graph of an encoder alone, and the number of weights in it.
pub(super) fn encoder_graph(
    encoder: &dyn Encoder,
    tensors: &StoredTensors,
    prefix: &str,
) -> Result<(EncoderGraph, u64)> {
    let mut writer = Writer::new(tensors, prefix);
    let hidden = encoder.hidden(&mut writer)?;
    let Writer { builder, mask, parameters, .. } = writer;
    Ok((EncoderGraph { builder, hidden, mask, width: encoder.width() }, parameters))
}

/// Adds parts with the weights of a checkpoint to a graph. Names of layers are whole, see [`Writer::inner`].
pub(super) struct Writer<'a> {
    pub(super) builder: GraphBuilder,
    /// The token ids, `[batch, tokens]`.
    pub(super) ids: Value,
    /// 1.0 at tokens, 0.0 at padding: `[batch, tokens]`.
    pub(super) mask: Value,
    tensors: &'a StoredTensors,
    prefix: &'a str,
    parameters: u64,
}

/// Whether a layer has biases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bias {
    With,
    Without,
}

impl From<bool> for Bias {
    fn from(has_bias: bool) -> Self {
        if has_bias { Self::With } else { Self::Without }
    }
}

impl<'a> Writer<'a> {
    fn new(tensors: &'a StoredTensors, prefix: &'a str) -> Self {
        let mut builder = GraphBuilder::default();
        let (ids, mask) = builder.inputs();
        Self { builder, ids, mask, tensors, prefix, parameters: 0 }
    }

    /// The whole name of a part of the encoder.
    pub(super) fn inner(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// Whether the checkpoint has a tensor.
    pub(super) fn has(&self, name: &str) -> bool {
        self.tensors.has(name)
    }

    /// The values of a tensor, which must have this shape.
    pub(super) fn values(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        Ok(self.tensors.take(name, shape)?.values)
    }

    /// The constant of a tensor, which must have this shape.
    pub(super) fn constant(&mut self, name: &str, shape: &[usize]) -> Result<Value> {
        let values = self.values(name, shape)?;
        self.parameters += values.len() as u64;
        Ok(self.builder.floats(name, shape, &values))
    }

    /// The matrix of a dense layer, transposed to `[inputs, outputs]` from PyTorch's layout.
    fn matrix(&mut self, name: &str, inputs: usize, outputs: usize) -> Result<Value> {
        let values = self.tensors.take(name, &[outputs, inputs])?.transposed().values;
        self.parameters += values.len() as u64;
        Ok(self.builder.floats(name, &[inputs, outputs], &values))
    }

    /// A dense layer: `x W + b`.
    pub(super) fn linear(
        &mut self,
        x: &Value,
        name: &str,
        [inputs, outputs]: [usize; 2],
        bias: Bias,
    ) -> Result<Value> {
        let matrix = self.matrix(&format!("{name}.weight"), inputs, outputs)?;
        let product = self.builder.node("MatMul", &[x, &matrix], vec![]);
        if bias == Bias::Without {
            return Ok(product);
        }
        let bias = self.constant(&format!("{name}.bias"), &[outputs])?;
        Ok(self.builder.add(&product, &bias))
    }

    /// A normalisation over the last axis.
    pub(super) fn norm(
        &mut self,
        x: &Value,
        name: &str,
        width: usize,
        epsilon: f32,
        bias: Bias,
    ) -> Result<Value> {
        let weight = self.constant(&format!("{name}.weight"), &[width])?;
        let bias = match bias {
            Bias::With => Some(self.constant(&format!("{name}.bias"), &[width])?),
            Bias::Without => None,
        };
        Ok(self.builder.layer_norm(x, &weight, bias.as_ref(), epsilon))
    }

    /// The rows of a table that the tokens have: `[batch, tokens, width]`.
    pub(super) fn token_rows(&mut self, name: &str, rows: usize, width: usize) -> Result<Value> {
        let table = self.constant(name, &[rows, width])?;
        Ok(self.builder.node("Gather", &[&table, &self.ids], vec![]))
    }

    /// The rows of positions, the first of which has the number `first` in a table of `rows`: `[tokens, width]`.
    pub(super) fn position_rows(
        &mut self,
        name: &str,
        [first, rows]: [usize; 2],
        width: usize,
    ) -> Result<Value> {
        let values = self.values(name, &[rows, width])?;
        self.parameters += values.len() as u64;
        let table = self.builder.floats(name, &[rows - first, width], &values[first * width..]);
        Ok(self.builder.first_rows(&table, &self.ids))
    }

    /// The first row of a table with any number of rows: `[width]`.
    pub(super) fn first_row(&mut self, name: &str, width: usize) -> Result<Value> {
        let (rows, _) = self.tensors.rows_and_columns(name)?;
        let values = self.values(name, &[rows, width])?;
        self.parameters += values.len() as u64;
        Ok(self.builder.floats(name, &[width], &values[..width]))
    }

    /// A dense layer of the encoder's width, split into heads.
    pub(super) fn by_head(
        &mut self,
        x: &Value,
        name: &str,
        settings: &EncoderSettings,
        order: [i64; 4],
    ) -> Result<Value> {
        let width = settings.shape.width;
        let projected = self.linear(x, name, [width, width], Bias::With)?;
        Ok(self.builder.split_heads(&projected, settings.shape.heads, settings.head_width(), order))
    }

    /// What follows the attention in a layer that normalises its sums: `norm(h + feed_forward(h))` with
    /// `h = norm(x + W mixed + b)`. `path` is the whole name of the layer.
    pub(super) fn post_norm(
        &mut self,
        path: &str,
        names: &LayerNames,
        settings: &EncoderSettings,
        x: &Value,
        mixed: &Value,
    ) -> Result<Value> {
        let (width, expanded) = (settings.shape.width, settings.shape.feed_forward);
        let name = |part: &str| format!("{path}.{part}");
        let output = self.linear(mixed, &name(names.attention_output), [width, width], Bias::With)?;
        let sum = self.builder.add(x, &output);
        let hidden = self.norm(&sum, &name(names.attention_norm), width, settings.epsilon, Bias::With)?;
        let inner = self.linear(&hidden, &name(names.expand), [width, expanded], Bias::With)?;
        let inner = self.builder.activation(&inner, settings.activation);
        let output = self.linear(&inner, &name(names.contract), [expanded, width], Bias::With)?;
        let sum = self.builder.add(&hidden, &output);
        self.norm(&sum, &name(names.feed_forward_norm), width, settings.epsilon, Bias::With)
    }
}
