//! Checks the section `model`, and the sections that need a model.

use fenliu_config::Problems;
use fenliu_model::{DriftOptions, Registry};

use super::Config;
use super::model::ModelConfig;
use super::serve::ShadowConfig;
use super::thresholds::ThresholdsConfig;

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
            ("thresholds", self.thresholds != ThresholdsConfig::default()),
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
                "is scheduled, but `model.bundle` names the version `{version}`, and a job always starts from \
                 the version in use: remove `@{version}` there"
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
