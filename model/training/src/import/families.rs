//! The families of encoders, one file each, but for those that differ only in names: they are in [`network`].
//!
//! To add one, write its [`Family`] and name it in [`ALL`].

mod deberta_v2;
mod modernbert;
mod mpnet;
pub(super) mod network;
mod roformer;

use fenliu_model::{ModelError, Result};

use super::config::Config;
use super::served::Encoder;
use network::Layout;

/// A family of checkpoints.
pub(super) struct Family {
    /// The value of `model_type`.
    pub(super) name: &'static str,
    /// Prefix of the names of the encoder's tensors in a checkpoint that also has a head.
    pub(super) prefix: &'static str,
    /// The table of tokens, after the prefix.
    pub(super) tokens: &'static str,
    /// The layers of the head of its `…ForSequenceClassification`; the last one gives the logits.
    pub(super) head: &'static [&'static str],
    pub(super) kind: Kind,
}

/// What is made of a checkpoint.
pub(super) enum Kind {
    /// Our network computes it, so that it can be trained further.
    Network(&'static Layout),
    /// Its graph is written from its tensors, and it can be served only.
    Graph(ReadEncoder),
}

/// Reads what a graph depends on; the number is that of the rows of the table of tokens.
pub(super) type ReadEncoder = fn(&Config, usize) -> Result<Box<dyn Encoder>>;

/// The table of tokens of most families.
const WORDS: &str = "embeddings.word_embeddings.weight";

/// All families.
pub(super) const ALL: [&Family; 13] = [
    &network::BERT,
    &network::ROBERTA,
    &network::XLM_ROBERTA,
    &network::CAMEMBERT,
    &network::DISTILBERT,
    &network::ELECTRA,
    &network::ERNIE,
    &network::ALBERT,
    &mpnet::FAMILY,
    &deberta_v2::FAMILY,
    &modernbert::FAMILY,
    &roformer::FAMILY,
    &network::MEGATRON_BERT,
];

impl Family {
    /// The family of a checkpoint.
    pub(super) fn of(config: &Config) -> Result<&'static Self> {
        let model_type = config.model_type.as_str();
        ALL.into_iter().find(|family| family.name == model_type).ok_or_else(|| unknown(config))
    }

    /// Whether its checkpoints can be trained further.
    pub(super) fn is_trainable(&self) -> bool {
        matches!(self.kind, Kind::Network(_))
    }
}

fn unknown(config: &Config) -> ModelError {
    let names: Vec<&str> = ALL.iter().map(|family| family.name).collect();
    let (model_type, names) = (&config.model_type, names.join(", "));
    config.refuse(&format!("`model_type` is `{model_type}` but must be one of {names}"))
}
