//! The section `model`, and what makes sense only where there is one.

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
    /// Checks the model and what goes with it.
    pub(super) fn check_model(&self, problems: &mut Problems) {
        self.model.check(problems);
        self.check_shadow(problems);
        self.check_drift(problems);
        self.check_pin(problems);
        // What is wrong with `[model]` itself was said above.
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

    /// A job would be refused each time.
    fn check_pin(&self, problems: &mut Problems) {
        let name = self.model.bundle.file_name().unwrap_or_default().to_string_lossy();
        if self.finetune.is_scheduled()
            && let Some((_, version)) = name.rsplit_once('@').filter(|(_, version)| *version != "champion")
        {
            let problem = format!(
                "is scheduled, but `model.bundle` names `{version}`, and a job starts from the version in use: leave it out there"
            );
            problems.add("finetune", problem);
        }
    }

    fn check_shadow(&self, problems: &mut Problems) {
        let share = self.shadow.share;
        problems.require((0.0..=1.0).contains(&share), "shadow.share", share, "0 to 1");
        let path = &self.shadow.path;
        problems.require(!path.as_os_str().is_empty(), "shadow.path", "empty", "a directory");
        // It would become a directory of that name.
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
