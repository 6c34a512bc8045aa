//! Compares a sliding window of served documents with the reference, with hysteresis.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::histogram::{psi, psi_by_chance};
use super::{DriftReference, Signal};
use crate::probabilities::Probabilities;
use crate::tokenize::Encoding;

/// When a difference counts as drift.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DriftOptions {
    /// Number of documents in the window, which holds the newest ones. Default: 5000.
    pub window_rows: usize,
    /// Fewest documents in the window for which drift is computed. At most `window_rows`. Default: 1000.
    pub min_rows: usize,
    /// A signal starts to drift when its index reaches this. Default: 0.2.
    pub on: f64,
    /// A signal stops drifting when its index falls to this. It is below `on`, so that the state does not
    /// alternate while the index is near one bound. Default: 0.1.
    pub off: f64,
}

impl Default for DriftOptions {
    fn default() -> Self {
        Self { window_rows: 5000, min_rows: 1000, on: 0.2, off: 0.1 }
    }
}

/// The distance of one signal from the reference.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct SignalDrift {
    /// What is watched.
    pub signal: Signal,
    /// Population stability index minus its mean by chance; 0 until the window holds `min_rows`.
    pub psi: f64,
    /// Whether it drifts, by `on` and `off`.
    pub drifting: bool,
}

/// All signals at one moment; empty without a reference.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct DriftStatus {
    /// Documents in the window.
    pub rows: usize,
    /// In the order of [`Signal::ALL`].
    pub signals: Vec<SignalDrift>,
}

impl DriftStatus {
    /// Whether any signal drifts.
    pub fn is_drifting(&self) -> bool {
        self.signals.iter().any(|signal| signal.drifting)
    }
}

/// Compares the newest documents with a reference.
#[derive(Debug)]
pub struct DriftMonitor {
    reference: DriftReference,
    options: DriftOptions,
    /// Bins of the documents in the window, oldest first.
    window: VecDeque<[usize; 4]>,
    /// Documents of the window by bin, for each signal.
    counts: [Vec<u64>; 4],
    signals: [SignalDrift; 4],
}

impl DriftMonitor {
    /// A monitor with an empty window.
    pub fn new(reference: DriftReference, options: DriftOptions) -> Self {
        let counts = reference.counts().map(|counts| vec![0; counts.len()]);
        let signals = Signal::ALL.map(|signal| SignalDrift { signal, psi: 0.0, drifting: false });
        Self { reference, options, window: VecDeque::new(), counts, signals }
    }

    /// Adds classified documents to the window. Returns the signals that started or stopped drifting.
    pub fn observe(&mut self, encodings: &[Encoding], probabilities: &[Probabilities]) -> Vec<SignalDrift> {
        for (encoding, probabilities) in encodings.iter().zip(probabilities) {
            let bins = self.reference.bins(encoding, probabilities);
            count(&mut self.counts, bins, |count| *count += 1);
            self.window.push_back(bins);
        }
        // Counts are updated by the documents that enter and leave; counting the window again would cost its whole
        // length for each batch.
        while self.window.len() > self.options.window_rows {
            if let Some(bins) = self.window.pop_front() {
                count(&mut self.counts, bins, |count| *count -= 1);
            }
        }
        if self.window.len() < self.options.min_rows.max(1) { Vec::new() } else { self.judge() }
    }

    fn judge(&mut self) -> Vec<SignalDrift> {
        let mut changed = Vec::new();
        let pairs = self.reference.counts().into_iter().zip(&self.counts);
        for (signal, (reference, window)) in self.signals.iter_mut().zip(pairs) {
            // Without the subtraction, a small reference would look like drift.
            signal.psi = (psi(reference, window) - psi_by_chance(reference, window)).max(0.0);
            // Hysteresis: `on` starts it, and it lasts until the index has fallen to `off`.
            let drifting =
                signal.psi >= self.options.on || (signal.drifting && signal.psi > self.options.off);
            if drifting != signal.drifting {
                signal.drifting = drifting;
                changed.push(*signal);
            }
        }
        changed
    }

    /// The state of each signal.
    pub fn status(&self) -> DriftStatus {
        DriftStatus { rows: self.window.len(), signals: self.signals.to_vec() }
    }
}

fn count(counts: &mut [Vec<u64>; 4], bins: [usize; 4], change: impl Fn(&mut u64)) {
    for (counts, bin) in counts.iter_mut().zip(bins) {
        change(&mut counts[bin]);
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{document, reference};
    use super::*;

    fn monitor() -> DriftMonitor {
        DriftMonitor::new(
            reference(),
            DriftOptions { window_rows: 1000, min_rows: 300, ..DriftOptions::default() },
        )
    }

    /// As in the reference.
    fn usual(n: usize) -> (Encoding, Probabilities) {
        document(10 + n % 40, usize::from(n.is_multiple_of(10)), n % 3, 0.5 + (n % 50) as f32 / 101.0)
    }

    fn feed(
        monitor: &mut DriftMonitor,
        rows: usize,
        make: impl Fn(usize) -> (Encoding, Probabilities),
    ) -> Vec<SignalDrift> {
        let (encodings, probabilities): (Vec<_>, Vec<_>) = (0..rows).map(make).unzip();
        monitor.observe(&encodings, &probabilities)
    }

    #[test]
    fn documents_like_the_reference_do_not_drift() {
        let mut monitor = monitor();
        assert!(feed(&mut monitor, 1500, usual).is_empty());
        let status = monitor.status();
        assert_eq!(status.rows, 1000);
        assert!(status.signals.iter().all(|signal| signal.psi < 0.02), "{status:?}");
    }

    #[test]
    fn each_signal_is_detected_separately() {
        type Make = fn(usize) -> (Encoding, Probabilities);
        let cases: [(Signal, Make); 4] = [
            (Signal::Label, |n| {
                document(10 + n % 40, usize::from(n.is_multiple_of(10)), 0, usual_confidence(n))
            }),
            (Signal::Confidence, |n| document(10 + n % 40, usize::from(n.is_multiple_of(10)), n % 3, 0.55)),
            // Three times as long, with the same shares of unknown tokens.
            (Signal::Length, |n| {
                let unknown = if n.is_multiple_of(10) { 120 / (10 + n % 40) } else { 0 };
                document(120, unknown, n % 3, usual_confidence(n))
            }),
            (Signal::UnknownTokens, |n| {
                document(10 + n % 40, usize::from(n.is_multiple_of(2)), n % 3, usual_confidence(n))
            }),
        ];
        for (signal, make) in cases {
            let mut monitor = monitor();
            let changed = feed(&mut monitor, 1000, make);
            assert!(monitor.status().is_drifting());
            let names: Vec<Signal> = changed.iter().map(|change| change.signal).collect();
            assert_eq!(names, [signal], "{changed:?}");
        }
    }

    fn usual_confidence(n: usize) -> f32 {
        0.5 + (n % 50) as f32 / 101.0
    }

    #[test]
    fn few_documents_do_not_count_as_drift() {
        let mut monitor = monitor();
        assert!(feed(&mut monitor, 299, |_| document(500, 0, 0, 0.99)).is_empty());
        assert!(!monitor.status().is_drifting());
        assert!(!feed(&mut monitor, 1, |_| document(500, 0, 0, 0.99)).is_empty());
    }

    #[test]
    fn drift_ends_only_below_the_lower_bound() {
        let mut monitor = monitor();
        let shifted =
            |n: usize| document(10 + n % 40, usize::from(n.is_multiple_of(10)), 0, usual_confidence(n));
        assert_eq!(feed(&mut monitor, 1000, shifted).len(), 1);
        let mut between = 0;
        for _ in 0..20 {
            let changed = feed(&mut monitor, 50, usual);
            let label = monitor.status().signals[0];
            if (0.1..0.2).contains(&label.psi) {
                assert!(label.drifting, "between the bounds the state stays");
                between += 1;
            }
            if let [change] = changed[..] {
                assert!(!change.drifting && change.psi <= 0.1, "{change:?}");
            }
        }
        assert!(between > 0 && !monitor.status().is_drifting());
    }
}
