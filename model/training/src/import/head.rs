//! Which classification head a checkpoint has, and how many outputs.

use fenliu_model::{ModelError, Result};

use super::tensors::StoredTensors;

/// Names that a message lists.
const NAMES_IN_MESSAGES: usize = 4;

/// A trained classification head.
#[derive(Clone, Debug)]
pub(super) struct TrainedHead {
    /// Number of its outputs: the rows of its last layer.
    pub(super) outputs: usize,
    /// The tensor that says so.
    pub(super) origin: String,
}

/// The head of the checkpoint, if it is a text classifier.
///
/// Heads for other tasks have tensors of the same names, so that `architectures` of `config.json` decides if it is
/// given. What it names must then be there: a head with random weights in its place would serve guesses. `layers` are
/// those of the family's head, the one that gives the logits last.
pub(super) fn find(
    architectures: &[String],
    tensors: &StoredTensors,
    layers: &[&str],
    prefix: &str,
    refuse: impl FnOnce(&str) -> ModelError,
) -> Result<Option<TrainedHead>> {
    let claimed = architectures.iter().find(|name| name.ends_with("ForSequenceClassification"));
    if claimed.is_none() && !architectures.is_empty() {
        return Ok(None);
    }
    let mut weights = layers.iter().map(|layer| format!("{layer}.weight"));
    let missing = weights.clone().find(|name| !tensors.has(name));
    match (missing, claimed) {
        (None, _) => weights.next_back().map(|classifier| trained(tensors, &classifier)).transpose(),
        (Some(_), None) => Ok(None),
        (Some(missing), Some(claimed)) => Err(refuse(&format!(
            "`architectures` names {claimed}, but {} has no tensor `{missing}`{}; rename the head's tensors, or set \
             `architectures` to [] to import the encoder alone and fine-tune it",
            tensors.main(),
            others(tensors, prefix)
        ))),
    }
}

fn trained(tensors: &StoredTensors, weight: &str) -> Result<TrainedHead> {
    let (outputs, _) = tensors.rows_and_columns(weight)?;
    Ok(TrainedHead { outputs, origin: format!("`{weight}` of {}", tensors.main()) })
}

/// The tensors beside the encoder, among which the head may be under another name.
fn others(tensors: &StoredTensors, prefix: &str) -> String {
    let mut names: Vec<&str> = tensors.names().filter(|name| !name.starts_with(prefix)).collect();
    if prefix.is_empty() || names.is_empty() {
        return String::new();
    }
    names.sort_unstable();
    names.truncate(NAMES_IN_MESSAGES);
    format!(" (beside the encoder are `{}`)", names.join("`, `"))
}
