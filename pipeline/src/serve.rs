//! The model in service: what labels documents at this moment, and how that changes while they flow.
//!
//! - A [`Generation`] is one version of a model, loaded. The tokenize stage takes the one in use for each
//!   batch and the batch carries it, so that all its rows are encoded and labelled by the same version.
//! - [`Live`] holds the generation in use. After a swap the one before stays loaded while the new one is
//!   on probation (`bake`): if it fails, the old one takes over and labels the failed batch.
//!   A version that became the champion shortly before the start is on probation, too.
//! - A [`Watcher`] follows the alias that the configuration names: another version there is loaded,
//!   verified and warmed in the background, then swapped in between two batches. One that does not load,
//!   or that was trained on texts cleaned otherwise, changes nothing.
//!
//! - [`Shadow`] lets a challenger label a sample of the documents beside the champion.
//!
//! Batches that are under way are never touched, so a swap loses no document and repeats none.

mod bundle;
mod canary;
mod generation;
mod live;
mod sample;
mod shadow;
mod watch;

pub(crate) use bundle::{model_config, open};
pub(crate) use generation::{Classified, Generation, Rejects};
pub(crate) use live::Live;
pub(crate) use shadow::Shadow;
pub(crate) use watch::Watcher;
