//! The section `documents`: how a message is decoded into a document.

use std::path::PathBuf;
use std::time::Duration;

use bytesize::ByteSize;
use fenliu_config::Problems;
use serde::{Deserialize, Serialize};

use crate::names::FieldNames;
use crate::preset::Preset;
use crate::strict;
use crate::time::{DateOrder, DateRules, Zone};

/// How a message is decoded into a document.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DocumentsConfig {
    /// `json`: each message is a JSON object, behind a schema registry's prefix if `registry` is set. `bytes`: the message
    /// is the body, in any character set; the cleaning steps must then begin with `decode_bytes`. `avro`, `protobuf`: read
    /// with the schemas of `registry`, or with the one in `schema`; an Avro container has its own. `arrow`: each message
    /// holds one row in Arrow IPC.
    pub format: PayloadFormat,
    /// Largest message, in bytes; larger ones become dead letters with the reason `too_large`. Default: 4 MiB.
    pub max_bytes: ByteSize,
    /// File with the schema of all messages (`.avsc` or `.proto`), if they do not name schemas of a registry.
    pub schema: Option<PathBuf>,
    /// Full name of the message type; needed if `schema` is a `.proto` file, which can define several.
    pub message: Option<String>,
    /// Which fields hold which part of the document; of several fields for one part, the first that is present is used.
    pub fields: FieldNames,
    /// A source of news by whose names fields are looked for before the usual ones, such as `newsapi`; `auto`: the usual
    /// names, which suffice for most sources.
    pub preset: Preset,
    /// The path to the array of documents in a JSON file that is one object, such as `response.docs`. Empty: that of the
    /// preset, or the first of the usual ones that there is.
    pub records: String,
    /// A message without a value, which compacted topics hold for a deleted document, and a change event that says that a
    /// document was deleted: `skip` counts it, `dead_letter` makes it a dead letter with the reason `tombstone` or
    /// `deletion`. Neither is a failure.
    pub deletions: Deletions,
    /// Warnings that make a document a dead letter with the reason `strict`: parts such as `published_at`, or one reason of
    /// a part, such as `lang:unknown`. Default: none.
    pub strict: Vec<String>,
    /// The time zone of times that name none: `UTC`, an offset such as `+08:00`, or a name such as `Asia/Shanghai`.
    pub timezone: Zone,
    /// The order of day and month in dates such as `03/04/2023`: `unknown`, `day-first` or `month-first`. As long as it
    /// is unknown, such dates are left out, with a warning.
    pub date_order: DateOrder,
    /// The registry with the schemas that Avro and Protobuf messages name. With `json` it is not asked: it says that the
    /// objects have a registry's prefix.
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
            preset: Preset::default(),
            records: String::new(),
            deletions: Deletions::default(),
            strict: vec![],
            timezone: Zone::default(),
            date_order: DateOrder::default(),
            registry: RegistryConfig::default(),
        }
    }
}

impl DocumentsConfig {
    /// Checks all values. `of_files` says whether documents are rows of files instead of Kafka messages.
    pub fn check(&self, of_files: bool, problems: &mut Problems) {
        let bytes = self.max_bytes.as_u64();
        let is_bounded = (1..1 << 30).contains(&bytes);
        problems.require(is_bounded, "documents.max_bytes", self.max_bytes, "1 B to 1 GiB");
        if self.fields.title.is_empty() && self.fields.body.is_empty() {
            problems.add("documents.fields", "names no field for `title` nor for `body`");
        }
        strict::check(&self.strict, problems);
        self.check_schemas(of_files, problems);
        check_registry(&self.registry, problems);
    }

    /// Checks that the schemas of messages come from exactly one place, and only for formats that need schemas.
    fn check_schemas(&self, of_files: bool, problems: &mut Problems) {
        let DocumentsConfig { format, schema, message, registry, .. } = self;
        let needs_schema = format.needs_schema();
        if (needs_schema || *format == PayloadFormat::Arrow) && of_files {
            problems.add(
                "documents.format",
                "is a format of Kafka messages; that of files follows from their names",
            );
        }
        if needs_schema && schema.is_some() != registry.url.is_empty() {
            problems
                .add("documents", "must have one of `schema` and `registry.url` to read Avro or Protobuf");
        }
        let takes_registry = needs_schema || *format == PayloadFormat::Json;
        if (!needs_schema && schema.is_some()) || (!takes_registry && !registry.url.is_empty()) {
            problems.add("documents", "has a schema, which only the formats `avro` and `protobuf` use");
        }
        if self.takes_message() != message.is_some() {
            problems.add(
                "documents.message",
                "is needed with a `.proto` file as `documents.schema`, and only there",
            );
        }
    }

    /// The fields for each part: those that are configured, then those of the preset.
    pub(crate) fn ranked_fields(&self) -> FieldNames {
        if self.fields == FieldNames::default() {
            return self.preset.fields().or(FieldNames::default());
        }
        self.fields.clone().or(self.preset.fields())
    }

    /// Where the array of documents is, if it is known.
    pub(crate) fn records(&self) -> Option<String> {
        let configured = Some(self.records.clone()).filter(|path| !path.is_empty());
        configured.or_else(|| self.preset.records().map(ToOwned::to_owned))
    }

    /// How times are read.
    pub fn date_rules(&self) -> DateRules {
        let timezone = if self.timezone == Zone::default() { self.preset.timezone() } else { self.timezone };
        DateRules { timezone, order: self.date_order }
    }

    /// Whether `message` has to be set.
    fn takes_message(&self) -> bool {
        self.format == PayloadFormat::Protobuf && self.schema.is_some()
    }

    /// Whether a schema file is set, together with everything that compiling it needs.
    pub fn has_schema_file(&self) -> bool {
        self.format.needs_schema() && self.schema.is_some() && self.takes_message() == self.message.is_some()
    }
}

/// What is done with a message that deletes a document.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Deletions {
    /// It is counted, and no row.
    #[default]
    Skip,
    /// It becomes a dead letter.
    DeadLetter,
}

/// The format of messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PayloadFormat {
    /// A JSON object in UTF-8.
    Json,
    /// The body of the document, in any character set.
    Bytes,
    /// An Avro record, with a schema from a registry or a file.
    Avro,
    /// A Protocol Buffers message, with a schema from a registry or a file.
    Protobuf,
    /// One row in Arrow IPC, as a stream or a file.
    Arrow,
}

impl PayloadFormat {
    /// Whether a message can only be read with a schema that it does not contain.
    pub fn needs_schema(self) -> bool {
        matches!(self, PayloadFormat::Avro | PayloadFormat::Protobuf)
    }
}

/// A schema registry with Confluent's interface.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RegistryConfig {
    /// Its address, such as `https://registry:8081`. Empty: there is no registry.
    pub url: String,
    /// User of HTTP basic authentication. Empty: no authentication.
    pub username: String,
    /// Password, or an API key's secret.
    pub password: String,
    /// How long one answer may take before the registry counts as unreachable. Default: 10s.
    #[serde(with = "humantime_serde")]
    pub timeout: Duration,
}

impl Default for RegistryConfig {
    fn default() -> Self {
        RegistryConfig {
            url: String::new(),
            username: String::new(),
            password: String::new(),
            timeout: Duration::from_secs(10),
        }
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
