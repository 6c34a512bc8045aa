//! Learning from corrections: a job that makes a challenger, judges it, and promotes it if it is better.

mod evaluate;
mod feedback;
mod job;
mod join;
mod page;
mod resolve;
mod rows;
mod schedule;
mod snapshot;
mod split;
mod state;

pub(crate) use job::{JobOutcome, run};
pub(crate) use schedule::{JobCommand, Schedule};
pub(crate) use snapshot::SnapshotSummary;
pub(crate) use split::SplitSummary;
pub(crate) use state::JobVerdict;
