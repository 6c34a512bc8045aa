//! The encoder of a checkpoint without a head, as a graph that is to be continued.

use std::path::Path;

use fenliu_model::Result;
use fenliu_model::tokenize::Tokenizer;
use rand::{SeedableRng, rngs::SmallRng};

use super::checkpoint::{Checkpoint, Computed, NetworkEncoder};
use super::served;
use super::tensors::StoredTensors;
use super::{tokenizer, weights};
use crate::network::Network;
use crate::onnx::{EncoderGraph, encoder_graph};

/// The encoder of a checkpoint.
pub(crate) struct OpenEncoder {
    /// From token ids to hidden states.
    pub(crate) graph: EncoderGraph,
    /// The family: `model_type` of `config.json`.
    pub(crate) family: &'static str,
    /// Number of the encoder's weights.
    pub(crate) parameters: u64,
    /// Most tokens of a text.
    pub(crate) max_tokens: usize,
    /// The tokenizer whose ids the graph reads.
    pub(crate) tokenizer: Tokenizer,
}

/// Reads the encoder of the checkpoint in `directory`, of any supported family, with or without a head. `max_tokens` is the
/// most tokens of a text; `None` = `limit`, if the checkpoint has as many positions, else all of these. ONNX Runtime is not
/// needed.
///
/// # Errors
///
/// A file is missing or invalid; the checkpoint is of a family or has a setting that is not implemented here (the message
/// names it); `max_tokens` does not fit the checkpoint.
pub(crate) fn open_encoder(directory: &Path, max_tokens: Option<usize>, limit: usize) -> Result<OpenEncoder> {
    let mut tensors = StoredTensors::read(directory)?;
    let mut checkpoint = Checkpoint::read(directory, &mut tensors)?;
    // The head is not part of the graph.
    checkpoint.trained_head = None;
    let tokenizer = tokenizer::load(directory, checkpoint.family.name)?;
    checkpoint.check_vocabulary(&tokenizer)?;
    let limit = limit.clamp(1, checkpoint.positions());
    let max_tokens = checkpoint.max_tokens(max_tokens.or(Some(limit)))?;
    // Fails now, and not at the first document, if `max_tokens` leaves no room beside the special tokens.
    tokenizer.encode("", max_tokens)?;
    let (graph, parameters) = match &checkpoint.encoder {
        Computed::Graph(encoder) => served::encoder_graph(encoder.as_ref(), &tensors, checkpoint.prefix)?,
        Computed::Network(network) => network_graph(&checkpoint, network, tensors)?,
    };
    Ok(OpenEncoder { graph, family: checkpoint.family.name, parameters, max_tokens, tokenizer })
}

fn network_graph(
    checkpoint: &Checkpoint,
    encoder: &NetworkEncoder,
    tensors: StoredTensors,
) -> Result<(EncoderGraph, u64)> {
    // A network always has a head; this one is random, small, and left out of the graph.
    let labels = 1;
    let mut weights =
        weights::convert(checkpoint, encoder, &tensors, labels, &mut SmallRng::seed_from_u64(0))?;
    drop(tensors);
    let network = Network::from_weights(encoder.network(labels), &mut weights)?;
    let head = encoder.shape.width + labels;
    Ok((encoder_graph(&network)?, network.parameters() - head as u64))
}

#[cfg(test)]
mod tests;
