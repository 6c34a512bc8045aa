//! The configuration: what a user writes, checked before anything starts.
//!
//! [`Config`]'s `Default` is the source of all defaults. [`Config::load`] reads TOML, applies
//! `--set` overrides, fills in `${VARIABLES}` from the environment and reports *all* problems at once;
//! only a [`ValidatedConfig`] can run. Secrets among librdkafka's properties are never printed.

mod delta;
mod finetune;
mod iceberg;
mod kafka;
mod load;
mod model;
mod outputs;
mod problems;
mod sinks;
mod source;
mod sql;
mod validate;

use std::path::PathBuf;
use std::time::Duration;

use bytesize::ByteSize;
use fenliu_model::DriftOptions;
use fenliu_operators::CleanConfig;
use serde::{Deserialize, Serialize};

pub use delta::DeltaSinkConfig;
pub use finetune::{FeedbackConfig, FinetuneConfig, PromotePolicy};
pub use iceberg::{IcebergCatalogConfig, IcebergCatalogKind, IcebergSinkConfig};
pub use kafka::{EMBEDDED, KafkaConfig, Properties};
pub use model::ModelConfig;
pub use problems::{Problem, Problems};
pub(crate) use sinks::is_bucket;
pub use sinks::{
    DeadLetterConfig, FileFormat, FilesSinkConfig, KafkaSinkConfig, SinkConfig, StdoutSinkConfig,
};
pub use source::{
    FieldNames, FilesSourceConfig, KafkaSourceConfig, PayloadFormat, RegistryConfig, SourceConfig, Start,
};
pub use validate::ValidatedConfig;

pub use crate::breaker::BreakerConfig;
pub use crate::serve::{BakeConfig, ShadowConfig};

/// Everything that one pipeline needs to know.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
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
            sinks: vec![SinkConfig::Files(FilesSinkConfig::default())],
            dead_letters: DeadLetterConfig::default(),
            breaker: BreakerConfig::default(),
            limits: LimitsConfig::default(),
            epoch: EpochConfig::default(),
        }
    }
}

/// How one message becomes one document.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DocumentsConfig {
    /// `json`: an object a message. `bytes`: the message is the body, in any character set; the
    /// cleaning steps must then begin with `decode_bytes`. `avro`, `protobuf`: by the schemas of `registry`
    /// or the one in `schema`. `arrow`: one row in Arrow IPC.
    pub format: PayloadFormat,
    /// Larger messages are dead letters (`too_large`). Default: 4 MiB.
    pub max_bytes: ByteSize,
    /// The schema of all messages, where they do not name one of a registry: `.avsc` or `.proto`.
    pub schema: Option<PathBuf>,
    /// With a `.proto` file as `schema`, the full name of the message type.
    pub message: Option<String>,
    /// Which fields hold which part of the document; the first present one counts.
    pub fields: FieldNames,
    /// Where the schemas are that Avro and Protobuf messages name by number.
    pub registry: RegistryConfig,
}

impl Default for DocumentsConfig {
    fn default() -> Self {
        DocumentsConfig {
            format: PayloadFormat::Json,
            max_bytes: ByteSize::mib(4),
            schema: None,
            message: None,
            fields: FieldNames::default(),
            registry: RegistryConfig::default(),
        }
    }
}

/// Optional columns of written rows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OutputConfig {
    /// Add the cleaned `body`.
    pub body: bool,
    /// Add the words of the `segment` step.
    pub tokens: bool,
}

/// Memory and batch bounds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LimitsConfig {
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
pub struct EpochConfig {
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

/// What a Kafka sink promises when the process dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Delivery {
    /// Rows and offsets in one transaction: a reader of committed messages sees every row once.
    ExactlyOnce,
    /// No transactions: rows of the last epoch may come twice.
    AtLeastOnce,
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
mod tests {
    use super::*;

    #[test]
    fn the_commented_default_file_says_what_the_code_does() {
        let text = crate::cli::DEFAULT_CONFIG;
        let read = Config::parse(text, "default.toml", &[], &|_| None)
            .unwrap_or_else(|problems| panic!("{problems}"));
        assert_eq!(read, Config::default());
        for line in read.to_redacted_toml().lines().filter(|line| !line.starts_with('[')) {
            let key = line.split(" = ").next().unwrap_or_default().trim_matches([' ', ']', ',']);
            assert!(text.contains(key), "{key} is not in deploy/config/default.toml");
        }
    }

    #[test]
    fn schemas_come_from_one_place_that_the_format_uses() {
        let cases: [(&[&str], &str); 10] = [
            (&["format='avro'"], "one of `schema` and `registry.url`"),
            (
                &["format='avro'", "schema='a.avsc'", "registry.url='http://x'"],
                "one of `schema` and `registry.url`",
            ),
            (&["format='json'", "registry.url='http://x'"], "only the formats `avro` and `protobuf` use"),
            (
                &["format='protobuf'", "schema='a.proto'"],
                "`documents.message` is needed with a `.proto` file",
            ),
            (&["format='avro'", "registry.url='http://x'", "message='M'"], "`documents.message` is needed"),
            (&["format='avro'", "schema='nowhere.avsc'"], "nowhere.avsc"),
            (&["format='avro'", "registry.url='registry:8081'"], "must begin with http:// or https://"),
            (&["format='avro'", "registry.url='http://u:p@x'"], "holds a user"),
            (
                &["format='avro'", "registry.url='http://x'", "registry.password='p'"],
                "`documents.registry.username` is empty",
            ),
            (&["format='avro'", "registry.url='http://x'", "registry.timeout='1h'"], "100ms to 60s"),
        ];
        for (lines, problem) in cases {
            let text = format!("[documents]\n{}", lines.join("\n"));
            let config = Config::parse(&text, "t", &[], &|_| None).unwrap();
            let problems = config.validate("t").unwrap_err().to_string();
            assert!(problems.contains(problem), "{lines:?}: {problems}");
        }
    }

    #[test]
    fn every_bound_is_checked_and_named() {
        let text = r#"
            name = ""
            [kafka.properties]
            "group.id" = "x"
            [source]
            type = "kafka"
            topics = ["news"]
            [documents]
            format = "bytes"
            max_bytes = 0
            [clean]
            steps = ["strip_hmtl", { column = "offset", sql = "1" }, { reject = "x", when = "nope = 1" }]
            [model]
            top_k = 0
            max_batch_tokens = 0
            [finetune]
            dev_share = 0.9
            epochs = 0
            niceness = 20
            schedule = "every night"
            min_new_labels = 5
            data = ["nowhere.jsonl"]
            [breaker]
            share = 5
            rows = 2000000
            [limits]
            batch_rows = 0
            memory = "10 MiB"
            [epoch]
            max_bytes = "6 MiB"
            max_age = "0s"
            [[sinks]]
            type = "kafka"
            topic = "news"
            [[sinks]]
            type = "stdout"
            where = "scor > 1"
        "#;
        let config = Config::parse(text, "t", &[], &|_| None).unwrap();
        let problems = config.validate("t").unwrap_err();
        let text = problems.to_string();
        for part in [
            "`name`",
            "group.id",
            "documents.max_bytes",
            "decode_bytes",
            "strip_hmtl",
            "offset",
            "nope",
            "`model.bundle`",
            "`model.top_k` is 0 but must be 1 to 1000",
            "model.max_batch_tokens",
            "`finetune.dev_share` is 0.9 but must be 0.01 to 0.5",
            "finetune.epochs",
            "finetune.niceness",
            "`finetune.schedule` is `every night`, no cron expression",
            "finetune.min_new_labels",
            "nowhere.jsonl",
            "`breaker.share` is 5 but must be 0 to 1",
            "`breaker.rows` is 2000000 but must be at most 1000000",
            "limits.batch_rows",
            "epoch.max_bytes",
            "5.0 MiB",
            "epoch.max_age",
            "endless loop",
        ] {
            assert!(text.contains(part), "`{part}` not in {text}");
        }
    }
}
