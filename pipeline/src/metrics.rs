//! Counts what a running pipeline has done so far. Counting happens once per batch, never per document.
//!
//! The numbers are the engine's declared [`Metrics`]. What is not a number is kept beside them: when the run began, and why
//! the model was last rolled back or could not be loaded.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::Float32Type;
use chrono::Utc;
use fenliu_engine::batch::Batch;
use fenliu_engine::epoch::Settled;
use fenliu_engine::metrics::Metrics;
use fenliu_model::{DriftStatus, TokenCount};
use fenliu_schemas::raw::DECODE_WARNINGS;
use fenliu_schemas::text_column;
use parking_lot::Mutex;
use serde::Serialize;

use crate::error::Error;
use crate::telemetry::Telemetry;

/// Counters shared by the stages and whoever reports.
#[derive(Clone, Debug)]
pub(crate) struct Counters {
    /// The numbers, which are part of the telemetry.
    pub metrics: Arc<Metrics>,
    /// What others may see of the process.
    pub telemetry: Arc<Telemetry>,
    notes: Arc<Mutex<Notes>>,
}

impl Default for Counters {
    fn default() -> Self {
        let telemetry = Arc::<Telemetry>::default();
        Counters { metrics: Arc::clone(&telemetry.metrics), telemetry, notes: Arc::default() }
    }
}

/// What is not a number.
#[derive(Clone, Debug, Default)]
struct Notes {
    drift: DriftStatus,
    last_reload_failure: Option<String>,
    last_rollback: Option<String>,
    first_received: Option<Instant>,
    last_written: Option<Instant>,
}

/// Outcomes of commits and of the challenger, as values of labels.
const FAILED: &str = "failed";
const WRITTEN: &str = "written";
const UNTIL_COMMITTED: &str = "committed";
const COMMITTED: &str = "committed";
const AGREEING: &str = "agreeing";
const DISAGREEING: &str = "disagreeing";
const DROPPED: &str = "dropped";

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
    /// Time from the reception of a batch's first document until its rows are handed to the sinks: median,
    /// milliseconds.
    pub latency_p50_ms: u64,
    /// The same: 99th percentile.
    pub latency_p99_ms: u64,
    /// Further metrics that the table of metrics marks for the summary, by their names in the summary.
    pub others: BTreeMap<&'static str, f64>,
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

impl Counts {
    /// Documents that left the pipeline: labelled rows and dead letters.
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
        let (metrics, notes) = (&self.metrics, self.notes.lock().clone());
        let latency = metrics.latency.with(&[WRITTEN]);
        let latency_ms = |share| u64::try_from(latency.quantile(share).as_millis()).unwrap_or(u64::MAX);
        Counts {
            labelled: metrics.labelled_documents.sum(),
            dead_letters: metrics.dead_letters.sums(1),
            with_source_label: metrics.source_labelled_documents.get(),
            agreeing: metrics.agreeing_documents.get(),
            abstained: metrics.abstained_documents.get(),
            versions: metrics.version_documents.sums(0),
            serving: self.serving(&notes),
            shadow: self.shadow(),
            epochs: metrics.sink_commits.sums(1).get(COMMITTED).copied().unwrap_or_default(),
            latency_p50_ms: latency_ms(0.5),
            latency_p99_ms: latency_ms(0.99),
            others: metrics.for_summary(),
            drift: notes.drift,
            first_received: notes.first_received,
            last_written: notes.last_written,
        }
    }

    fn serving(&self, notes: &Notes) -> ServingCounts {
        ServingCounts {
            swaps: self.metrics.model_swaps.get(),
            reload_failures: self.metrics.model_load_failures.get(),
            last_reload_failure: notes.last_reload_failure.clone(),
            rollbacks: self.metrics.model_rollbacks.get(),
            last_rollback: notes.last_rollback.clone(),
        }
    }

    fn shadow(&self) -> ShadowCounts {
        let outcomes = self.metrics.shadow_documents.sums(0);
        let count = |outcome| outcomes.get(outcome).copied().unwrap_or_default();
        let disagreeing = count(DISAGREEING);
        ShadowCounts { compared: count(AGREEING) + disagreeing, disagreeing, dropped: count(DROPPED) }
    }

    /// Counts a batch that has just been read, and what decoding left out or mended in it.
    pub(crate) fn count_received(&self, batch: &Batch) {
        let topics: BTreeMap<[&str; 1], u64> = counted(&batch.records, ["topic"]);
        for ([topic], rows) in &topics {
            self.metrics.received_documents.with(&[topic]).add(*rows);
        }
        // Batches of several topics are rare: their bytes count for the first one.
        if let Some(([topic], _)) = topics.first_key_value() {
            self.metrics.received_bytes.with(&[topic]).add(batch.bytes);
        }
        self.count_warnings(&batch.records);
    }

    /// Counts what decoding left out or mended in `rows`, which have not been cleaned yet.
    fn count_warnings(&self, rows: &RecordBatch) {
        let Some(lists) = rows.column_by_name(DECODE_WARNINGS).and_then(|column| column.as_list_opt::<i32>())
        else {
            return;
        };
        // Null, and so without elements, in all rows of most batches.
        let Some(warnings) = lists.values().as_string_opt::<i32>() else { return };
        let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
        warnings.iter().flatten().for_each(|warning| *counts.entry(warning).or_default() += 1);
        for (warning, rows) in counts {
            self.metrics.decode_warnings.with(&[warning]).add(rows);
        }
    }

    /// Counts a batch that was handed to the sinks.
    pub(crate) fn count(&self, batch: &Batch) {
        let metrics = &self.metrics;
        let (with_source_label, agreeing) = agreement(&batch.records);
        metrics.deletions.add(batch.deletions as u64);
        self.count_labels(&batch.records);
        metrics.source_labelled_documents.add(with_source_label);
        metrics.agreeing_documents.add(agreeing);
        metrics.abstained_documents.add(abstained(&batch.records));
        for ([version], rows) in counted(&batch.records, ["model_version"]) {
            metrics.version_documents.with(&[version]).add(rows);
        }
        for letters in &batch.dead_letters {
            for (labels, rows) in counted(letters, ["stage", "reason"]) {
                metrics.dead_letters.with(&labels).add(rows);
            }
        }
        let inferred =
            |letters: &RecordBatch| counted(letters, ["stage"]).get(&["infer"]).copied().unwrap_or(0);
        metrics.inference_failures.add(batch.dead_letters.iter().map(inferred).sum());
        metrics.latency.with(&[WRITTEN]).record(batch.received_at.elapsed(), batch.documents() as u64);
        let mut notes = self.notes.lock();
        notes.first_received.get_or_insert(batch.received_at);
        notes.last_written = Some(Instant::now());
    }

    fn count_labels(&self, labelled: &RecordBatch) {
        let by_label = counted(labelled, ["label"]);
        let without = labelled.num_rows() as u64 - by_label.values().sum::<u64>();
        for ([label], rows) in by_label.iter().map(|(label, rows)| (*label, *rows)).chain([([""], without)]) {
            if rows > 0 {
                self.metrics.labelled_documents.with(&[label]).add(rows);
            }
        }
        let scores =
            labelled.column_by_name("score").and_then(|column| column.as_primitive_opt::<Float32Type>());
        for score in scores.into_iter().flatten().flatten() {
            self.metrics.label_score.record(f64::from(score), 1);
        }
    }

    /// Counts documents that were handed to `sink`, which has not committed them yet.
    pub(crate) fn count_pending(&self, sink: &str, documents: usize) {
        self.metrics.sink_pending.with(&[sink]).add(documents as f64);
    }

    /// Counts the time that a commit to `sink` took.
    pub(crate) fn time_commit(&self, sink: &str, took: Duration) {
        self.metrics.sink_commit_duration.with(&[sink]).record(took.as_secs_f64(), 1);
    }

    /// Counts an epoch of so many `documents` and `bytes` that `sink` has committed, and the batches that all sinks have
    /// now.
    pub(crate) fn count_epoch(&self, sink: &str, documents: usize, bytes: u64, settled: &[Settled]) {
        let metrics = &self.metrics;
        metrics.sink_commits.with(&[sink, COMMITTED]).add(1);
        metrics.sink_documents.with(&[sink]).add(documents as u64);
        metrics.sink_bytes.with(&[sink]).add(bytes);
        metrics.sink_pending.with(&[sink]).add(-(documents as f64));
        self.telemetry.sink_committed(sink);
        let now_ms = Utc::now().timestamp_millis();
        for Settled { age, documents } in settled {
            let documents = *documents as u64;
            metrics.latency.with(&[UNTIL_COMMITTED]).record(age.received_at.elapsed(), documents);
            if let Some(age_ms) = age.timestamp_ms.map(|sent_ms| now_ms.saturating_sub(sent_ms)) {
                let age = Duration::from_millis(u64::try_from(age_ms).unwrap_or_default());
                metrics.end_to_end.record(age, documents);
            }
        }
        self.notes.lock().last_written = Some(Instant::now());
    }

    /// Counts a commit to `sink` that has failed.
    pub(crate) fn count_failure(&self, sink: &str, error: &Error) {
        self.metrics.sink_commits.with(&[sink, FAILED]).add(1);
        self.telemetry.sink_failed(sink, error.to_string());
    }

    /// Names the version in use, and whether it is in its canary period.
    pub(crate) fn set_model(&self, [name, version, device]: [&str; 3], on_probation: bool) {
        self.metrics.model_info.retain(|labels| labels == [name, version, device]);
        self.metrics.model_info.with(&[name, version, device]).set(1.0);
        self.metrics.model_on_probation.set(if on_probation { 1.0 } else { 0.0 });
    }

    /// Counts a batch that the model has labelled.
    pub(crate) fn count_inference(
        &self,
        documents: usize,
        took: Duration,
        tokens: TokenCount,
        truncated: usize,
    ) {
        let metrics = &self.metrics;
        metrics.inference_duration.record(took.as_secs_f64(), 1);
        metrics.inference_batch.record(documents as f64, 1);
        metrics.inference_tokens.with(&["real"]).add(tokens.real);
        metrics.inference_tokens.with(&["padding"]).add(tokens.padding);
        metrics.truncated_documents.add(truncated as u64);
    }

    /// Counts a change of the version in use, and resets the drift status, which described the previous version.
    pub(crate) fn count_swap(&self) {
        self.metrics.model_swaps.add(1);
        self.set_drift(DriftStatus::default());
    }

    /// Counts a version that could not be put in use.
    pub(crate) fn count_reload_failure(&self, reason: String) {
        self.metrics.model_load_failures.add(1);
        self.notes.lock().last_reload_failure = Some(reason);
    }

    /// Counts a version that was rolled back.
    pub(crate) fn count_rollback(&self, reason: String) {
        self.metrics.model_rollbacks.add(1);
        self.notes.lock().last_rollback = Some(reason);
        self.set_drift(DriftStatus::default());
    }

    /// Counts documents that the challenger has labelled too.
    pub(crate) fn count_shadowed(&self, compared: u64, disagreeing: u64) {
        self.metrics.shadow_documents.with(&[DISAGREEING]).add(disagreeing);
        self.metrics.shadow_documents.with(&[AGREEING]).add(compared.saturating_sub(disagreeing));
    }

    /// Counts sampled documents that the challenger did not label, because its queue was full.
    pub(crate) fn count_unshadowed(&self, documents: u64) {
        self.metrics.shadow_documents.with(&[DROPPED]).add(documents);
    }

    /// Records the drift status of the newest documents.
    pub(crate) fn set_drift(&self, drift: DriftStatus) {
        for signal in &drift.signals {
            self.metrics.drift_index.with(&[signal.signal.name()]).set(signal.psi);
            self.metrics.drifting.with(&[signal.signal.name()]).set(if signal.drifting { 1.0 } else { 0.0 });
        }
        self.notes.lock().drift = drift;
    }
}

/// How many rows came with a label, and how many of those labels the model gave too.
fn agreement(labelled: &RecordBatch) -> (u64, u64) {
    // Unlabelled rows have no column `label`.
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

/// Counts rows by their values in `columns`. Rows in which one of them is null are not counted; nor is any row if a
/// column is missing.
fn counted<'a, const N: usize>(
    rows: &'a RecordBatch,
    columns: [&'static str; N],
) -> BTreeMap<[&'a str; N], u64> {
    let mut counts = BTreeMap::new();
    let found: Vec<_> = columns.iter().flat_map(|name| text_column(rows, name)).collect();
    if found.len() < N {
        return counts;
    }
    for row in 0..rows.num_rows() {
        let values: Vec<&str> =
            found.iter().filter(|column| column.is_valid(row)).map(|column| column.value(row)).collect();
        if let Ok(values) = values.try_into() {
            *counts.entry(values).or_default() += 1;
        }
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::sync::Arc;

    use arrow::array::StringArray;
    use fenliu_engine::metrics::Format;

    #[test]
    fn nothing_has_been_counted_at_first() {
        let counts = Counters::default().snapshot();
        assert_eq!((counts.documents(), counts.elapsed()), (0, Duration::ZERO));
    }

    #[test]
    fn rows_are_counted_by_their_values() {
        let column = |values: [Option<&str>; 4]| Arc::new(StringArray::from(values.to_vec())) as _;
        let rows = RecordBatch::try_from_iter_with_nullable([
            ("stage", column([Some("decode"), Some("decode"), Some("clean"), Some("clean")]), true),
            ("reason", column([Some("a"), Some("a"), Some("b"), None]), true),
        ]);
        let rows = rows.unwrap();
        let expected = BTreeMap::from([(["decode", "a"], 2), (["clean", "b"], 1)]);
        assert_eq!(counted(&rows, ["stage", "reason"]), expected);
        assert!(counted(&rows, ["stage", "missing"]).is_empty());
    }

    #[test]
    fn the_snapshot_reads_the_table() {
        let counters = Counters::default();
        counters.count_epoch("files", 1, 1, &[]);
        counters.count_epoch("delta", 1, 1, &[]);
        counters.count_shadowed(10, 3);
        counters.count_unshadowed(2);
        counters.count_reload_failure("no file".into());
        let counts = counters.snapshot();
        assert_eq!(counts.epochs, 2);
        assert_eq!(counts.shadow, ShadowCounts { compared: 10, disagreeing: 3, dropped: 2 });
        assert_eq!(counts.serving.last_reload_failure.as_deref(), Some("no file"));
        let text = counters.metrics.to_text(Format::Prometheus);
        assert!(text.contains("fenliu_model_load_failures_total 1"));
    }
}
