//! The configuration: what a user writes, checked before anything starts.
//!
//! [`Config`]'s `Default` is the source of all defaults. [`Config::load`] reads TOML, applies
//! `--set` overrides, fills in `${VARIABLES}` from the environment and reports *all* problems at once;
//! only a [`Plan`](crate::plan::Plan) can run. Secrets among options of libraries are never printed.

mod breaker;
mod check_model;
mod finetune;
mod load;
mod model;
mod selection;
mod serve;
mod validate;

use std::time::Duration;

use bytesize::ByteSize;
use fenliu_connectors::files::FilesSinkConfig;
use fenliu_connectors::kafka::Delivery;
use fenliu_connectors::{DeadLetterConfig, KafkaConfig, SinkConfig, SourceConfig};
use fenliu_decode::DocumentsConfig;
use fenliu_model::DriftOptions;
use fenliu_operators::CleanConfig;
use fenliu_schemas::LabelledOptions;
use serde::{Deserialize, Serialize};

pub(crate) use breaker::BreakerConfig;
pub(crate) use finetune::{FinetuneConfig, PromotePolicy, parse_schedule};
pub(crate) use model::ModelConfig;
pub(crate) use selection::Selection;
pub(crate) use serve::{BakeConfig, ShadowConfig};

/// Everything that one pipeline needs to know.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Config {
    /// Name of the pipeline, under which every sink keeps how far it is; also the default consumer group. Under another
    /// name, with another group, everything is read and written again.
    pub name: String,
    /// The Kafka cluster.
    pub kafka: KafkaConfig,
    /// Where documents come from.
    pub source: SourceConfig,
    /// How documents are decoded, whatever the source.
    pub documents: DocumentsConfig,
    /// Cleaning and segmentation.
    pub clean: CleanConfig,
    /// The classifier, where there is one: see [`Config::has_model`].
    pub model: ModelConfig,
    /// Comparing a challenger with the model in use.
    pub shadow: ShadowConfig,
    /// When documents count as other than those that the model was judged on.
    pub drift: DriftOptions,
    /// Learning from corrections.
    pub finetune: FinetuneConfig,
    /// Optional columns of written rows.
    pub output: OutputConfig,
    /// Where labelled rows go; several at once.
    pub sinks: Vec<SinkConfig>,
    /// Where rejected documents go.
    pub dead_letters: DeadLetterConfig,
    /// When too many documents fail to go on.
    pub breaker: BreakerConfig,
    /// Memory and batch bounds.
    pub limits: LimitsConfig,
    /// When rows are made durable and offsets committed.
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
            shadow: ShadowConfig::default(),
            drift: DriftOptions::default(),
            finetune: FinetuneConfig::default(),
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
    /// Whether documents are labelled; without a model they are cleaned and written, and no more.
    pub(crate) fn has_model(&self) -> bool {
        !self.model.bundle.as_os_str().is_empty()
    }

    /// Which columns written rows have.
    pub(crate) fn labelled_options(&self) -> LabelledOptions {
        let OutputConfig { body, tokens, kafka_key, kafka_headers } = self.output;
        LabelledOptions { body, tokens, kafka_key, kafka_headers, unlabelled: !self.has_model() }
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
}

/// Memory and batch bounds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct LimitsConfig {
    /// Bytes of documents in the pipeline at once, from reception until the sinks are durable; each byte
    /// counts twice, as message and decoded. When it is used up the source waits. Default: 256 MiB.
    pub memory: ByteSize,
    /// Most documents in one batch. Default: 512.
    pub batch_rows: usize,
    /// How long a batch waits for more documents: the price in latency of fuller batches. Default: 20ms.
    #[serde(with = "humantime_serde")]
    pub batch_linger: Duration,
}

impl Default for LimitsConfig {
    fn default() -> Self {
        LimitsConfig { memory: ByteSize::mib(256), batch_rows: 512, batch_linger: Duration::from_millis(20) }
    }
}

/// An epoch is a run of batches that a sink commits together, with its position. It closes at whichever
/// bound comes first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct EpochConfig {
    /// What Kafka sinks promise. File sinks are always exactly once. Default: exactly-once.
    pub delivery: Delivery,
    /// Freshness of file sinks, and how much is read again after a crash. Default: 10s.
    #[serde(with = "humantime_serde")]
    pub max_age: Duration,
    /// The same for Kafka sinks, where it is shorter: readers see rows when their transaction is committed.
    /// Default: 500ms.
    #[serde(with = "humantime_serde")]
    pub kafka_max_age: Duration,
    /// Default: 100,000.
    pub max_rows: usize,
    /// As counted for `limits.memory`, and at most half of that. Default: 64 MiB.
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
