//! The progress of a job on disk, in `models/NAME/jobs/ULID/`.
//!
//! ```text
//! state.json       the present stage, and the results of the stages before it
//! rows.jsonl       the snapshot: all labelled texts, cleaned
//! skipped.jsonl    corrections that were not used, each with its reason
//! quality.json     suspicious labels and other problems of the training rows
//! work/            the trainer's checkpoints; removed when the job ends
//! report.json      all measurements, written after the evaluation
//! report.html      the same for people
//! ```
//!
//! Contract: every file is replaced by one rename. So a job that is killed at any moment can be resumed from its
//! `state.json`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use chrono::Utc;
use fenliu_model::{Gate, durable};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use ulid::Ulid;

use super::snapshot_summary::SnapshotSummary;
use super::split::SplitSummary;
use crate::error::{Converted, Error, Result};

/// How many directories of finished jobs are kept.
const KEPT_JOBS: usize = 10;

/// The stages of a job. Their order is that of the variants, and comparisons rely on it: `stage >= Done` means that the
/// job has ended, one way or the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum JobStage {
    /// Reads corrections and replayed documents, up to fixed offsets.
    Snapshot,
    /// Divides the rows into training, development and test rows.
    Split,
    /// Looks for suspicious labels among the training rows.
    Check,
    /// Trains, exports to ONNX, and compares the outputs of the two.
    Train,
    /// Fits temperature and thresholds on the development rows.
    Calibrate,
    /// Compares champion and challenger on the test rows and checks the gates.
    Evaluate,
    /// Publishes the challenger as a version of the model.
    Publish,
    /// Moves the aliases.
    Promote,
    /// The job has ended with a verdict.
    Done,
    /// The job has ended with an error.
    Failed,
}

impl JobStage {
    /// The name in `state.json`.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            JobStage::Snapshot => "snapshot",
            JobStage::Split => "split",
            JobStage::Check => "check",
            JobStage::Train => "train",
            JobStage::Calibrate => "calibrate",
            JobStage::Evaluate => "evaluate",
            JobStage::Publish => "publish",
            JobStage::Promote => "promote",
            JobStage::Done => "done",
            JobStage::Failed => "failed",
        }
    }
}

/// How a job ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum JobVerdict {
    /// The challenger passed all gates and is now the champion.
    Promoted,
    /// The challenger passed all gates and waits for a person to promote it.
    Challenger,
    /// The challenger failed a gate.
    Refused,
    /// The rows are the same as those of the last job, so nothing was trained.
    Unchanged,
}

impl JobVerdict {
    /// The name in JSON.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            JobVerdict::Promoted => "promoted",
            JobVerdict::Challenger => "challenger",
            JobVerdict::Refused => "refused",
            JobVerdict::Unchanged => "unchanged",
        }
    }
}

/// The contents of `state.json`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct JobState {
    /// ULID of the job.
    pub job: String,
    /// The present stage.
    pub stage: JobStage,
    /// Version that training starts from and that the challenger is compared with.
    pub base: String,
    /// The settings that determine the result. An interrupted job is resumed only with the same settings.
    pub settings: Value,
    /// When the job started, RFC 3339, UTC.
    pub started_at: String,
    /// When this file was last written, RFC 3339, UTC.
    pub updated_at: String,
    /// How often the job was resumed after its process had ended.
    pub resumes: usize,
    /// Seconds spent in each stage; the time before an interruption is not counted.
    pub seconds: BTreeMap<String, f64>,
    /// What the snapshot contains.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<SnapshotSummary>,
    /// How its rows were split.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub split: Option<SplitSummary>,
    /// Version of the challenger, after it was published.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// How the job ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verdict: Option<JobVerdict>,
    /// Why it ended that way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl JobState {
    /// Whether the job has ended, one way or the other.
    pub(crate) fn is_over(&self) -> bool {
        self.stage >= JobStage::Done
    }

    /// How far the job is, from 0 to 1, by the stages that are behind it; `None` once it has ended.
    pub(crate) fn progress(&self) -> Option<f64> {
        let stages = JobStage::Done as usize as f64;
        (!self.is_over()).then(|| self.stage as usize as f64 / stages)
    }
}

/// A job's directory and its state.
#[derive(Debug)]
pub(super) struct JobDirectory {
    path: PathBuf,
    /// The state; changes reach the disk with the next [`save`](Self::save).
    pub(super) state: JobState,
}

impl JobDirectory {
    /// Creates the directory of a new job for the model in `model`, and removes those of old jobs.
    pub(super) fn create(model: &Path, base: &str, settings: Value) -> Result<Self> {
        // Only finished jobs are removed; the caller holds the lease, so no other job runs.
        prune(model)?;
        let (job, now) = (Ulid::generate().to_string(), Utc::now().to_rfc3339());
        let path = jobs(model).join(&job);
        let state = JobState {
            job,
            stage: JobStage::Snapshot,
            base: base.to_string(),
            settings,
            started_at: now.clone(),
            updated_at: now,
            resumes: 0,
            seconds: BTreeMap::new(),
            snapshot: None,
            split: None,
            version: None,
            verdict: None,
            reason: None,
        };
        let mut directory = JobDirectory { path, state };
        directory.save()?;
        Ok(directory)
    }

    /// The newest job of the model in `model`, if its process ended before the job did.
    pub(super) fn unfinished(model: &Path) -> Result<Option<Self>> {
        // Only the newest: a job is resumed or ended as failed before the next one begins.
        let newest = directories(model)?.pop();
        let Some((path, state)) = newest else { return Ok(None) };
        Ok((state.stage < JobStage::Done).then_some(JobDirectory { path, state }))
    }

    /// The path of a file of the job.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// The directory of the trainer's checkpoints; created if it does not exist.
    pub(super) fn work(&self) -> Result<PathBuf> {
        let work = self.file("work");
        std::fs::create_dir_all(&work).map_err(Error::file("create directory", &work))?;
        Ok(work)
    }

    /// Enters `stage` and saves the state.
    pub(super) fn enter(&mut self, stage: JobStage) -> Result<()> {
        self.state.stage = stage;
        self.save()
    }

    /// Ends the job, so that it is not resumed any more, and removes its checkpoints.
    pub(super) fn end(&mut self, stage: JobStage, reason: String) -> Result<()> {
        self.state.reason = Some(reason);
        // First the state, then the checkpoints: a job that is killed in between is over and leaves files behind,
        // but cannot be resumed without its checkpoints.
        self.enter(stage)?;
        match std::fs::remove_dir_all(self.file("work")) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(Error::file("remove", self.file("work"))(error))
            }
            _ => Ok(()),
        }
    }

    /// Writes the state to disk.
    pub(super) fn save(&mut self) -> Result<()> {
        self.state.updated_at = Utc::now().to_rfc3339();
        self.write_json("state.json", &self.state)
    }

    /// Writes a file as JSON.
    pub(super) fn write_json(&self, name: &str, value: &impl Serialize) -> Result<()> {
        let bytes = serde_json::to_vec_pretty(value)
            .map_err(|error| Error::internal(format!("cannot encode JSON: {error}")))?;
        durable::replace(&self.file(name), &bytes).converted()
    }

    /// Writes a file as JSON Lines.
    pub(super) fn write_lines<T: Serialize>(&self, name: &str, values: &[T]) -> Result<()> {
        let mut bytes = vec![];
        for value in values {
            serde_json::to_writer(&mut bytes, value)
                .map_err(|error| Error::internal(format!("cannot encode JSON: {error}")))?;
            bytes.push(b'\n');
        }
        durable::replace(&self.file(name), &bytes).converted()
    }

    /// Reads a file that [`write_lines`](Self::write_lines) wrote.
    pub(super) fn read_lines<T: for<'a> Deserialize<'a>>(&self, name: &str) -> Result<Vec<T>> {
        let path = self.file(name);
        let text = std::fs::read_to_string(&path).map_err(Error::file("read", &path))?;
        let parse = |line: &str| serde_json::from_str(line).map_err(|error| invalid(&path, &error));
        text.lines().map(parse).collect()
    }

    /// Reads a file that [`write_json`](Self::write_json) wrote.
    pub(super) fn read_json<T: for<'a> Deserialize<'a>>(&self, name: &str) -> Result<T> {
        read_json(&self.file(name))
    }

    /// The path of the directory.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

fn jobs(model: &Path) -> PathBuf {
    model.join("jobs")
}

/// The state of the newest job of the model in `model` that has one.
///
/// # Errors
/// The directory of jobs cannot be read.
pub(super) fn newest(model: &Path) -> Result<Option<JobState>> {
    Ok(directories(model)?.pop().map(|(_, state)| state))
}

/// The states of all jobs of the model in `model`, oldest first.
///
/// # Errors
/// The directory of jobs cannot be read.
pub(crate) fn states(model: &Path) -> Result<Vec<JobState>> {
    Ok(directories(model)?.into_iter().map(|(_, state)| state).collect())
}

/// The gates of a job that has been evaluated; empty before.
pub(crate) fn gates(model: &Path, job: &str) -> Vec<Gate> {
    #[derive(Deserialize)]
    struct Gates {
        gates: Vec<Gate>,
    }
    read_json(&jobs(model).join(job).join("report.json"))
        .map(|report: Gates| report.gates)
        .unwrap_or_default()
}

/// All jobs with a state, oldest first.
fn directories(model: &Path) -> Result<Vec<(PathBuf, JobState)>> {
    let jobs = jobs(model);
    if !jobs.exists() {
        return Ok(vec![]);
    }
    let entries = std::fs::read_dir(&jobs).map_err(Error::file("read", &jobs))?;
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| entry.ok().map(|entry| entry.path())).collect();
    // Names are ULIDs, so this is the order of creation.
    paths.sort();
    // A job that was killed before it wrote its first state has done nothing, so there is nothing to resume.
    let paths = paths.into_iter().filter(|path| path.join("state.json").exists());
    let state = |path: PathBuf| match read_json(&path.join("state.json")) {
        Ok(state) => Some((path, state)),
        Err(error) => {
            tracing::warn!(event = "job_unreadable", %error, "passing over a job that cannot be read");
            None
        }
    };
    Ok(paths.filter_map(state).collect())
}

fn read_json<T: for<'a> Deserialize<'a>>(path: &Path) -> Result<T> {
    let bytes = std::fs::read(path).map_err(Error::file("read", path))?;
    serde_json::from_slice(&bytes).map_err(|error| invalid(path, &error))
}

fn invalid(path: &Path, error: &serde_json::Error) -> Error {
    Error::input(format!("{}: {error}", path.display()))
}

fn prune(model: &Path) -> Result<()> {
    let finished: Vec<_> =
        directories(model)?.into_iter().filter(|(_, state)| state.stage >= JobStage::Done).collect();
    // One less, for the job that is about to be created.
    for (path, _) in finished.iter().rev().skip(KEPT_JOBS - 1) {
        std::fs::remove_dir_all(path).map_err(Error::file("remove", path))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_newest_job_is_resumed_and_only_if_it_has_not_ended() {
        let model = tempfile::tempdir().unwrap();
        assert!(JobDirectory::unfinished(model.path()).unwrap().is_none());
        let mut first = JobDirectory::create(model.path(), "v1", Value::Null).unwrap();
        first.enter(JobStage::Train).unwrap();
        first.write_lines("rows.jsonl", &[1, 2]).unwrap();
        std::fs::create_dir_all(jobs(model.path()).join("ZZZY")).unwrap();
        durable::replace(&jobs(model.path()).join("ZZZZ/state.json"), b"{").unwrap();
        let mut again = JobDirectory::unfinished(model.path()).unwrap().unwrap();
        assert_eq!((again.state.stage, &again.state.job), (JobStage::Train, &first.state.job));
        assert_eq!(again.read_lines::<i32>("rows.jsonl").unwrap(), [1, 2]);
        assert!(again.work().unwrap().is_dir());
        again.end(JobStage::Done, "over".into()).unwrap();
        assert!(JobDirectory::unfinished(model.path()).unwrap().is_none());
        assert!(!again.file("work").exists());
        assert_eq!(newest(model.path()).unwrap().unwrap().reason.as_deref(), Some("over"));
    }

    #[test]
    fn directories_of_old_jobs_are_removed() {
        let model = tempfile::tempdir().unwrap();
        for _ in 0..KEPT_JOBS + 3 {
            let mut job = JobDirectory::create(model.path(), "v1", Value::Null).unwrap();
            job.end(JobStage::Done, String::new()).unwrap();
        }
        assert_eq!(directories(model.path()).unwrap().len(), KEPT_JOBS);
    }
}
