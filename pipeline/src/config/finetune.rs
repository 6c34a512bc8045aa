//! The fine-tuning job: what it learns from, how, and when it runs by itself.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use croner::Cron;
use fenliu_model::GateLimits;
use fenliu_training::Adaptation;
use serde::{Deserialize, Serialize};

use super::selection::RowFilter;

/// The fine-tuning job of `fenliu finetune` and of the schedule inside `fenliu run`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct FinetuneConfig {
    /// Labelled documents that the model learnt from, learnt again beside the corrections so that it does not
    /// forget them: files or directories, as for a files source.
    pub data: Vec<PathBuf>,
    /// Only rows of `data` with this `FIELD=VALUE`, such as `split=train`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub select: Option<RowFilter>,
    /// Labelled documents that champion and challenger are compared on and that are never learnt. Without
    /// any, `test_share` of all rows is set aside.
    pub test: Vec<PathBuf>,
    /// Only rows of `test` with this `FIELD=VALUE`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test_select: Option<RowFilter>,
    /// Share of all rows to test on where `test` names none: the newest where every row has a time, else the
    /// same rows in every job. Default: 0.1.
    pub test_share: f64,
    /// Share of the rows to stop and calibrate by. Default: 0.1.
    pub dev_share: f64,
    /// Corrected labels.
    pub feedback: FeedbackConfig,
    /// Which weights change: `head`, `top-K` (layers), `lora`, `lora-RANK` or `full`. Default: full.
    pub mode: Adaptation,
    /// Passes over the rows. Default: what suits the mode.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epochs: Option<usize>,
    /// Other training options by name, such as `learning_rate = 1e-4`; defaults suit model and mode.
    pub options: BTreeMap<String, serde_json::Value>,
    /// What a challenger must show.
    pub gates: GateLimits,
    /// What becomes of a challenger that passes all gates: `auto` promotes it, `never` leaves it as
    /// challenger. Default: auto.
    pub promote: PromotePolicy,
    /// Keep a refused challenger as a version (alias `challenger`) instead of only its report. It is never
    /// promoted by itself; where there is no classifier yet it is not kept, since the newest version would be in
    /// use. Default: false.
    pub keep_refused: bool,
    /// Threads of training; 0: one per core, in a scheduled job one per two cores.
    pub threads: usize,
    /// How far the job steps back for other processes, 0 to 19, so that serving keeps its latency. Default: 10.
    pub niceness: u8,
    /// When `run` starts a job: a cron expression in UTC, such as `0 4 * * *`; empty: never by the clock.
    pub schedule: String,
    /// `run` starts a job when so many corrections came since the last one; 0: not by their number.
    pub min_new_labels: u64,
    /// `run` starts a job when drift turns on. Default: false.
    pub on_drift: bool,
    /// Least time between two jobs that corrections or drift started. Default: 1h.
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

/// Reads a cron expression, in UTC.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn parse_schedule(text: &str) -> Result<Cron, String> {
    text.parse::<Cron>().map_err(|error| error.to_string())
}

impl FinetuneConfig {
    /// Whether `run` ever starts a job.
    pub(crate) fn is_scheduled(&self) -> bool {
        !self.schedule.is_empty() || self.min_new_labels > 0 || self.on_drift
    }
}

/// Where corrected labels come from, and the texts of those that only name a document.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct FeedbackConfig {
    /// Kafka topic of corrections, on the cluster `kafka`; empty: none. It is read from its beginning by
    /// every job, so give it unlimited retention.
    pub topic: String,
    /// Files of corrections, or directories of such.
    pub paths: Vec<PathBuf>,
    /// Where the texts are that corrections name by `id`: documents, or labelled rows with a `body`
    /// (`output.body`); files or directories.
    pub texts: Vec<PathBuf>,
    /// Learn labels that the model does not have yet; if not, such corrections are set aside. Default: true.
    pub allow_new_labels: bool,
}

impl Default for FeedbackConfig {
    fn default() -> Self {
        FeedbackConfig { topic: String::new(), paths: vec![], texts: vec![], allow_new_labels: true }
    }
}

impl FeedbackConfig {
    /// Whether there is anywhere to read corrections from.
    pub(crate) fn is_empty(&self) -> bool {
        self.topic.is_empty() && self.paths.is_empty()
    }
}

/// What becomes of a challenger that passes all gates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum PromotePolicy {
    /// It becomes champion.
    Auto,
    /// It stays challenger, for a person to promote.
    Never,
}
