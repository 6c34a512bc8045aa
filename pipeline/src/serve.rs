//! The model in service: which version labels documents, and how it is replaced while documents flow.
//!
//! - A [`Generation`] is one version of a model, loaded. The tokenize stage attaches the generation in use to each batch,
//!   so that all rows of a batch are encoded and labelled by the same version.
//! - [`Live`] holds the generation in use. After a swap the new generation has a canary period (`canary`), during which
//!   the previous one stays loaded. If the new one fails, the previous one takes over and labels the failed batch.
//!   A version that became the champion shortly before the start of the process has a canary period, too. The possible
//!   states and their transitions are in `phase`.
//! - A [`Watcher`] follows the alias that the configuration names. If the alias moves to another version, that version
//!   is loaded, verified and warmed up in the background, then put in use between two batches. A version that cannot be
//!   loaded, or that was trained on texts that were cleaned differently, is refused, and the model in use stays.
//! - [`SourceTrust`] says which labels of a generation are trusted, by the source of the document. Every generation has
//!   its own: scores of another version say nothing about it. Generations are compared by the thresholds of their labels.
//! - [`Shadow`] lets a challenger label a sample of the documents beside the champion.
//!
//! Contract: batches in flight are not affected by a swap, so a swap neither loses nor repeats a document.

mod bundle;
mod canary;
mod generation;
mod live;
mod phase;
mod sample;
mod shadow;
mod thresholds;
mod watch;

pub(crate) use bundle::{model_config, open};
pub(crate) use generation::{Classified, Generation, Rejects};
pub(crate) use live::Live;
pub(crate) use shadow::Shadow;
pub(crate) use watch::Watcher;
