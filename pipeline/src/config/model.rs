//! The section `model`.

use std::path::PathBuf;
use std::time::Duration;

use fenliu_model::Device;
use serde::{Deserialize, Serialize};

use super::serve::BakeConfig;

/// The classifier and how it is run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ModelConfig {
    /// The bundle: `models/NAME` (its champion, or the newest version where there is none),
    /// `models/NAME@ALIAS`, `models/NAME@VERSION`, or one version's directory. Empty: no model. Default: empty.
    pub bundle: PathBuf,
    /// How often to look whether the alias names another version, which is then swapped in without a
    /// pause. 0s: never. Default: 2s.
    #[serde(with = "humantime_serde")]
    pub watch: Duration,
    /// Where it runs: `cpu`, `cuda` (an error where there is none) or `auto` (the log says which). `cuda` needs a
    /// build with that feature and ONNX Runtime's GPU library. Default: cpu.
    pub device: Device,
    /// ONNX Runtime's intra-op threads. 0: one per core.
    pub threads: usize,
    /// Most padded tokens in one inference call: longest text x texts.
    ///
    /// Raise it until throughput stops growing; lower it to cut the latency of a full batch. A longer
    /// text goes alone. Default: 4096.
    pub max_batch_tokens: usize,
    /// Most texts in one inference call. Default: 256.
    pub max_batch_rows: usize,
    /// How many labels `top_k` lists. Default: 3.
    pub top_k: usize,
    /// ONNX Runtime's shared library. Default: looked for, see `fenliu doctor`.
    pub onnxruntime: Option<PathBuf>,
    /// Probation of a version that was swapped in: the one before stays loaded and takes over, and the
    /// alias is moved back, if the new one fails.
    pub bake: BakeConfig,
}

impl Default for ModelConfig {
    fn default() -> Self {
        ModelConfig {
            bundle: PathBuf::new(),
            watch: Duration::from_secs(2),
            device: Device::Cpu,
            threads: 0,
            max_batch_tokens: 4096,
            max_batch_rows: 256,
            top_k: 3,
            onnxruntime: None,
            bake: BakeConfig::default(),
        }
    }
}
