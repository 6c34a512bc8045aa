//! Importing a checkpoint directory of the Hugging Face library `transformers`: an encoder of the BERT
//! family, with or without a classification head, becomes a bundle that can be served and trained further.
//!
//! Contract: the bundle's logits are those of the library, up to rounding. A checkpoint with a setting that
//! is not implemented here is refused by the name of the setting, and nothing is published. How texts were
//! cleaned is not known, so the manifest does not say it.
//!
//! The files are `config.json`; `model.safetensors` or `pytorch_model.bin`, whole or in shards with an index; and
//! `tokenizer.json` or `vocab.txt`. Weights of half precision become those of single precision. All tokens have
//! type 0, so the embedding of that type is added to those of the positions at import.
//!
//! The head's weights say how many labels there are, and `config.json` how they are called
//! ([`fenliu_model::import::label_names`]).
//!
//! [`crate::hub`] fetches such a directory.
//!
//! Not here: other kinds of encoder, sentence pairs, several labels for one text.

mod config;
mod head;
mod pooling;
mod tensors;
mod tokenizer;
mod weights;

use std::path::Path;
use std::time::Instant;

use fenliu_model::bundle::{Bundle, BundleWriter, ModelDescription, ProblemType};
use fenliu_model::import::origin;
use fenliu_model::tokenize::{Encoding, Tokenizer};
use fenliu_model::{Labels, Result};
use rand::{Rng, SeedableRng, rngs::SmallRng};
use serde_json::{Value, json};

use crate::network::Network;
use crate::publish::{ONNX_FILE, check_parity, write_network};
use config::Checkpoint;
use tensors::StoredTensors;

pub use pooling::Pooling;

/// What can be chosen about an import.
#[derive(Clone, Debug, Default)]
pub struct ImportOptions {
    /// Labels in logit order; `None` = those of the checkpoint, or placeholders if it names none.
    pub labels: Option<Labels>,
    /// Most tokens of a text that the model reads; `None` = as many as the checkpoint has positions.
    pub max_tokens: Option<usize>,
    /// Pooling of an encoder without a classification head; `None` = the mean.
    pub pooling: Option<Pooling>,
    /// Where the checkpoint comes from, for the manifest; `None` = the name of the directory.
    pub origin: Option<Value>,
}

/// Imports the checkpoint in `directory` as a new version of `<root>/<name>`.
///
/// A checkpoint without a classification head gets one with random weights, and the manifest says
/// `head_trained: false`: it can be fine-tuned but not used before that.
///
/// # Errors
///
/// A file is missing or invalid; the checkpoint has a setting that is not implemented here (the message names
/// it); labels or `max_tokens` do not fit the checkpoint; ONNX Runtime is missing or does not give the same
/// logits. Nothing is published then.
pub fn huggingface(directory: &Path, root: &Path, name: &str, options: &ImportOptions) -> Result<Bundle> {
    let start = Instant::now();
    let mut generator = SmallRng::seed_from_u64(0);
    let Opened { network, tokenizer, labels, max_tokens, family, head_trained } =
        open(directory, options, &mut generator)?;
    let writer = BundleWriter::create(root, name)?;
    write_network(&network, writer.path())?;
    labels.save(&writer.path().join("labels.json"))?;
    tokenizer.save(writer.path())?;
    let parity_max_abs_diff = parity(&network, writer.path(), &tokenizer, max_tokens, &mut generator)?;
    tracing::info!(seconds = start.elapsed().as_secs_f64(), parity_max_abs_diff, "imported checkpoint");
    writer.finish(ModelDescription {
        tokenization: Some(tokenizer.kind()),
        max_tokens,
        windows: 1,
        prefix: String::new(),
        pad_id: tokenizer.pad_id(),
        onnx: Some(ONNX_FILE.to_owned()),
        linear: Vec::new(),
        zero_shot: None,
        problem_type: ProblemType::SingleLabel,
        preset: family.to_owned(),
        parameters: network.parameters(),
        preprocessing: Value::Null,
        training: options.origin.clone().unwrap_or_else(|| json!({ "imported_from": origin(directory) })),
        parity_max_abs_diff,
        trainable: true,
        head_trained,
    })
}

/// What is read from a checkpoint.
pub(crate) struct Opened {
    pub(crate) network: Network,
    pub(crate) tokenizer: Tokenizer,
    pub(crate) labels: Labels,
    pub(crate) max_tokens: usize,
    /// The name of the family of encoders.
    pub(crate) family: &'static str,
    pub(crate) head_trained: bool,
}

/// Reads the checkpoint in `directory`.
pub(crate) fn open(directory: &Path, options: &ImportOptions, generator: &mut SmallRng) -> Result<Opened> {
    let mut tensors = StoredTensors::read(directory)?;
    let checkpoint = Checkpoint::read(directory, &mut tensors, options.pooling)?;
    let labels = checkpoint.labels(options.labels.as_ref())?;
    let max_tokens = checkpoint.max_tokens(options.max_tokens)?;
    let tokenizer = tokenizer::load(directory, checkpoint.model_type())?;
    checkpoint.check_vocabulary(&tokenizer)?;
    // Fails now, and not at the first document, if `max_tokens` leaves no room beside the special tokens.
    tokenizer.encode("", max_tokens)?;
    let mut weights = weights::convert(&checkpoint, &tensors, labels.len(), generator)?;
    // The conversion has copied them; without this a large checkpoint would be in memory twice while the network is
    // built.
    drop(tensors);
    let network = Network::from_weights(checkpoint.network(labels.len()), &mut weights)?;
    let (family, head_trained) = (checkpoint.family.name(), checkpoint.trained_head.is_some());
    Ok(Opened { network, tokenizer, labels, max_tokens, family, head_trained })
}

/// Compares the logits of random documents: many short lengths in one batch, and the longest possible one
/// alone.
fn parity(
    network: &Network,
    directory: &Path,
    tokenizer: &Tokenizer,
    max_tokens: usize,
    generator: &mut SmallRng,
) -> Result<f64> {
    let vocabulary = tokenizer.vocab_size() as u32;
    let mut document = |length: usize| {
        Encoding::new((0..length).map(|_| generator.random_range(0..vocabulary)).collect(), false)
    };
    // Many lengths in one batch test padding and masks; the longest text alone tests that all positions are there.
    let short: Vec<Encoding> = (1..=max_tokens.min(48)).step_by(4).map(&mut document).collect();
    let long = [document(max_tokens)];
    let short = check_parity(network, directory, &short, tokenizer.pad_id())?;
    Ok(short.max(check_parity(network, directory, &long, tokenizer.pad_id())?))
}

#[cfg(test)]
mod tests;
