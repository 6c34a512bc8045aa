//! The section `model`.

use std::path::PathBuf;
use std::time::Duration;

use fenliu_model::Device;
use serde::{Deserialize, Serialize};

use super::serve::CanaryConfig;

/// The classifier and how it is run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ModelConfig {
    /// The bundle: `models/NAME` (its champion, or without a champion its newest version), `models/NAME@ALIAS`,
    /// `models/NAME@VERSION`, or the directory of one version. Empty: no model. Default: empty.
    pub bundle: PathBuf,
    /// How often to check whether the alias names another version, which is then put in use without a pause. 0s: never.
    /// Default: 2s.
    #[serde(with = "humantime_serde")]
    pub watch: Duration,
    /// Device to run on: `cpu`, `cuda` (an error if there is no GPU) or `auto` (the log says which one is used). `cuda`
    /// needs a build with that feature and ONNX Runtime's GPU library. Default: cpu.
    pub device: Device,
    /// ONNX Runtime's intra-op threads. 0: one per core.
    pub threads: usize,
    /// Most padded tokens in one inference call: tokens of the longest text x number of texts.
    ///
    /// Raise it until throughput stops growing; lower it to reduce the latency of a full batch. A text that is longer is
    /// classified in a call of its own. Default: 4096.
    pub max_batch_tokens: usize,
    /// Most texts in one inference call. Default: 256.
    pub max_batch_rows: usize,
    /// How many labels `top_k` lists. Default: 3.
    pub top_k: usize,
    /// Path of ONNX Runtime's shared library. Default: searched in the usual places; `fenliu doctor` prints its path.
    pub onnxruntime: Option<PathBuf>,
    /// Canary period of a version that was put in use: the previous one stays loaded. If the new one fails, the previous
    /// one takes over and the alias is moved back.
    pub canary: CanaryConfig,
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
            canary: CanaryConfig::default(),
        }
    }
}
