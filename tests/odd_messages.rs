//! Messages that no pipeline should stop for: deletions, rows and dead letters that are too large for their topic,
//! timestamps that no calendar has.

use std::collections::BTreeMap;

use fenliu_tests::kafka::{self, Broker, NewRecord, Record, unique_name};
use serde_json::{Value, json as value};
use tempfile::TempDir;

use crate::fixtures::{config, json, run};

const CONFIG: &str = r#"
    [kafka]
    brokers = "BROKERS"
    [source]
    type = "kafka"
    topics = ["TOPIC"]
    [output]
    body = true
    decode_warnings = true
    [[sinks]]
    type = "kafka"
    topic = "TOPIC-rows"
    [dead_letters]
    type = "kafka"
    topic = "TOPIC-dead"
"#;

/// A topic with its outputs, and a pipeline without a model.
struct Job {
    broker: &'static Broker,
    topic: String,
    config: String,
    _directory: TempDir,
}

impl Job {
    /// The topic of rows takes messages of at most `rows` bytes.
    fn new(broker: &'static Broker, rows: usize) -> Self {
        let topic = unique_name("odd");
        let settings =
            [("max.message.bytes", "10000000"), ("message.timestamp.after.max.ms", "9223372036854775807")];
        broker.create_topic_with(&topic, 1, &settings).unwrap();
        broker
            .create_topic_with(&format!("{topic}-rows"), 1, &[("max.message.bytes", &rows.to_string())])
            .unwrap();
        broker.create_topic(&format!("{topic}-dead"), 1).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let text = CONFIG.replace("BROKERS", broker.brokers()).replace("TOPIC", &topic);
        let config = config(directory.path(), &text);
        Job { broker, topic, config, _directory: directory }
    }

    fn send(&self, values: &[Option<Vec<u8>>]) {
        let record = |value: &Option<Vec<u8>>| NewRecord {
            key: Some(b"key".to_vec()),
            value: value.clone(),
            ..NewRecord::default()
        };
        self.broker.produce(&self.topic, &values.iter().map(record).collect::<Vec<_>>()).unwrap();
    }

    fn run(&self, more: &[&str]) -> Value {
        json(&run(&[&["run", "-c", self.config.as_str(), "--json", "--stop-at-end"], more].concat()))
    }

    fn read(&self, suffix: &str) -> Vec<Record> {
        self.broker.consume_all(&format!("{}{suffix}", self.topic)).unwrap()
    }

    /// The ids of the rows that came out.
    fn ids(&self) -> Vec<String> {
        let row = |record: &Record| serde_json::from_slice::<Value>(record.value.as_ref().unwrap()).unwrap();
        self.read("-rows").iter().map(|record| row(record)["id"].as_str().unwrap().to_owned()).collect()
    }
}

/// The headers of a dead letter by name.
fn headers(record: &Record) -> BTreeMap<String, String> {
    let text = |value: &Vec<u8>| String::from_utf8_lossy(value).into_owned();
    record.headers.iter().map(|(name, value)| (name.clone(), text(value))).collect()
}

fn story(id: usize, body: &str) -> Option<Vec<u8>> {
    Some(value!({ "id": id.to_string(), "title": "Story", "body": body }).to_string().into_bytes())
}

#[test]
fn a_row_that_is_too_large_for_its_topic_is_a_dead_letter_and_a_letter_that_is_too_large_is_cut() {
    let Some(broker) = kafka::broker().unwrap() else { return };
    let job = Job::new(broker, 20_000);
    let long = "A long story. ".repeat(4_000);
    let broken = [b"{ not json ".to_vec(), vec![b'x'; 3_000_000]].concat();
    let mut messages =
        vec![story(0, "a"), story(1, &long), story(2, "b"), Some(broken.clone()), story(4, "c")];
    // Small rows, but more of them than one batch of the topic may have.
    messages.extend((5..300).map(|id| story(id, &"word ".repeat(60))));
    job.send(&messages);
    let summary = job.run(&[]);
    assert_eq!((&summary["labelled"], summary["documents"].as_u64()), (&value!(298), Some(300)), "{summary}");
    assert_eq!(job.ids().len(), 298);

    let letters = job.read("-dead");
    let by_offset: BTreeMap<String, (&Record, BTreeMap<String, String>)> = letters
        .iter()
        .map(|letter| (headers(letter)["fenliu.offset"].clone(), (letter, headers(letter))))
        .collect();
    let (letter, said) = &by_offset["1"];
    assert_eq!((said["fenliu.stage"].as_str(), said["fenliu.reason"].as_str()), ("write", "too_large"));
    assert!(
        said["fenliu.detail"].contains("max.message.bytes") && said["fenliu.detail"].contains("20000"),
        "{said:?}"
    );
    assert_eq!(letter.value, story(1, &long), "the original bytes");
    let (letter, said) = &by_offset["3"];
    assert_eq!(said["fenliu.reason"], "invalid_json");
    assert_eq!(said["fenliu.payload_bytes"], broken.len().to_string());
    let kept = letter.value.as_ref().unwrap();
    assert!(kept.len() > 900_000 && broken.starts_with(kept), "{} bytes", kept.len());

    let shown = run(&["dlq", "show", "-c", &job.config, "--reason", "invalid_json"]);
    assert!(shown.contains("the first bytes of 3000011"), "{shown}");
    run(&["verify", "-c", &job.config]);
}

#[test]
fn tombstones_are_counted_or_kept_and_replayed_as_what_they_are() {
    let Some(broker) = kafka::broker().unwrap() else { return };
    let job = Job::new(broker, 1_000_000);
    let messages: Vec<Option<Vec<u8>>> =
        (0..1_200).map(|id| if id % 6 == 5 { None } else { story(id, "b") }).collect();
    job.send(&messages);
    let summary = job.run(&[]);
    assert_eq!(summary["labelled"], 1_000, "{summary}");
    assert!(job.read("-dead").is_empty());
    run(&["verify", "-c", &job.config]);

    let kept = Job::new(broker, 1_000_000);
    kept.send(&messages);
    let keep = ["--set", "documents.deletions=\"dead_letter\""];
    assert_eq!(kept.run(&keep)["labelled"], 1_000);
    let letters = kept.read("-dead");
    assert_eq!(letters.len(), 200);
    assert!(
        letters
            .iter()
            .all(|letter| letter.value.is_none() && headers(letter)["fenliu.reason"] == "tombstone")
    );
    run(&["dlq", "replay", "-c", &kept.config, "--limit", "1"]);
    let last = kept.read("").pop().unwrap();
    assert_eq!((last.value, last.key.as_deref()), (None, Some(&b"key"[..])));
}

#[test]
fn a_timestamp_that_no_calendar_has_is_null_and_counted() {
    let Some(broker) = kafka::broker().unwrap() else { return };
    let job = Job::new(broker, 1_000_000);
    let at = |timestamp_ms: i64| NewRecord {
        value: Some(value!({ "id": timestamp_ms.to_string(), "title": "Story" }).to_string().into_bytes()),
        timestamp_ms: Some(timestamp_ms),
        ..NewRecord::default()
    };
    let sent = [1_700_000_000_000, 1_700_000_000_000_000, 9_007_199_254_740_991];
    job.broker.produce(&job.topic, &sent.map(at)).unwrap();
    job.run(&[]);
    let rows: Vec<Value> = job
        .read("-rows")
        .iter()
        .map(|row| serde_json::from_slice(row.value.as_ref().unwrap()).unwrap())
        .collect();
    assert_eq!(rows[0]["kafka_timestamp"], "2023-11-14T22:13:20Z");
    assert!(rows[0].get("decode_warnings").is_none_or(Value::is_null));
    for row in &rows[1..] {
        assert!(row.get("kafka_timestamp").is_none_or(Value::is_null), "{row}");
        assert_eq!(row["decode_warnings"], value!(["kafka_timestamp:unreadable"]), "{row}");
    }
}
