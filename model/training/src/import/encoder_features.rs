//! The encoder of a checkpoint without a head, as an ONNX graph that gives one vector of features for each text.
//!
//! How hidden states become features is chosen, or read from what sentence-transformers writes beside a checkpoint.

mod sentence_transformers;

use std::path::Path;

use fenliu_model::Result;
use fenliu_model::tokenize::Tokenizer;
use rand::{SeedableRng, rngs::SmallRng};

use super::checkpoint::{Checkpoint, Computed, NetworkEncoder};
use super::served;
use super::tensors::StoredTensors;
use super::{tokenizer, weights};
use crate::network::Network;
use crate::onnx::{EncoderGraph, FeaturePooling, PooledTokens, encoder_graph};
use crate::publish::write_graph;
use sentence_transformers::SentenceTransformer;

/// What can be chosen about features.
#[derive(Clone, Copy, Debug, Default)]
pub struct FeatureOptions {
    /// How hidden states become features; `None` = as the files of sentence-transformers say, or, if there are none, the
    /// mean over the tokens, not normalised.
    pub pooling: Option<FeaturePooling>,
    /// Most tokens of a text that the encoder reads; `None` = the limit in the files of sentence-transformers, or as many
    /// as the checkpoint has positions.
    pub max_tokens: Option<usize>,
}

/// An exported encoder.
#[derive(Debug)]
pub struct EncoderFeatures {
    /// The family: `model_type` of `config.json`.
    pub family: &'static str,
    /// Number of features.
    pub width: usize,
    /// Number of the encoder's weights.
    pub parameters: u64,
    /// How hidden states become features.
    pub pooling: FeaturePooling,
    /// Most tokens of a text.
    pub max_tokens: usize,
    /// The tokenizer whose ids the graph reads.
    pub tokenizer: Tokenizer,
}

/// Writes the encoder of the checkpoint in `directory`, without its head, to the file `graph`, whose directory is made
/// if need be.
///
/// The graph has the inputs `input_ids` and `attention_mask`, int64 `[batch, tokens]` with padding on the right, and the
/// output `features`, float32 `[batch, width]`. A checkpoint of any supported family can be exported, with or without a
/// head. ONNX Runtime is not needed.
///
/// # Errors
///
/// A file is missing or invalid; the checkpoint is of a family or has a setting that is not implemented here (the message
/// names it); the files of sentence-transformers ask for another kind of features and none is chosen; `max_tokens` does
/// not fit the checkpoint; the file cannot be written.
pub fn export_features(directory: &Path, graph: &Path, options: &FeatureOptions) -> Result<EncoderFeatures> {
    let (encoder, description) = open_encoder(directory, options)?;
    write_graph(&encoder.features(description.pooling), graph)?;
    Ok(description)
}

/// As [`export_features`], but writes nothing: returns the graph up to the hidden states.
pub(crate) fn open_encoder(
    directory: &Path,
    options: &FeatureOptions,
) -> Result<(EncoderGraph, EncoderFeatures)> {
    let mut tensors = StoredTensors::read(directory)?;
    let mut checkpoint = Checkpoint::read(directory, &mut tensors)?;
    // The head is not part of the graph.
    checkpoint.trained_head = None;
    let tokenizer = tokenizer::load(directory, checkpoint.family.name)?;
    checkpoint.check_vocabulary(&tokenizer)?;
    let settings = SentenceTransformer::new(directory);
    let pooling = match options.pooling {
        Some(pooling) => pooling,
        None => settings.pooling()?.unwrap_or(DEFAULT),
    };
    let limit = settings.max_tokens()?.map(|limit| limit.clamp(1, checkpoint.positions()));
    let max_tokens = checkpoint.max_tokens(options.max_tokens.or(limit))?;
    tokenizer.encode("", max_tokens)?;

    let (graph, parameters) = match &checkpoint.encoder {
        Computed::Graph(encoder) => served::encoder_graph(encoder.as_ref(), &tensors, checkpoint.prefix)?,
        Computed::Network(network) => network_graph(&checkpoint, network, tensors)?,
    };
    let (family, width) = (checkpoint.family.name, graph.width);
    Ok((graph, EncoderFeatures { family, width, parameters, pooling, max_tokens, tokenizer }))
}

const DEFAULT: FeaturePooling = FeaturePooling { tokens: PooledTokens::Mean, normalise: false };

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
