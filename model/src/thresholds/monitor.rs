//! Observes documents and publishes thresholds.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::snapshot::{Identity, Rule, Snapshot, SourceThreshold};
use super::sources::Sources;
use super::store::Newest;

/// The thresholds of one version of a model in service.
///
/// A batch uses one published [`Snapshot`], and its confidences are observed afterwards. [`publish`](Self::publish)
/// then makes the next snapshot, if a source is new or has completed a block. Thresholds therefore change only
/// between batches.
///
/// With documents of other instances, a source for which this one has too few documents begins with theirs. As
/// soon as it has enough of its own, only these count: other instances may see other documents, or have ended.
#[derive(Clone, Debug)]
pub struct SourceThresholds {
    published: Arc<Snapshot>,
    /// The documents that this instance has seen.
    own: Sources,
    /// The documents of other instances, as they were when this one started.
    others: Sources,
    /// Sources whose threshold is to be computed again; `None` is the shared one.
    changed: BTreeSet<Option<String>>,
    /// False if the thresholds were given and stay.
    observes: bool,
}

impl SourceThresholds {
    /// Thresholds that begin with what earlier and other processes have seen; without any, every source begins
    /// with the default threshold of `rule`. `rule.window` is the number of documents of a block.
    pub fn new(identity: Identity, rule: Rule, newest: Newest) -> Self {
        let mut others = Sources::default();
        newest.others.iter().for_each(|snapshot| others.merge(&snapshot.histograms));
        let number = newest.own.as_ref().map_or(0, |snapshot| snapshot.number);
        let own = newest.own.map(|snapshot| snapshot.histograms).unwrap_or_default();
        let known = own.names().chain(others.names()).map(|source| Some(source.to_owned()));
        let changed = known.chain([None]).collect();
        let empty = Snapshot { number, ..Snapshot::new(identity, rule, Sources::default()) };
        let mut thresholds = Self { published: Arc::new(empty), own, others, changed, observes: true };
        thresholds.publish();
        thresholds
    }

    /// The thresholds of a file, which stay as they are: nothing is observed.
    pub fn pinned(mut snapshot: Snapshot) -> Self {
        snapshot.histograms = Sources::default();
        let (own, others, changed) = (Sources::default(), Sources::default(), BTreeSet::new());
        Self { published: Arc::new(snapshot), own, others, changed, observes: false }
    }

    /// The thresholds for the next batch.
    pub fn current(&self) -> Arc<Snapshot> {
        Arc::clone(&self.published)
    }

    /// Counts a document that was labelled. The source of a document without one is the empty string.
    pub fn observe(&mut self, source: &str, confidence: f32) {
        if self.observes && self.own.observe(source, confidence, self.published.rule.window) {
            self.changed.insert(self.own.contains(source).then(|| source.to_owned()));
        }
    }

    /// Makes a snapshot with the next number if thresholds may have changed. Returns whether it did.
    pub fn publish(&mut self) -> bool {
        if self.changed.is_empty() {
            return false;
        }
        let mut next = Snapshot::clone(&self.published);
        next.number += 1;
        for source in std::mem::take(&mut self.changed) {
            let threshold = self.threshold(source.as_deref());
            if let Some(source) = source {
                next.sources.insert(source, threshold);
            } else {
                next.shared = threshold;
            }
        }
        self.published = Arc::new(next);
        true
    }

    fn threshold(&self, source: Option<&str>) -> SourceThreshold {
        let rule = self.published.rule;
        let mut histogram = self.own.histogram(source);
        if histogram.documents() < rule.window {
            histogram.merge(&self.others.histogram(source));
        }
        rule.threshold(&histogram)
    }

    /// The published snapshot with the documents of this instance, to be saved; `None` for thresholds from a
    /// file.
    pub fn state(&self) -> Option<Snapshot> {
        let published = Snapshot::clone(&self.published);
        self.observes.then(|| Snapshot { histograms: self.own.clone(), ..published })
    }
}
