//! The counters of the last seconds, from which rates follow.

use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

use parking_lot::Mutex;

/// Over how many samples rates are taken.
const WINDOW: usize = 5;

/// The counters of the last seconds, from which rates follow.
#[derive(Debug, Default)]
pub(super) struct Sampler {
    points: Mutex<VecDeque<Point>>,
}

#[derive(Clone, Debug)]
pub(super) struct Point {
    pub(super) at: Instant,
    pub(super) documents: u64,
    /// Busy and blocked seconds of each stage, and its documents.
    pub(super) stages: BTreeMap<String, (f64, f64, u64)>,
}

impl Sampler {
    /// Adds a sample; the oldest one leaves.
    pub(super) fn add(&self, point: Point) {
        let mut points = self.points.lock();
        points.push_back(point);
        while points.len() > WINDOW + 1 {
            points.pop_front();
        }
    }

    /// The oldest sample.
    pub(super) fn oldest(&self) -> Option<Point> {
        self.points.lock().front().cloned()
    }
}
