//! Fine-tuning on corrections: a job trains a challenger, evaluates it against the champion, and promotes it if it is
//! better.
//!
//! Start reading at `job`, which runs the stages in order. The others in that order: `snapshot` collects the rows
//! (`feedback` reads corrections, `resolve` settles contradictions, `join` finds and cleans the texts), `split` divides
//! them, `evaluate` compares champion and challenger, `page` writes the report. `state` stores the progress of a job on
//! disk, and `schedule` starts jobs within `fenliu run`.

mod evaluate;
mod feedback;
mod job;
mod join;
mod page;
mod resolve;
mod rows;
mod schedule;
mod snapshot;
mod snapshot_summary;
mod split;
mod state;

pub(crate) use job::{JobOutcome, run};
pub(crate) use schedule::{JobCommand, Schedule};
pub(crate) use snapshot_summary::SnapshotSummary;
pub(crate) use split::SplitSummary;
pub(crate) use state::{JobState, JobVerdict, gates as job_gates, states as job_states};
