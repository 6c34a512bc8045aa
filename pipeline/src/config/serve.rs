//! The sections `model.bake` and `shadow`: a new version beside the one in use.

use std::path::PathBuf;
use std::time::Duration;

use fenliu_connectors::files::FileFormat;
use serde::{Deserialize, Serialize};

/// How long a new version is on probation; whichever bound comes first ends it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct CanaryConfig {
    /// Documents labelled by the new version. 0: no probation, and the old version is let go at once.
    /// Default: 10,000.
    pub rows: u64,
    /// Time since the swap. Default: 10m.
    #[serde(with = "humantime_serde")]
    pub max_age: Duration,
}

impl Default for CanaryConfig {
    fn default() -> Self {
        CanaryConfig { rows: 10_000, max_age: Duration::from_secs(600) }
    }
}

/// Comparing the challenger with the champion on what flows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ShadowConfig {
    /// Share of the documents that a `challenger`, where the model has one, labels too. 0: none.
    /// Default: 0.
    pub share: f64,
    /// Directory of the files with the documents that got different labels; made when missing.
    pub path: PathBuf,
    /// `parquet`, `arrow` (IPC file) or `jsonl`.
    pub format: FileFormat,
}

impl Default for ShadowConfig {
    fn default() -> Self {
        ShadowConfig { share: 0.0, path: "out/shadow".into(), format: FileFormat::Parquet }
    }
}
