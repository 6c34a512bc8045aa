//! Counts what a running pipeline has done so far. Counting happens once per batch, never per document.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use arrow::array::{Array, AsArray, RecordBatch};
use fenliu_model::DriftStatus;
use hdrhistogram::Histogram;
use serde::Serialize;

use fenliu_engine::batch::Batch;
use fenliu_schemas::text_column;

/// Latencies up to an hour are told apart, in milliseconds, to two digits.
const MAX_LATENCY_MS: u64 = 3_600_000;

/// Counters shared by the writing stage and whoever reports.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counters {
    counts: Arc<Mutex<Counts>>,
}

/// A snapshot of the counters.
#[derive(Clone, Debug)]
pub(crate) struct Counts {
    /// Number of labelled documents that were handed to the sinks.
    pub labelled: u64,
    /// Dead letters by reason.
    pub dead_letters: BTreeMap<String, u64>,
    /// Number of labelled documents that came with a label of their own.
    pub with_source_label: u64,
    /// Number of those to which the model gave the same label.
    pub agreeing: u64,
    /// Labelled documents whose label should not be trusted.
    pub abstained: u64,
    /// Labelled documents by the version that labelled them.
    pub versions: BTreeMap<String, u64>,
    /// How much the newest documents differ from those that the model was evaluated on.
    pub drift: DriftStatus,
    /// Changes of the model.
    pub serving: ServingCounts,
    /// What the challenger did.
    pub shadow: ShadowCounts,
    /// Epochs committed.
    pub epochs: u64,
    /// From reception of a batch's first document to its rows being with the sinks, milliseconds.
    pub latency_ms: Histogram<u64>,
    /// Reception of the first document.
    pub first_received: Option<Instant>,
    /// The last time that rows were written or an epoch committed.
    pub last_written: Option<Instant>,
}

/// How often the model in use was replaced, and how often that failed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct ServingCounts {
    /// How often another version was put in use.
    pub swaps: u64,
    /// Number of versions that could not be loaded.
    pub reload_failures: u64,
    /// Why the last of them could not be loaded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_reload_failure: Option<String>,
    /// Number of versions that failed in their canary period and were rolled back.
    pub rollbacks: u64,
    /// Why the last of them failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_rollback: Option<String>,
}

/// The comparison of the challenger with the model in use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct ShadowCounts {
    /// Number of documents that both labelled.
    pub compared: u64,
    /// Number of those that got different labels.
    pub disagreeing: u64,
    /// Number of documents of the sample that were left out because the challenger was too slow.
    pub dropped: u64,
}

impl Default for Counts {
    fn default() -> Self {
        #[expect(
            clippy::expect_used,
            reason = "the bounds are constants, and a test makes a histogram of them"
        )]
        let latency_ms = Histogram::new_with_max(MAX_LATENCY_MS, 2).expect("constant bounds");
        Counts {
            labelled: 0,
            dead_letters: BTreeMap::new(),
            with_source_label: 0,
            agreeing: 0,
            abstained: 0,
            versions: BTreeMap::new(),
            drift: DriftStatus::default(),
            serving: ServingCounts::default(),
            shadow: ShadowCounts::default(),
            epochs: 0,
            latency_ms,
            first_received: None,
            last_written: None,
        }
    }
}

impl Counts {
    /// Documents that left the pipeline, one way or the other.
    pub(crate) fn documents(&self) -> u64 {
        self.labelled + self.rejected()
    }

    /// Documents that became dead letters.
    pub(crate) fn rejected(&self) -> u64 {
        self.dead_letters.values().sum()
    }

    /// From the first document's reception to the last write.
    pub(crate) fn elapsed(&self) -> Duration {
        match (self.first_received, self.last_written) {
            (Some(first), Some(last)) => last.saturating_duration_since(first),
            _ => Duration::ZERO,
        }
    }
}

impl Counters {
    /// The counts at this moment.
    pub(crate) fn snapshot(&self) -> Counts {
        self.lock().clone()
    }

    /// Counts a batch that was handed to the sinks.
    pub(crate) fn count(&self, batch: &Batch) {
        let (with_source_label, agreeing) = agreement(&batch.records);
        let latency = u64::try_from(batch.received_at.elapsed().as_millis()).unwrap_or(MAX_LATENCY_MS);
        let documents = batch.documents() as u64;
        let mut counts = self.lock();
        counts.labelled += batch.records.num_rows() as u64;
        counts.with_source_label += with_source_label;
        counts.agreeing += agreeing;
        counts.abstained += abstained(&batch.records);
        count_texts(&batch.records, "model_version", &mut counts.versions);
        for letters in &batch.dead_letters {
            count_texts(letters, "reason", &mut counts.dead_letters);
        }
        counts.latency_ms.saturating_record_n(latency, documents);
        counts.first_received.get_or_insert(batch.received_at);
        counts.last_written = Some(Instant::now());
    }

    /// Counts a committed epoch.
    pub(crate) fn count_epoch(&self) {
        let mut counts = self.lock();
        counts.epochs += 1;
        counts.last_written = Some(Instant::now());
    }

    /// Counts a change of the version in use; what is known of drift was about the one before.
    pub(crate) fn count_swap(&self) {
        let mut counts = self.lock();
        counts.serving.swaps += 1;
        counts.drift = DriftStatus::default();
    }

    /// Counts a version that could not be put in use.
    pub(crate) fn count_reload_failure(&self, reason: String) {
        let serving = &mut self.lock().serving;
        serving.reload_failures += 1;
        serving.last_reload_failure = Some(reason);
    }

    /// Counts a version that was rolled back.
    pub(crate) fn count_rollback(&self, reason: String) {
        let mut counts = self.lock();
        counts.serving.rollbacks += 1;
        counts.serving.last_rollback = Some(reason);
        counts.drift = DriftStatus::default();
    }

    /// Counts documents that the challenger has labelled too.
    pub(crate) fn count_shadowed(&self, compared: u64, disagreeing: u64) {
        let shadow = &mut self.lock().shadow;
        shadow.compared += compared;
        shadow.disagreeing += disagreeing;
    }

    /// Counts documents that the challenger should have labelled too.
    pub(crate) fn count_unshadowed(&self, documents: u64) {
        self.lock().shadow.dropped += documents;
    }

    /// Keeps how far documents have drifted.
    pub(crate) fn set_drift(&self, drift: DriftStatus) {
        self.lock().drift = drift;
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How many rows came with a label, and how many of those labels the model gave too.
fn agreement(labelled: &RecordBatch) -> (u64, u64) {
    let (Ok(source), Ok(label)) = (text_column(labelled, "source_label"), text_column(labelled, "label"))
    else {
        return (0, 0);
    };
    let agreeing =
        source.iter().zip(label).filter(|(source, label)| source.is_some() && source == label).count();
    ((source.len() - source.null_count()) as u64, agreeing as u64)
}

fn abstained(labelled: &RecordBatch) -> u64 {
    let column = labelled.column_by_name("abstained").and_then(|column| column.as_boolean_opt());
    column.map_or(0, |column| column.true_count() as u64)
}

/// Counts the rows of `rows` by their value in the column `name`.
fn count_texts(rows: &RecordBatch, name: &'static str, counts: &mut BTreeMap<String, u64>) {
    let Ok(column) = text_column(rows, name) else { return };
    for value in column.iter().flatten() {
        match counts.get_mut(value) {
            Some(count) => *count += 1,
            None => {
                counts.insert(value.to_string(), 1);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_has_been_counted_at_first() {
        let counts = Counters::default().snapshot();
        assert_eq!((counts.documents(), counts.elapsed()), (0, Duration::ZERO));
    }
}
