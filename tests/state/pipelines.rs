//! The pipelines of the fixture: how each is configured, what it reads and where its rows go.

use std::fs;

use fenliu_tests::kafka::{Broker, NewRecord};

use super::documents::{document, message};
use super::outputs::{Origin, Output};
use super::place::Place;

/// Partitions of the topics that pipelines read.
pub(super) const PARTITIONS: usize = 2;

/// What all of them say. Cleaning and fields are those of the first example of 78ec496's README, with which the model
/// of the fixture was trained.
const COMMON: &str = r#"
[documents.fields]
body = ["content", "text"]
published_at = ["ts"]

[clean]
steps = [
  "strip_html", "normalize", "to_simplified", "detect_lang",
  { column = "channel", sql = "split_part(url, '/', 4)" },
  { reject = "advertisement", when = "title LIKE '%广告%'" },
]
languages = ["zh", "en"]

[model]
bundle = "models/headlines"

[breaker]
rows = 0
"#;

/// From files to files and tables: no broker.
const ARCHIVE: &str = r#"name = "archive-RELEASE"

[source]
type = "files"
paths = ["archive/in"]

[[sinks]]
type = "files"
path = "archive/labelled"

[[sinks]]
type = "delta"
path = "archive/delta"
columns = ["id", "label", "score", "topic", "partition", "\"offset\""]
partition_by = ["label"]

[[sinks]]
type = "iceberg"
namespace = "desk"
table = "labelled"
catalog = { uri = "sqlite:archive/iceberg/catalog.db", warehouse = "archive/iceberg" }

[dead_letters]
type = "files"
path = "archive/dead"
format = "jsonl"
"#;

/// From a topic to every kind of files and tables. One sink is fresher than the others, so that they can be found at
/// different positions.
const DESK: &str = r#"name = "desk-RELEASE"

[kafka]
brokers = "${BROKERS}"

[source]
type = "kafka"
topics = ["desk-RELEASE"]
instance = "a"
[source.properties]
"session.timeout.ms" = 6000

[[sinks]]
type = "files"
path = "desk/labelled"
max_age = "200ms"

[[sinks]]
type = "files"
path = "desk/by-label"
columns = ["id", "label", "score", "topic", "partition", "\"offset\""]
partition_by = ["label"]

[[sinks]]
type = "files"
path = "desk/lines"
format = "jsonl"
columns = ["id", "label", "topic", "partition", "\"offset\""]

[[sinks]]
type = "files"
path = "desk/arrow"
format = "arrow"
columns = ["id", "label", "topic", "partition", "\"offset\""]

[[sinks]]
type = "delta"
path = "desk/delta"

[[sinks]]
type = "iceberg"
namespace = "desk"
table = "labelled"
columns = ["id", "label", "score", "topic", "partition", "\"offset\"", "processed_at"]
partition_by = ["label", "day(processed_at)"]
catalog = { uri = "sqlite:desk/iceberg/catalog.db", warehouse = "desk/iceberg" }

[dead_letters]
type = "files"
path = "desk/dead"

[epoch]
max_age = "10m"
"#;

/// From a topic to topics, in transactions.
const WIRE: &str = r#"name = "wire-RELEASE"

[kafka]
brokers = "${BROKERS}"

[source]
type = "kafka"
topics = ["wire-RELEASE"]
group = "wire-RELEASE-group"
instance = "a"
[source.properties]
"session.timeout.ms" = 6000

[[sinks]]
type = "kafka"
topic = "wire-RELEASE-labelled"
columns = ["id", "label", "score", "topic", "partition", "\"offset\""]

[dead_letters]
type = "kafka"
topic = "wire-RELEASE-dead"
"#;

/// A pipeline.
#[derive(Debug)]
pub(super) struct Pipeline {
    /// Its directory in the fixture; names of topics begin with it.
    pub(super) name: &'static str,
    config: &'static str,
    /// Where rows go.
    pub(super) outputs: &'static [Output],
    /// Where dead letters go.
    pub(super) dead: Output,
    /// The consumer group begins with the pipeline's name and ends so; none: the source is files.
    group: Option<&'static str>,
}

pub(super) const PIPELINES: [Pipeline; 3] = [
    Pipeline {
        name: "archive",
        config: ARCHIVE,
        outputs: &[
            Output::Files("archive/labelled", "parquet"),
            Output::Delta("archive/delta"),
            Output::Iceberg("archive/iceberg"),
        ],
        dead: Output::Files("archive/dead", "jsonl"),
        group: None,
    },
    Pipeline {
        name: "desk",
        config: DESK,
        outputs: &[
            Output::Files("desk/labelled", "parquet"),
            Output::Files("desk/by-label", "parquet"),
            Output::Files("desk/lines", "jsonl"),
            Output::Files("desk/arrow", "arrow"),
            Output::Delta("desk/delta"),
            Output::Iceberg("desk/iceberg"),
        ],
        dead: Output::Files("desk/dead", "parquet"),
        group: Some(""),
    },
    Pipeline {
        name: "wire",
        config: WIRE,
        outputs: &[Output::Topic("labelled")],
        dead: Output::Topic("dead"),
        group: Some("-group"),
    },
];

/// The pipeline of that name.
pub(super) fn pipeline(name: &str) -> &'static Pipeline {
    PIPELINES.iter().find(|pipeline| pipeline.name == name).unwrap()
}

impl Pipeline {
    /// The configuration as this version would write it.
    pub(super) fn config(&self, release: &str) -> String {
        (self.config.to_owned() + COMMON).replace("RELEASE", release)
    }

    /// The configuration's file.
    pub(super) fn file(&self) -> String {
        format!("{}/fenliu.toml", self.name)
    }

    /// The topic that it reads, and the consumer group.
    pub(super) fn topic(&self, release: &str) -> Option<(String, String)> {
        let topic = format!("{}-{release}", self.name);
        self.group.map(|ending| (topic.clone(), topic.clone() + ending))
    }

    /// The topics that it writes to.
    pub(super) fn output_topics(&self, release: &str) -> Vec<String> {
        let outputs = self.outputs.iter().chain([&self.dead]);
        let name = |output: &Output| match output {
            Output::Topic(ending) => Some(format!("{}-{release}-{ending}", self.name)),
            _ => None,
        };
        outputs.filter_map(name).collect()
    }

    /// Gives it the documents `from..to`: messages, or lines of a file that may be there already.
    pub(super) fn send(&self, place: &Place, broker: Option<&Broker>, file: &str, from: usize, to: usize) {
        if let Some((topic, _)) = self.topic(&place.release) {
            let messages: Vec<NewRecord> = (from..to).map(|n| message(n, PARTITIONS)).collect();
            return broker.unwrap().produce(&topic, &messages).unwrap();
        }
        let name = format!("{}/in/{file}.jsonl", self.name);
        let mut lines = fs::read(place.path(&name)).unwrap_or_default();
        (from..to).for_each(|n| lines.extend([document(n), b"\n".to_vec()].concat()));
        place.write(&name, lines);
    }

    /// All documents that it has been given, with where they are.
    pub(super) fn documents(&self, place: &Place, broker: Option<&Broker>) -> Vec<(Origin, Vec<u8>)> {
        if let Some((topic, _)) = self.topic(&place.release) {
            let records = broker.unwrap().consume_all(&topic).unwrap().into_iter();
            let origin = |partition, offset| (topic.clone(), i64::from(partition), offset);
            return records.map(|r| (origin(r.partition, r.offset), r.value.unwrap())).collect();
        }
        let mut documents = vec![];
        for entry in fs::read_dir(place.path(&format!("{}/in", self.name))).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(place.root()).unwrap().to_str().unwrap().to_owned();
            let bytes = fs::read(&path).unwrap();
            let lines = bytes.strip_suffix(b"\n").unwrap_or(&bytes).split(|byte| *byte == b'\n').enumerate();
            documents.extend(lines.map(|(row, line)| ((name.clone(), 0, row as i64), line.to_vec())));
        }
        documents
    }

    /// Runs it to the end of what there is.
    pub(super) fn run(&self, place: &Place) {
        place.run(&["run", "-c", &self.file(), "--stop-at-end"]);
    }
}
