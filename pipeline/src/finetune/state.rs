//! What a job has done so far, on disk: `models/NAME/jobs/ULID/`.
//!
//! ```text
//! state.json       how far the job is, with what it found
//! rows.jsonl       the snapshot: every labelled text, cleaned
//! skipped.jsonl    corrections that were not used, each with its reason
//! quality.json     what is wrong with the rows to learn from
//! work/            the trainer's checkpoints, until the job is done
//! report.json      everything measured, once the challenger was judged
//! report.html      the same for people
//! ```
//!
//! Contract: every file is replaced by one rename, so that a job that is killed at any moment can be taken up
//! again from its `state.json`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use chrono::Utc;
use fenliu_model::durable;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use ulid::Ulid;

use super::snapshot_summary::SnapshotSummary;
use super::split::SplitSummary;
use crate::error::{Converted, Error, Result};

/// Finished jobs whose directories are kept.
const KEPT_JOBS: usize = 10;

/// What a job does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Stage {
    /// Read corrections and replayed documents, up to fixed offsets.
    Snapshot,
    /// Set rows aside for development and test.
    Split,
    /// Look for what is wrong with the rows to learn from.
    Check,
    /// Train, export to ONNX, compare the two.
    Train,
    /// Fit temperature and thresholds on the development rows.
    Calibrate,
    /// Compare champion and challenger on the test rows; check the gates.
    Evaluate,
    /// Make the challenger a version.
    Publish,
    /// Move the aliases.
    Promote,
    /// Nothing: the job has its verdict.
    Done,
    /// Nothing: the job could not go on.
    Failed,
}

impl Stage {
    /// The word in `state.json`.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Stage::Snapshot => "snapshot",
            Stage::Split => "split",
            Stage::Check => "check",
            Stage::Train => "train",
            Stage::Calibrate => "calibrate",
            Stage::Evaluate => "evaluate",
            Stage::Publish => "publish",
            Stage::Promote => "promote",
            Stage::Done => "done",
            Stage::Failed => "failed",
        }
    }
}

/// How a job ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Verdict {
    /// The challenger passed all gates and is champion.
    Promoted,
    /// The challenger passed all gates and waits for a person to promote it.
    Challenger,
    /// The challenger failed a gate.
    Refused,
    /// There were no corrections that the last job had not seen.
    Unchanged,
}

impl Verdict {
    /// The word in JSON.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Verdict::Promoted => "promoted",
            Verdict::Challenger => "challenger",
            Verdict::Refused => "refused",
            Verdict::Unchanged => "unchanged",
        }
    }
}

/// `state.json`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct JobState {
    /// ULID of the job.
    pub job: String,
    /// What it does next.
    pub stage: Stage,
    /// Version that training starts from and that the challenger is compared with.
    pub base: String,
    /// What the job was told; a job that was told something else does not take this one up.
    pub settings: Value,
    /// RFC 3339, UTC.
    pub started_at: String,
    /// RFC 3339, UTC.
    pub updated_at: String,
    /// How often the job was taken up again after its process had ended.
    pub resumes: usize,
    /// Seconds spent in each stage, those before an interruption not counted.
    pub seconds: BTreeMap<String, f64>,
    /// What the snapshot holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<SnapshotSummary>,
    /// How its rows were split.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub split: Option<SplitSummary>,
    /// Version of the challenger, once it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// How the job ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Verdict>,
    /// Why it ended so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A job's directory and its state.
#[derive(Debug)]
pub(super) struct JobDirectory {
    path: PathBuf,
    /// The state as it is on disk, but for changes since the last [`save`](Self::save).
    pub(super) state: JobState,
}

impl JobDirectory {
    /// Starts a job of the model in `model`; directories of old jobs go.
    pub(super) fn create(model: &Path, base: &str, settings: Value) -> Result<Self> {
        prune(model)?;
        let (job, now) = (Ulid::generate().to_string(), Utc::now().to_rfc3339());
        let path = jobs(model).join(&job);
        let state = JobState {
            job,
            stage: Stage::Snapshot,
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

    /// The newest job of the model in `model`, if its process ended before its verdict.
    pub(super) fn unfinished(model: &Path) -> Result<Option<Self>> {
        let newest = directories(model)?.pop();
        let Some((path, state)) = newest else { return Ok(None) };
        Ok((state.stage < Stage::Done).then_some(JobDirectory { path, state }))
    }

    /// A file of the job.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// The directory of the trainer's checkpoints; made when missing.
    pub(super) fn work(&self) -> Result<PathBuf> {
        let work = self.file("work");
        std::fs::create_dir_all(&work).map_err(Error::file("create directory", &work))?;
        Ok(work)
    }

    /// Goes on to `stage`.
    pub(super) fn enter(&mut self, stage: Stage) -> Result<()> {
        self.state.stage = stage;
        self.save()
    }

    /// Ends the job: nothing is left to take up.
    pub(super) fn end(&mut self, stage: Stage, reason: String) -> Result<()> {
        self.state.reason = Some(reason);
        self.enter(stage)?;
        match std::fs::remove_dir_all(self.file("work")) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(Error::file("remove", self.file("work"))(error))
            }
            _ => Ok(()),
        }
    }

    /// Brings the state to disk.
    pub(super) fn save(&mut self) -> Result<()> {
        self.state.updated_at = Utc::now().to_rfc3339();
        self.write_json("state.json", &self.state)
    }

    /// Brings a file to disk as JSON.
    pub(super) fn write_json(&self, name: &str, value: &impl Serialize) -> Result<()> {
        let bytes = serde_json::to_vec_pretty(value)
            .map_err(|error| Error::internal(format!("cannot encode JSON: {error}")))?;
        durable::replace(&self.file(name), &bytes).converted()
    }

    /// Brings a file to disk as JSON Lines.
    pub(super) fn write_lines<T: Serialize>(&self, name: &str, values: &[T]) -> Result<()> {
        let mut bytes = vec![];
        for value in values {
            serde_json::to_writer(&mut bytes, value)
                .map_err(|error| Error::internal(format!("cannot encode JSON: {error}")))?;
            bytes.push(b'\n');
        }
        durable::replace(&self.file(name), &bytes).converted()
    }

    /// Reads back what [`write_lines`](Self::write_lines) wrote.
    pub(super) fn read_lines<T: for<'a> Deserialize<'a>>(&self, name: &str) -> Result<Vec<T>> {
        let path = self.file(name);
        let text = std::fs::read_to_string(&path).map_err(Error::file("read", &path))?;
        let parse = |line: &str| serde_json::from_str(line).map_err(|error| invalid(&path, &error));
        text.lines().map(parse).collect()
    }

    /// Reads back what [`write_json`](Self::write_json) wrote.
    pub(super) fn read_json<T: for<'a> Deserialize<'a>>(&self, name: &str) -> Result<T> {
        read_json(&self.file(name))
    }

    /// The directory.
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
/// A directory or state that cannot be read.
pub(super) fn newest(model: &Path) -> Result<Option<JobState>> {
    Ok(directories(model)?.pop().map(|(_, state)| state))
}

/// All jobs with a state, oldest first.
fn directories(model: &Path) -> Result<Vec<(PathBuf, JobState)>> {
    let jobs = jobs(model);
    if !jobs.exists() {
        return Ok(vec![]);
    }
    let entries = std::fs::read_dir(&jobs).map_err(Error::file("read", &jobs))?;
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| entry.ok().map(|entry| entry.path())).collect();
    paths.sort();
    // A job that was killed before its first state has done nothing.
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
        directories(model)?.into_iter().filter(|(_, state)| state.stage >= Stage::Done).collect();
    for (path, _) in finished.iter().rev().skip(KEPT_JOBS - 1) {
        std::fs::remove_dir_all(path).map_err(Error::file("remove", path))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_newest_job_without_a_verdict_is_taken_up() {
        let model = tempfile::tempdir().unwrap();
        assert!(JobDirectory::unfinished(model.path()).unwrap().is_none());
        let mut first = JobDirectory::create(model.path(), "v1", Value::Null).unwrap();
        first.enter(Stage::Train).unwrap();
        first.write_lines("rows.jsonl", &[1, 2]).unwrap();
        std::fs::create_dir_all(jobs(model.path()).join("ZZZY")).unwrap();
        durable::replace(&jobs(model.path()).join("ZZZZ/state.json"), b"{").unwrap();
        let mut again = JobDirectory::unfinished(model.path()).unwrap().unwrap();
        assert_eq!((again.state.stage, &again.state.job), (Stage::Train, &first.state.job));
        assert_eq!(again.read_lines::<i32>("rows.jsonl").unwrap(), [1, 2]);
        assert!(again.work().unwrap().is_dir());
        again.end(Stage::Done, "over".into()).unwrap();
        assert!(JobDirectory::unfinished(model.path()).unwrap().is_none());
        assert!(!again.file("work").exists());
        assert_eq!(newest(model.path()).unwrap().unwrap().reason.as_deref(), Some("over"));
    }

    #[test]
    fn old_jobs_make_room() {
        let model = tempfile::tempdir().unwrap();
        for _ in 0..KEPT_JOBS + 3 {
            let mut job = JobDirectory::create(model.path(), "v1", Value::Null).unwrap();
            job.end(Stage::Done, String::new()).unwrap();
        }
        assert_eq!(directories(model.path()).unwrap().len(), KEPT_JOBS);
    }
}
