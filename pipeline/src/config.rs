//! The configuration of a pipeline, which is checked completely before anything starts.
//!
//! The `Default` of [`Config`] is the source of all defaults. [`Config::load`] reads TOML, applies `--set` overrides,
//! fills in `${VARIABLES}` from the environment and reports *all* problems at once. Only the result of
//! [`Config::validate`], a [`Plan`](crate::plan::Plan), can run. Secrets are never printed.

mod breaker;
mod check_model;
mod finetune;
mod http;
mod load;
mod model;
mod selection;
mod serve;
mod thresholds;
mod validate;

use std::time::Duration;

use arrow::datatypes::Schema;
use bytesize::ByteSize;
use fenliu_config::Problems;
use fenliu_connectors::files::FilesSinkConfig;
use fenliu_connectors::kafka::Delivery;
use fenliu_connectors::{DeadLetterConfig, KafkaConfig, SinkConfig, SourceConfig};
use fenliu_decode::DocumentsConfig;
use fenliu_model::DriftOptions;
use fenliu_operators::CleanConfig;
use fenliu_schemas::{LabelledOptions, THRESHOLD, TRUNCATED, adds};
use serde::{Deserialize, Serialize};

pub(crate) use breaker::BreakerConfig;
pub(crate) use finetune::{FinetuneConfig, PromotePolicy, parse_schedule};
#[cfg(test)]
pub(crate) use http::AuthConfig;
pub(crate) use http::{AuthMode, FeedConfig, HttpConfig, Role, TokenConfig, network};
pub(crate) use model::ModelConfig;
pub(crate) use selection::RowFilter;
pub(crate) use serve::{CanaryConfig, ShadowConfig};
pub(crate) use thresholds::ThresholdsConfig;

/// The configuration of one pipeline.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Config {
    /// Name of the pipeline. Every sink stores its positions under this name, and it is the default consumer group. With
    /// another name and another group, everything is read and written again.
    pub name: String,
    /// The Kafka cluster.
    pub kafka: KafkaConfig,
    /// Where documents come from.
    pub source: SourceConfig,
    /// How documents are decoded, whatever the source.
    pub documents: DocumentsConfig,
    /// Cleaning and segmentation.
    pub clean: CleanConfig,
    /// The classifier, if there is one: see [`Config::has_model`].
    pub model: ModelConfig,
    /// Which labels are trusted.
    pub thresholds: ThresholdsConfig,
    /// Comparison of a challenger with the model in use.
    pub shadow: ShadowConfig,
    /// When documents count as different from those that the model was evaluated on.
    pub drift: DriftOptions,
    /// Fine-tuning on corrections.
    pub finetune: FinetuneConfig,
    /// The page, its API, metrics and health.
    pub http: HttpConfig,
    /// Optional columns of written rows.
    pub output: OutputConfig,
    /// Where labelled rows are written; all sinks get every row.
    pub sinks: Vec<SinkConfig>,
    /// Where rejected documents are written.
    pub dead_letters: DeadLetterConfig,
    /// When the pipeline stops because too many documents fail.
    pub breaker: BreakerConfig,
    /// Bounds of memory and batches.
    pub limits: LimitsConfig,
    /// How often sinks commit their rows.
    pub epoch: EpochConfig,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            name: "fenliu".into(),
            kafka: KafkaConfig::default(),
            source: SourceConfig::default(),
            documents: DocumentsConfig::default(),
            clean: CleanConfig::default(),
            model: ModelConfig::default(),
            thresholds: ThresholdsConfig::default(),
            shadow: ShadowConfig::default(),
            drift: DriftOptions::default(),
            finetune: FinetuneConfig::default(),
            http: HttpConfig::default(),
            output: OutputConfig::default(),
            sinks: vec![FilesSinkConfig::default().into()],
            dead_letters: DeadLetterConfig::default(),
            breaker: BreakerConfig::default(),
            limits: LimitsConfig::default(),
            epoch: EpochConfig::default(),
        }
    }
}

impl Config {
    /// Whether there is a model. Without one, documents are cleaned and written without labels.
    pub(crate) fn has_model(&self) -> bool {
        !self.model.bundle.as_os_str().is_empty()
    }

    /// Which optional columns written rows have.
    pub(crate) fn labelled_options(&self) -> LabelledOptions {
        let OutputConfig { body, tokens, kafka_key, kafka_headers, decode_warnings, threshold, truncated } =
            self.output;
        let unlabelled = !self.has_model();
        LabelledOptions {
            body,
            tokens,
            kafka_key,
            kafka_headers,
            payload: false,
            decode_warnings,
            threshold,
            truncated,
            unlabelled,
        }
    }
}

/// Optional columns of written rows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct OutputConfig {
    /// Add the cleaned `body`.
    pub body: bool,
    /// Add the words of the `segment` step.
    pub tokens: bool,
    /// Add the key of the Kafka message. A sink can also name the column in `columns` or `where` without this.
    pub kafka_key: bool,
    /// Add the headers of the Kafka message, as with the key.
    pub kafka_headers: bool,
    /// Add what decoding left out or mended, such as `published_at:unreadable`, as with the key.
    pub decode_warnings: bool,
    /// Add the score from which on a label of the document's source is trusted, as with the key.
    pub threshold: bool,
    /// Add whether the model has not read the end of the text, as with the key.
    pub truncated: bool,
}

impl OutputConfig {
    /// Checks the optional columns that labelling adds against those of cleaned rows.
    pub(crate) fn check_columns(&self, cleaned: &Schema, problems: &mut Problems) {
        for (is_wanted, name) in [(self.threshold, THRESHOLD), (self.truncated, TRUNCATED)] {
            if is_wanted && !adds(cleaned, name) {
                let message = format!("is true, but a cleaning step sets the column `{name}`");
                problems.add(format!("output.{name}"), message);
            }
        }
    }
}

/// Bounds of memory and batches.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct LimitsConfig {
    /// Bytes of all documents in the pipeline, from their reception until all sinks have committed them. Each byte counts
    /// twice, for the message and for the decoded document. When the memory is used up, the source waits.
    /// Default: 256 MiB.
    pub memory: ByteSize,
    /// Most documents in one batch. Default: 512.
    pub batch_rows: usize,
    /// How long a batch waits for more documents. Longer waits fill batches, which raises throughput and latency.
    /// Default: 20ms.
    #[serde(with = "humantime_serde")]
    pub batch_linger: Duration,
}

impl Default for LimitsConfig {
    fn default() -> Self {
        LimitsConfig { memory: ByteSize::mib(256), batch_rows: 512, batch_linger: Duration::from_millis(20) }
    }
}

/// An epoch is a sequence of batches that a sink commits together, with its positions. It closes at the bound that is
/// reached first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct EpochConfig {
    /// The guarantee of Kafka sinks. All other sinks with positions are always exactly-once. Default: exactly-once.
    pub delivery: Delivery,
    /// Time after which an epoch closes. It bounds how old rows are before readers see them, and how much is read again
    /// after a crash. Default: 10s.
    #[serde(with = "humantime_serde")]
    pub max_age: Duration,
    /// The same for Kafka sinks, if it is shorter than `max_age`. Their readers expect rows sooner, and see them only
    /// when the transaction is committed. Default: 500ms.
    #[serde(with = "humantime_serde")]
    pub kafka_max_age: Duration,
    /// Most rows of an epoch. Default: 100,000.
    pub max_rows: usize,
    /// Most bytes of an epoch, counted as for `limits.memory` and at most half of that. Default: 64 MiB.
    pub max_bytes: ByteSize,
}

impl Default for EpochConfig {
    fn default() -> Self {
        EpochConfig {
            delivery: Delivery::ExactlyOnce,
            max_age: Duration::from_secs(10),
            kafka_max_age: Duration::from_millis(500),
            max_rows: 100_000,
            max_bytes: ByteSize::mib(64),
        }
    }
}

#[cfg(test)]
mod tests;
