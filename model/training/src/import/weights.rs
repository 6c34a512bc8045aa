//! Conversion of a checkpoint's tensors to our names and layout.
//!
//! PyTorch stores the matrix of a dense layer as `[outputs, inputs]`, we store it as `[inputs, outputs]`; and
//! we have one matrix for queries, keys and values.

use candle_core::Tensor;
use fenliu_model::Result;
use rand::{Rng, rngs::SmallRng};

use super::config::{Checkpoint, Family};
use super::tensors::{StoredTensors, failed};
use crate::architecture::Head;
use crate::weights::Weights;

/// The names of a layer's parts after `layer.<number>.`.
struct LayerNames {
    queries: &'static str,
    keys: &'static str,
    values: &'static str,
    attention_output: &'static str,
    attention_norm: &'static str,
    expand: &'static str,
    contract: &'static str,
    feed_forward_norm: &'static str,
}

const BERT_LAYER: LayerNames = LayerNames {
    queries: "attention.self.query",
    keys: "attention.self.key",
    values: "attention.self.value",
    attention_output: "attention.output.dense",
    attention_norm: "attention.output.LayerNorm",
    expand: "intermediate.dense",
    contract: "output.dense",
    feed_forward_norm: "output.LayerNorm",
};

const DISTILBERT_LAYER: LayerNames = LayerNames {
    queries: "attention.q_lin",
    keys: "attention.k_lin",
    values: "attention.v_lin",
    attention_output: "attention.out_lin",
    attention_norm: "sa_layer_norm",
    expand: "ffn.lin1",
    contract: "ffn.lin2",
    feed_forward_norm: "output_layer_norm",
};

/// All weights of the network that `checkpoint` describes. A head that it lacks gets random weights.
pub(super) fn convert(
    checkpoint: &Checkpoint,
    tensors: &StoredTensors,
    labels: usize,
    generator: &mut SmallRng,
) -> Result<Weights> {
    let mut converter = Converter { checkpoint, tensors, weights: Weights::default() };
    converter.embeddings()?;
    for number in 0..checkpoint.encoder.layers {
        converter.layer(number)?;
    }
    converter.head(labels, generator)?;
    Ok(converter.weights)
}

struct Converter<'a> {
    checkpoint: &'a Checkpoint,
    tensors: &'a StoredTensors,
    weights: Weights,
}

impl Converter<'_> {
    fn insert(&mut self, name: &str, tensor: &Tensor) -> Result<()> {
        let values = tensor.flatten_all().and_then(|values| values.to_vec1()).map_err(failed)?;
        self.weights.insert(name, tensor.dims().to_vec(), values);
        Ok(())
    }

    fn norm(&mut self, name: &str, source: &str, width: usize) -> Result<()> {
        for part in ["weight", "bias"] {
            let tensor = self.tensors.take(&format!("{source}.{part}"), &[width])?;
            self.insert(&format!("{name}.{part}"), &tensor)?;
        }
        Ok(())
    }

    /// Joins dense layers with the same input into one with all their outputs.
    fn linear(&mut self, name: &str, sources: &[&str], inputs: usize, outputs: usize) -> Result<()> {
        let (mut matrices, mut biases) = (Vec::new(), Vec::new());
        for source in sources {
            matrices.push(self.tensors.take(&format!("{source}.weight"), &[outputs, inputs])?);
            biases.push(self.tensors.take(&format!("{source}.bias"), &[outputs])?);
        }
        // Along the outputs, which are the rows in PyTorch's layout; then transposed to ours.
        let matrix = Tensor::cat(&matrices, 0).and_then(|rows| rows.t()).map_err(failed)?;
        self.insert(&format!("{name}.weight"), &matrix)?;
        self.insert(&format!("{name}.bias"), &Tensor::cat(&biases, 0).map_err(failed)?)
    }

    fn embeddings(&mut self) -> Result<()> {
        let checkpoint = self.checkpoint;
        let width = checkpoint.embedding_width;
        let source = |part: &str| format!("{}embeddings.{part}", checkpoint.prefix);
        let tokens = self.tensors.take(&source("word_embeddings.weight"), &[checkpoint.tokens, width])?;
        let shape = [checkpoint.position_rows, width];
        let positions = self.tensors.take(&source("position_embeddings.weight"), &shape)?;
        // RoBERTa numbers positions from the padding id plus one; the rows before are never used by a token.
        let used = positions.narrow(0, checkpoint.first_position, checkpoint.positions());
        let mut positions = used.map_err(failed)?;
        // DistilBERT has no token types.
        let types = source("token_type_embeddings.weight");
        if self.tensors.has(&types) {
            let (rows, _) = self.tensors.rows_and_columns(&types)?;
            let first = self.tensors.take(&types, &[rows, width])?.narrow(0, 0, 1);
            positions = first.and_then(|first| positions.broadcast_add(&first)).map_err(failed)?;
        }
        let positions = positions.contiguous().map_err(failed)?;
        self.insert("embedding", &Tensor::cat(&[tokens, positions], 0).map_err(failed)?)?;
        self.norm("embedding_norm", &source("LayerNorm"), width)?;
        if checkpoint.architecture.embedding_width.is_some() {
            let source = format!("{}embeddings_project", checkpoint.prefix);
            self.linear("embedding_projection", &[&source], width, checkpoint.encoder.width)?;
        }
        Ok(())
    }

    fn layer(&mut self, number: usize) -> Result<()> {
        let (stack, names) = match self.checkpoint.family {
            Family::DistilBert => ("transformer", DISTILBERT_LAYER),
            Family::Bert | Family::Roberta | Family::Electra => ("encoder", BERT_LAYER),
        };
        let prefix = self.checkpoint.prefix;
        let source = |part: &str| format!("{prefix}{stack}.layer.{number}.{part}");
        let name = |part: &str| format!("layer.{number}.{part}");
        let (width, feed_forward) = (self.checkpoint.encoder.width, self.checkpoint.encoder.feed_forward);

        let parts = [names.queries, names.keys, names.values].map(source);
        self.linear(&name("projection"), &parts.each_ref().map(String::as_str), width, width)?;
        self.linear(&name("attention_output"), &[&source(names.attention_output)], width, width)?;
        self.norm(&name("attention_norm"), &source(names.attention_norm), width)?;
        self.linear(&name("expand"), &[&source(names.expand)], width, feed_forward)?;
        self.linear(&name("contract"), &[&source(names.contract)], feed_forward, width)?;
        self.norm(&name("feed_forward_norm"), &source(names.feed_forward_norm), width)
    }

    fn head(&mut self, labels: usize, generator: &mut SmallRng) -> Result<()> {
        let checkpoint = self.checkpoint;
        let width = checkpoint.encoder.width;
        let (dense, classifier) = checkpoint.family.head_layers();
        if checkpoint.trained_head.is_some() {
            self.linear("pooler", &[dense], width, width)?;
            return self.linear("head", &[classifier], width, labels);
        }
        if matches!(checkpoint.architecture.head, Head::FirstToken(_)) {
            let pretrained = format!("{}pooler.dense", checkpoint.prefix);
            // Only BERT is pretrained with a pooler (for the prediction of the next sentence).
            if checkpoint.family == Family::Bert && self.tensors.has(&format!("{pretrained}.weight")) {
                self.linear("pooler", &[&pretrained], width, width)?;
            } else {
                self.random("pooler", width, width, generator)?;
            }
        }
        self.random("head", width, labels, generator)
    }

    /// A dense layer with zero biases and uniform random weights. Their standard deviation is that of a new
    /// head in `transformers`.
    fn random(&mut self, name: &str, inputs: usize, outputs: usize, generator: &mut SmallRng) -> Result<()> {
        // A uniform distribution within `r` has the standard deviation `r / sqrt(3)`; `initializer_range` is 0.02
        // by default.
        let range = 0.02 * 3.0_f32.sqrt();
        let values: Vec<f32> = (0..inputs * outputs).map(|_| generator.random_range(-range..range)).collect();
        self.weights.insert(&format!("{name}.weight"), vec![inputs, outputs], values);
        self.weights.insert(&format!("{name}.bias"), vec![outputs], vec![0.0; outputs]);
        Ok(())
    }
}
