//! Thresholds per source: which labels can be trusted on text like the training set and on text unlike it.
//!
//! A threshold that was fitted to held-out rows trusts too much on unlike text, where the confidences are lower
//! and each of them is right less often. Labels would tell, but a stream has none. The rule here needs none: if
//! confidences mean what they say, the mean confidence of a set of documents is the share that is right. So for
//! each source,
//!
//! ```text
//! t_s     = the lowest t at which the mean confidence of its documents with c >= t is at least the goal
//! trusted = c >= t_s
//! ```
//!
//! over the newest documents of the source (ATC, Garg et al. 2022, fits a threshold on confidences in the same
//! way to predict accuracy). The [goal](Goal) follows from the wanted precision on the calibration rows. It is
//! promised for text like theirs; elsewhere it is only as good as the confidences.
//!
//! - [`Histogram`] counts confidences, and finds the threshold for a goal.
//! - `Window` keeps the histograms of the newest documents of one source; [`Sources`] has one for each source.
//! - [`SourceThresholds`] observes documents and publishes numbered [`Snapshot`]s, which never change.
//! - [`Store`] keeps snapshots in a directory that several processes share.
//!
//! Contract: the state is a help and not a result. It may be lost, and a replay of the same documents may give
//! other thresholds. Memory is bounded by [`MAX_SOURCES`] and the number of bins, whatever the documents are.
//!
//! Not here: clocks, threads, and what a source is.

mod goal;
mod histogram;
mod monitor;
mod snapshot;
mod sources;
mod store;
mod window;

pub(crate) use goal::SOFTENING;
pub use goal::{Goal, SourceGoals};
pub use histogram::Histogram;
pub use monitor::SourceThresholds;
pub use snapshot::{Identity, Rule, Snapshot, SourceThreshold};
pub use sources::{MAX_SOURCES, Sources};
pub use store::{Newest, Store};

#[cfg(test)]
mod tests;
