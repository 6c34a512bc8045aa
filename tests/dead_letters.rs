//! Documents that cannot be labelled: exactly they become dead letters, they can be looked at, and once what was
//! wrong is mended they come back.

use std::collections::BTreeMap;
use std::path::PathBuf;

use fenliu_tests::kafka::{self, Broker, NewRecord, Record, unique_name};
use fenliu_tests::scripts::repository;
use serde_json::{Value, json as value};
use tempfile::TempDir;

use crate::fixtures::{fails, json, run};

const DOCUMENTS: usize = 6_000;
const PARTITIONS: usize = 3;
/// One large document, in bytes.
const LARGE: usize = 10 << 20;
/// More than that, for topics and producers.
const ROOM: &str = "20000000";

const CONFIG: &str = r#"
    [kafka]
    brokers = "BROKERS"
    [source]
    type = "kafka"
    topics = ["TOPIC"]
    group = "TOPIC-group"
    [model]
    bundle = "DIR/models/failing"
    [[sinks]]
    type = "kafka"
    topic = "TOPIC-labelled"
    columns = ["id", "label", "partition", "\"offset\""]
    [dead_letters]
    LETTERS
    [epoch]
    max_age = "300ms"
"#;

/// Topic and offset of the reasons that documents must be set aside for, by partition and offset.
type Reasons = BTreeMap<(i64, i64), &'static str>;

/// A model that really fails on some words, topics, and a configuration.
struct Job {
    broker: &'static Broker,
    topic: String,
    config: String,
    directory: TempDir,
}

impl Job {
    /// `letters` is the section `[dead_letters]`.
    fn new(broker: &'static Broker, letters: &str) -> Self {
        let topic = unique_name("letters");
        let room = [("max.message.bytes", ROOM)];
        broker.create_topic_with(&topic, PARTITIONS as i32, &room).unwrap();
        for suffix in ["-labelled", "-dead", "-elsewhere"] {
            broker.create_topic_with(&format!("{topic}{suffix}"), 2, &room).unwrap();
        }
        let directory = tempfile::tempdir().unwrap();
        let graph = repository().join("model/tests/references/failing_graph");
        let models = directory.path().join("models");
        let [graph, models] = [graph, models].map(|path| path.display().to_string());
        run(&["model", "--models", &models, "import", "--name", "failing", &graph]);
        let text = CONFIG
            .replace("LETTERS", letters)
            .replace("TOPIC", &topic)
            .replace("BROKERS", broker.brokers())
            .replace("DIR", &directory.path().display().to_string());
        let config = directory.path().join("fenliu.toml");
        std::fs::write(&config, text).unwrap();
        Job { broker, topic, config: config.display().to_string(), directory }
    }

    fn send(&self, messages: &[Vec<u8>]) {
        let record = |(n, message): (usize, &Vec<u8>)| NewRecord {
            partition: Some((n % PARTITIONS) as i32),
            value: Some(message.clone()),
            ..NewRecord::default()
        };
        let records: Vec<_> = messages.iter().enumerate().map(record).collect();
        self.broker.produce(&self.topic, &records).unwrap();
    }

    fn run(&self, more: &[&str]) -> Value {
        json(&run(&[&["run", "-c", &self.config, "--stop-at-end", "--json"], more].concat()))
    }

    fn dlq(&self, args: &[&str]) -> String {
        run(&[&["dlq", "-c", &self.config, "--json"], args].concat())
    }

    fn labelled(&self) -> Vec<Value> {
        let records = self.broker.consume_all(&format!("{}-labelled", self.topic)).unwrap();
        records.iter().map(|record| serde_json::from_slice(record.value.as_ref().unwrap()).unwrap()).collect()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }
}

fn document(id: &str, body: &str) -> Vec<u8> {
    value!({ "id": id, "body": body }).to_string().into_bytes()
}

/// 1 % that is no JSON, 0.1 % that the model fails on, one document of 10 MiB; and why each is set aside.
fn messages() -> (Vec<Vec<u8>>, Reasons) {
    let mut reasons = Reasons::new();
    let mut message = |n: usize| {
        let id = format!("doc-{n}");
        let (message, reason) = match n {
            3_210 => (document(&id, &"goal ".repeat(LARGE / 5)), Some("too_large")),
            _ if n % 100 == 42 => (format!("{{\"broken\": {n}").into_bytes(), Some("invalid_json")),
            _ if n % 2000 == 1_003 => (document(&id, "bank poison"), Some("inference_failed")),
            _ if n % 2000 == 1_777 => (document(&id, "nan goal match"), Some("not_finite")),
            _ => (document(&id, ["bank shares fell", "a late goal won the match"][n % 2]), None),
        };
        reasons.extend(reason.map(|reason| (((n % PARTITIONS) as i64, (n / PARTITIONS) as i64), reason)));
        message
    };
    let messages = (0..DOCUMENTS).map(&mut message).collect();
    (messages, reasons)
}

fn place(row: &Value) -> (i64, i64) {
    (row["partition"].as_i64().unwrap(), row["offset"].as_i64().unwrap())
}

/// The letters that `fenliu dlq show` prints.
fn shown(text: &str) -> Vec<Value> {
    text.lines().map(json).collect()
}

fn header(record: &Record, name: &str) -> Option<String> {
    let (_, value) = record.headers.iter().find(|(header, _)| header == name)?;
    Some(String::from_utf8(value.clone()).unwrap())
}

#[test]
fn exactly_the_bad_documents_become_dead_letters_and_come_back_when_mended() {
    let Some(broker) = kafka::broker().unwrap() else { return };
    let job = Job::new(broker, "type = \"kafka\"\n    topic = \"TOPIC-dead\"");
    let (messages, reasons) = messages();
    job.send(&messages);
    let summary = job.run(&[]);
    assert_eq!(summary["documents"], DOCUMENTS, "{summary}");

    let labelled = job.labelled();
    assert_eq!(labelled.len(), DOCUMENTS - reasons.len());
    assert!(labelled.iter().all(|row| !reasons.contains_key(&place(row))));
    for row in &labelled {
        let (partition, offset) = place(row);
        let label = ["finance", "sports"][(offset as usize * PARTITIONS + partition as usize) % 2];
        assert_eq!(row["label"], label, "{row}");
    }

    let list = json(&job.dlq(&["list"]));
    let count = |reason: &str| reasons.values().filter(|found| **found == reason).count();
    assert_eq!(list["total"], reasons.len(), "{list}");
    for group in list["groups"].as_array().unwrap() {
        assert_eq!(group["count"], count(group["reason"].as_str().unwrap()), "{group}");
        assert_eq!(group["topic"], value!(job.topic));
    }
    let letters = shown(&job.dlq(&["show", "--limit", "0"]));
    let found: Reasons = letters
        .iter()
        .map(|letter| {
            let expected = reasons.get(&place(letter)).copied().unwrap_or("none");
            assert_eq!(letter["reason"], expected, "{:?}", place(letter));
            let (partition, offset) = place(letter);
            let sent = &messages[offset as usize * PARTITIONS + partition as usize];
            assert!(letter["payload"].as_str().unwrap().as_bytes() == sent, "the original bytes");
            assert_eq!(
                letter["model_version"].is_string(),
                letter["stage"] == "infer",
                "{:?}",
                place(letter)
            );
            (place(letter), expected)
        })
        .collect();
    assert_eq!((found, letters.len()), (reasons.clone(), reasons.len()), "each once");

    let large = ["replay", "--reason", "too_large"];
    let planned = json(&job.dlq(&[&large as &[&str], &["--dry-run"]].concat()));
    assert_eq!(planned["sent"], value!({ &job.topic: 1 }));
    assert_eq!(broker.consume_all(&job.topic).unwrap().len(), DOCUMENTS, "a dry run sends nothing");
    assert_eq!(json(&job.dlq(&large))["sent"], value!({ &job.topic: 1 }));
    let again = json(&job.dlq(&large));
    assert_eq!((&again["sent"], &again["replayed_before"]), (&value!({}), &value!(1)), "{again}");

    let replayed = broker.consume_all(&job.topic).unwrap();
    let replayed: Vec<_> =
        replayed.iter().filter(|record| header(record, "fenliu.replayed_from").is_some()).collect();
    let [record] = replayed.as_slice() else { panic!("{} replayed", replayed.len()) };
    let origin = format!("{}/{}/{}", job.topic, 3_210 % PARTITIONS, 3_210 / PARTITIONS);
    assert_eq!(header(record, "fenliu.replayed_from"), Some(origin));
    assert_eq!(record.partition as usize, 3_210 % PARTITIONS, "where it came from");
    assert!(record.value.as_deref() == Some(&messages[3_210]), "the original bytes");

    let summary = job.run(&["--set", "documents.max_bytes=\"20 MiB\""]);
    assert_eq!((&summary["documents"], &summary["labelled"]), (&value!(1), &value!(1)), "{summary}");
    let labelled = job.labelled();
    assert_eq!(labelled.len(), DOCUMENTS - reasons.len() + 1);
    assert_eq!(labelled.iter().filter(|row| row["id"] == "doc-3210" && row["label"] == "sports").count(), 1);
    println!("{DOCUMENTS} documents, {} dead letters: 0 wrong, 0 missing", reasons.len());
}

#[test]
fn letters_in_files_are_read_and_replayed_from_every_format() {
    let Some(broker) = kafka::broker().unwrap() else { return };
    for format in ["parquet", "arrow", "jsonl"] {
        let job = Job::new(
            broker,
            &format!("type = \"files\"\n    path = \"DIR/dead\"\n    format = \"{format}\""),
        );
        let good = document("good", "a goal");
        let bad: [&[u8]; 4] = [b"{\"body\": \"\xff\"}", b"{", b"[]", &document("x", "poison")];
        let messages: Vec<Vec<u8>> = bad.iter().flat_map(|bad| [good.clone(), bad.to_vec()]).collect();
        job.send(&messages);
        job.run(&[]);
        // A copy of all letters, and what a crash leaves.
        let files: Vec<PathBuf> =
            std::fs::read_dir(job.path("dead")).unwrap().map(|entry| entry.unwrap().path()).collect();
        for (n, file) in files.iter().filter(|file| file.extension().is_some_and(|e| e == format)).enumerate()
        {
            std::fs::copy(file, job.path("dead").join(format!("copy-{n}.{format}"))).unwrap();
            std::fs::write(job.path("dead").join(format!(".left-{n}.{format}")), "half").unwrap();
        }
        let dead = job.path("dead").display().to_string();
        let list = json(&run(&["dlq", "list", "--from", &dead, "--json"]));
        assert_eq!(list["total"], 8, "{format}: {list}");
        let binary = shown(&job.dlq(&["show", "--reason", "empty_text", "--limit", "1"]));
        assert_eq!(binary[0]["payload_base64"], "eyJib2R5IjogIv8ifQ==", "{format}");

        let target = format!("{}-elsewhere", job.topic);
        let args = ["replay", "--to", &target, "--from", &dead];
        let done = json(&job.dlq(&[&args as &[&str], &["--limit", "1"]].concat()));
        assert_eq!(done["sent"], value!({ &target: 1 }), "{format}");
        let done = json(&job.dlq(&args));
        assert_eq!(
            (&done["sent"], &done["replayed_before"], &done["copies"]),
            (&value!({ &target: 3 }), &value!(1), &value!(4)),
            "{format}"
        );
        let mut sent: Vec<_> =
            broker.consume_all(&target).unwrap().into_iter().filter_map(|record| record.value).collect();
        let mut expected = bad.map(<[u8]>::to_vec).to_vec();
        sent.sort();
        expected.sort();
        assert_eq!(sent, expected, "{format}");
    }
}

#[test]
fn too_many_dead_letters_stop_the_pipeline() {
    let Some(broker) = kafka::broker().unwrap() else { return };
    let job = Job::new(broker, "type = \"kafka\"\n    topic = \"TOPIC-dead\"");
    let message = |n: usize| if n.is_multiple_of(10) { b"{".to_vec() } else { document("x", "a goal") };
    job.send(&(0..2_000).map(message).collect::<Vec<_>>());
    let args = ["run", "-c", &job.config, "--stop-at-end"];
    let stderr = fails(&args, 3);
    for part in [
        "more than `breaker.share` (0.05)",
        "decode invalid_json ",
        &format!("topic {}, partition", job.topic),
    ] {
        assert!(stderr.contains(part), "`{part}` is not in: {stderr}");
    }
    let summary = job.run(&["--set", "breaker.rows=0"]);
    let list = json(&job.dlq(&["list"]));
    assert_eq!((job.labelled().len(), &list["total"]), (1_800, &value!(200)), "{summary}");
}

#[test]
fn what_cannot_be_replayed_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let line =
        r#"{"topic":"in/a.jsonl","partition":0,"offset":1,"stage":"decode","reason":"x","payload":"e30="}"#;
    let path = directory.path().join("letters.jsonl");
    std::fs::write(&path, line).unwrap();
    let from = path.display().to_string();
    assert!(fails(&["dlq", "replay", "--from", &from], 1).contains("in/a.jsonl` did not come from a topic"));
    assert!(fails(&["dlq", "list"], 2).contains("--from"));
    let missing = directory.path().join("none").display().to_string();
    assert!(fails(&["dlq", "list", "--from", &missing], 1).contains("none"));
}
