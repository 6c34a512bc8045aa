//! The thresholds per source of one generation, and where they are kept.
//!
//! Contract: thresholds change only in [`SourceTrust::observe`], which the model stage calls after a batch, so all rows of
//! a batch are judged by the same ones. They are no part of exactly once: the state may be lost, and documents that are
//! read again may differ in `abstained` and `threshold`, in nothing else. A failure to keep them is a warning.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use arrow::array::{AsArray, RecordBatch, StringArray};
use fenliu_model::thresholds::{Identity, Newest, Rule, Snapshot, SourceThresholds, Store};
use fenliu_model::{Calibration, Probabilities};
use fenliu_schemas::text_at;
use parking_lot::Mutex;
use ulid::Ulid;

use crate::config::{Config, ThresholdsConfig};
use crate::error::{Converted, Result};

/// How often the state is written at most. A crash loses what was observed since.
const SAVE_EVERY: Duration = Duration::from_secs(60);

/// The thresholds of a generation.
#[derive(Debug)]
pub(crate) struct SourceTrust {
    /// The text column of cleaned rows whose values are the sources.
    by: String,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    thresholds: SourceThresholds,
    /// `None`: they are not kept.
    store: Option<Store>,
    saved_at: Instant,
    /// Whether documents were observed since the state was saved.
    is_dirty: bool,
}

impl SourceTrust {
    /// The thresholds that the model `name` of this `version` begins with: those of the configured file; else those that
    /// were kept for this version; else the default of its calibration. `None` if there are none per source. They are kept
    /// in the configured directory, or in `home` if none is configured.
    ///
    /// # Errors
    /// The configured file cannot be used, or the calibration has no goal for the configured precision.
    pub(super) fn open(
        config: &Config,
        name: &str,
        version: &str,
        calibration: Option<&Calibration>,
        home: Option<PathBuf>,
    ) -> Result<Option<Self>> {
        let settings = &config.thresholds;
        if !settings.is_on() {
            return Ok(None);
        }
        if let Some(file) = &settings.file {
            let snapshot = Snapshot::load(file).converted()?;
            snapshot.check_version(version, file).converted()?;
            return Ok(Some(Self::new(settings, SourceThresholds::pinned(snapshot), None)));
        }
        let Some(goals) = calibration.and_then(|calibration| calibration.per_source.as_ref()) else {
            warn_without_goals(settings, version);
            return Ok(None);
        };
        let goal = goals.goal(settings.target).converted()?;
        let rule = Rule::new(&goal, settings.window);
        let identity =
            Identity { pipeline: config.name.clone(), model: name.to_string(), version: version.to_string() };
        let store = store(config, home, &identity);
        let newest = store.as_ref().map(newest).unwrap_or_default();
        Ok(Some(Self::new(settings, SourceThresholds::new(identity, rule, newest), store)))
    }

    fn new(settings: &ThresholdsConfig, thresholds: SourceThresholds, store: Option<Store>) -> Self {
        let state = State { thresholds, store, saved_at: Instant::now(), is_dirty: false };
        SourceTrust { by: settings.by.clone(), state: Mutex::new(state) }
    }

    /// The threshold of each row, from 0 to 1.
    pub(crate) fn thresholds(&self, rows: &RecordBatch) -> Vec<f32> {
        let snapshot = self.state.lock().thresholds.current();
        let sources = self.sources(rows);
        (0..rows.num_rows()).map(|row| snapshot.threshold(source_at(sources, row))).collect()
    }

    /// Counts labelled rows, and makes the thresholds of the next batch.
    pub(crate) fn observe(&self, rows: &RecordBatch, probabilities: &[Probabilities]) {
        let sources = self.sources(rows);
        let mut state = self.state.lock();
        for (row, probabilities) in probabilities.iter().enumerate() {
            let confidence = probabilities.top(1).first().map_or(0.0, |(_, confidence)| *confidence);
            state.thresholds.observe(source_at(sources, row), confidence);
        }
        state.thresholds.publish();
        state.is_dirty = true;
        if state.saved_at.elapsed() >= SAVE_EVERY {
            state.save();
        }
    }

    /// The sources of the rows. The plan has checked that there is such a column.
    fn sources<'a>(&self, rows: &'a RecordBatch) -> Option<&'a StringArray> {
        rows.column_by_name(&self.by).and_then(|column| column.as_string_opt::<i32>())
    }
}

impl Drop for SourceTrust {
    fn drop(&mut self) {
        self.state.get_mut().save();
    }
}

impl State {
    /// Writes the state, if there is something new and a place for it.
    fn save(&mut self) {
        self.saved_at = Instant::now();
        let (Some(store), Some(snapshot), true) = (&self.store, self.thresholds.state(), self.is_dirty)
        else {
            return;
        };
        match store.save(&snapshot) {
            Ok(path) => {
                self.is_dirty = false;
                tracing::debug!(event = "thresholds_saved", file = %path.display(), "thresholds saved");
            }
            Err(error) => tracing::warn!(
                event = "thresholds_unsaved",
                %error,
                "thresholds cannot be kept, they begin anew after a restart"
            ),
        }
    }
}

/// The source of a row; empty if it has none.
fn source_at(sources: Option<&StringArray>, row: usize) -> &str {
    sources.and_then(|sources| text_at(sources, row)).unwrap_or_default()
}

/// Warns if thresholds per source were asked for, and the model cannot have any. With the default settings it is normal:
/// models of earlier releases have no goals.
fn warn_without_goals(settings: &ThresholdsConfig, version: &str) {
    if *settings != ThresholdsConfig::default() {
        tracing::warn!(
            event = "no_thresholds_per_source",
            version,
            "the model's calibration has no goals for thresholds per source, so those of its labels are used"
        );
    }
}

/// The place where the thresholds of `identity` are kept; `None` if they are not.
fn store(config: &Config, home: Option<PathBuf>, identity: &Identity) -> Option<Store> {
    let configured = Some(config.thresholds.path.clone()).filter(|path| !path.as_os_str().is_empty());
    let path = configured.or(home)?;
    // A name that is kept over restarts lets a process go on with its own documents. Any other name must be new, so that
    // no two processes write the same files.
    let kept = config.source.group().and_then(|group| group.instance.clone());
    let instance = kept.unwrap_or_else(|| Ulid::generate().to_string());
    Some(Store::new(&path, identity.clone(), &instance))
}

/// What was kept; nothing if it cannot be read.
fn newest(store: &Store) -> Newest {
    store.newest().unwrap_or_else(|error| {
        tracing::warn!(event = "thresholds_unreadable", %error, "kept thresholds cannot be read");
        Newest::default()
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::ArrayRef;

    use super::*;

    const VERSION: &str = "01";

    /// Rows of two labels that are right as often as their confidence says.
    fn calibration() -> Calibration {
        let labels = ["a", "b"].map(str::to_string);
        let (mut gold, mut logits) = (vec![], vec![]);
        for step in 0..50_u16 {
            let logit = f32::from(step) / 10.0;
            for row in 0..40_u16 {
                gold.push(usize::from((f32::from(row) + 0.5) / 40.0 > 1.0 / (1.0 + (-logit).exp())));
                logits.push(vec![logit, 0.0]);
            }
        }
        Calibration::fit_per_source(&labels, &gold, &logits).unwrap()
    }

    fn config(path: &std::path::Path) -> Config {
        let mut config = Config::default();
        config.thresholds.path = path.to_path_buf();
        config
    }

    fn rows(sources: &[Option<&str>]) -> RecordBatch {
        let column: ArrayRef = Arc::new(StringArray::from(sources.to_vec()));
        RecordBatch::try_from_iter_with_nullable([("source", column, true)]).unwrap()
    }

    fn sure(rows: usize) -> Vec<Probabilities> {
        vec![Probabilities::from_logits(&[3.0, 0.0]); rows]
    }

    #[test]
    fn thresholds_follow_the_documents_and_are_kept() {
        let root = tempfile::tempdir().unwrap();
        let (config, calibration) = (config(root.path()), calibration());
        let open = || SourceTrust::open(&config, "m", VERSION, Some(&calibration), None).unwrap().unwrap();
        let batch = rows(&[Some("a"), None, Some("b")]);
        let default = calibration.per_source.as_ref().unwrap().goal(None).unwrap().default_threshold;

        let trust = open();
        assert_eq!(trust.thresholds(&batch), [default; 3]);
        let of_a = rows(&[Some("a"); 200]);
        trust.observe(&of_a, &sure(200));
        let after = trust.thresholds(&batch);
        assert!((after[0] - 0.952).abs() < 2e-3 && after[1..] == [default; 2], "{after:?}");
        drop(trust);
        assert_eq!(open().thresholds(&batch), after, "another instance begins with its documents");
        let other = SourceTrust::open(&config, "m", "02", Some(&calibration), None).unwrap().unwrap();
        assert_eq!(other.thresholds(&batch), [default; 3], "another version begins with its default");
    }

    #[test]
    fn without_a_directory_of_their_own_they_are_kept_beside_the_model() {
        let root = tempfile::tempdir().unwrap();
        let (config, calibration) = (Config::default(), calibration());
        let home = root.path().join("thresholds");
        let open = || SourceTrust::open(&config, "m", VERSION, Some(&calibration), Some(home.clone()));
        let trust = open().unwrap().unwrap();
        trust.observe(&rows(&[Some("a"); 200]), &sure(200));
        let after = trust.thresholds(&rows(&[Some("a")]));
        drop(trust);
        assert_eq!(open().unwrap().unwrap().thresholds(&rows(&[Some("a")])), after);
        assert!(home.join(&config.name).is_dir());
    }

    #[test]
    fn a_model_without_goals_has_no_thresholds_per_source() {
        let root = tempfile::tempdir().unwrap();
        let mut config = config(root.path());
        let plain = Calibration { per_source: None, ..calibration() };
        for calibration in [None, Some(&plain)] {
            assert!(SourceTrust::open(&config, "m", VERSION, calibration, None).unwrap().is_none());
        }
        config.thresholds.by = "none".into();
        assert!(SourceTrust::open(&config, "m", VERSION, Some(&calibration()), None).unwrap().is_none());
    }

    #[test]
    fn a_file_pins_the_thresholds_of_one_version() {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("pinned.json");
        let identity = Identity { pipeline: "any".into(), model: "m".into(), version: VERSION.into() };
        let rule = Rule { goal: 0.9, default_threshold: 0.8, window: 200 };
        Snapshot::fit(identity, rule, (0..200).map(|_| ("a", 0.95))).save(&file).unwrap();
        let mut config = config(&root.path().join("state"));
        config.thresholds.file = Some(file);
        let trust = SourceTrust::open(&config, "m", VERSION, None, None).unwrap().unwrap();
        let batch = rows(&[Some("a"), Some("b")]);
        let before = trust.thresholds(&batch);
        trust.observe(&rows(&[Some("b"); 500]), &sure(500));
        assert_eq!(trust.thresholds(&batch), before);
        drop(trust);
        assert!(!root.path().join("state").exists(), "nothing is kept");
        let error = SourceTrust::open(&config, "m", "02", None, None).unwrap_err().to_string();
        assert!(error.contains("pinned.json") && error.contains("02"), "{error}");
    }
}
