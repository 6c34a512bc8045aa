//! The section `thresholds`: which labels are trusted.

use std::path::PathBuf;

use arrow::datatypes::{DataType, Schema};
use fenliu_config::Problems;
use serde::{Deserialize, Serialize};

/// The value of `by` that turns thresholds per source off.
const NONE: &str = "none";

/// Thresholds per source: a label is trusted if its score reaches the threshold of the document's source.
///
/// They are in use if the model's calibration has goals for them. With an earlier model the thresholds are those of its
/// labels.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ThresholdsConfig {
    /// The text column of cleaned rows whose values are the sources: `source`, `topic`, or one that a cleaning step adds.
    /// `none`: the thresholds are those of the model's labels. Default: source.
    pub by: String,
    /// Precision that trusted labels should have on text like that of the training, in hundredths. Default: the model's.
    pub target: Option<f64>,
    /// Fewest documents of a source that its threshold is taken from. The newest ones are used, at most twice as many.
    /// Until then the model's default threshold holds. Default: 200.
    pub window: u64,
    /// Directory in which the thresholds are kept over restarts. Empty, the default: `thresholds` beside the versions of
    /// the model.
    pub path: PathBuf,
    /// File with thresholds (`fenliu thresholds fit`), which then never change, so that a run can be repeated. Default:
    /// none.
    pub file: Option<PathBuf>,
}

impl Default for ThresholdsConfig {
    fn default() -> Self {
        ThresholdsConfig { by: "source".into(), target: None, window: 200, path: PathBuf::new(), file: None }
    }
}

impl ThresholdsConfig {
    /// Whether there may be thresholds per source.
    pub(crate) fn is_on(&self) -> bool {
        self.by != NONE
    }

    /// Checks all values.
    pub(super) fn check(&self, problems: &mut Problems) {
        let ThresholdsConfig { by, target, window, path, file } = self;
        problems.require(!by.is_empty(), "thresholds.by", "empty", "a column, or `none`");
        problems.require((200..=1_000_000).contains(window), "thresholds.window", window, "200 to 1000000");
        if let Some(target) = target {
            problems.require((0.8..=0.99).contains(target), "thresholds.target", target, "0.8 to 0.99");
        }
        // An address is refused, because it would become the name of a local directory.
        let is_address = path.to_string_lossy().contains("://");
        problems.require(!is_address, "thresholds.path", path.display(), "a directory on a disk");
        if let Some(file) = file.as_ref().filter(|file| !file.is_file()) {
            problems.add("thresholds.file", format!("names {}, which is not a file", file.display()));
        }
        if target.is_some() && file.is_some() {
            problems
                .add("thresholds.target", "is set, but the thresholds of `thresholds.file` have their own");
        }
    }

    /// Checks the section against the columns of cleaned rows.
    pub(crate) fn check_columns(&self, cleaned: &Schema, problems: &mut Problems) {
        let kind = cleaned.field_with_name(&self.by).map(|field| field.data_type()).ok();
        if self.is_on() && kind != Some(&DataType::Utf8) {
            let found =
                kind.map_or("there is no such column".to_string(), |kind| format!("its type is {kind}"));
            let by = &self.by;
            let message =
                format!("is `{by}` but must be a text column (Utf8) of cleaned rows, or `none`: {found}");
            problems.add("thresholds.by", message);
        }
    }
}
