//! Conversion of a checkpoint's tensors to our names and layout.
//!
//! PyTorch stores the matrix of a dense layer as `[outputs, inputs]`, we store it as `[inputs, outputs]`; and
//! we have one matrix for queries, keys and values.

use fenliu_model::Result;
use rand::{Rng, rngs::SmallRng};

use super::checkpoint::{Checkpoint, NetworkEncoder};
use super::families::network::{Layout, Projection};
use super::tensors::{StoredTensors, Tensor};
use crate::architecture::Head;
use crate::shape::EncoderShape;
use crate::weights::Weights;

/// All weights of the network that `checkpoint` describes. A head that it lacks gets random weights.
pub(super) fn convert(
    checkpoint: &Checkpoint,
    network: &NetworkEncoder,
    tensors: &StoredTensors,
    labels: usize,
    generator: &mut SmallRng,
) -> Result<Weights> {
    let mut converter = Converter { checkpoint, network, tensors, weights: Weights::default() };
    converter.embeddings()?;
    for number in 0..network.shape.layers {
        converter.layer(number)?;
    }
    if let Some(norm) = network.layout.final_norm {
        converter.norm("final_norm", &converter.source(norm), network.shape.width)?;
    }
    converter.head(labels, generator)?;
    Ok(converter.weights)
}

struct Converter<'a> {
    checkpoint: &'a Checkpoint,
    network: &'a NetworkEncoder,
    tensors: &'a StoredTensors,
    weights: Weights,
}

impl Converter<'_> {
    fn insert(&mut self, name: &str, tensor: Tensor) {
        self.weights.insert(name, tensor.shape, tensor.values);
    }

    fn norm(&mut self, name: &str, source: &str, width: usize) -> Result<()> {
        for part in ["weight", "bias"] {
            let tensor = self.tensors.take(&format!("{source}.{part}"), &[width])?;
            self.insert(&format!("{name}.{part}"), tensor);
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
        self.insert(&format!("{name}.weight"), Tensor::concatenated(&matrices).transposed());
        self.insert(&format!("{name}.bias"), Tensor::concatenated(&biases));
        Ok(())
    }

    /// The full name of a part of the encoder.
    fn source(&self, part: &str) -> String {
        format!("{}{part}", self.checkpoint.prefix)
    }

    fn embeddings(&mut self) -> Result<()> {
        let network = self.network;
        let width = network.embedding_width;
        let tokens = self.source(self.checkpoint.family.tokens);
        let tokens = self.tensors.take(&tokens, &[network.tokens, width])?;
        let positions = self.positions(width)?;
        self.insert("embedding", Tensor::concatenated(&[tokens, positions]));
        if let Some(norm) = network.layout.embedding_norm {
            self.norm("embedding_norm", &self.source(norm), width)?;
        }
        match network.layout.projection {
            Projection::Always(name) | Projection::IfWidthsDiffer(name)
                if network.architecture.embedding_width.is_some() =>
            {
                let source = self.source(name);
                self.linear("embedding_projection", &[&source], width, network.shape.width)
            }
            _ => Ok(()),
        }
    }

    /// The rows of positions that tokens can have. What is the same for all tokens is added to them: the embeddings of
    /// the first type of token and of the first task.
    fn positions(&self, width: usize) -> Result<Tensor> {
        let network = self.network;
        let shape = [network.position_rows, width];
        let positions = self.tensors.take(&self.source("embeddings.position_embeddings.weight"), &shape)?;
        // RoBERTa numbers positions from the padding id plus one; the rows before are never used by a token.
        let mut positions = positions.rows_from(network.first_position);
        let types = self.source("embeddings.token_type_embeddings.weight");
        let tasks = self.source("embeddings.task_type_embeddings.weight");
        // DistilBERT has no types of tokens.
        let tables = [(self.tensors.has(&types), types), (network.keys.use_task_id, tasks)];
        for (_, table) in tables.iter().filter(|(is_used, _)| *is_used) {
            let (rows, _) = self.tensors.rows_and_columns(table)?;
            let table = self.tensors.take(table, &[rows, width])?;
            positions.add_to_rows(&table.values[..width]);
        }
        Ok(positions)
    }

    fn layer(&mut self, number: usize) -> Result<()> {
        let Layout { layers, layer: names, .. } = self.network.layout;
        let EncoderShape { layers: count, width, feed_forward, .. } = self.network.shape;
        let place = self.source(&layers.path(number, count, &self.network.keys));
        let source = |part: &str| format!("{place}.{part}");
        let name = |part: &str| format!("layer.{number}.{part}");

        let parts = [names.queries, names.keys, names.values].map(source);
        self.linear(&name("projection"), &parts.each_ref().map(String::as_str), width, width)?;
        self.linear(&name("attention_output"), &[&source(names.attention_output)], width, width)?;
        self.norm(&name("attention_norm"), &source(names.attention_norm), width)?;
        self.linear(&name("expand"), &[&source(names.expand)], width, feed_forward)?;
        self.linear(&name("contract"), &[&source(names.contract)], feed_forward, width)?;
        self.norm(&name("feed_forward_norm"), &source(names.feed_forward_norm), width)
    }

    fn head(&mut self, labels: usize, generator: &mut SmallRng) -> Result<()> {
        let width = self.network.shape.width;
        if let (Some(_), [dense, classifier]) = (&self.checkpoint.trained_head, self.checkpoint.family.head) {
            self.linear("pooler", &[dense], width, width)?;
            return self.linear("head", &[classifier], width, labels);
        }
        if matches!(self.network.architecture.head, Head::FirstToken(_)) {
            let pretrained = self.network.layout.pretrained_pooler.map(|name| self.source(name));
            match pretrained.filter(|name| self.tensors.has(&format!("{name}.weight"))) {
                Some(name) => self.linear("pooler", &[&name], width, width)?,
                None => self.random("pooler", width, width, generator)?,
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
