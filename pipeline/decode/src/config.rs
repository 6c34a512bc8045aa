//! The section `documents`: how a message is decoded into a document.

use std::path::PathBuf;
use std::time::Duration;

use bytesize::ByteSize;
use fenliu_config::Problems;
use serde::{Deserialize, Serialize};

/// How a message is decoded into a document.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DocumentsConfig {
    /// `json`: each message is a JSON object. `bytes`: the message is the body, in any character set; the cleaning steps
    /// must then begin with `decode_bytes`. `avro`, `protobuf`: read with the schemas of `registry`, or with the one in
    /// `schema`. `arrow`: each message holds one row in Arrow IPC.
    pub format: PayloadFormat,
    /// Largest message, in bytes; larger ones become dead letters with the reason `too_large`. Default: 4 MiB.
    pub max_bytes: ByteSize,
    /// File with the schema of all messages (`.avsc` or `.proto`), if they do not name schemas of a registry.
    pub schema: Option<PathBuf>,
    /// Full name of the message type; needed if `schema` is a `.proto` file, which can define several.
    pub message: Option<String>,
    /// Which fields hold which part of the document; of several fields for one part, the first that is present is used.
    pub fields: FieldNames,
    /// The registry with the schemas that Avro and Protobuf messages name by id.
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

impl DocumentsConfig {
    /// Checks all values. `of_files` says whether documents are rows of files instead of Kafka messages.
    pub fn check(&self, of_files: bool, problems: &mut Problems) {
        let bytes = self.max_bytes.as_u64();
        let is_bounded = (1..1 << 30).contains(&bytes);
        problems.require(is_bounded, "documents.max_bytes", self.max_bytes, "1 B to 1 GiB");
        if self.fields.title.is_empty() && self.fields.body.is_empty() {
            problems.add("documents.fields", "names no field for `title` nor for `body`");
        }
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
        if !needs_schema && (schema.is_some() || !registry.url.is_empty()) {
            problems.add("documents", "has a schema, which only the formats `avro` and `protobuf` use");
        }
        if self.takes_message() != message.is_some() {
            problems.add(
                "documents.message",
                "is needed with a `.proto` file as `documents.schema`, and only there",
            );
        }
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

/// For each part of a document, the fields that may hold it, in order of preference. `a.b` means the field with the name
/// `a.b`, or the field `b` inside the field `a`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FieldNames {
    /// The source's own identifier: a string or a whole number.
    pub id: Vec<String>,
    /// Headline.
    pub title: Vec<String>,
    /// Main text.
    pub body: Vec<String>,
    /// Address.
    pub url: Vec<String>,
    /// Publisher.
    pub source: Vec<String>,
    /// Declared language.
    pub lang: Vec<String>,
    /// RFC 3339, `YYYY-MM-DD[ HH:MM:SS]` (UTC), or seconds or milliseconds since the Unix epoch.
    pub published_at: Vec<String>,
    /// Label that the document comes with.
    pub label: Vec<String>,
}

impl FieldNames {
    /// These names, followed by those of `others` that are not among them.
    pub fn or(self, others: Self) -> Self {
        let both = |own: Vec<String>, other: Vec<String>| -> Vec<String> {
            let new: Vec<String> = other.into_iter().filter(|name| !own.contains(name)).collect();
            own.into_iter().chain(new).collect()
        };
        FieldNames {
            id: both(self.id, others.id),
            title: both(self.title, others.title),
            body: both(self.body, others.body),
            url: both(self.url, others.url),
            source: both(self.source, others.source),
            lang: both(self.lang, others.lang),
            published_at: both(self.published_at, others.published_at),
            label: both(self.label, others.label),
        }
    }
}

impl Default for FieldNames {
    fn default() -> Self {
        let names = |names: &[&str]| names.iter().map(ToString::to_string).collect();
        FieldNames {
            id: names(&["id"]),
            title: names(&["title"]),
            body: names(&["body", "text"]),
            url: names(&["url"]),
            source: names(&["source"]),
            lang: names(&["lang"]),
            published_at: names(&["published_at"]),
            label: names(&["label"]),
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
