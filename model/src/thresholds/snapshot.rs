//! A numbered set of thresholds, which never changes.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::goal::Goal;
use super::histogram::Histogram;
use super::sources::{MAX_SOURCES, Sources, has_own_window};
use crate::error::{ModelError, Result};

/// What confidences belong to. Those of one version of a model say nothing about those of another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Name of the pipeline.
    pub pipeline: String,
    /// Name of the model.
    pub model: String,
    /// ULID of the model's version.
    pub version: String,
}

/// How a histogram becomes a threshold.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rule {
    /// Mean confidence of trusted documents, at least.
    pub goal: f32,
    /// The threshold of a source with fewer documents than `window`.
    #[serde(rename = "default")]
    pub default_threshold: f32,
    /// Fewest documents that a threshold is taken from.
    pub window: u64,
}

impl Rule {
    /// The rule for a goal, with thresholds from at least `window` documents.
    pub fn new(goal: &Goal, window: u64) -> Self {
        Self { goal: goal.mean_confidence, default_threshold: goal.default_threshold, window }
    }

    /// The threshold of a source with these documents.
    pub fn threshold(&self, histogram: &Histogram) -> SourceThreshold {
        let documents = histogram.documents();
        let has_enough = documents > 0 && documents >= self.window;
        let threshold = if has_enough { histogram.threshold(self.goal) } else { self.default_threshold };
        SourceThreshold { threshold, documents }
    }
}

/// The threshold of one source.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct SourceThreshold {
    /// A document is trusted at this confidence or above.
    pub threshold: f32,
    /// The documents that the threshold was taken from.
    pub documents: u64,
}

/// Thresholds of all sources at one time, with what they were taken from. As a file it is JSON.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Ascending within one instance of a pipeline.
    pub number: u64,
    /// What the confidences belong to.
    pub identity: Identity,
    /// How the thresholds were made.
    pub rule: Rule,
    /// Thresholds by source; the empty name is that of documents without a source.
    pub sources: BTreeMap<String, SourceThreshold>,
    /// The threshold of sources beyond [`MAX_SOURCES`].
    pub shared: SourceThreshold,
    /// The documents of this instance, so that it can go on after a restart. Empty in a snapshot that only looks
    /// thresholds up.
    #[serde(default)]
    pub histograms: Sources,
}

impl Snapshot {
    /// The thresholds of the sources in `histograms`.
    pub fn new(identity: Identity, rule: Rule, histograms: Sources) -> Self {
        let threshold =
            |source: &str| (source.to_owned(), rule.threshold(&histograms.histogram(Some(source))));
        let sources = histograms.names().map(threshold).collect();
        let shared = rule.threshold(&histograms.histogram(None));
        Self { number: 1, identity, rule, sources, shared, histograms }
    }

    /// The thresholds of a sample: all of its documents count, each a source and a confidence.
    pub fn fit<'a>(
        identity: Identity,
        rule: Rule,
        documents: impl IntoIterator<Item = (&'a str, f32)>,
    ) -> Self {
        let mut histograms = Sources::default();
        for (source, confidence) in documents {
            // A block without an end: the sample is not a stream, in which the newest documents matter most.
            histograms.observe(source, confidence, u64::MAX);
        }
        Self::new(identity, rule, histograms)
    }

    /// The threshold of a document's source, from 0 to 1. A source that is not known has the rule's default
    /// threshold, or the shared one if no further source gets its own.
    pub fn threshold(&self, source: &str) -> f32 {
        let is_shared = || self.sources.len() >= MAX_SOURCES || !has_own_window(source);
        match self.sources.get(source) {
            Some(source) => source.threshold,
            None if is_shared() => self.shared.threshold,
            None => self.rule.default_threshold,
        }
    }

    /// Reads a snapshot.
    ///
    /// # Errors
    ///
    /// The file cannot be read, is not such JSON, or a threshold or the goal is outside 0 to 1.
    pub fn load(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path).map_err(ModelError::io("read", path))?;
        let snapshot: Self = serde_json::from_slice(&bytes).map_err(ModelError::json(path))?;
        match snapshot.problem() {
            Some(problem) => Err(ModelError::thresholds(path, problem)),
            None => Ok(snapshot),
        }
    }

    /// Writes the snapshot to a file, completely or not at all.
    ///
    /// # Errors
    ///
    /// The file or its directory cannot be written.
    pub fn save(&self, path: &Path) -> Result<()> {
        let bytes = serde_json::to_vec(self).map_err(ModelError::json(path))?;
        crate::durable::replace(path, &bytes)
    }

    /// Refuses a snapshot of another version of the model than `version`; `path` is where it is from.
    ///
    /// # Errors
    ///
    /// The versions differ; the error names both.
    pub fn check_version(&self, version: &str, path: &Path) -> Result<()> {
        let made_for = &self.identity.version;
        if made_for == version {
            return Ok(());
        }
        let problem = format!(
            "was made for version {made_for} of the model, but the version in use is {version}: make it again \
             with `fenliu thresholds fit`"
        );
        Err(ModelError::thresholds(path, problem))
    }

    fn problem(&self) -> Option<String> {
        let is_share = |value: f32| (0.0..=1.0).contains(&value);
        let rule = [("rule.goal", self.rule.goal), ("rule.default", self.rule.default_threshold)];
        let sources = self.sources.iter().map(|(source, threshold)| (source.as_str(), threshold.threshold));
        let mut values = rule.into_iter().chain([("shared", self.shared.threshold)]).chain(sources);
        let (key, value) = values.find(|(_, value)| !is_share(*value))?;
        Some(format!("`{key}` is {value} but must be 0 to 1"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot() -> Snapshot {
        let identity = Identity { pipeline: "news".into(), model: "m".into(), version: "v1".into() };
        let daily = (0..10).map(|row| ("daily", row as f32 / 10.0));
        let rule = Rule { goal: 0.79, default_threshold: 0.77, window: 10 };
        Snapshot::fit(identity, rule, daily.chain([("rare", 0.9)]))
    }

    #[test]
    fn a_source_with_too_few_documents_has_the_default_threshold() {
        let snapshot = snapshot();
        // 0.9, 0.8 and 0.7 have a mean of 0.8.
        assert!((snapshot.threshold("daily") - 0.7).abs() < 1e-3, "{}", snapshot.threshold("daily"));
        for source in ["rare", "unknown", ""] {
            assert_eq!(snapshot.threshold(source), 0.77, "{source}");
        }
        assert_eq!(snapshot.sources["rare"].documents, 1);
    }

    #[test]
    fn sources_beyond_the_limit_have_the_shared_threshold() {
        let mut snapshot = snapshot();
        snapshot.shared.threshold = 0.5;
        assert_eq!(snapshot.threshold(&"x".repeat(999)), 0.5);
        assert_eq!(snapshot.threshold("late"), 0.77);
        let any = SourceThreshold { threshold: 0.6, documents: 10 };
        snapshot.sources.extend((0..MAX_SOURCES).map(|number| (number.to_string(), any)));
        assert_eq!(snapshot.threshold("late"), 0.5);
    }

    #[test]
    fn a_saved_snapshot_loads_and_damage_is_named() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("deep/pinned.json");
        let mut snapshot = snapshot();
        snapshot.save(&path).unwrap();
        assert_eq!(Snapshot::load(&path).unwrap(), snapshot);
        let error = snapshot.check_version("v2", &path).unwrap_err().to_string();
        assert!(error.contains("pinned.json") && error.contains("v1") && error.contains("v2"), "{error}");

        snapshot.shared.threshold = 1.5;
        snapshot.save(&path).unwrap();
        let error = Snapshot::load(&path).unwrap_err().to_string();
        assert!(error.contains("pinned.json") && error.contains("`shared` is 1.5"), "{error}");
    }
}
