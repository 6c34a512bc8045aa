//! The canary period of a new generation: whether it does worse than the previous one on the same documents.
//!
//! The first [`MIN_BATCHES`] batches of the new generation, and then one in [`SAMPLE_EVERY`], are also labelled by the
//! previous one. Both are compared on the same documents, so that a change of the traffic is not mistaken for a change
//! of the model.
//!
//! The new generation fails if it abstains more than twice as often and at least five percentage points more often, or
//! if both the median and the 99th percentile of the time that a document takes rise by more than half. Latency needs
//! both figures, because a machine that is busy for a moment raises only one of them.

use std::time::Instant;

use super::generation::Classified;
use crate::config::CanaryConfig;

/// After the first [`MIN_BATCHES`], one batch in so many is labelled by both generations.
const SAMPLE_EVERY: usize = 8;
/// Fewest documents on which abstention is compared.
const MIN_ROWS: usize = 500;
/// Fewest batches on which latency is compared. So many are sampled first: if batches are full, a canary period consists
/// of a few batches only, and one in [`SAMPLE_EVERY`] would not be enough for a comparison.
const MIN_BATCHES: usize = 10;

/// What is known about a new generation since it was put in use.
#[derive(Debug)]
pub(super) struct CanaryPeriod {
    started: Instant,
    sample: Sampling,
    evidence: Evidence,
}

impl CanaryPeriod {
    /// A period that begins now.
    pub(super) fn start() -> Self {
        CanaryPeriod { started: Instant::now(), sample: Sampling::default(), evidence: Evidence::default() }
    }

    /// Counts a batch of `rows`. Returns whether both generations are to label it.
    pub(super) fn count(&mut self, rows: usize) -> bool {
        rows > 0 && self.sample.count(rows)
    }

    /// Adds a batch that both generations labelled. Returns why the new one is worse, if it is.
    pub(super) fn compare(&mut self, new: &Classified, old: &Classified) -> Option<String> {
        self.evidence.add(new, old);
        self.evidence.complaint()
    }

    /// Whether one of the bounds of `config` is reached.
    pub(super) fn is_over(&self, config: &CanaryConfig) -> bool {
        self.sample.rows >= config.rows || self.started.elapsed() >= config.max_age
    }
}

/// Selects the batches that both generations label.
#[derive(Debug, Default)]
struct Sampling {
    rows: u64,
    batches: usize,
    compared: usize,
}

impl Sampling {
    fn count(&mut self, rows: usize) -> bool {
        self.rows += rows as u64;
        self.batches += 1;
        let is_compared = self.compared < MIN_BATCHES || self.batches.is_multiple_of(SAMPLE_EVERY);
        self.compared += usize::from(is_compared);
        is_compared
    }
}

/// Results of both generations on the same documents.
#[derive(Debug, Default)]
struct Evidence {
    rows: usize,
    new_abstained: usize,
    old_abstained: usize,
    /// Seconds per document, with one entry per batch.
    new_seconds: Vec<f64>,
    old_seconds: Vec<f64>,
}

impl Evidence {
    fn add(&mut self, new: &Classified, old: &Classified) {
        let rows = new.abstained.len();
        let abstained =
            |classified: &Classified| classified.abstained.iter().filter(|abstained| **abstained).count();
        self.rows += rows;
        self.new_abstained += abstained(new);
        self.old_abstained += abstained(old);
        // Per document, because batches have different sizes.
        self.new_seconds.push(new.took.as_secs_f64() / rows as f64);
        self.old_seconds.push(old.took.as_secs_f64() / rows as f64);
    }

    fn complaint(&self) -> Option<String> {
        self.abstention().or_else(|| self.latency())
    }

    fn abstention(&self) -> Option<String> {
        let share = |count: usize| count as f64 / self.rows as f64;
        let (new, old) = (share(self.new_abstained), share(self.old_abstained));
        // The difference is needed beside the ratio: from 0.1 % to 0.3 % is a ratio of three, and harmless.
        (self.rows >= MIN_ROWS && new > 2.0 * old && new > old + 0.05).then(|| {
            format!(
                "it abstains on {:.1} % of {} documents, the previous version on {:.1} %",
                100.0 * new,
                self.rows,
                100.0 * old
            )
        })
    }

    fn latency(&self) -> Option<String> {
        if self.new_seconds.len() < MIN_BATCHES {
            return None;
        }
        let is_slow = |q: f64| quantile(&self.new_seconds, q) > 1.5 * quantile(&self.old_seconds, q);
        (is_slow(0.5) && is_slow(0.99)).then(|| {
            format!(
                "it needs {:.2} ms per document (99 % of batches: {:.2} ms), the previous version {:.2} ms \
                 ({:.2} ms)",
                1e3 * quantile(&self.new_seconds, 0.5),
                1e3 * quantile(&self.new_seconds, 0.99),
                1e3 * quantile(&self.old_seconds, 0.5),
                1e3 * quantile(&self.old_seconds, 0.99)
            )
        })
    }
}

/// The `q`-quantile: the smallest of `values` that at least a share `q` of them does not exceed; 0 if there are none.
fn quantile(values: &[f64], q: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let rank = (q * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use fenliu_model::TokenCount;

    use super::*;

    /// `rows` documents that took `millis`; the model abstained on the first `abstained` of them.
    fn classified(rows: usize, abstained: usize, millis: u64) -> Classified {
        Classified {
            probabilities: vec![],
            abstained: (0..rows).map(|row| row < abstained).collect(),
            took: Duration::from_millis(millis),
            tokens: TokenCount::default(),
        }
    }

    fn complaint(batches: usize, new: &Classified, old: &Classified) -> Option<String> {
        let mut evidence = Evidence::default();
        (0..batches).for_each(|_| evidence.add(new, old));
        evidence.complaint()
    }

    #[test]
    fn the_bounds_are_those_of_the_module_documentation() {
        let table = [
            (6, (10, 100), (5, 100), false, "doubled, not more"),
            (6, (11, 100), (5, 100), true, "more than doubled, six points up"),
            (6, (5, 100), (0, 100), false, "five points up, not more"),
            (4, (100, 100), (0, 100), false, "400 documents are too few"),
            (6, (0, 100), (50, 100), false, "better"),
            (40, (0, 151), (0, 100), true, "slower by half"),
            (40, (0, 149), (0, 100), false, "slower by less"),
            (9, (0, 900), (0, 100), false, "nine batches are too few"),
        ];
        for (batches, (new_abstained, new_millis), (old_abstained, old_millis), expected, name) in table {
            let new = classified(100, new_abstained, new_millis);
            let old = classified(100, old_abstained, old_millis);
            let complaint = complaint(batches, &new, &old);
            assert_eq!(complaint.is_some(), expected, "{name}: {complaint:?}");
        }
    }

    #[test]
    fn a_machine_that_is_busy_for_a_moment_fails_no_generation() {
        let mut evidence = Evidence::default();
        for batch in 0..100 {
            let millis = if batch % 20 == 0 { 5000 } else { 100 };
            evidence.add(&classified(10, 0, millis), &classified(10, 0, 100));
        }
        assert_eq!(evidence.complaint(), None);
    }

    /// With full batches, a canary period consists of a few batches only.
    #[test]
    fn a_slow_generation_is_detected_within_the_canary_period_for_every_batch_size() {
        for rows in [1, 40, 512] {
            let (mut sample, mut evidence) = (Sampling::default(), Evidence::default());
            while sample.rows < CanaryConfig::default().rows {
                if sample.count(rows) {
                    evidence.add(&classified(rows, 0, 200), &classified(rows, 0, 100));
                }
            }
            assert!(evidence.complaint().is_some(), "{rows} rows per batch: {sample:?}");
            assert!(sample.compared <= MIN_BATCHES + sample.batches / SAMPLE_EVERY, "{sample:?}");
        }
    }

    #[test]
    fn quantiles_are_values_that_occurred() {
        let values: Vec<f64> = (1..=200).rev().map(f64::from).collect();
        assert_eq!((quantile(&values, 0.5), quantile(&values, 0.99)), (100.0, 198.0));
        assert_eq!(quantile(&[], 0.5), 0.0);
    }
}
