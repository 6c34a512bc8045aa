//! Avro, Protobuf and Arrow messages that other libraries wrote, with a real schema registry.

use std::collections::BTreeMap;
use std::io;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::thread;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fenliu_tests::kafka::{self, Broker, NewRecord, Record, unique_name};
use fenliu_tests::schema_registry::{self, schema_registry};
use fenliu_tests::{binary, readers};
use serde_json::Value;

use crate::fixtures::{PATIENCE, articles, config, run, stop};

/// Documents of one stage.
const ROWS: usize = 50;

const CONFIG: &str = r#"
    [kafka]
    brokers = "BROKERS"
    [source]
    type = "kafka"
    topics = ["TOPIC"]
    [documents]
    format = "FORMAT"
    REGISTRY
    [model]
    bundle = "BUNDLE"
    [[sinks]]
    type = "kafka"
    topic = "TOPIC-labelled"
    columns = ["id", "published_at", "\"offset\""]
    [dead_letters]
    type = "kafka"
    topic = "TOPIC-dead"
    [epoch]
    max_age = "300ms"
    [breaker]
    rows = 0
"#;

/// A topic of one format, the pipeline's configuration, and what is expected of it.
struct Job {
    broker: &'static Broker,
    directory: tempfile::TempDir,
    topic: String,
    format: &'static str,
    registry: String,
    config: String,
    /// Documents sent so far, good or not.
    sent: usize,
}

impl Job {
    /// `port` is where the pipeline looks for the registry, `registry` where it is.
    fn new(broker: &'static Broker, format: &'static str, registry: String, port: Option<u16>) -> Self {
        let topic = unique_name(format);
        for suffix in ["", "-labelled", "-dead"] {
            broker.create_topic(&format!("{topic}{suffix}"), 1).unwrap();
        }
        let directory = tempfile::tempdir().unwrap();
        let section =
            port.map_or(String::new(), |port| format!("registry.url = \"{}\"", schema_registry::url(port)));
        let text = CONFIG
            .replace("TOPIC", &topic)
            .replace("BROKERS", broker.brokers())
            .replace("FORMAT", format)
            .replace("REGISTRY", &section);
        let config = config(directory.path(), &text);
        Job { broker, directory, topic, format, registry, config, sent: 0 }
    }

    /// Has Python write a stage of documents and sends them; the schema's number.
    fn send_stage(&mut self, stage: &str) -> i64 {
        let documents = self.directory.path().join("documents.jsonl");
        write_documents(&documents, self.sent);
        let args = [self.format, stage, &self.registry, &self.topic, documents.to_str().unwrap()];
        let written = readers::python(include_str!("formats.py"), &args).unwrap();
        let messages = written["messages"].as_array().unwrap();
        assert_eq!(messages.len(), ROWS);
        let messages = messages.iter().map(|message| STANDARD.decode(message.as_str().unwrap()).unwrap());
        self.send(messages.collect());
        written["number"].as_i64().unwrap()
    }

    fn send(&mut self, values: Vec<Vec<u8>>) {
        self.sent += values.len();
        let record = |value| NewRecord { value: Some(value), ..NewRecord::default() };
        let records: Vec<NewRecord> = values.into_iter().map(record).collect();
        self.broker.produce(&self.topic, &records).unwrap();
    }

    fn start(&self, more: &[&str]) -> binary::Running {
        binary::start(&[&["run", "-c", self.config.as_str(), "--json"], more].concat()).unwrap()
    }

    fn run_to_the_end(&self) {
        let finished = self.start(&["--stop-at-end"]).wait(PATIENCE).unwrap();
        assert!(finished.status.success(), "{}", finished.stderr);
    }

    fn read(&self, suffix: &str) -> Vec<Record> {
        self.broker.consume_all(&format!("{}{suffix}", self.topic)).unwrap()
    }

    /// Labelled rows by offset; no offset twice.
    fn labelled(&self) -> BTreeMap<i64, Value> {
        let mut rows = BTreeMap::new();
        for record in self.read("-labelled") {
            let row: Value = serde_json::from_slice(record.value.as_ref().unwrap()).unwrap();
            assert!(rows.insert(row["offset"].as_i64().unwrap(), row).is_none());
        }
        rows
    }

    /// Reason and detail of dead letters, by offset.
    fn dead(&self) -> BTreeMap<i64, (String, String)> {
        let letters = self.read("-dead");
        let letter = |record: &Record| {
            let header = |name: &str| header(record, name);
            (header("fenliu.offset").parse().unwrap(), (header("fenliu.reason"), header("fenliu.detail")))
        };
        let by_offset: BTreeMap<i64, _> = letters.iter().map(letter).collect();
        assert_eq!(by_offset.len(), letters.len(), "a dead letter is there twice");
        by_offset
    }
}

fn header(record: &Record, name: &str) -> String {
    let found = record.headers.iter().find(|(header, _)| header == name);
    found.map_or(String::new(), |(_, value)| String::from_utf8(value.clone()).unwrap())
}

fn write_documents(path: &Path, first: usize) {
    let rows: Vec<String> = articles(ROWS)
        .into_iter()
        .enumerate()
        .map(|(n, mut article)| {
            article["id"] = Value::String(format!("doc-{}", first + n));
            article.to_string()
        })
        .collect();
    std::fs::write(path, rows.join("\n")).unwrap();
}

/// A new column, a new schema number and an incompatible schema in the middle of a stream: the first two
/// are documents like the others, the third are dead letters, and nothing is lost.
fn evolves(format: &'static str, broken: &[(Vec<u8>, &str, &str)]) {
    let Some(broker) = kafka::broker().unwrap() else { return };
    let Some(registry) = schema_registry().unwrap() else { return };
    let port = (format != "arrow").then_some(registry.port());
    let mut job = Job::new(broker, format, registry.url(), port);
    let running = job.start(&[]);
    job.send_stage("first");
    job.send_stage("added");
    let number = job.send_stage("incompatible");
    job.send(broken.iter().map(|(payload, ..)| payload.clone()).collect());
    job.send_stage("first");
    stop(running);
    job.run_to_the_end();

    let (labelled, dead) = (job.labelled(), job.dead());
    let bad = (2 * ROWS) as i64..(3 * ROWS + broken.len()) as i64;
    let good: Vec<i64> = (0..job.sent as i64).filter(|offset| !bad.contains(offset)).collect();
    assert_eq!(labelled.keys().copied().collect::<Vec<_>>(), good);
    assert_eq!(dead.keys().copied().collect::<Vec<_>>(), bad.clone().collect::<Vec<_>>());
    println!("{format}: {} documents labelled, {} dead letters: 0 lost, 0 twice", labelled.len(), dead.len());
    for (offset, row) in &labelled {
        assert_eq!(row["id"], format!("doc-{offset}"));
        let has_time = (ROWS as i64..2 * ROWS as i64).contains(offset);
        assert_eq!(row["published_at"].is_null(), !has_time, "{row}");
    }
    for (offset, (reason, detail)) in dead {
        let place = usize::try_from(offset - bad.start).unwrap();
        match place.checked_sub(ROWS).and_then(|place| broken.get(place)) {
            Some((_, expected, said)) => {
                assert_eq!(reason, *expected, "{detail}");
                assert!(detail.contains(said), "{detail}");
            }
            None if format == "arrow" => assert_eq!(reason, "missing_text", "{detail}"),
            None => {
                assert_eq!(reason, "schema_incompatible", "{detail}");
                assert!(
                    detail.contains(&format!("schema {number}:")) && detail.contains("`body`"),
                    "{detail}"
                );
            }
        }
    }
}

#[test]
fn avro_evolves_and_an_incompatible_schema_is_dead_lettered() {
    evolves(
        "avro",
        &[
            (vec![0, 0x7f, 0, 0, 1, 2], "unknown_schema", "2130706433"),
            (b"{\"body\": \"plain\"}".to_vec(), "no_schema_id", "0x7b"),
            (vec![], "no_schema_id", "empty"),
        ],
    );
}

#[test]
fn protobuf_evolves_and_an_incompatible_schema_is_dead_lettered() {
    evolves("protobuf", &[(vec![0, 0x7f, 0, 0, 1, 0], "unknown_schema", "2130706433")]);
}

#[test]
fn arrow_evolves_and_a_column_of_a_wrong_type_is_dead_lettered() {
    evolves("arrow", &[(b"ARROW1".to_vec(), "rows", "no row"), (vec![7; 64], "invalid_arrow", "")]);
}

/// Forwards connections to `port` from now on.
fn open_gate(gate: TcpListener, port: u16) {
    thread::spawn(move || {
        for inbound in gate.incoming().map_while(Result::ok) {
            let outbound = TcpStream::connect(("127.0.0.1", port)).unwrap();
            let (mut from, mut to) = (inbound.try_clone().unwrap(), outbound.try_clone().unwrap());
            thread::spawn(move || io::copy(&mut from, &mut to));
            let (mut from, mut to) = (outbound, inbound);
            thread::spawn(move || io::copy(&mut from, &mut to));
        }
    });
}

#[test]
fn documents_wait_for_a_registry_that_does_not_answer() {
    let Some(broker) = kafka::broker().unwrap() else { return };
    let Some(registry) = schema_registry().unwrap() else { return };
    let gate = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = gate.local_addr().unwrap();
    // Nobody listens there until the outage is over.
    drop(gate);
    let mut job = Job::new(broker, "avro", registry.url(), Some(address.port()));
    job.send_stage("first");
    // Asked to stop, it stops; the documents are for the next run.
    let mut first = job.start(&[]);
    first.wait_for_event("registry_unavailable", PATIENCE).unwrap();
    stop(first);

    let mut running = job.start(&["--stop-at-end"]);
    running.wait_for_events("registry_unavailable", 3, PATIENCE).unwrap();
    assert!(!running.has_ended().unwrap());
    open_gate(TcpListener::bind(address).unwrap(), registry.port());
    let finished = running.wait(PATIENCE).unwrap();
    assert!(finished.status.success(), "{}", finished.stderr);
    assert!(finished.events("registry_answers") > 0, "{}", finished.stderr);
    assert_eq!(job.labelled().len(), ROWS);
    assert!(job.dead().is_empty());
    let found = run(&["doctor", "-c", &job.config]);
    assert!(
        found.contains(&format!("schema registry {}: ", schema_registry::url(address.port()))),
        "{found}"
    );
    assert!(found.contains("AVRO") && found.contains("PROTOBUF"), "{found}");
}
