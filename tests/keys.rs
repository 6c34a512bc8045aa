//! Keys and headers of messages: they come out of every output as they went in, and so do those of dead letters that are
//! sent back.

use std::path::PathBuf;
use std::time::Duration;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use fenliu_tests::kafka::{self, Broker, unique_name};
use fenliu_tests::readers::python;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::message::{Header, Headers as _, Message as _, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use rdkafka::{Offset, TopicPartitionList};
use serde_json::{Value, json as value};
use tempfile::TempDir;

use crate::fixtures::{fails, json, run};

const TIMEOUT: Duration = Duration::from_secs(30);

/// A time that the topics' retention would have deleted, were it not unlimited.
const BEGIN_MS: i64 = 1_700_000_000_123;

const CONFIG: &str = r#"
    [kafka]
    brokers = "BROKERS"
    [source]
    type = "kafka"
    topics = ["TOPIC"]
    group = "TOPIC-group"
    [clean]
    steps = [
        { column = "hex", sql = "encode(kafka_key, 'hex')" },
        { column = "first", sql = "try_cast(kafka_headers[1]['value'] AS VARCHAR)" },
    ]
    [output]
    kafka_key = true
    kafka_headers = true
    [[sinks]]
    type = "kafka"
    topic = "TOPIC-source"
    key = "source"
    headers = true
    columns = ["id", "hex", "first", "partition", "\"offset\""]
    [[sinks]]
    type = "kafka"
    topic = "TOPIC-compacted"
    key = "lineage"
    where = "id <> 'null key'"
    [[sinks]]
    type = "kafka"
    topic = "TOPIC-sql"
    key = { sql = "coalesce(encode(kafka_key, 'hex'), upper(id))" }
    columns = ["id"]
    [[sinks]]
    type = "kafka"
    topic = "TOPIC-none"
    key = "none"
    columns = ["id"]
    [[sinks]]
    type = "files"
    path = "DIR/parquet"
    format = "parquet"
    [[sinks]]
    type = "files"
    path = "DIR/jsonl"
    format = "jsonl"
    columns = ["id", "kafka_key", "kafka_headers", "topic", "partition", "\"offset\""]
    [dead_letters]
    LETTERS
    [epoch]
    max_age = "300ms"
"#;

/// A message as it is sent and read, without its place.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Sent {
    key: Option<Vec<u8>>,
    /// Names and values; a value may be null.
    headers: Vec<(String, Option<Vec<u8>>)>,
    value: Vec<u8>,
    timestamp_ms: i64,
}

impl Sent {
    fn new(n: i64, value: &str, key: Option<&[u8]>, headers: &[(&str, Option<&[u8]>)]) -> Self {
        let owned = |(name, value): &(&str, Option<&[u8]>)| (name.to_string(), value.map(<[u8]>::to_vec));
        Sent {
            key: key.map(<[u8]>::to_vec),
            headers: headers.iter().map(owned).collect(),
            value: value.as_bytes().to_vec(),
            timestamp_ms: BEGIN_MS + n,
        }
    }

    /// Headers as `dlq show` prints them.
    fn shown_headers(&self) -> Value {
        let shown = |(name, bytes): &(String, Option<Vec<u8>>)| match bytes {
            None => value!({ "key": name }),
            Some(bytes) => match std::str::from_utf8(bytes) {
                Ok(text) => value!({ "key": name, "value": text }),
                Err(_) => value!({ "key": name, "value_base64": BASE64_STANDARD.encode(bytes) }),
            },
        };
        self.headers.iter().map(shown).collect()
    }

    /// Headers as JSON outputs write them.
    fn json_headers(&self) -> Value {
        let written = |(name, bytes): &(String, Option<Vec<u8>>)| match bytes {
            None => value!({ "key": name }),
            Some(bytes) => value!({ "key": name, "value": BASE64_STANDARD.encode(bytes) }),
        };
        if self.headers.is_empty() { Value::Null } else { self.headers.iter().map(written).collect() }
    }

    fn id(&self) -> String {
        serde_json::from_slice::<Value>(&self.value).unwrap()["id"].as_str().unwrap().to_owned()
    }
}

/// Documents that are labelled.
fn good() -> Vec<Sent> {
    let document = |id: &str| value!({ "id": id, "body": "a late goal won the match" }).to_string();
    vec![
        Sent::new(
            0,
            &document("binary key"),
            Some(b"\xff\x00\x01"),
            &[
                ("a", Some(b"1")),
                ("a", None),
                ("b", Some(b"\xfe\x00")),
                ("a", Some(b"")),
                ("c", Some("值".as_bytes())),
            ],
        ),
        Sent::new(1, &document("null key"), None, &[]),
        Sent::new(2, &document("empty key"), Some(b""), &[("trace", Some(b"x"))]),
        Sent::new(3, &document("text key"), Some("键".as_bytes()), &[("only", None)]),
    ]
}

/// Messages that are no documents.
fn bad() -> Vec<Sent> {
    vec![
        Sent::new(
            4,
            "{",
            Some(b"\xff\x00"),
            &[("a", Some(b"1")), ("a", None), ("b", Some(b"\xfe")), ("a", Some(b""))],
        ),
        Sent::new(5, "[]", None, &[]),
        Sent::new(6, "{\"broken\"", Some(b""), &[("fenliu.other", Some(b"forged")), ("trace", Some(b"x"))]),
        Sent::new(7, "no JSON", Some(b"text"), &[]),
    ]
}

fn send(broker: &Broker, topic: &str, messages: &[Sent]) {
    let producer: BaseProducer = broker.client().create().unwrap();
    for message in messages {
        let mut record = BaseRecord::<[u8], [u8]>::to(topic).payload(&message.value);
        record.partition = Some(0);
        record.key = message.key.as_deref();
        record.timestamp = Some(message.timestamp_ms);
        let header = |all: OwnedHeaders, (name, value): &(String, Option<Vec<u8>>)| {
            all.insert(Header { key: name, value: value.as_ref() })
        };
        record.headers = Some(message.headers.iter().fold(OwnedHeaders::new(), header));
        producer.send(record).map_err(|(error, _)| error).unwrap();
    }
    producer.flush(TIMEOUT).unwrap();
}

/// All messages of partition 0 of `topic`, in order.
fn read(broker: &Broker, topic: &str) -> Vec<Sent> {
    let consumer: BaseConsumer = broker
        .client()
        .set("group.id", unique_name("keys-reader"))
        .set("enable.partition.eof", "true")
        .set("isolation.level", "read_committed")
        .create()
        .unwrap();
    let mut assignment = TopicPartitionList::new();
    assignment.add_partition_offset(topic, 0, Offset::Beginning).unwrap();
    consumer.assign(&assignment).unwrap();
    let mut messages = vec![];
    loop {
        match consumer.poll(TIMEOUT).expect("silence before the end") {
            Err(KafkaError::PartitionEOF(_)) => return messages,
            message => {
                let message = message.unwrap();
                let owned =
                    |header: Header<'_, &[u8]>| (header.key.to_owned(), header.value.map(<[u8]>::to_vec));
                messages.push(Sent {
                    key: message.key().map(<[u8]>::to_vec),
                    headers: message
                        .headers()
                        .map_or_else(Vec::new, |headers| headers.iter().map(owned).collect()),
                    value: message.payload().unwrap_or_default().to_vec(),
                    timestamp_ms: message.timestamp().to_millis().unwrap(),
                });
            }
        }
    }
}

struct Job {
    broker: &'static Broker,
    topic: String,
    config: String,
    directory: TempDir,
}

impl Job {
    fn new(broker: &'static Broker, letters: &str) -> Self {
        let topic = unique_name("keys");
        let forever = ("retention.ms", "-1");
        broker.create_topic_with(&topic, 1, &[forever]).unwrap();
        for suffix in ["-source", "-sql", "-none", "-dead"] {
            broker.create_topic_with(&format!("{topic}{suffix}"), 1, &[forever]).unwrap();
        }
        for suffix in ["-compacted", "-dead-compacted"] {
            let settings = [("cleanup.policy", "compact")];
            broker.create_topic_with(&format!("{topic}{suffix}"), 1, &settings).unwrap();
        }
        let directory = tempfile::tempdir().unwrap();
        let text = CONFIG
            .replace("\"score_of_nothing\", ", "")
            .replace("LETTERS", letters)
            .replace("TOPIC", &topic)
            .replace("BROKERS", broker.brokers())
            .replace("DIR", &directory.path().display().to_string());
        let config = directory.path().join("fenliu.toml");
        std::fs::write(&config, text).unwrap();
        send(broker, &topic, &[good(), bad()].concat());
        Job { broker, topic, config: config.display().to_string(), directory }
    }

    fn run(&self) {
        let summary = json(&run(&["run", "-c", &self.config, "--stop-at-end", "--json"]));
        assert_eq!(summary["documents"], good().len() + bad().len(), "{summary}");
    }

    fn dlq(&self, args: &[&str]) -> String {
        run(&[&["dlq", "-c", &self.config, "--json"], args].concat())
    }

    fn read(&self, suffix: &str) -> Vec<Sent> {
        read(self.broker, &format!("{}{suffix}", self.topic))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The messages that a replay sent to the topic, without the header that says so.
    fn replayed(&self) -> Vec<Sent> {
        let from = |message: &Sent| message.headers.iter().any(|(name, _)| name == "fenliu.replayed_from");
        let mut replayed: Vec<Sent> = self.read("").into_iter().filter(from).collect();
        for message in &mut replayed {
            let (name, origin) = message.headers.pop().unwrap();
            assert_eq!(name, "fenliu.replayed_from", "it is the last");
            assert!(String::from_utf8(origin.unwrap()).unwrap().starts_with(&format!("{}/0/", self.topic)));
        }
        replayed
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What pyarrow reads of the Parquet files: key and headers of each row, as hexadecimal, by id.
const READ: &str = r#"
import json, sys
import pyarrow.dataset as ds
table = ds.dataset(sys.argv[1], format="parquet").to_table()
types = {name: str(table.schema.field(name).type) for name in ("kafka_key", "kafka_headers")}
text = lambda value: None if value is None else value.hex()
row = lambda r: [text(r["kafka_key"]), None if r["kafka_headers"] is None else [[h["key"], text(h["value"])] for h in r["kafka_headers"]]]
print(json.dumps({"types": types, "rows": {r["id"]: row(r) for r in table.to_pylist()}}))
"#;

#[test]
fn rows_keep_key_and_headers_in_every_output() {
    let Some(broker) = kafka::broker().unwrap() else { return };
    let job = Job::new(broker, "type = \"files\"\n    path = \"DIR/dead\"");
    job.run();
    let good = good();

    let rows = job.read("-source");
    assert_eq!(rows.len(), good.len());
    for (row, sent) in rows.iter().zip(&good) {
        assert_eq!((&row.key, &row.headers), (&sent.key, &sent.headers), "{}", sent.id());
        let value: Value = serde_json::from_slice(&row.value).unwrap();
        let expected_hex = sent.key.as_deref().map_or(Value::Null, |key| hex(key).into());
        assert_eq!(value.get("hex").unwrap_or(&Value::Null), &expected_hex, "{value}");
        let first = sent.headers.first().and_then(|(_, first)| first.as_deref());
        let first = first.map_or(Value::Null, |first| String::from_utf8(first.to_vec()).unwrap().into());
        assert_eq!(value.get("first").unwrap_or(&Value::Null), &first, "{value}");
    }
    let lineage: Vec<Vec<u8>> =
        [0, 2, 3].map(|offset| format!("{}/0/{offset}", job.topic).into_bytes()).into();
    let compacted = job.read("-compacted");
    assert_eq!(compacted.iter().map(|row| row.key.clone().unwrap()).collect::<Vec<_>>(), lineage);
    assert!(compacted.iter().all(|row| row.headers.is_empty()), "not passed on unless told to");
    for (row, sent) in job.read("-sql").iter().zip(&good) {
        let key = sent.key.as_deref().map_or_else(|| sent.id().to_uppercase(), hex);
        assert_eq!(row.key.as_deref(), Some(key.as_bytes()));
    }
    assert!(job.read("-none").iter().all(|row| row.key.is_none()));
    // Columns of their own: a JSON object has both, as base64.
    let whole: Value = serde_json::from_slice(&compacted[0].value).unwrap();
    assert_eq!((&whole["kafka_key"], &whole["kafka_headers"]), (&value!("/wAB"), &good[0].json_headers()));

    for (name, text) in files(&job.path("jsonl"), "jsonl") {
        for (line, sent) in text.lines().map(json).zip(&good) {
            let key = sent.key.as_ref().map_or(Value::Null, |key| BASE64_STANDARD.encode(key).into());
            let headers = line.get("kafka_headers").cloned().unwrap_or_default();
            assert_eq!(line.get("kafka_key").unwrap_or(&Value::Null), &key, "{name}: {line}");
            assert_eq!(headers, sent.json_headers(), "{name}: {line}");
        }
    }

    let found = python(READ, &[job.path("parquet").to_str().unwrap()]).unwrap();
    assert_eq!(found["types"]["kafka_key"], "binary", "{found}");
    for sent in &good {
        let headers: Vec<Value> =
            sent.headers.iter().map(|(name, value)| value!([name, value.as_deref().map(hex)])).collect();
        let headers = if headers.is_empty() { Value::Null } else { headers.into() };
        assert_eq!(found["rows"][sent.id()], value!([sent.key.as_deref().map(hex), headers]), "{found}");
    }
}

fn files(directory: &std::path::Path, ending: &str) -> Vec<(String, String)> {
    let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let data = entries.filter(|path| {
        path.extension().is_some_and(|found| found == ending)
            && !path.file_name().unwrap().to_str().unwrap().starts_with(['.', '_'])
    });
    let found: Vec<_> =
        data.map(|path| (path.display().to_string(), std::fs::read_to_string(path).unwrap())).collect();
    assert!(!found.is_empty(), "no files in {}", directory.display());
    found
}

#[test]
fn dead_letters_are_sent_back_with_key_headers_and_timestamp() {
    let Some(broker) = kafka::broker().unwrap() else { return };
    let files =
        |format: &str| format!("type = \"files\"\n    path = \"DIR/dead\"\n    format = \"{format}\"");
    let cases = [
        files("parquet"),
        files("arrow"),
        files("jsonl"),
        "type = \"kafka\"\n    topic = \"TOPIC-dead\"".to_owned(),
        "type = \"kafka\"\n    topic = \"TOPIC-dead-compacted\"\n    key = \"lineage\"".to_owned(),
    ];
    for letters in cases {
        let job = Job::new(broker, &letters);
        job.run();
        let in_topic = letters.contains("kafka");
        let bad = bad();
        let shown: Vec<Value> = job.dlq(&["show", "--limit", "0"]).lines().map(json).collect();
        assert_eq!(shown.len(), bad.len(), "{letters}");
        for letter in &shown {
            let sent = &bad[letter["offset"].as_u64().unwrap() as usize - good().len()];
            match sent.key.as_deref().map(std::str::from_utf8) {
                None => assert_eq!((letter.get("key"), letter.get("key_base64")), (None, None), "{letter}"),
                Some(Ok(key)) => assert_eq!(letter["key"], key, "{letter}"),
                Some(Err(_)) => assert_eq!(letter["key_base64"], "/wA=", "{letter}"),
            }
            let mut headers = sent.shown_headers();
            if in_topic {
                headers.as_array_mut().unwrap().retain(|header| header["key"] != "fenliu.other");
            }
            assert_eq!(letter.get("headers").unwrap_or(&value!([])), &headers, "{letter}");
        }
        if letters.contains("TOPIC-dead\"") {
            let keys: Vec<_> = job.read("-dead").into_iter().map(|letter| letter.key).collect();
            assert_eq!(keys, bad.iter().map(|sent| sent.key.clone()).collect::<Vec<_>>());
        }

        let done = json(&job.dlq(&["replay"]));
        assert_eq!(done["sent"], value!({ &job.topic: bad.len() }), "{letters}");
        let mut expected = bad.clone();
        expected.iter_mut().for_each(|sent| sent.headers.retain(|(name, _)| name != "fenliu.other"));
        let (mut replayed, mut expected) = (job.replayed(), expected);
        replayed.sort();
        expected.sort();
        assert_eq!(replayed, expected, "{letters}");
        let again = json(&job.dlq(&["replay"]));
        assert_eq!(
            (&again["sent"], &again["replayed_before"]),
            (&value!({}), &value!(bad.len())),
            "{letters}"
        );
    }
}

#[test]
fn letters_of_before_keys_were_kept_are_read_and_sent_back() {
    let Some(broker) = kafka::broker().unwrap() else { return };
    let topic = unique_name("old-letters");
    broker.create_topic(&topic, 1).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let letter = value!({
        "topic": topic, "partition": 0, "offset": 7, "kafka_timestamp": "2026-01-02T03:04:05.678Z",
        "stage": "decode", "reason": "invalid_json", "rejected_at": "2026-01-02T03:04:06Z", "payload": "e30=",
    });
    let path = directory.path().join("old.jsonl");
    std::fs::write(&path, format!("{letter}\n")).unwrap();
    let from = path.display().to_string();
    let shown = json(&run(&["dlq", "show", "--from", &from, "--json"]));
    assert_eq!((shown.get("key"), shown.get("headers"), &shown["payload"]), (None, None, &value!("{}")));
    let brokers = format!("kafka.brokers=\"{}\"", broker.brokers());
    run(&["dlq", "replay", "--from", &from, "--set", &brokers, "--json"]);
    let sent = read(broker, &topic);
    assert_eq!(sent.len(), 1);
    assert_eq!((&sent[0].key, sent[0].timestamp_ms, sent[0].headers.len()), (&None, 1_767_323_045_678, 1));
}

#[test]
fn a_key_that_is_none_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let check = |key: &str, expected: &[&str]| {
        let path = directory.path().join("fenliu.toml");
        let text = format!("[[sinks]]\ntype = \"kafka\"\ntopic = \"labelled\"\nkey = {key}\n");
        std::fs::write(&path, text).unwrap();
        let said = fails(&["check", "-c", path.to_str().unwrap()], 2);
        for part in expected {
            assert!(said.contains(part), "`{part}` is not in: {said}");
        }
    };
    check("\"ids\"", &["ids", "source", "lineage", "none"]);
    check("{ sql = \"\" }", &["sinks[0].key.sql"]);
    check("{ sql = \"missing || id\" }", &["sinks[0]", "key.sql", "missing"]);
    check("{ sql = \"partition + 1\" }", &["sinks[0]", "key.sql", "text or binary", "cast it"]);
}
