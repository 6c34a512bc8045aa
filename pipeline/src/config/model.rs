//! The section `model`, and the checks of the sections that need a model.

use std::path::PathBuf;
use std::time::Duration;

use fenliu_config::Problems;
use fenliu_model::{Device, DriftOptions, Registry};
use serde::{Deserialize, Serialize};

use super::Config;
use super::serve::{CanaryConfig, ShadowConfig};

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

impl ModelConfig {
    fn check(&self, problems: &mut Problems) {
        if self.bundle.as_os_str().is_empty() {
            if *self != ModelConfig::default() {
                let message = "is empty, but `model` has other settings: name a bundle (`fenliu train` makes one), \
                     or leave out `[model]` to write documents without labels";
                problems.add("model.bundle", message);
            }
        } else if !self.bundle.exists()
            && let Err(error) = Registry::find(&self.bundle)
        {
            problems.add("model.bundle", format!("is {}: {error}", self.bundle.display()));
        }
        if let Err(error) = self.device.check() {
            problems.add("model.device", error.to_string());
        }
        let ModelConfig { threads, max_batch_tokens, max_batch_rows, top_k, .. } = *self;
        problems.require(threads <= 1024, "model.threads", threads, "at most 1024");
        problems.require(max_batch_tokens >= 1, "model.max_batch_tokens", max_batch_tokens, "at least 1");
        problems.require(max_batch_rows >= 1, "model.max_batch_rows", max_batch_rows, "at least 1");
        problems.require((1..=1000).contains(&top_k), "model.top_k", top_k, "1 to 1000");
        problems.require(!self.canary.max_age.is_zero(), "model.canary.max_age", "0s", "longer than 0s");
    }
}

impl Config {
    /// Checks the section `model` and the sections that need a model.
    pub(super) fn check_model(&self, problems: &mut Problems) {
        self.model.check(problems);
        self.check_shadow(problems);
        self.check_drift(problems);
        self.check_pin(problems);
        // If `[model]` has settings but no bundle, the check of the model has already reported that.
        if self.has_model() || self.model != ModelConfig::default() {
            return;
        }
        let needs_model = [
            ("shadow", self.shadow != ShadowConfig::default()),
            ("drift", self.drift != DriftOptions::default()),
            ("finetune", self.finetune.is_scheduled()),
        ];
        for (key, _) in needs_model.into_iter().filter(|(_, is_set)| *is_set) {
            let is_set = if key == "finetune" { "is scheduled" } else { "is set" };
            problems.add(key, format!("{is_set}, but there is no `[model]`: name one, or leave this out"));
        }
    }

    /// Refuses a schedule of fine-tuning jobs for a fixed version: every job would fail, because it starts from the
    /// version in use.
    fn check_pin(&self, problems: &mut Problems) {
        let name = self.model.bundle.file_name().unwrap_or_default().to_string_lossy();
        if self.finetune.is_scheduled()
            && let Some((_, version)) = name.rsplit_once('@').filter(|(_, version)| *version != "champion")
        {
            let problem = format!(
                "is scheduled, but `model.bundle` names the version `{version}`, and a job always starts from the \
                 version in use: remove `@{version}` there"
            );
            problems.add("finetune", problem);
        }
    }

    fn check_shadow(&self, problems: &mut Problems) {
        let share = self.shadow.share;
        problems.require((0.0..=1.0).contains(&share), "shadow.share", share, "0 to 1");
        let path = &self.shadow.path;
        problems.require(!path.as_os_str().is_empty(), "shadow.path", "empty", "a directory");
        // An address is refused, because it would become the name of a local directory.
        let is_address = path.to_string_lossy().contains("://");
        problems.require(!is_address, "shadow.path", path.display(), "a directory on a disk");
    }

    fn check_drift(&self, problems: &mut Problems) {
        let drift = &self.drift;
        let rows = drift.window_rows;
        problems.require((1..=1_000_000).contains(&rows), "drift.window_rows", rows, "1 to 1000000");
        problems.require(
            (1..=rows).contains(&drift.min_rows),
            "drift.min_rows",
            drift.min_rows,
            format!("1 to `drift.window_rows` ({rows})"),
        );
        problems.require(drift.off > 0.0, "drift.off", drift.off, "above 0");
        problems.require(
            drift.on >= drift.off,
            "drift.on",
            drift.on,
            format!("at least `drift.off` ({})", drift.off),
        );
    }
}
