//! What may be seen of a running pipeline from outside: its metrics, how far its partitions are, its stages and sinks, and
//! its health.
//!
//! One value lives as long as the process. Stages come and go with each attempt of [`run`](crate::run::run); what they
//! count stays. Readers take snapshots, and never a lock that a stage holds while it works.

pub(crate) mod health;
pub(crate) mod process;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use chrono::{DateTime, Utc};
use fenliu_connectors::{Meter, Shutdown};
use fenliu_engine::batch::Budget;
use fenliu_engine::metrics::{By, Counter, Format, Metrics};
use fenliu_engine::progress::Progress;
use parking_lot::Mutex;

/// Most batches that wait between two stages. Two would keep a stage busy, one in work and one ready; the others even out
/// batches that take different times. Their bytes are bounded by the memory budget.
pub(crate) const QUEUED_BATCHES: usize = 4;

/// The state of a process that others may see.
#[derive(Debug)]
pub(crate) struct Telemetry {
    /// Everything that is counted.
    pub(crate) metrics: Arc<Metrics>,
    /// How far the partitions are.
    pub(crate) progress: Arc<Progress>,
    /// When the process began.
    pub(crate) started_at: DateTime<Utc>,
    stages: Mutex<Vec<Stage>>,
    sinks: Mutex<BTreeMap<String, SinkState>>,
    phase: Mutex<Phase>,
    /// Whether the source has to be given partitions before it can read.
    awaits_assignment: AtomicBool,
    budget: Mutex<Option<Budget>>,
    shutdown: Mutex<Option<Shutdown>>,
}

/// What the process is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Phase {
    /// It opens the model and the sinks, or begins again after it has lost its partitions.
    #[default]
    Starting,
    /// Its stages run.
    Running,
    /// A stop was requested, or its input has ended.
    Stopping,
}

/// A stage and its meter.
#[derive(Clone, Debug)]
pub(crate) struct Stage {
    /// Its name.
    pub(crate) name: String,
    /// What it does.
    pub(crate) meter: Arc<Meter>,
}

/// What is known of a sink beside its metrics.
#[derive(Clone, Debug, Default)]
pub(crate) struct SinkState {
    /// Since when its commits fail; `None` while they do not.
    pub(crate) failing_since: Option<DateTime<Utc>>,
    /// Why the last failed commit failed.
    pub(crate) last_error: Option<String>,
}

/// The metrics, with the series whose labels are a closed set at zero: the growth of a counter is seen from its second value
/// on only.
fn metrics() -> Arc<Metrics> {
    let metrics = Metrics::default();
    let closed: [(&By<Counter>, &[&str]); 5] = [
        (&metrics.corrections, &["confirmed", "changed", "withdrawn"]),
        (&metrics.audits, &["right", "wrong"]),
        (&metrics.finetune_jobs, &["promoted", "challenger", "refused", "unchanged", "failed"]),
        (&metrics.restarts, &["lost", "fenced"]),
        (&metrics.shadow_documents, &["agreeing", "disagreeing", "dropped"]),
    ];
    for (metric, values) in closed {
        values.iter().for_each(|value| metric.with(&[value]).add(0));
    }
    Arc::new(metrics)
}

impl Default for Telemetry {
    fn default() -> Self {
        Telemetry {
            metrics: metrics(),
            progress: Arc::default(),
            started_at: Utc::now(),
            stages: Mutex::default(),
            sinks: Mutex::default(),
            phase: Mutex::default(),
            awaits_assignment: AtomicBool::new(false),
            budget: Mutex::default(),
            shutdown: Mutex::default(),
        }
    }
}

impl Telemetry {
    /// Forgets the stages of an earlier attempt.
    pub(crate) fn begin(&self) {
        self.stages.lock().clear();
        self.set_phase(Phase::Starting);
    }

    /// The meter of a stage that is about to start.
    pub(crate) fn stage(&self, name: &str) -> Arc<Meter> {
        let meter = Arc::new(Meter::new(&self.metrics, name));
        self.stages.lock().push(Stage { name: name.into(), meter: Arc::clone(&meter) });
        meter
    }

    /// The stages that were started last, in the order of their start.
    pub(crate) fn stages(&self) -> Vec<Stage> {
        self.stages.lock().clone()
    }

    pub(crate) fn set_phase(&self, phase: Phase) {
        *self.phase.lock() = phase;
    }

    pub(crate) fn phase(&self) -> Phase {
        let is_stopping = self.shutdown.lock().as_ref().is_some_and(Shutdown::is_requested);
        if is_stopping { Phase::Stopping } else { *self.phase.lock() }
    }

    /// The process stops when this is requested.
    pub(crate) fn heed(&self, shutdown: &Shutdown) {
        *self.shutdown.lock() = Some(shutdown.clone());
    }

    /// The source reads nothing before the consumer group gives it partitions.
    pub(crate) fn await_assignment(&self) {
        self.awaits_assignment.store(true, Ordering::Relaxed);
    }

    /// Whether the source can read: it has been given partitions, possibly none, or needs none.
    pub(crate) fn can_read(&self) -> bool {
        !self.awaits_assignment.load(Ordering::Relaxed) || self.metrics.rebalances.get() > 0
    }

    /// Uses the memory budget of the stages that are about to start.
    pub(crate) fn watch(&self, budget: Budget) {
        self.metrics.memory_budget.set(budget.total() as f64);
        *self.budget.lock() = Some(budget);
    }

    /// A sink was opened. Its series begin here: an alert compares them with the time, and a rate with their first value.
    pub(crate) fn sink_opened(&self, sink: &str) {
        for outcome in ["committed", "failed"] {
            self.metrics.sink_commits.with(&[sink, outcome]).add(0);
        }
        self.metrics.sink_failing.with(&[sink]).set(0.0);
        self.metrics.sink_pending.with(&[sink]).set(0.0);
        self.metrics.sink_last_commit.with(&[sink]).set(unix_seconds());
    }

    /// A commit of a sink has failed.
    pub(crate) fn sink_failed(&self, sink: &str, error: String) {
        let mut sinks = self.sinks.lock();
        let state = sinks.entry(sink.into()).or_default();
        state.failing_since.get_or_insert_with(Utc::now);
        state.last_error = Some(error);
        self.metrics.sink_failing.with(&[sink]).set(1.0);
    }

    /// A commit of a sink has succeeded.
    pub(crate) fn sink_committed(&self, sink: &str) {
        self.sinks.lock().entry(sink.into()).or_default().failing_since = None;
        self.metrics.sink_failing.with(&[sink]).set(0.0);
        self.metrics.sink_last_commit.with(&[sink]).set(unix_seconds());
    }

    /// The sinks that have committed or failed, by name.
    pub(crate) fn sinks(&self) -> BTreeMap<String, SinkState> {
        self.sinks.lock().clone()
    }

    /// Sets the gauges that are not written by the stages themselves.
    pub(crate) fn sample(&self) {
        let budget = self.budget.lock().clone();
        self.metrics.memory_used.set(budget.map_or(0.0, |budget| budget.used() as f64));
        self.progress.publish(&self.metrics, Utc::now().timestamp_millis());
        for (name, batches) in queues(&self.stages()) {
            self.metrics.queue_batches.with(&[&name]).set(batches as f64);
        }
    }

    /// All metrics as text: those of the pipeline, then those of the process.
    pub(crate) fn metrics_text(&self, format: Format) -> String {
        self.sample();
        let mut text = self.metrics.to_text(format);
        process::write(&mut text, self.started_at, format);
        text
    }
}

/// How many batches wait before each stage that takes them from the stage before it.
pub(crate) fn queues(stages: &[Stage]) -> Vec<(String, u64)> {
    // A chain from the source on. Sinks come before `write` in this list, and have queues of their own.
    let chain = stages.iter().filter(|stage| !is_sink(&stage.name));
    let chain: Vec<&Stage> = chain.collect();
    // A batch that is handed on counts there a moment later than it is taken here.
    let waiting = |pair: &[&Stage]| pair[0].meter.handed_on().saturating_sub(pair[1].meter.taken());
    chain.windows(2).map(|pair| (pair[1].name.clone(), waiting(pair))).collect()
}

/// Whether a stage is the thread of a sink.
pub(crate) fn is_sink(stage: &str) -> bool {
    stage.starts_with("sink")
}

/// Now, as a Unix time in seconds.
fn unix_seconds() -> f64 {
    Utc::now().timestamp_millis() as f64 / 1000.0
}
