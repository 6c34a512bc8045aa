//! The kinds of metrics: what is counted into, and what is read.

use std::collections::BTreeMap;
use std::fmt::{self, Debug, Formatter};
use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hdrhistogram::Histogram as Recorded;
use parking_lot::{Mutex, RwLock};

use super::definition::Kind;

/// Maximum number of combinations of label values that a metric counts separately, unless its type says otherwise.
pub const MAX_SERIES: usize = 100;

/// The same where the labels are a topic and a partition, which the cluster chooses and documents cannot.
const MAX_PARTITIONS: usize = 100_000;

/// What the values of further combinations are counted under.
pub(super) const OTHER: &str = "other";

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

/// A sum of durations; it only grows.
#[derive(Debug, Default)]
pub struct Seconds {
    nanos: AtomicU64,
}

impl Seconds {
    /// Adds a duration.
    pub fn add(&self, duration: Duration) {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        self.nanos.fetch_add(nanos, Ordering::Relaxed);
    }

    /// The sum so far.
    pub fn get(&self) -> Duration {
        Duration::from_nanos(self.nanos.load(Ordering::Relaxed))
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

    /// Changes the value by `change`.
    pub fn add(&self, change: f64) {
        add(&self.0, change);
    }

    /// The value set last; 0 before.
    pub fn get(&self) -> f64 {
        f64::from_bits(self.0.load(Ordering::Relaxed))
    }
}

/// Adds to a number whose bits are kept in `bits`.
fn add(bits: &AtomicU64, change: f64) {
    let sum = |bits: u64| Some((f64::from_bits(bits) + change).to_bits());
    // It fails only where the function returns `None`.
    let _ = bits.fetch_update(Ordering::Relaxed, Ordering::Relaxed, sum);
}

/// The upper bounds of a distribution's buckets, in ascending order.
pub trait Bounds {
    /// The bounds; a further bucket counts what is above the last one.
    const BOUNDS: &'static [f64];
}

/// Bounds of durations, in seconds: from a millisecond on, each twice the one before.
#[derive(Debug)]
pub struct Durations;

impl Bounds for Durations {
    const BOUNDS: &'static [f64] = &[
        0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.256, 0.512, 1.024, 2.048, 4.096, 16.0,
        60.0, 300.0,
    ];
}

/// Bounds of probabilities: tenths.
#[derive(Debug)]
pub struct Scores;

impl Bounds for Scores {
    const BOUNDS: &'static [f64] = &[0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0];
}

/// Bounds of numbers of documents: powers of two.
#[derive(Debug)]
pub struct BatchSizes;

impl Bounds for BatchSizes {
    const BOUNDS: &'static [f64] =
        &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0, 2048.0, 4096.0];
}

/// A distribution of values, counted in the buckets of `B`.
pub struct Buckets<B> {
    /// One for each bound, and one for what is above the last bound.
    counts: Box<[AtomicU64]>,
    /// The bits of the sum of all values.
    sum: AtomicU64,
    bounds: PhantomData<fn() -> B>,
}

impl<B: Bounds> Default for Buckets<B> {
    fn default() -> Self {
        let counts = (0..=B::BOUNDS.len()).map(|_| AtomicU64::new(0)).collect();
        Buckets { counts, sum: AtomicU64::new(0), bounds: PhantomData }
    }
}

impl<B> Debug for Buckets<B> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Buckets").field(&self.counts).finish()
    }
}

impl<B: Bounds> Buckets<B> {
    /// Counts a value that came so many `times`.
    pub fn record(&self, value: f64, times: u64) {
        // NaN is above every bound.
        let bucket = B::BOUNDS.iter().position(|bound| value <= *bound).unwrap_or(B::BOUNDS.len());
        self.counts[bucket].fetch_add(times, Ordering::Relaxed);
        add(&self.sum, value * times as f64);
    }

    /// The values in each bucket, not those of the buckets before it.
    pub fn counts(&self) -> Vec<u64> {
        self.counts.iter().map(|count| count.load(Ordering::Relaxed)).collect()
    }
}

/// Upper bounds of a [`Histogram`]'s buckets, in seconds.
const LATENCIES: [f64; 14] =
    [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0];

/// Durations up to an hour, recorded with two significant digits, so that quantiles can be told; longer ones count as an
/// hour.
#[derive(Debug)]
pub struct Histogram {
    /// In microseconds. `None` only if the constant bounds were invalid.
    recorded: Mutex<Option<Recorded<u64>>>,
    sum: Seconds,
}

impl Default for Histogram {
    fn default() -> Self {
        let recorded = Recorded::new_with_bounds(1, 3_600_000_000, 2).ok();
        Histogram { recorded: Mutex::new(recorded), sum: Seconds::default() }
    }
}

impl Histogram {
    /// Counts a duration that so many `times` took.
    pub fn record(&self, duration: Duration, times: u64) {
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        self.with(|recorded| recorded.saturating_record_n(micros, times));
        self.sum.add(Duration::from_micros(micros.saturating_mul(times)));
    }

    /// The duration that the share `quantile` of all is within; zero where nothing was recorded.
    pub fn quantile(&self, quantile: f64) -> Duration {
        self.with(|recorded| Duration::from_micros(recorded.value_at_quantile(quantile))).unwrap_or_default()
    }

    fn with<T>(&self, work: impl FnOnce(&mut Recorded<u64>) -> T) -> Option<T> {
        self.recorded.lock().as_mut().map(work)
    }
}

/// How many combinations of label values a metric counts separately.
pub trait Cap {
    /// That number.
    const MAX: usize;
}

/// [`MAX_SERIES`].
#[derive(Debug, Default)]
pub struct Few;

impl Cap for Few {
    const MAX: usize = MAX_SERIES;
}

/// As many as the process may read partitions.
#[derive(Debug, Default)]
pub struct PerPartition;

impl Cap for PerPartition {
    const MAX: usize = MAX_PARTITIONS;
}

/// As many as there are routes, methods and statuses: the routes are declared, and a path that is none counts as one.
#[derive(Debug, Default)]
pub struct PerRoute;

impl Cap for PerRoute {
    const MAX: usize = 1000;
}

/// A metric by the values of its labels.
#[derive(Debug)]
pub struct By<T, C = Few> {
    series: RwLock<BTreeMap<Vec<String>, Arc<T>>>,
    cap: PhantomData<fn() -> C>,
}

impl<T, C> Default for By<T, C> {
    fn default() -> Self {
        By { series: RwLock::default(), cap: PhantomData }
    }
}

impl<T: Default, C: Cap> By<T, C> {
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
        let is_full = series.len() >= C::MAX;
        let labels = values.iter().map(|value| if is_full { OTHER } else { value }.to_string()).collect();
        Arc::clone(series.entry(labels).or_default())
    }

    /// All of them, by the values of their labels.
    pub fn all(&self) -> Vec<(Vec<String>, Arc<T>)> {
        let series = self.series.read();
        series.iter().map(|(labels, one)| (labels.clone(), Arc::clone(one))).collect()
    }

    /// Removes the series whose labels `is_kept` refuses, such as those of a partition that was revoked.
    pub fn retain(&self, mut is_kept: impl FnMut(&[String]) -> bool) {
        self.series.write().retain(|labels, _| is_kept(labels));
    }
}

impl<C: Cap> By<Counter, C> {
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

    /// The count over all values of the labels.
    pub fn sum(&self) -> u64 {
        self.series.read().values().map(|counter| counter.get()).sum()
    }
}

/// A number under a metric's name with a suffix, its labels with their values.
#[derive(Debug)]
pub(super) struct Sample {
    pub(super) suffix: &'static str,
    pub(super) labels: Vec<String>,
    /// The upper bound of a histogram's bucket.
    pub(super) bound: Option<String>,
    pub(super) value: f64,
}

/// The kind of a metric's type.
pub(super) trait Declared {
    const KIND: Kind;
}

/// What can be read of every metric.
pub(super) trait Read {
    fn samples(&self) -> Vec<Sample>;
}

impl Declared for Counter {
    const KIND: Kind = Kind::Counter;
}

impl Declared for Seconds {
    const KIND: Kind = Kind::Counter;
}

impl Declared for Gauge {
    const KIND: Kind = Kind::Gauge;
}

impl Declared for Histogram {
    const KIND: Kind = Kind::Histogram;
}

impl<B> Declared for Buckets<B> {
    const KIND: Kind = Kind::Histogram;
}

impl<T: Declared, C> Declared for By<T, C> {
    const KIND: Kind = T::KIND;
}

fn one(value: f64) -> Vec<Sample> {
    vec![Sample { suffix: "", labels: vec![], bound: None, value }]
}

/// The samples of a histogram: how many values are within each bound, and all of them with their sum.
fn distribution(within: impl IntoIterator<Item = (f64, u64)>, count: u64, sum: f64) -> Vec<Sample> {
    let sample = |suffix, bound, value| Sample { suffix, labels: vec![], bound, value };
    let of_bound = |(bound, within): (f64, u64)| sample("_bucket", Some(bound.to_string()), within as f64);
    let mut samples: Vec<Sample> = within.into_iter().map(of_bound).collect();
    samples.push(sample("_bucket", Some("+Inf".into()), count as f64));
    samples.push(sample("_sum", None, sum));
    samples.push(sample("_count", None, count as f64));
    samples
}

impl Read for Counter {
    fn samples(&self) -> Vec<Sample> {
        one(self.get() as f64)
    }
}

impl Read for Seconds {
    fn samples(&self) -> Vec<Sample> {
        one(self.get().as_secs_f64())
    }
}

impl Read for Gauge {
    fn samples(&self) -> Vec<Sample> {
        one(self.get())
    }
}

impl Read for Histogram {
    fn samples(&self) -> Vec<Sample> {
        let read = self.with(|recorded| {
            let within = |bound: f64| (bound, recorded.count_between(0, (bound * 1e6) as u64));
            (LATENCIES.map(within), recorded.len())
        });
        let (within, count) = read.unwrap_or_else(|| (LATENCIES.map(|bound| (bound, 0)), 0));
        distribution(within, count, self.sum.get().as_secs_f64())
    }
}

impl<B: Bounds> Read for Buckets<B> {
    fn samples(&self) -> Vec<Sample> {
        let counts = self.counts();
        let mut within = 0;
        let up_to = B::BOUNDS.iter().zip(&counts).map(|(bound, count)| {
            within += count;
            (*bound, within)
        });
        let up_to: Vec<_> = up_to.collect();
        distribution(up_to, counts.iter().sum(), f64::from_bits(self.sum.load(Ordering::Relaxed)))
    }
}

impl<T: Default + Read, C: Cap> Read for By<T, C> {
    fn samples(&self) -> Vec<Sample> {
        let of_one = |(labels, one): (Vec<String>, Arc<T>)| {
            one.samples().into_iter().map(move |sample| Sample { labels: labels.clone(), ..sample })
        };
        self.all().into_iter().flat_map(of_one).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_right_to_two_digits() {
        let histogram = Histogram::default();
        assert_eq!(histogram.quantile(0.5), Duration::ZERO);
        (1..=100).for_each(|n| histogram.record(Duration::from_millis(n), 1));
        let median = histogram.quantile(0.5).as_secs_f64();
        assert!((median / 0.05 - 1.0).abs() < 0.02, "{median}");
    }

    #[test]
    fn a_value_counts_in_the_bucket_whose_bound_it_does_not_exceed() {
        let scores = Buckets::<Scores>::default();
        scores.record(0.1, 2);
        scores.record(0.11, 1);
        scores.record(1.0, 1);
        scores.record(1.5, 1);
        assert_eq!(scores.counts(), [2, 1, 0, 0, 0, 0, 0, 0, 0, 1, 1]);
    }

    #[test]
    fn a_gauge_moves_both_ways() {
        let gauge = Gauge::default();
        gauge.add(5.0);
        gauge.add(-2.0);
        assert_eq!(gauge.get(), 3.0);
    }

    #[test]
    fn series_that_are_not_kept_are_gone() {
        let lag = By::<Gauge, PerPartition>::default();
        lag.with(&["news", "0"]).set(3.0);
        lag.with(&["news", "1"]).set(4.0);
        lag.retain(|labels| labels[1] == "1");
        let left: Vec<_> = lag.all().into_iter().map(|(labels, gauge)| (labels, gauge.get())).collect();
        assert_eq!(left, [(vec!["news".to_owned(), "1".to_owned()], 4.0)]);
    }
}
