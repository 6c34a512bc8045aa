//! The sections `model.canary` and `shadow`: how a new version is compared with another one.

use std::path::PathBuf;
use std::time::Duration;

use fenliu_connectors::files::FileFormat;
use serde::{Deserialize, Serialize};

/// The canary period of a new version; it ends at the bound that is reached first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct CanaryConfig {
    /// Number of documents that the new version labels. 0: there is no canary period, and the previous version is
    /// unloaded at once. Default: 10,000.
    pub rows: u64,
    /// Time since the version was put in use. Default: 10m.
    #[serde(with = "humantime_serde")]
    pub max_age: Duration,
}

impl Default for CanaryConfig {
    fn default() -> Self {
        CanaryConfig { rows: 10_000, max_age: Duration::from_secs(600) }
    }
}

/// Comparison of the challenger with the champion on the documents that flow.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ShadowConfig {
    /// Share of the documents that the challenger labels too, if the model has one. 0: none. Default: 0.
    pub share: f64,
    /// Directory for files with the documents that got different labels; created if it does not exist.
    pub path: PathBuf,
    /// `parquet`, `arrow` (IPC file) or `jsonl`.
    pub format: FileFormat,
}

impl Default for ShadowConfig {
    fn default() -> Self {
        ShadowConfig { share: 0.0, path: "out/shadow".into(), format: FileFormat::Parquet }
    }
}
