//! Counts and sums of confidences in bins of equal width.
//!
//! All numbers are integers, so that merging is exact: the order of documents and of merges changes nothing.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Bins over 0 to 1. A power of two, so that every edge is a number that `f32` has, and a confidence is never
/// on the wrong side of an edge by rounding.
const BINS: u32 = 1 << 10;
/// Confidences are added up in units of 2^-24, the distance of neighbouring `f32` just below 1.
const UNITS: u32 = 1 << 24;
/// Most documents in a bin of a file; with more, a sum of units could overflow.
const MOST: u64 = 1 << 32;

/// The documents of one bin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Bin {
    documents: u64,
    /// The sum of their confidences, in [`UNITS`].
    units: u64,
}

/// How many documents have which confidence. In JSON: a list of `[bin, documents, sum of units]`, with empty
/// bins left out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<(u16, u64, u64)>", into = "Vec<(u16, u64, u64)>")]
pub struct Histogram {
    /// Only bins that have documents: most windows are smaller than the number of bins.
    bins: BTreeMap<u16, Bin>,
    documents: u64,
}

impl Histogram {
    /// Counts a document. A confidence outside 0 to 1 counts as the nearer end, and NaN as 0.
    pub fn observe(&mut self, confidence: f32) {
        let units = units(confidence);
        self.add(bin_of(units), Bin { documents: 1, units: units.into() });
    }

    /// Adds the documents of `other`.
    pub fn merge(&mut self, other: &Self) {
        other.bins.iter().for_each(|(number, bin)| self.add(*number, *bin));
    }

    fn add(&mut self, number: u16, added: Bin) {
        let bin = self.bins.entry(number).or_default();
        bin.documents += added.documents;
        bin.units += added.units;
        self.documents += added.documents;
    }

    /// Documents counted.
    pub fn documents(&self) -> u64 {
        self.documents
    }

    /// The lowest threshold at which the mean confidence of the documents that reach it is at least `goal`, to
    /// 1/1024; 1 if there is none.
    ///
    /// Of the thresholds that trust the same documents this is the highest one, to 1/1024. A document that is
    /// less sure than all that were counted is therefore not trusted, even if the mean would allow it.
    pub fn threshold(&self, goal: f32) -> f32 {
        let mut sum = Bin::default();
        let mut lowest = 1.0;
        for (number, bin) in self.bins.iter().rev() {
            sum = sum.plus(*bin);
            // A bin further down only lowers the mean.
            if sum.mean() < f64::from(goal) {
                break;
            }
            lowest = lower_edge(*number);
        }
        lowest
    }
}

impl Bin {
    fn plus(self, other: Self) -> Self {
        Self { documents: self.documents + other.documents, units: self.units + other.units }
    }

    fn mean(self) -> f64 {
        mean(self.documents, self.units)
    }

    /// Whether these can be the documents of bin `number`.
    fn is_possible(self, number: u16) -> bool {
        let width = u64::from(UNITS / BINS);
        let least = u64::from(number) * width * self.documents.min(MOST);
        // The last bin also has confidence 1.
        let most = least + width * self.documents.min(MOST);
        (1..=MOST).contains(&self.documents)
            && u32::from(number) < BINS
            && (least..=most).contains(&self.units)
    }
}

/// Mean confidence of `documents` whose confidences add up to `units`; 0 without documents.
pub(super) fn mean(documents: u64, units: u64) -> f64 {
    units as f64 / f64::from(UNITS) / documents.max(1) as f64
}

/// A confidence in [`UNITS`].
pub(super) fn units(confidence: f32) -> u32 {
    // The conversion rounds down, and turns NaN into 0.
    (confidence.clamp(0.0, 1.0) * UNITS as f32) as u32
}

/// The bin of a confidence in [`UNITS`].
pub(super) fn bin_of(units: u32) -> u16 {
    (units / (UNITS / BINS)).min(BINS - 1) as u16
}

/// The lowest confidence in a bin.
pub(super) fn lower_edge(bin: u16) -> f32 {
    f32::from(bin) / BINS as f32
}

impl TryFrom<Vec<(u16, u64, u64)>> for Histogram {
    type Error = String;

    fn try_from(bins: Vec<(u16, u64, u64)>) -> Result<Self, String> {
        let mut histogram = Self::default();
        for (number, documents, units) in bins {
            let bin = Bin { documents, units };
            if !bin.is_possible(number) || histogram.bins.contains_key(&number) {
                return Err(format!("bin {number} cannot have {documents} documents with a sum of {units}"));
            }
            histogram.add(number, bin);
        }
        Ok(histogram)
    }
}

impl From<Histogram> for Vec<(u16, u64, u64)> {
    fn from(histogram: Histogram) -> Self {
        histogram.bins.into_iter().map(|(number, bin)| (number, bin.documents, bin.units)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn histogram(confidences: &[f32]) -> Histogram {
        let mut histogram = Histogram::default();
        confidences.iter().for_each(|confidence| histogram.observe(*confidence));
        histogram
    }

    #[test]
    fn the_threshold_is_the_lowest_that_keeps_the_mean() {
        let counted = histogram(&[0.5, 0.75, 1.0]);
        for (goal, threshold) in
            [(0.0, 0.5), (0.75, 0.5), (0.76, 0.75), (0.875, 0.75), (0.9, 1023.0 / 1024.0)]
        {
            assert_eq!(counted.threshold(goal), threshold, "{goal}");
        }
        assert_eq!(histogram(&[0.5]).threshold(0.6), 1.0, "no threshold reaches the goal");
        assert_eq!(Histogram::default().threshold(0.0), 1.0);
    }

    #[test]
    fn odd_confidences_are_counted_at_the_ends() {
        let counted = histogram(&[f32::NAN, -1.0, 0.0, 2.0, f32::INFINITY, 1.0]);
        assert_eq!(counted.documents(), 6);
        assert_eq!(counted.bins.keys().copied().collect::<Vec<_>>(), [0, 1023]);
    }

    #[test]
    fn json_keeps_everything_and_impossible_bins_are_refused() {
        let counted = histogram(&[0.1, 0.77, 0.77, 1.0]);
        let json = serde_json::to_string(&counted).unwrap();
        assert_eq!(serde_json::from_str::<Histogram>(&json).unwrap(), counted);
        for json in ["[[1024,1,16777216]]", "[[0,0,0]]", "[[1,1,0]]", "[[1,1,16384],[1,1,16384]]"] {
            let error = serde_json::from_str::<Histogram>(json).unwrap_err().to_string();
            assert!(error.contains("cannot have"), "{json}: {error}");
        }
        let huge = format!("[[1023,{},{}]]", u64::MAX, u64::MAX);
        assert!(serde_json::from_str::<Histogram>(&huge).is_err());
    }
}
