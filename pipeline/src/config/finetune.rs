//! The section `finetune`: the data and options of fine-tuning jobs, and when `fenliu run` starts one.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use croner::Cron;
use fenliu_model::GateLimits;
use fenliu_training::Adaptation;
use serde::{Deserialize, Serialize};

use super::selection::RowFilter;

/// Settings of fine-tuning jobs, both for `fenliu finetune` and for those that `fenliu run` starts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct FinetuneConfig {
    /// Labelled documents that the model was trained on. They are replayed together with the corrections, so that the
    /// model does not forget them. Files or directories, as for a files source.
    pub data: Vec<PathBuf>,
    /// Only rows of `data` with this `FIELD=VALUE`, such as `split=train`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub select: Option<RowFilter>,
    /// Labelled documents that champion and challenger are compared on. They are never trained on. Without any,
    /// `test_share` of all rows is used instead.
    pub test: Vec<PathBuf>,
    /// Only rows of `test` with this `FIELD=VALUE`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test_select: Option<RowFilter>,
    /// Labelled documents of another source, on which a challenger must not be worse either. They are never trained on.
    pub far: Vec<PathBuf>,
    /// Only rows of `far` with this `FIELD=VALUE`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub far_select: Option<RowFilter>,
    /// Share of all rows that is tested on if `test` is empty: the newest ones if every row has a time, otherwise rows
    /// drawn by their text, which are the same in every job. Default: 0.1.
    pub test_share: f64,
    /// Share of the rows that is used for early stopping and calibration. Default: 0.1.
    pub dev_share: f64,
    /// Corrected labels.
    pub feedback: FeedbackConfig,
    /// Which weights change: `head`, `top-K` (layers), `lora`, `lora-RANK` or `full`. Default: full.
    pub mode: Adaptation,
    /// Passes over the rows. Default: depends on `mode`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epochs: Option<usize>,
    /// Other training options by name, such as `learning_rate = 1e-4`. Defaults depend on the model and on `mode`.
    pub options: BTreeMap<String, serde_json::Value>,
    /// Bounds that a challenger must meet.
    pub gates: GateLimits,
    /// What happens to a challenger that passes all gates: `auto` promotes it, `never` leaves it as challenger.
    /// Default: auto.
    pub promote: PromotePolicy,
    /// Publish a refused challenger as a version with the alias `challenger`, instead of keeping only its report. It is
    /// never promoted automatically. If the model has no trained version yet, a refused one is not published, because
    /// the newest version would be in use. Default: false.
    pub keep_refused: bool,
    /// Number of threads for training; 0: one per core, for a job that `run` starts one per two cores.
    pub threads: usize,
    /// Niceness of the job's process, 0 to 19: the higher, the lower its priority, so that serving keeps its latency.
    /// Default: 10.
    pub niceness: u8,
    /// `run` starts a job at these times: a cron expression in UTC, such as `0 4 * * *`. Empty: at no fixed times.
    pub schedule: String,
    /// `run` starts a job when there are this many corrections that the last job has not seen. 0: their number starts no
    /// job.
    pub min_new_labels: u64,
    /// `run` starts a job when drift is detected. Default: false.
    pub on_drift: bool,
    /// Shortest time between two jobs that were started by corrections or drift. Default: 1h.
    #[serde(with = "humantime_serde")]
    pub min_interval: Duration,
}

impl Default for FinetuneConfig {
    fn default() -> Self {
        FinetuneConfig {
            data: vec![],
            select: None,
            test: vec![],
            test_select: None,
            far: vec![],
            far_select: None,
            test_share: 0.1,
            dev_share: 0.1,
            feedback: FeedbackConfig::default(),
            mode: Adaptation::Full,
            epochs: None,
            options: BTreeMap::new(),
            gates: GateLimits::default(),
            promote: PromotePolicy::Auto,
            keep_refused: false,
            threads: 0,
            niceness: 10,
            schedule: String::new(),
            min_new_labels: 0,
            on_drift: false,
            min_interval: Duration::from_secs(3600),
        }
    }
}

/// Parses a cron expression; its times are in UTC.
///
/// # Errors
/// Why the expression is invalid.
pub(crate) fn parse_schedule(text: &str) -> Result<Cron, String> {
    text.parse::<Cron>().map_err(|error| error.to_string())
}

impl FinetuneConfig {
    /// Whether there is any condition under which `run` starts a job.
    pub(crate) fn is_scheduled(&self) -> bool {
        !self.schedule.is_empty() || self.min_new_labels > 0 || self.on_drift
    }
}

/// Where corrections come from, and the texts of the documents that they only name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct FeedbackConfig {
    /// Kafka topic with corrections, on the cluster `kafka`; empty: none. Every job reads it from its beginning, so it
    /// needs unlimited retention.
    pub topic: String,
    /// Files with corrections, or directories of such files.
    pub paths: Vec<PathBuf>,
    /// Files or directories with the texts of documents that corrections name by `id`: documents, or labelled rows with a
    /// `body` (`output.body`).
    pub texts: Vec<PathBuf>,
    /// People, by the name in `by`, whose corrections are not used.
    pub exclude_by: Vec<String>,
    /// Whether the model may learn labels that it does not have yet; otherwise such corrections are skipped.
    /// Default: true.
    pub allow_new_labels: bool,
}

impl Default for FeedbackConfig {
    fn default() -> Self {
        FeedbackConfig {
            topic: String::new(),
            paths: vec![],
            texts: vec![],
            exclude_by: vec![],
            allow_new_labels: true,
        }
    }
}

impl FeedbackConfig {
    /// Whether no corrections are configured.
    pub(crate) fn is_empty(&self) -> bool {
        self.topic.is_empty() && self.paths.is_empty()
    }
}

/// What happens to a challenger that passes all gates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum PromotePolicy {
    /// It becomes champion.
    Auto,
    /// It stays challenger, for a person to promote.
    Never,
}
