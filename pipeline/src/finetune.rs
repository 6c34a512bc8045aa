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
mod split;
mod state;

pub use job::{Outcome, run};
pub use judge::Judgement;
pub use schedule::{JobCommand, Schedule};
pub use snapshot::SnapshotSummary;
pub use split::{SplitSummary, TestRows};
pub use state::{JobState, Stage, Verdict};
