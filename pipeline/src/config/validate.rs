//! Checks that a configuration can run, before anything starts.

use std::ops::Deref;
use std::path::Path;
use std::time::Duration;

use fenliu_operators::Step;
use rdkafka::ClientConfig;
use rdkafka::error::KafkaError;

use crate::finetune::parse_schedule;
use crate::source::Decoder;

use super::kafka::{ACKNOWLEDGEMENTS, OWNED};
use super::sinks::check_place;
use super::{
    BreakerConfig, Config, DeadLetterConfig, DocumentsConfig, FilesSinkConfig, PayloadFormat, Problems,
    Properties, RegistryConfig, SinkConfig, SourceConfig,
};

/// A configuration whose every value is within its bounds and whose every SQL text compiles.
#[derive(Clone, Debug)]
pub struct ValidatedConfig(Config);

impl Deref for ValidatedConfig {
    type Target = Config;

    fn deref(&self) -> &Config {
        &self.0
    }
}

impl Config {
    /// Checks all values; `origin` names the file in messages.
    ///
    /// # Errors
    /// All problems at once, each naming key, value and bound.
    pub fn validate(self, origin: &str) -> Result<ValidatedConfig, Problems> {
        let mut problems = Problems::new(origin);
        problems.require(!self.name.is_empty(), "name", "empty", "a name");
        self.check_kafka(&mut problems);
        self.check_source(&mut problems);
        self.check_model(&mut problems);
        self.check_finetune(&mut problems);
        self.check_breaker(&mut problems);
        self.check_limits(&mut problems);
        self.check_sinks(&mut problems);
        self.check_sql(&mut problems);
        problems.into_result(ValidatedConfig(self))
    }

    fn check_kafka(&self, problems: &mut Problems) {
        problems.require(
            !self.kafka.brokers.is_empty(),
            "kafka.brokers",
            "empty",
            "host:port,... or `embedded`",
        );
        check_properties(&self.kafka.properties, "kafka.properties", problems);
    }

    fn check_source(&self, problems: &mut Problems) {
        match &self.source {
            SourceConfig::Kafka(kafka) => {
                problems.require(!kafka.topics.is_empty(), "source.topics", "empty", "a list of topics");
                if kafka.topics.iter().any(String::is_empty) {
                    problems.add("source.topics", "has an empty name");
                }
                check_properties(&kafka.properties, "source.properties", problems);
            }
            SourceConfig::Files(files) => {
                problems.require(
                    !files.paths.is_empty(),
                    "source.paths",
                    "empty",
                    "a list of files or directories",
                );
                for path in files.paths.iter().filter(|path| !path.exists()) {
                    problems.add("source.paths", format!("names {}, which does not exist", path.display()));
                }
            }
        }
        let bytes = self.documents.max_bytes.as_u64();
        problems.require(
            (1..1 << 30).contains(&bytes),
            "documents.max_bytes",
            self.documents.max_bytes,
            "1 B to 1 GiB",
        );
        let fields = &self.documents.fields;
        if fields.title.is_empty() && fields.body.is_empty() {
            problems.add("documents.fields", "names no field for `title` nor for `body`");
        }
        self.check_schemas(problems);
        let decodes =
            matches!(self.clean.steps.first(), Some(Step::Operator(name)) if name == "decode_bytes");
        if self.documents.format == PayloadFormat::Bytes && !decodes {
            problems.add("clean.steps", "must begin with `decode_bytes` when `documents.format` is `bytes`");
        }
    }

    /// Where the schemas of messages come from.
    fn check_schemas(&self, problems: &mut Problems) {
        let DocumentsConfig { format, schema, message, registry, .. } = &self.documents;
        let needs_schema = format.needs_schema();
        if (needs_schema || *format == PayloadFormat::Arrow) && matches!(self.source, SourceConfig::Files(_))
        {
            problems
                .add("documents.format", "is a format of Kafka messages; files are told by their endings");
        }
        if needs_schema && schema.is_some() != registry.url.is_empty() {
            problems
                .add("documents", "must have one of `schema` and `registry.url` to read Avro or Protobuf");
        }
        if !needs_schema && (schema.is_some() || !registry.url.is_empty()) {
            problems.add("documents", "has a schema, which only the formats `avro` and `protobuf` use");
        }
        let takes_message = *format == PayloadFormat::Protobuf && schema.is_some();
        if takes_message != message.is_some() {
            problems.add(
                "documents.message",
                "is needed with a `.proto` file as `documents.schema`, and only there",
            );
        } else if needs_schema
            && schema.is_some()
            && let Err(error) = Decoder::try_new(&self.documents)
        {
            problems.add("documents.schema", format!("cannot be used: {error}"));
        }
        check_registry(registry, problems);
    }

    /// Checks what a fine-tuning job needs, which is less than a pipeline needs.
    ///
    /// # Errors
    /// All problems of the section `finetune` at once.
    pub fn validate_finetune(&self, origin: &str) -> Result<(), Problems> {
        let mut problems = Problems::new(origin);
        self.check_finetune(&mut problems);
        problems.into_result(())
    }

    fn check_finetune(&self, problems: &mut Problems) {
        let job = &self.finetune;
        for (key, share) in [("finetune.test_share", job.test_share), ("finetune.dev_share", job.dev_share)] {
            problems.require((0.01..=0.5).contains(&share), key, share, "0.01 to 0.5");
        }
        problems.require(job.epochs != Some(0), "finetune.epochs", 0, "at least 1");
        problems.require(job.threads <= 1024, "finetune.threads", job.threads, "at most 1024");
        problems.require(job.niceness <= 19, "finetune.niceness", job.niceness, "0 to 19");
        for (key, paths) in [("finetune.data", &job.data), ("finetune.test", &job.test)] {
            for path in paths.iter().filter(|path| !path.exists()) {
                problems.add(key, format!("names {}, which does not exist", path.display()));
            }
        }
        if let Some(Err(error)) = (!job.schedule.is_empty()).then(|| parse_schedule(&job.schedule)) {
            problems.add("finetune.schedule", format!("is `{}`, no cron expression: {error}", job.schedule));
        }
        if job.is_scheduled() && job.feedback.is_empty() && job.data.is_empty() {
            problems.add("finetune", "is scheduled but has neither `feedback` nor `data` to learn from");
        }
        if job.min_new_labels > 0 && job.feedback.is_empty() {
            problems.add("finetune.min_new_labels", "counts corrections, but `finetune.feedback` names none");
        }
    }

    fn check_breaker(&self, problems: &mut Problems) {
        let BreakerConfig { share, rows } = self.breaker;
        problems.require((0.0..=1.0).contains(&share), "breaker.share", share, "0 to 1");
        problems.require(rows <= 1_000_000, "breaker.rows", rows, "at most 1000000");
    }

    fn check_limits(&self, problems: &mut Problems) {
        let limits = &self.limits;
        let rows = limits.batch_rows;
        problems.require((1..=65_536).contains(&rows), "limits.batch_rows", rows, "1 to 65536");
        problems.require(limits.memory.as_u64() >= 1 << 20, "limits.memory", limits.memory, "at least 1 MiB");
        let half = bytesize::ByteSize(limits.memory.as_u64() / 2);
        problems.require(
            (1..=half.as_u64()).contains(&self.epoch.max_bytes.as_u64()),
            "epoch.max_bytes",
            self.epoch.max_bytes,
            format!("1 B to half of `limits.memory` ({half})"),
        );
        problems.require(self.epoch.max_rows >= 1, "epoch.max_rows", self.epoch.max_rows, "at least 1");
        let age = self.epoch.max_age;
        problems.require(!age.is_zero(), "epoch.max_age", "0s", "longer than 0s");
        let age = self.epoch.kafka_max_age;
        problems.require(!age.is_zero(), "epoch.kafka_max_age", "0s", "longer than 0s");
    }

    fn check_sinks(&self, problems: &mut Problems) {
        problems.require(!self.sinks.is_empty(), "sinks", "empty", "at least one sink");
        for (index, sink) in self.sinks.iter().enumerate() {
            let key = format!("sinks[{index}]");
            match sink {
                SinkConfig::Files(files) => check_files(files, &key, problems),
                SinkConfig::Iceberg(table) => table.check(&key, problems),
                SinkConfig::Kafka(kafka) => {
                    check_properties(&kafka.properties, &format!("{key}.properties"), problems);
                }
                SinkConfig::Delta(delta) => delta.check(&key, problems),
                SinkConfig::Stdout(_) => {}
            }
        }
        match &self.dead_letters {
            DeadLetterConfig::Files(files) => check_files(files, "dead_letters", problems),
            DeadLetterConfig::Kafka(kafka) => {
                check_properties(&kafka.properties, "dead_letters.properties", problems);
                if !kafka.columns.is_empty() {
                    problems.add(
                        "dead_letters.columns",
                        "has no meaning for a Kafka topic: the value is the original message",
                    );
                }
            }
        }
        self.check_places(problems);
        let stdouts = self.sinks.iter().filter(|sink| matches!(sink, SinkConfig::Stdout(_))).count();
        problems.require(stdouts <= 1, "sinks", format!("{stdouts} of type stdout"), "at most one");
    }
}

fn check_registry(registry: &RegistryConfig, problems: &mut Problems) {
    let url = &registry.url;
    let has_scheme = url.starts_with("http://") || url.starts_with("https://");
    if !url.is_empty() && !has_scheme {
        problems.add("documents.registry.url", format!("is {url} but must begin with http:// or https://"));
    }
    if url.contains('@') {
        problems.add("documents.registry.url", "holds a user: put it into `username` and `password`");
    }
    if url.starts_with("https://") && !cfg!(feature = "tls") {
        problems
            .add("documents.registry.url", "begins with https, which needs a build with the feature `tls`");
    }
    if registry.username.is_empty() && !registry.password.is_empty() {
        problems.add("documents.registry.username", "is empty but there is a `password`");
    }
    let bounds = Duration::from_millis(100)..=Duration::from_secs(60);
    let timeout = registry.timeout;
    problems.require(
        bounds.contains(&timeout),
        "documents.registry.timeout",
        format!("{timeout:?}"),
        "100ms to 60s",
    );
}

fn check_files(files: &FilesSinkConfig, key: &str, problems: &mut Problems) {
    check_place(&files.path.to_string_lossy(), &files.storage, key, problems);
    if Path::new(&files.path).is_file() {
        problems.add(
            format!("{key}.path"),
            format!("is {}, a file, but must be a directory", files.path.display()),
        );
    }
    let is_never = files.max_age.is_some_and(|age| age.is_zero());
    problems.require(!is_never, &format!("{key}.max_age"), "0s", "longer than 0s");
}

fn check_properties(properties: &Properties, key: &str, problems: &mut Problems) {
    for name in properties.keys().filter(|name| OWNED.contains(&name.as_str())) {
        let instead = "is set by fenliu itself (`kafka.brokers`, `source.group`, `source.instance`, `source.start`, `epoch`)";
        problems.add(format!("{key}.\"{name}\""), instead);
    }
    for (name, value) in properties.iter().filter(|(name, _)| ACKNOWLEDGEMENTS.contains(&name.as_str())) {
        let is_all = matches!(value.as_str(), "all" | "-1");
        problems.require(
            is_all,
            &format!("{key}.\"{name}\""),
            value,
            "all: other rows would count as written too early",
        );
    }
    for (name, value) in properties {
        let checked = ClientConfig::new().set(name, value).create_native_config();
        if let Err(KafkaError::ClientConfig(_, reason, ..)) = checked {
            problems.add(format!("{key}.\"{name}\""), format!("is refused by librdkafka: {}", reason.trim()));
        }
    }
}
