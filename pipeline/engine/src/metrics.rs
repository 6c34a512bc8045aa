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

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hdrhistogram::Histogram as Recorded;
use parking_lot::{Mutex, RwLock};

/// Maximum number of combinations of label values that a metric counts separately.
pub const MAX_SERIES: usize = 100;

/// What the values of further combinations are counted under.
const OTHER: &str = "other";

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
    labelled_documents: Counter, "fenliu_labelled_documents_total", Documents, [], "Documents labelled and written";
    version_documents: By<Counter>, "fenliu_version_documents_total", Documents, ["version"], "Documents labelled by each version of the model";
    abstained_documents: Counter, "fenliu_abstained_documents_total", Documents, [], "Labelled documents whose label should not be trusted";
    source_labelled_documents: Counter, "fenliu_source_labelled_documents_total", Documents, [], "Labelled documents that came with a label";
    agreeing_documents: Counter, "fenliu_agreeing_documents_total", Documents, [], "Labelled documents to which the model gave the label that they came with";
    dead_letters: By<Counter>, "fenliu_dead_letters_total", Documents, ["stage", "reason"], "Documents that became dead letters";
    deletions: Counter, "fenliu_deletions_total", Documents, [], "Messages that only delete a document" => "deletions";
    decode_warnings: By<Counter>, "fenliu_decode_warnings_total", Documents, ["warning"], "Documents of which a field was left out or mended, by part and reason" => "decode warnings";
    latency: Histogram, "fenliu_latency_seconds", Seconds, [], "From the reception of a batch's first document to its rows being with the sinks";
    sink_commits: By<Counter>, "fenliu_sink_commits_total", None, ["sink", "outcome"], "Commits to sinks, by whether they took effect";
    restarts: By<Counter>, "fenliu_restarts_total", None, ["why"], "Times that reading began again at the sinks' positions" => "restarts";
    model_swaps: Counter, "fenliu_model_swaps_total", None, [], "Times that another version of the model was put in use";
    model_rollbacks: Counter, "fenliu_model_rollbacks_total", None, [], "Versions that failed in their canary period";
    model_load_failures: Counter, "fenliu_model_load_failures_total", None, [], "Versions that could not be put in use";
    shadow_documents: By<Counter>, "fenliu_shadow_documents_total", Documents, ["outcome"], "Sampled documents, by what the challenger made of them";
    drift_index: By<Gauge>, "fenliu_drift_index", None, ["signal"], "Population stability index of the newest documents";
}

/// One line of the table.
#[derive(Clone, Copy, Debug)]
pub struct Definition {
    /// Its name for Prometheus.
    pub name: &'static str,
    /// How its values behave.
    pub kind: Kind,
    /// What is counted or measured.
    pub unit: Unit,
    /// Names of its labels.
    pub labels: &'static [&'static str],
    /// What it is, without a final stop.
    pub help: &'static str,
    /// Its name in the summary of a run, where it appears there by itself.
    pub summary: Option<&'static str>,
}

/// How the values of a metric behave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It only grows.
    Counter,
    /// It goes up and down.
    Gauge,
    /// A distribution.
    Histogram,
}

/// What a metric counts or measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Documents.
    Documents,
    /// Seconds.
    Seconds,
    /// Bytes.
    Bytes,
    /// Events, or a number without a unit.
    None,
}

/// A number of times; it only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Counts `times` more.
    pub fn add(&self, times: u64) {
        self.0.fetch_add(times, Ordering::Relaxed);
    }

    /// The count so far.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A value at this moment.
#[derive(Debug, Default)]
pub struct Gauge(AtomicU64);

impl Gauge {
    /// Replaces the value.
    pub fn set(&self, value: f64) {
        self.0.store(value.to_bits(), Ordering::Relaxed);
    }

    /// The value set last; 0 before.
    pub fn get(&self) -> f64 {
        f64::from_bits(self.0.load(Ordering::Relaxed))
    }
}

/// Upper bounds of a histogram's buckets, in seconds.
const BUCKETS: [f64; 14] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0];

/// Durations up to an hour, recorded with two significant digits; longer ones count as an hour.
#[derive(Debug)]
pub struct Histogram {
    /// In microseconds. `None` only if the constant bounds were invalid.
    recorded: Mutex<Option<Recorded<u64>>>,
    sum_micros: AtomicU64,
}

impl Default for Histogram {
    fn default() -> Self {
        let recorded = Recorded::new_with_bounds(1, 3_600_000_000, 2).ok();
        Histogram { recorded: Mutex::new(recorded), sum_micros: AtomicU64::new(0) }
    }
}

impl Histogram {
    /// Counts a duration that so many `times` took.
    pub fn record(&self, duration: Duration, times: u64) {
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        self.with(|recorded| recorded.saturating_record_n(micros, times));
        self.sum_micros.fetch_add(micros.saturating_mul(times), Ordering::Relaxed);
    }

    /// The duration that the share `quantile` of all is within; zero where nothing was recorded.
    pub fn quantile(&self, quantile: f64) -> Duration {
        self.with(|recorded| Duration::from_micros(recorded.value_at_quantile(quantile))).unwrap_or_default()
    }

    fn with<T>(&self, work: impl FnOnce(&mut Recorded<u64>) -> T) -> Option<T> {
        self.recorded.lock().as_mut().map(work)
    }
}

/// A metric by the values of its labels.
#[derive(Debug, Default)]
pub struct By<T> {
    series: RwLock<BTreeMap<Vec<String>, Arc<T>>>,
}

impl<T: Default> By<T> {
    /// The metric for these values, one for each label of its definition, in their order.
    pub fn with(&self, values: &[&str]) -> Arc<T> {
        // The series mostly exists: then a read lock is enough, and the labels need not be copied.
        let known = self.series.read();
        if let Some(one) = known.iter().find(|(labels, _)| labels.iter().eq(values)) {
            return Arc::clone(one.1);
        }
        drop(known);
        // Another thread may have added the series between the two locks; `entry` below finds it then.
        let mut series = self.series.write();
        let is_full = series.len() >= MAX_SERIES;
        let labels = values.iter().map(|value| if is_full { OTHER } else { value }.to_string()).collect();
        Arc::clone(series.entry(labels).or_default())
    }

    /// All of them, by the values of their labels.
    pub fn all(&self) -> Vec<(Vec<String>, Arc<T>)> {
        let series = self.series.read();
        series.iter().map(|(labels, one)| (labels.clone(), Arc::clone(one))).collect()
    }
}

impl By<Counter> {
    /// The counts by the value of the label at `place` in the definition, whatever the others are.
    pub fn sums(&self, place: usize) -> BTreeMap<String, u64> {
        let mut sums = BTreeMap::new();
        for (labels, counter) in self.all() {
            if let Some(value) = labels.into_iter().nth(place) {
                *sums.entry(value).or_default() += counter.get();
            }
        }
        sums
    }
}

/// A number under a metric's name with a suffix, its labels with their values.
struct Sample {
    suffix: &'static str,
    labels: Vec<String>,
    /// The upper bound of a histogram's bucket.
    bound: Option<String>,
    value: f64,
}

/// The kind of a metric's type.
trait Declared {
    const KIND: Kind;
}

/// What can be read of every metric.
trait Read {
    fn samples(&self) -> Vec<Sample>;
}

impl Declared for Counter {
    const KIND: Kind = Kind::Counter;
}

impl Declared for Gauge {
    const KIND: Kind = Kind::Gauge;
}

impl Declared for Histogram {
    const KIND: Kind = Kind::Histogram;
}

impl<T: Declared> Declared for By<T> {
    const KIND: Kind = T::KIND;
}

fn one(value: f64) -> Vec<Sample> {
    vec![Sample { suffix: "", labels: vec![], bound: None, value }]
}

impl Read for Counter {
    fn samples(&self) -> Vec<Sample> {
        one(self.get() as f64)
    }
}

impl Read for Gauge {
    fn samples(&self) -> Vec<Sample> {
        one(self.get())
    }
}

impl Read for Histogram {
    fn samples(&self) -> Vec<Sample> {
        let sample = |suffix, bound, value| Sample { suffix, labels: vec![], bound, value };
        let mut samples = vec![];
        let count = self.with(|recorded| {
            for bound in BUCKETS {
                let within = recorded.count_between(0, (bound * 1e6) as u64);
                samples.push(sample("_bucket", Some(bound.to_string()), within as f64));
            }
            recorded.len() as f64
        });
        let count = count.unwrap_or_default();
        samples.push(sample("_bucket", Some("+Inf".into()), count));
        samples.push(sample("_sum", None, self.sum_micros.load(Ordering::Relaxed) as f64 / 1e6));
        samples.push(sample("_count", None, count));
        samples
    }
}

impl<T: Default + Read> Read for By<T> {
    fn samples(&self) -> Vec<Sample> {
        let of_one = |(labels, one): (Vec<String>, Arc<T>)| {
            one.samples().into_iter().map(move |sample| Sample { labels: labels.clone(), ..sample })
        };
        self.all().into_iter().flat_map(of_one).collect()
    }
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

    /// All values in the text format of Prometheus (0.0.4).
    pub fn to_prometheus(&self) -> String {
        let mut text = String::new();
        for (definition, value) in TABLE.iter().zip(self.values()) {
            let Definition { name, kind, help, .. } = definition;
            let kind = format!("{kind:?}").to_lowercase();
            // Writing to a `String` does not fail.
            let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
            for sample in value.samples() {
                let labels = labels(definition, &sample);
                let _ = writeln!(text, "{name}{}{labels} {}", sample.suffix, sample.value);
            }
        }
        text
    }
}

/// `{name="value",...}`, or nothing.
fn labels(definition: &Definition, sample: &Sample) -> String {
    let own = definition.labels.iter().copied().zip(&sample.labels);
    let bound = sample.bound.iter().map(|bound| ("le", bound));
    let pairs: Vec<String> =
        own.chain(bound).map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
    if pairs.is_empty() { String::new() } else { format!("{{{}}}", pairs.join(",")) }
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

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
        metrics.labelled_documents.add(3);
        metrics.labelled_documents.add(4);
        metrics.dead_letters.with(&["decode", "not \"json\"\n"]).add(2);
        metrics.drift_index.with(&["length"]).set(0.25);
        metrics.latency.record(Duration::from_millis(40), 9);
        metrics.latency.record(Duration::from_secs(2), 1);
        let text = metrics.to_prometheus();
        for line in [
            "# TYPE fenliu_labelled_documents_total counter",
            "fenliu_labelled_documents_total 7",
            r#"fenliu_dead_letters_total{stage="decode",reason="not \"json\"\n"} 2"#,
            "# TYPE fenliu_drift_index gauge",
            r#"fenliu_drift_index{signal="length"} 0.25"#,
            "# TYPE fenliu_latency_seconds histogram",
            r#"fenliu_latency_seconds_bucket{le="0.025"} 0"#,
            r#"fenliu_latency_seconds_bucket{le="0.05"} 9"#,
            r#"fenliu_latency_seconds_bucket{le="+Inf"} 10"#,
            "fenliu_latency_seconds_sum 2.36",
            "fenliu_latency_seconds_count 10",
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
        metrics.labelled_documents.add(1);
        metrics.restarts.with(&["lost"]).add(2);
        metrics.restarts.with(&["fenced"]).add(1);
        assert_eq!(metrics.for_summary(), BTreeMap::from([("restarts", 3.0)]));
    }

    #[test]
    fn quantiles_are_right_to_two_digits() {
        let histogram = Histogram::default();
        assert_eq!(histogram.quantile(0.5), Duration::ZERO);
        (1..=100).for_each(|n| histogram.record(Duration::from_millis(n), 1));
        let median = histogram.quantile(0.5).as_secs_f64();
        assert!((median / 0.05 - 1.0).abs() < 0.02, "{median}");
    }
}
