//! The declared table of metrics, and the registry of their values.
//!
//! Contract: a new metric is one line in the table below and one call where it is counted, such as
//! `metrics.labelled_documents.add(rows)`. A line that says what the metric is called in the summary of a run appears
//! there too. Values are atomics, counted per batch and never per document; nothing here does I/O. A registry outlives
//! the stages, so that counters do not fall back when reading starts again.
//!
//! Names are `fenliu_<what>_<unit>`, in base units (seconds, bytes), and counters end with `_total`. A label's values
//! must come from a small set that documents do not choose; beyond [`MAX_SERIES`] of them, a metric counts under
//! `other`.

mod definition;
mod text;
mod values;

use std::collections::BTreeMap;

pub use definition::{Definition, Kind, Unit};
pub use text::Format;
pub use values::{
    BatchSizes, Buckets, By, Counter, Durations, Gauge, Histogram, MAX_SERIES, PerPartition, PerRoute,
    Scores, Seconds,
};
use values::{Declared, Read};

/// Declares the table: `FIELD: KIND, NAME, UNIT, [LABEL, ...], HELP;`, with `=> WORDS` before the semicolon where the
/// summary of a run shows the metric under these words once it is above zero.
macro_rules! declare {
    ($($field:ident: $kind:ty, $name:literal, $unit:ident, [$($label:literal),*], $help:literal $(=> $words:literal)?;)*) => {
        /// The values of all metrics of one run.
        #[derive(Debug, Default)]
        pub struct Metrics {
            $(#[doc = $help] pub $field: $kind,)*
        }

        /// All metrics, in the order of their declaration.
        pub const TABLE: &[Definition] = &[$(Definition {
            name: $name,
            kind: <$kind as Declared>::KIND,
            unit: Unit::$unit,
            labels: &[$($label),*],
            help: $help,
            summary: declare!(@words $($words)?),
        }),*];

        impl Metrics {
            /// The values, in the order of [`TABLE`].
            fn values(&self) -> Vec<&dyn Read> {
                vec![$(&self.$field),*]
            }
        }
    };
    (@words) => { None };
    (@words $words:literal) => { Some($words) };
}

declare! {
    received_documents: By<Counter>, "fenliu_received_documents_total", Documents, ["topic"], "Documents read from the source, those that become dead letters included";
    received_bytes: By<Counter>, "fenliu_received_bytes_total", Bytes, ["topic"], "Bytes of these documents as they were read";
    labelled_documents: By<Counter>, "fenliu_labelled_documents_total", Documents, ["label"], "Documents labelled and handed to the sinks; without a model, documents written with an empty label";
    version_documents: By<Counter>, "fenliu_version_documents_total", Documents, ["version"], "Documents labelled by each version of the model";
    abstained_documents: Counter, "fenliu_abstained_documents_total", Documents, [], "Labelled documents whose label should not be trusted";
    label_score: Buckets<Scores>, "fenliu_label_score", None, [], "Calibrated probability of the label that a document got";
    source_labelled_documents: Counter, "fenliu_source_labelled_documents_total", Documents, [], "Labelled documents that came with a label";
    agreeing_documents: Counter, "fenliu_agreeing_documents_total", Documents, [], "Labelled documents to which the model gave the label that they came with";
    dead_letters: By<Counter>, "fenliu_dead_letters_total", Documents, ["stage", "reason"], "Documents that became dead letters";
    deletions: Counter, "fenliu_deletions_total", Documents, [], "Messages that only delete a document" => "deletions";
    decode_warnings: By<Counter>, "fenliu_decode_warnings_total", Documents, ["warning"], "Documents of which a field was left out or mended, by part and reason" => "decode warnings";

    stage_busy: By<Seconds>, "fenliu_stage_busy_seconds_total", Seconds, ["stage"], "Time that a stage worked";
    stage_blocked: By<Seconds>, "fenliu_stage_blocked_seconds_total", Seconds, ["stage"], "Time that a stage waited to hand a batch on";
    stage_documents: By<Counter>, "fenliu_stage_documents_total", Documents, ["stage"], "Documents that a stage has handled";
    stage_batch_duration: By<Buckets<Durations>>, "fenliu_stage_batch_duration_seconds", Seconds, ["stage"], "Time that a stage worked on one batch";
    queue_batches: By<Gauge>, "fenliu_queue_batches", None, ["before"], "Batches that wait before a stage";
    memory_budget: Gauge, "fenliu_memory_budget_bytes", Bytes, [], "Bytes that documents in the pipeline may take (limits.memory)";
    memory_used: Gauge, "fenliu_memory_used_bytes", Bytes, [], "Bytes that documents in the pipeline take";
    source_paused: Seconds, "fenliu_source_paused_seconds_total", Seconds, [], "Time that the source had its partitions paused, because the stages or sinks behind it were slower";

    inference_duration: Buckets<Durations>, "fenliu_inference_duration_seconds", Seconds, [], "Time that the model took for one batch";
    inference_batch: Buckets<BatchSizes>, "fenliu_inference_batch_documents", Documents, [], "Documents in one batch of the model";
    inference_tokens: By<Counter>, "fenliu_inference_tokens_total", None, ["kind"], "Tokens that the model computed: real ones, and padding";
    truncated_documents: Counter, "fenliu_truncated_documents_total", Documents, [], "Labelled documents whose end the model has not read";
    inference_failures: Counter, "fenliu_inference_failures_total", Documents, [], "Documents that the model could not label";
    model_info: By<Gauge>, "fenliu_model_info", None, ["model", "version", "device"], "1 for the version in use";
    model_swaps: Counter, "fenliu_model_swaps_total", None, [], "Times that another version of the model was put in use";
    model_rollbacks: Counter, "fenliu_model_rollbacks_total", None, [], "Versions that failed in their canary period";
    model_load_failures: Counter, "fenliu_model_load_failures_total", None, [], "Versions that could not be put in use";
    model_on_probation: Gauge, "fenliu_model_on_probation", None, [], "1 while the version in use is in its canary period";
    shadow_documents: By<Counter>, "fenliu_shadow_documents_total", Documents, ["outcome"], "Sampled documents, by what the challenger made of them";
    drift_index: By<Gauge>, "fenliu_drift_index", None, ["signal"], "Population stability index of the newest documents";
    drifting: By<Gauge>, "fenliu_drifting", None, ["signal"], "1 where the index says that the newest documents differ from those that the model was evaluated on";

    latency: By<Histogram>, "fenliu_latency_seconds", Seconds, ["until"], "From the reception of a batch's first document to its rows being with the sinks (written), and being committed by the last sink (committed)";
    end_to_end: Histogram, "fenliu_end_to_end_seconds", Seconds, [], "From the Kafka timestamp of a batch's first document to its commit by the last sink";

    sink_commits: By<Counter>, "fenliu_sink_commits_total", None, ["sink", "outcome"], "Commits to sinks, by whether they took effect";
    sink_commit_duration: By<Buckets<Durations>>, "fenliu_sink_commit_duration_seconds", Seconds, ["sink"], "Time that a commit took, failed ones included";
    sink_documents: By<Counter>, "fenliu_sink_documents_total", Documents, ["sink"], "Documents that a sink has committed";
    sink_bytes: By<Counter>, "fenliu_sink_bytes_total", Bytes, ["sink"], "Bytes of these documents, as limits.memory counts them";
    sink_pending: By<Gauge>, "fenliu_sink_pending_documents", Documents, ["sink"], "Documents handed to a sink that it has not committed yet";
    sink_failing: By<Gauge>, "fenliu_sink_failing", None, ["sink"], "1 while the last commit of a sink has failed and is tried again";
    sink_last_commit: By<Gauge>, "fenliu_sink_last_commit_timestamp_seconds", Seconds, ["sink"], "When a sink committed last, as a Unix time";

    lag_documents: By<Gauge, PerPartition>, "fenliu_lag_documents", Documents, ["topic", "partition"], "Documents of a partition that not all sinks have";
    lag_seconds: By<Gauge, PerPartition>, "fenliu_lag_seconds", Seconds, ["topic", "partition"], "Age of the last document of a partition that all sinks have, by its Kafka timestamp; 0 where nothing is missing";
    assigned_partitions: Gauge, "fenliu_assigned_partitions", None, [], "Partitions that this process reads";
    rebalances: Counter, "fenliu_rebalances_total", None, [], "Times that the consumer group gave partitions to this process or revoked them";
    last_poll: Gauge, "fenliu_last_poll_timestamp_seconds", Seconds, [], "When the source polled last, as a Unix time";
    kafka_errors: By<Counter>, "fenliu_kafka_errors_total", None, ["client", "code"], "Errors that librdkafka reported";
    restarts: By<Counter>, "fenliu_restarts_total", None, ["why"], "Times that reading began again at the sinks' positions" => "restarts";
    audits: By<Counter>, "fenliu_audits_total", Documents, ["outcome"], "Random documents whose label people judged without seeing it: right, wrong";
    corrections_pending: Gauge, "fenliu_corrections_pending", None, [], "Corrections that no fine-tuning job has seen yet; known where their number can start a job";
    finetune_running: Gauge, "fenliu_finetune_running", None, [], "1 while a fine-tuning job runs that this process has started";
    finetune_jobs: By<Counter>, "fenliu_finetune_jobs_total", None, ["verdict"], "Fine-tuning jobs that this process has started and that have ended, by verdict; failed: without one";
    finetune_last_success: Gauge, "fenliu_finetune_last_success_timestamp_seconds", Seconds, [], "When a fine-tuning job that this process has started last ended with a verdict, as a Unix time";
    http_requests: By<Counter, PerRoute>, "fenliu_http_requests_total", None, ["route", "method", "status"], "Requests to the page and its API";
    http_duration: By<Buckets<Durations>>, "fenliu_http_request_duration_seconds", Seconds, ["route"], "Time that an answer took, streams of events left out";
    http_streams: Gauge, "fenliu_http_streams", None, [], "Streams of events that are open";
    http_skipped: Counter, "fenliu_http_skipped_documents_total", Documents, [], "Documents that the page does not show, because it takes a sample of a fast stream";
    corrections: By<Counter>, "fenliu_corrections_total", None, ["kind"], "Corrections that people have made on the page: confirmed, changed, withdrawn";
    schema_registry_failures: Counter, "fenliu_schema_registry_failures_total", None, [], "Times that reading had to wait because the schema registry did not answer";
}

impl Metrics {
    /// What the summary of a run shows of metrics that say so in the table: their words there, and their sum where it
    /// is above zero.
    pub fn for_summary(&self) -> BTreeMap<&'static str, f64> {
        let shown = TABLE.iter().zip(self.values()).filter_map(|(definition, value)| {
            let sum: f64 = value.samples().iter().filter(|s| s.suffix.is_empty()).map(|s| s.value).sum();
            definition.summary.filter(|_| sum > 0.0).map(|words| (words, sum))
        });
        shown.collect()
    }

    /// All values as text that Prometheus reads.
    pub fn to_text(&self, format: Format) -> String {
        text::write(TABLE.iter().zip(self.values().iter().map(|value| value.samples())), format)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::time::Duration;

    use super::values::OTHER;
    use super::*;

    #[test]
    fn names_follow_the_rules() {
        let names: BTreeSet<&str> = TABLE.iter().map(|metric| metric.name).collect();
        assert_eq!(names.len(), TABLE.len(), "each name once");
        for Definition { name, kind, unit, help, .. } in TABLE {
            assert!(name.starts_with("fenliu_"), "{name}");
            assert_eq!(name.ends_with("_total"), *kind == Kind::Counter, "{name}");
            let measured = name.trim_end_matches("_total");
            assert_eq!(measured.ends_with("_seconds"), *unit == Unit::Seconds, "{name}");
            assert_eq!(measured.ends_with("_bytes"), *unit == Unit::Bytes, "{name}");
            assert!(!help.is_empty() && !help.ends_with('.'), "{name}");
        }
    }

    #[test]
    fn values_come_out_as_prometheus_reads_them() {
        let metrics = Metrics::default();
        metrics.abstained_documents.add(3);
        metrics.abstained_documents.add(4);
        metrics.label_score.record(0.75, 2);
        metrics.stage_busy.with(&["clean"]).add(Duration::from_millis(1500));
        metrics.dead_letters.with(&["decode", "not \"json\"\n"]).add(2);
        metrics.drift_index.with(&["length"]).set(0.25);
        metrics.end_to_end.record(Duration::from_millis(40), 9);
        metrics.end_to_end.record(Duration::from_secs(2), 1);
        let text = metrics.to_text(Format::Prometheus);
        for line in [
            "# TYPE fenliu_abstained_documents_total counter",
            "fenliu_abstained_documents_total 7",
            r#"fenliu_stage_busy_seconds_total{stage="clean"} 1.5"#,
            r#"fenliu_label_score_bucket{le="0.7"} 0"#,
            r#"fenliu_label_score_bucket{le="0.8"} 2"#,
            "fenliu_label_score_sum 1.5",
            r#"fenliu_dead_letters_total{stage="decode",reason="not \"json\"\n"} 2"#,
            "# TYPE fenliu_drift_index gauge",
            r#"fenliu_drift_index{signal="length"} 0.25"#,
            "# TYPE fenliu_end_to_end_seconds histogram",
            r#"fenliu_end_to_end_seconds_bucket{le="0.025"} 0"#,
            r#"fenliu_end_to_end_seconds_bucket{le="0.05"} 9"#,
            r#"fenliu_end_to_end_seconds_bucket{le="+Inf"} 10"#,
            "fenliu_end_to_end_seconds_sum 2.36",
            "fenliu_end_to_end_seconds_count 10",
        ] {
            assert!(text.lines().any(|found| found == line), "no {line} in:\n{text}");
        }
    }

    #[test]
    fn openmetrics_names_families_of_counters_without_their_suffix() {
        let metrics = Metrics::default();
        metrics.source_paused.add(Duration::from_secs(2));
        let text = metrics.to_text(Format::OpenMetrics);
        for line in [
            "# TYPE fenliu_source_paused_seconds counter",
            "# UNIT fenliu_source_paused_seconds seconds",
            "fenliu_source_paused_seconds_total 2",
        ] {
            assert!(text.lines().any(|found| found == line), "no {line} in:\n{text}");
        }
    }

    #[test]
    fn too_many_values_of_a_label_are_counted_together() {
        let metrics = Metrics::default();
        (0..MAX_SERIES + 20).for_each(|n| metrics.dead_letters.with(&["clean", &n.to_string()]).add(1));
        metrics.dead_letters.with(&["clean", "7"]).add(1);
        let reasons = metrics.dead_letters.sums(1);
        assert_eq!((reasons.len(), reasons[OTHER], reasons["7"]), (MAX_SERIES + 1, 20, 2));
    }

    #[test]
    fn the_summary_shows_what_the_table_says_and_only_what_happened() {
        let metrics = Metrics::default();
        assert!(metrics.for_summary().is_empty());
        metrics.abstained_documents.add(1);
        metrics.restarts.with(&["lost"]).add(2);
        metrics.restarts.with(&["fenced"]).add(1);
        assert_eq!(metrics.for_summary(), BTreeMap::from([("restarts", 3.0)]));
    }
}
