//! Importing a checkpoint directory of the Hugging Face library `transformers`: an encoder of one of the
//! [`families`], with or without a classification head, becomes a bundle that can be served, and trained further if our
//! network computes it.
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
//! [`crate::hub`] fetches such a directory. [`encoder_features`] reads the encoder alone.
//!
//! Not here: sentence pairs, several labels for one text.

mod checkpoint;
mod config;
pub(crate) mod encoder_features;
mod families;
mod head;
mod pooling;
mod published;
mod served;
mod tensors;
mod tokenizer;
mod weights;

use std::path::Path;
use std::time::Instant;

use fenliu_model::bundle::{Bundle, BundleWriter, ModelDescription, ProblemType};
use fenliu_model::import::origin;
use fenliu_model::tokenize::Tokenizer;
use fenliu_model::{Labels, Result};
use rand::{SeedableRng, rngs::SmallRng};
use serde_json::{Value, json};

use crate::network::Network;
use crate::publish::{ONNX_FILE, write_graph, write_network};
use checkpoint::{Checkpoint, Computed, NetworkEncoder};
use published::{check_padding, parity};
use served::Encoder;
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
/// A file is missing or invalid; the checkpoint is of a family or has a setting that is not implemented here (the
/// message names it); it has no head and cannot be trained here; labels or `max_tokens` do not fit the checkpoint; ONNX
/// Runtime is missing or does not give the same logits. Nothing is published then.
pub fn huggingface(directory: &Path, root: &Path, name: &str, options: &ImportOptions) -> Result<Bundle> {
    let start = Instant::now();
    let mut tensors = StoredTensors::read(directory)?;
    let mut checkpoint = Checkpoint::read(directory, &mut tensors)?;
    if let Computed::Network(network) = &mut checkpoint.encoder {
        network.choose_head(checkpoint.trained_head.is_some(), options.pooling);
    }
    let labels = checkpoint.labels(options.labels.as_ref())?;
    let max_tokens = checkpoint.max_tokens(options.max_tokens)?;
    let tokenizer = tokenizer::load(directory, checkpoint.family.name)?;
    checkpoint.check_vocabulary(&tokenizer)?;
    // Fails now, and not at the first document, if `max_tokens` leaves no room beside the special tokens.
    tokenizer.encode("", max_tokens)?;

    let destination = Destination { root, name, tokenizer: &tokenizer, labels: &labels, max_tokens };
    let (writer, computed) = match &checkpoint.encoder {
        Computed::Network(network) => destination.write_network(&checkpoint, network, tensors)?,
        Computed::Graph(encoder) => destination.write_graph(&checkpoint, encoder.as_ref(), &tensors)?,
    };
    let parity_max_abs_diff = computed.parity_max_abs_diff;
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
        preset: checkpoint.family.name.to_owned(),
        parameters: computed.parameters,
        preprocessing: Value::Null,
        training: options.origin.clone().unwrap_or_else(|| json!({ "imported_from": origin(directory) })),
        parity_max_abs_diff,
        trainable: checkpoint.family.is_trainable(),
        head_trained: checkpoint.trained_head.is_some(),
    })
}

/// Whether `preset` of a manifest names a family that is served only.
pub(crate) fn is_served_only(preset: &str) -> bool {
    families::ALL.iter().any(|family| family.name == preset && !family.is_trainable())
}

/// A new version, and what it is made of beside the encoder.
struct Destination<'a> {
    root: &'a Path,
    name: &'a str,
    tokenizer: &'a Tokenizer,
    labels: &'a Labels,
    max_tokens: usize,
}

/// What was written.
struct Written {
    parameters: u64,
    parity_max_abs_diff: f64,
}

impl Destination<'_> {
    /// A new version with everything but the model.
    fn create(&self) -> Result<BundleWriter> {
        let writer = BundleWriter::create(self.root, self.name)?;
        self.labels.save(&writer.path().join("labels.json"))?;
        self.tokenizer.save(writer.path())?;
        Ok(writer)
    }

    fn write_network(
        &self,
        checkpoint: &Checkpoint,
        encoder: &NetworkEncoder,
        tensors: StoredTensors,
    ) -> Result<(BundleWriter, Written)> {
        let mut generator = SmallRng::seed_from_u64(0);
        let labels = self.labels.len();
        let mut weights = weights::convert(checkpoint, encoder, &tensors, labels, &mut generator)?;
        // The conversion has copied them; without this a large checkpoint would be in memory twice while the network is
        // built.
        drop(tensors);
        let network = Network::from_weights(encoder.network(labels), &mut weights)?;
        let writer = self.create()?;
        write_network(&network, writer.path())?;
        let parity_max_abs_diff =
            parity(&network, writer.path(), self.tokenizer, self.max_tokens, &mut generator)?;
        Ok((writer, Written { parameters: network.parameters(), parity_max_abs_diff }))
    }

    fn write_graph(
        &self,
        checkpoint: &Checkpoint,
        encoder: &dyn Encoder,
        tensors: &StoredTensors,
    ) -> Result<(BundleWriter, Written)> {
        if checkpoint.trained_head.is_none() {
            let family = checkpoint.family.name;
            return Err(checkpoint.problem(format!(
                "it has no trained classification head, and the family {family} can be served but not fine-tuned here: \
                 import a checkpoint that was trained as a classifier, or one of another family"
            )));
        }
        let (model, parameters) = served::classifier(encoder, tensors, checkpoint.prefix, self.labels.len())?;
        let writer = self.create()?;
        let path = writer.path().join(ONNX_FILE);
        write_graph(&model, &path)?;
        let parity_max_abs_diff = check_padding(&path, self.tokenizer, self.max_tokens)?;
        Ok((writer, Written { parameters, parity_max_abs_diff }))
    }
}

#[cfg(test)]
mod tests;
