//! The fine-tuning jobs that the page starts, each in a process of its own, one at a time.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use fenliu_model::Registry;
use parking_lot::Mutex;
use serde_json::{Value, json};

use super::problem::{Answer, Problem};
use crate::error::Error;
use crate::finetune::{JobCommand, JobState, job_gates, job_states};

/// Lines of a job's log that are kept.
const LOG: usize = 200;

/// Starts jobs and watches those that it has started.
pub(super) struct Jobs {
    registry: Registry,
    command: JobCommand,
    running: Mutex<Option<Child>>,
    log: Arc<Mutex<VecDeque<String>>>,
}

impl Jobs {
    pub(super) fn new(registry: &Registry, command: &JobCommand) -> Self {
        Jobs {
            registry: registry.clone(),
            command: command.clone(),
            running: Mutex::new(None),
            log: Arc::default(),
        }
    }

    /// The states of all jobs of the model, oldest first.
    pub(super) fn states(&self) -> Answer<Vec<JobState>> {
        Ok(job_states(self.registry.path())?)
    }

    /// Whether a job that was started here still runs.
    pub(super) fn is_running(&self) -> bool {
        let mut running = self.running.lock();
        if running.as_mut().is_some_and(|child| !matches!(child.try_wait(), Ok(None))) {
            *running = None;
        }
        running.is_some()
    }

    pub(super) fn start(&self) -> Answer<()> {
        if self.is_running() {
            return Err(Problem::conflict("a job runs already"));
        }
        self.log.lock().clear();
        let model = self.registry.path().to_string_lossy().into_owned();
        let child = Command::new(&self.command.program)
            .arg("finetune")
            .args(&self.command.arguments)
            .args(["--model", &model])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn();
        let mut child = child.map_err(|error| Error::unavailable(format!("cannot start a job: {error}")))?;
        if let Some(output) = child.stderr.take() {
            let log = Arc::clone(&self.log);
            // It ends with the job, which closes its output.
            std::thread::spawn(move || {
                for line in BufReader::new(output).lines().map_while(Result::ok) {
                    let mut log = log.lock();
                    log.push_back(line);
                    if log.len() > LOG {
                        log.pop_front();
                    }
                }
            });
        }
        *self.running.lock() = Some(child);
        Ok(())
    }

    pub(super) fn shown(&self, state: &JobState, is_running: bool) -> Value {
        let outcome = match (state.verdict, state.is_over(), is_running) {
            (Some(verdict), ..) => verdict.as_str(),
            (None, true, _) => "failed",
            (None, false, true) => "running",
            (None, false, false) => "interrupted",
        };
        let is_over = state.is_over();
        let log: Vec<String> = if is_running { self.log.lock().iter().cloned().collect() } else { vec![] };
        json!({
            "id": state.job,
            "state": outcome,
            "started_at": state.started_at,
            "ended_at": is_over.then_some(&state.updated_at),
            "stage": state.stage.as_str(),
            "progress": state.progress(),
            "verdict": state.verdict.map(|verdict| verdict.as_str()),
            "reason": state.reason,
            "gates": job_gates(self.registry.path(), &state.job),
            "version": state.version,
            "log": log,
        })
    }
}

impl Drop for Jobs {
    /// Kills the running job. This is safe at any moment: the next job with the same settings resumes it.
    fn drop(&mut self) {
        if let Some(mut child) = self.running.lock().take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
