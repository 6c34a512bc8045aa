//! The summary of a run, for people (as text) and for programs (as JSON).

use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};

use fenliu_model::{Device, DriftStatus};
use serde::Serialize;

use crate::metrics::{Counts, ServingCounts, ShadowCounts};
use crate::serve::Generation;
use crate::telemetry::Telemetry;

/// The result of one run.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Summary {
    /// Number of documents read.
    pub documents: u64,
    /// Number of documents labelled; without a model, of those written without a label.
    pub labelled: u64,
    /// Number of dead letters by reason.
    pub dead_letters: BTreeMap<String, u64>,
    /// Time from the first document to the last write, seconds.
    pub seconds: f64,
    /// Documents per second over that time.
    pub docs_per_s: f64,
    /// Share of that time during which each stage worked, in data-flow order.
    pub busy: Vec<StageBusy>,
    /// From reception to the sinks: median, milliseconds.
    pub latency_p50_ms: u64,
    /// From reception to the sinks: 99th percentile, milliseconds.
    pub latency_p99_ms: u64,
    /// Epochs committed.
    pub epochs: u64,
    /// Name and version of the model in use at the end; `None` without a model.
    pub model: Option<String>,
    /// The device that the model runs on: `cpu` or `cuda`.
    pub device: Option<Device>,
    /// Number of documents labelled by each version.
    pub versions: BTreeMap<String, u64>,
    /// Number of documents whose label should not be trusted.
    pub abstained: u64,
    /// How often the model in use was replaced, and how often that failed.
    pub serving: ServingCounts,
    /// The comparison of the challenger with the model in use.
    pub shadow: ShadowCounts,
    /// How much the newest documents differ from those that the model was evaluated on.
    pub drift: DriftStatus,
    /// Share of the documents with a label of their own to which the model gave the same label; absent if there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accuracy: Option<f64>,
    /// Number of documents that `accuracy` is based on.
    pub with_source_label: u64,
    /// Further metrics that the table of metrics marks for the summary, if they are above zero.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub others: BTreeMap<&'static str, f64>,
}

/// How busy one stage was.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct StageBusy {
    /// The stage.
    pub stage: String,
    /// Share of the run's time.
    pub share: f64,
}

impl Summary {
    /// Sums up what was counted, with the model in use at the end. The stages are those of `telemetry`.
    pub(crate) fn new(counts: &Counts, telemetry: &Telemetry, model: Option<&Generation>) -> Self {
        let seconds = counts.elapsed().as_secs_f64();
        let per_second = |value: f64| if seconds > 0.0 { value / seconds } else { 0.0 };
        let share = |stage: &str| per_second(telemetry.metrics.stage_busy.with(&[stage]).get().as_secs_f64());
        let stages = telemetry.stages().into_iter();
        let busy = stages.map(|stage| StageBusy { share: share(&stage.name), stage: stage.name }).collect();
        let with_source_label = counts.with_source_label;
        Summary {
            documents: counts.documents(),
            labelled: counts.labelled,
            dead_letters: counts.dead_letters.clone(),
            seconds,
            docs_per_s: per_second(counts.documents() as f64),
            busy,
            latency_p50_ms: counts.latency_p50_ms,
            latency_p99_ms: counts.latency_p99_ms,
            epochs: counts.epochs,
            model: model.map(Generation::title),
            device: model.map(Generation::device),
            versions: counts.versions.clone(),
            abstained: counts.abstained,
            serving: counts.serving.clone(),
            shadow: counts.shadow,
            drift: counts.drift.clone(),
            accuracy: (with_source_label > 0).then(|| counts.agreeing as f64 / with_source_label as f64),
            with_source_label,
            others: counts.others.clone(),
        }
    }
}

impl Display for Summary {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let rejected = self.documents - self.labelled;
        writeln!(
            f,
            "  documents     {} in {:.1} s = {:.0} a second",
            self.documents, self.seconds, self.docs_per_s
        )?;
        let what = if self.model.is_some() { "labelled" } else { "written " };
        write!(f, "  {what}      {}", self.labelled)?;
        writeln!(f, ", dead letters {rejected}{}", Reasons(&self.dead_letters))?;
        if let Some(accuracy) = self.accuracy {
            writeln!(
                f,
                "  accuracy      {accuracy:.4} over {} documents that had a label",
                self.with_source_label
            )?;
        }
        writeln!(
            f,
            "  latency       median {} ms, 99 % within {} ms",
            self.latency_p50_ms, self.latency_p99_ms
        )?;
        let busy: Vec<_> =
            self.busy.iter().map(|b| format!("{} {:.0} %", b.stage, 100.0 * b.share)).collect();
        writeln!(f, "  busy          {}", busy.join(", "))?;
        for (words, value) in &self.others {
            writeln!(f, "  {words:<13} {value}")?;
        }
        self.write_model(f)
    }
}

impl Summary {
    /// Writes the lines about the model; those about swaps, rollbacks, a challenger or drift only if there were any.
    fn write_model(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (Some(model), Some(device)) = (&self.model, self.device) else {
            return write!(f, "  model         none");
        };
        write!(f, "  model         {model}")?;
        if device != Device::Cpu {
            write!(f, " on {device}")?;
        }
        let serving = &self.serving;
        if serving.swaps > 0 {
            let labelled: Vec<_> =
                self.versions.iter().map(|(version, rows)| format!("{version} labelled {rows}")).collect();
            write!(f, "\n  swaps         {}: {}", serving.swaps, labelled.join(", "))?;
        }
        if let Some(reason) = &serving.last_rollback {
            write!(f, "\n  rolled back   {} times, last {reason}", serving.rollbacks)?;
        }
        if let Some(reason) = &serving.last_reload_failure {
            write!(f, "\n  not loaded    {} times, last {reason}", serving.reload_failures)?;
        }
        if self.abstained > 0 {
            write!(f, "\n  not trusted   {} labels", self.abstained)?;
        }
        let shadow = self.shadow;
        if shadow.compared + shadow.dropped > 0 {
            let (compared, disagreeing, dropped) = (shadow.compared, shadow.disagreeing, shadow.dropped);
            write!(f, "\n  challenger    differs on {disagreeing} of {compared}, {dropped} left out")?;
        }
        for signal in self.drift.signals.iter().filter(|signal| signal.drifting) {
            write!(f, "\n  drift         {}: index {:.2}", signal.signal.name(), signal.psi)?;
        }
        Ok(())
    }
}

struct Reasons<'a>(&'a BTreeMap<String, u64>);

impl Display for Reasons<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return Ok(());
        }
        let reasons: Vec<_> = self.0.iter().map(|(reason, count)| format!("{reason} {count}")).collect();
        write!(f, " ({})", reasons.join(", "))
    }
}
