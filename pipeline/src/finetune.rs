//! Learning from corrections: a job that makes a challenger, judges it, and promotes it if it is better.

mod feedback;
mod job;
mod join;
mod judge;
mod page;
mod resolve;
mod rows;
mod schedule;
mod snapshot;
mod snapshot_summary;
mod split;
mod state;

pub(crate) use job::{Outcome, run};
pub(crate) use schedule::{JobCommand, Schedule};
pub(crate) use snapshot_summary::SnapshotSummary;
pub(crate) use split::SplitSummary;
pub(crate) use state::Verdict;
