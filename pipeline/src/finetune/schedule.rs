//! Starts fine-tuning jobs within `fenliu run`: at scheduled times, after enough new corrections, or on drift.
//!
//! A job runs in a process of its own with lower priority and fewer threads, so that serving keeps its latency and
//! survives a job that fails. There is at most one job at a time. It is killed when the pipeline ends, and the next run
//! resumes it. A version that a job promotes is put in use like any other, because `run` follows the champion.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use croner::Cron;
use fenliu_connectors::KafkaConfig;
use fenliu_connectors::kafka::Ends;
use fenliu_model::Registry;

use super::feedback::{Collected, read_files, reader};
use super::state::{self, JobDirectory, JobStage, JobState, JobVerdict};
use crate::background::Background;
use crate::config::parse_schedule;
use crate::config::{Config, FinetuneConfig};
use crate::error::{Converted, Error, Result};
use crate::metrics::Counters;

/// How often the time, drift and the running job are checked.
const TICK: Duration = Duration::from_millis(500);

/// How often corrections are counted.
const COUNT_EVERY: Duration = Duration::from_secs(10);

/// The beginning of the command line of a job: the program, and the options that pass it this configuration.
#[derive(Clone, Debug, Default)]
pub(crate) struct JobCommand {
    /// The program; `fenliu` itself.
    pub program: PathBuf,
    /// Options such as `-c FILE`.
    pub arguments: Vec<String>,
}

/// Starts jobs until it is dropped; a running job then ends with it.
#[derive(Debug)]
pub(crate) struct Schedule {
    _thread: Background,
}

impl Schedule {
    /// Watches clock, corrections and drift, if the configuration asks for it.
    ///
    /// # Errors
    /// The cron expression is invalid, `model.bundle` is not a directory of versions, or the thread cannot be started.
    pub(crate) fn start(config: &Config, command: JobCommand, counters: Counters) -> Result<Option<Self>> {
        let job = &config.finetune;
        if !job.is_scheduled() {
            return Ok(None);
        }
        let (registry, _) = Registry::find(&config.model.bundle).converted()?;
        let mut scheduler = Scheduler {
            triggers: Triggers::try_new(job)?,
            config: job.clone(),
            kafka: config.kafka.clone(),
            model: registry.path().to_path_buf(),
            command,
            counters,
            running: None,
            counted: None,
        };
        let thread = Background::spawn("finetune", move |stop| {
            // At once, and not when the next trigger comes.
            scheduler.take_up();
            while stop.pause(TICK) {
                scheduler.tick();
            }
            scheduler.end_job();
        })?;
        Ok(Some(Schedule { _thread: thread }))
    }
}

/// Decides when a job is due. The current time is passed in, so that tests can control it.
struct Triggers {
    cron: Option<Cron>,
    next: Option<DateTime<Utc>>,
    min_new_labels: u64,
    on_drift: bool,
    min_interval: Duration,
    last_triggered: Option<Instant>,
}

impl Triggers {
    fn try_new(job: &FinetuneConfig) -> Result<Self> {
        let cron = match job.schedule.as_str() {
            "" => None,
            text => Some(parse_schedule(text).map_err(Error::usage)?),
        };
        let mut triggers = Triggers {
            cron,
            next: None,
            min_new_labels: job.min_new_labels,
            on_drift: job.on_drift,
            min_interval: job.min_interval,
            last_triggered: None,
        };
        triggers.wind_up(Utc::now());
        Ok(triggers)
    }

    fn wind_up(&mut self, now: DateTime<Utc>) {
        self.next = self.cron.as_ref().and_then(|cron| cron.find_next_occurrence(&now, false).ok());
    }

    /// Why a job is due at `now`; `None` if none is. Of several scheduled times that have passed, only one starts a job.
    fn due(
        &mut self,
        now: DateTime<Utc>,
        new_labels: Option<u64>,
        is_drifting: bool,
    ) -> Option<&'static str> {
        if self.next.is_some_and(|next| next <= now) {
            self.wind_up(now);
            return Some("schedule");
        }
        let is_early = self.last_triggered.is_some_and(|last| last.elapsed() < self.min_interval);
        let has_labels =
            self.min_new_labels > 0 && new_labels.is_some_and(|labels| labels >= self.min_new_labels);
        let why = match (has_labels, self.on_drift && is_drifting) {
            (true, _) => "new labels",
            (_, true) => "drift",
            _ => return None,
        };
        // Only corrections and drift wait for the interval; a scheduled time has been handled above.
        if is_early {
            return None;
        }
        self.last_triggered = Some(Instant::now());
        Some(why)
    }
}

/// The thread's state.
struct Scheduler {
    triggers: Triggers,
    config: FinetuneConfig,
    kafka: KafkaConfig,
    model: PathBuf,
    command: JobCommand,
    counters: Counters,
    running: Option<Child>,
    counted: Option<Instant>,
}

impl Scheduler {
    /// Resumes a job that an earlier run left unfinished.
    fn take_up(&mut self) {
        if matches!(JobDirectory::unfinished(&self.model), Ok(Some(_))) {
            self.start_job("an interrupted job");
        }
    }

    fn tick(&mut self) {
        if let Some(child) = &mut self.running {
            match child.try_wait() {
                Ok(None) => return,
                Ok(Some(status)) => self.report(status),
                Err(error) => {
                    tracing::warn!(
                        event = "fine_tuning_unknown_end",
                        %error,
                        "cannot determine how the fine-tuning job ended"
                    );
                }
            }
            self.counters.metrics.finetune_running.set(0.0);
            self.running = None;
        }
        let new_labels = self.new_labels();
        if let Some(new_labels) = new_labels {
            self.counters.metrics.corrections_pending.set(new_labels as f64);
        }
        let is_drifting = self.counters.snapshot().drift.is_drifting();
        if let Some(why) = self.triggers.due(Utc::now(), new_labels, is_drifting) {
            self.start_job(why);
        }
    }

    fn start_job(&mut self, why: &str) {
        tracing::info!(event = "fine_tuning_started", why, "starting a fine-tuning job");
        let threads = match self.config.threads {
            // Half of the cores; the others are left to serving.
            0 => std::thread::available_parallelism().map_or(1, |cores| (cores.get() / 2).max(1)),
            threads => threads,
        };
        let child = Command::new(&self.command.program)
            .arg("finetune")
            .args(&self.command.arguments)
            .args(["--model", &self.model.to_string_lossy(), "--threads", &threads.to_string()])
            // Drift and corrections can persist although there is nothing new to learn from.
            .args(["--only-if-new", "--quiet"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn();
        match child {
            Ok(child) => {
                self.counters.metrics.finetune_running.set(1.0);
                self.running = Some(child);
            }
            Err(error) => {
                tracing::warn!(event = "fine_tuning_not_started", %error, "cannot start the fine-tuning job");
            }
        }
    }

    /// Logs how the job ended. The reason of a failure is not repeated, because the job has written it to standard error,
    /// which it shares with this process.
    fn report(&self, status: ExitStatus) {
        match state::newest(&self.model) {
            Ok(Some(JobState { job, stage: JobStage::Done, verdict, reason, .. })) if status.success() => {
                let (verdict, reason) =
                    (verdict.map_or("none", JobVerdict::as_str), reason.unwrap_or_default());
                self.counters.metrics.finetune_jobs.with(&[verdict]).add(1);
                self.counters.metrics.finetune_last_success.set(Utc::now().timestamp() as f64);
                tracing::info!(event = "fine_tuning_ended", verdict, job, reason, "fine-tuning job ended");
            }
            _ => {
                self.counters.metrics.finetune_jobs.with(&["failed"]).add(1);
                tracing::warn!(event = "fine_tuning_failed", %status, "fine-tuning job failed");
            }
        }
    }

    /// Kills the running job. This is safe at any moment: the next job with the same settings resumes it.
    fn end_job(&mut self) {
        if let Some(mut child) = self.running.take() {
            tracing::info!(
                event = "fine_tuning_interrupted",
                "ending the fine-tuning job: it goes on with the next"
            );
            // Errors mean that the job has ended by itself. `wait` keeps it from staying a zombie.
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// The number of corrections that the last job has not seen; `None` if it is too early to count again, or if counting
    /// failed.
    fn new_labels(&mut self) -> Option<u64> {
        if self.config.min_new_labels == 0 || self.counted.is_some_and(|at| at.elapsed() < COUNT_EVERY) {
            return None;
        }
        self.counted = Some(Instant::now());
        match count_new(&self.config, &self.kafka, &self.model) {
            Ok(count) => Some(count),
            Err(error) => {
                tracing::warn!(event = "corrections_uncounted", %error, "cannot count new corrections");
                None
            }
        }
    }
}

/// Counts corrections, including invalid ones, that were added since the last snapshot.
fn count_new(config: &FinetuneConfig, kafka: &KafkaConfig, model: &Path) -> Result<u64> {
    let feedback = &config.feedback;
    let mut files = Collected::default();
    read_files(&feedback.paths, &mut files)?;
    let in_files = (files.corrections.len() + files.skipped.len()) as u64;
    let topic = match feedback.topic.as_str() {
        "" => Ends::new(),
        topic => reader(kafka, topic)?.ends()?,
    };
    let last = state::newest(model)?.and_then(|JobState { snapshot, .. }| snapshot).unwrap_or_default();
    // `seen` counts both kinds; what did not come from the topic came from files.
    let seen_in_topic: i64 = last.ends.values().map(|(first, next)| next - first).sum();
    let seen_in_files = last.seen.saturating_sub(u64::try_from(seen_in_topic).unwrap_or_default());
    let beyond = |(partition, (first, next)): (&i32, &(i64, i64))| {
        // A partition that the last job did not know is new as a whole.
        let from = last.ends.get(partition).map_or(*first, |(_, seen)| *seen);
        u64::try_from(next - from).unwrap_or_default()
    };
    Ok(topic.iter().map(beyond).sum::<u64>() + in_files.saturating_sub(seen_in_files))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn triggers(config: &FinetuneConfig) -> Triggers {
        Triggers::try_new(config).unwrap()
    }

    #[test]
    fn each_scheduled_time_starts_one_job_and_missed_times_only_one() {
        let mut triggers =
            triggers(&FinetuneConfig { schedule: "0 4 * * *".into(), ..FinetuneConfig::default() });
        let at = |text: &str| text.parse::<DateTime<Utc>>().unwrap();
        triggers.wind_up(at("2026-01-01T00:00:00Z"));
        assert_eq!(triggers.due(at("2026-01-01T03:59:59Z"), None, true), None);
        assert_eq!(triggers.due(at("2026-01-01T04:00:00Z"), None, false), Some("schedule"));
        assert_eq!(triggers.due(at("2026-01-01T04:00:01Z"), None, false), None);
        assert_eq!(
            triggers.due(at("2026-01-05T12:00:00Z"), None, false),
            Some("schedule"),
            "once, not four times"
        );
        assert_eq!(triggers.due(at("2026-01-06T03:00:00Z"), None, false), None);
    }

    #[test]
    fn labels_and_drift_start_a_job_but_not_two_within_the_shortest_interval() {
        let config = FinetuneConfig { min_new_labels: 10, on_drift: true, ..FinetuneConfig::default() };
        let now = Utc::now();
        let mut eager = triggers(&FinetuneConfig { min_interval: Duration::ZERO, ..config.clone() });
        assert_eq!(eager.due(now, Some(9), false), None);
        assert_eq!(eager.due(now, Some(10), false), Some("new labels"));
        assert_eq!(eager.due(now, None, true), Some("drift"));
        let mut patient = triggers(&config);
        assert_eq!(patient.due(now, Some(10), false), Some("new labels"));
        assert_eq!(patient.due(now, Some(10), true), None, "within the hour");
    }

    #[test]
    fn a_bad_schedule_is_refused() {
        for text in ["4 o'clock", "61 * * * *", "* * *"] {
            assert!(parse_schedule(text).is_err(), "{text}");
        }
    }
}
