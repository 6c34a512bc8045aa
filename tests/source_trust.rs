//! Labels are trusted by the threshold of their source, while members die, partitions move and the model changes.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{Duration, Instant};

use fenliu_tests::binary::{self, Running};
use fenliu_tests::data;
use fenliu_tests::kafka::{self, Broker, NewRecord, Record, unique_name};
use serde_json::{Value, json as value};
use tempfile::TempDir;

use crate::fixtures::{PATIENCE, json, run, stop};

const PARTITIONS: usize = 3;

/// Documents of each source that are sent at a time.
const ROUND: usize = 400;

/// As many documents of a source as its threshold is taken from.
const WINDOW: usize = 200;

const CONFIG: &str = r#"
    [kafka]
    brokers = "BROKERS"
    [source]
    type = "kafka"
    topics = ["TOPIC"]
    group = "TOPIC-group"
    [source.properties]
    "session.timeout.ms" = 6000
    "heartbeat.interval.ms" = 500
    [model]
    bundle = "MODEL"
    watch = "50ms"
    [[sinks]]
    type = "kafka"
    topic = "TOPIC-labelled"
    columns = ["id", "source", "label", "source_label", "score", "threshold", "abstained", "model_version"]
    [dead_letters]
    type = "kafka"
    topic = "TOPIC-dead"
    [epoch]
    max_age = "200ms"
"#;

/// Documents of two sources by turns: headlines like those of the training, and headlines of another source.
struct Stream {
    near: Vec<Value>,
    far: Vec<Value>,
    broker: &'static Broker,
    topic: String,
    sent: usize,
}

/// The documents of a file that `keep` keeps, with another `source`.
fn documents(name: &str, source: &str, keep: impl Fn(&Value) -> bool) -> Option<Vec<Value>> {
    let text = std::fs::read_to_string(data::shared(name)?).unwrap();
    let rows = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()).filter(keep);
    let with_source = |(n, mut row): (usize, Value)| {
        row["source"] = value!(source);
        row["id"] = value!(format!("{source}-{n}"));
        row
    };
    Some(rows.enumerate().map(with_source).collect())
}

impl Stream {
    fn new(broker: &'static Broker, near: Vec<Value>, far: Vec<Value>) -> Self {
        let topic = unique_name("trust");
        for (suffix, partitions) in [("", PARTITIONS as i32), ("-labelled", 2), ("-dead", 1)] {
            broker.create_topic(&format!("{topic}{suffix}"), partitions).unwrap();
        }
        Stream { near, far, broker, topic, sent: 0 }
    }

    /// Sends the next documents of both sources.
    fn send(&mut self) {
        let rounds = self.sent..self.sent + ROUND;
        let rows = rounds.flat_map(|n| [&self.near[n], &self.far[n]]);
        let record = |(n, row): (usize, &Value)| NewRecord {
            partition: Some((n % PARTITIONS) as i32),
            value: Some(row.to_string().into_bytes()),
            ..NewRecord::default()
        };
        let records: Vec<NewRecord> = rows.enumerate().map(record).collect();
        self.broker.produce(&self.topic, &records).unwrap();
        self.sent += ROUND;
    }

    fn committed(&self) -> usize {
        let offsets = self.broker.committed(&format!("{}-group", self.topic), &self.topic).unwrap();
        offsets.values().flatten().sum::<i64>() as usize
    }

    /// Waits until all that was sent is labelled.
    fn wait(&self) {
        let deadline = Instant::now() + PATIENCE;
        while self.committed() < 2 * self.sent {
            assert!(Instant::now() < deadline, "only {} of {} committed", self.committed(), 2 * self.sent);
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// The labelled rows, in the order of the output's partitions.
    fn labelled(&self) -> Vec<Value> {
        let records = self.broker.consume_all(&format!("{}-labelled", self.topic)).unwrap();
        let parse = |record: &Record| serde_json::from_slice(record.value.as_ref().unwrap()).unwrap();
        records.iter().map(parse).collect()
    }
}

/// Trains a version of the model on the first `count` headlines of the training.
fn train(directory: &Path, headlines: &[Value], count: usize) -> String {
    let lines: Vec<String> = headlines.iter().take(count).map(ToString::to_string).collect();
    let data = directory.join("train.jsonl");
    std::fs::write(&data, lines.join("\n")).unwrap();
    let args = ["train", "--preset", "linear", "--name", "news", "--json", "--data", data.to_str().unwrap()];
    let report = json(&run(&[&args[..], &["--out", directory.to_str().unwrap()]].concat()));
    let bundle = Path::new(report["bundle"].as_str().unwrap());
    bundle.file_name().unwrap().to_str().unwrap().to_owned()
}

fn promote(directory: &Path, version: &str) {
    run(&["model", "--models", directory.to_str().unwrap(), "promote", &format!("news@{version}")]);
}

fn config(directory: &TempDir, stream: &Stream) -> String {
    let model = directory.path().join("news");
    let text = CONFIG.replace("TOPIC", &stream.topic).replace("BROKERS", stream.broker.brokers());
    let path = directory.path().join("fenliu.toml");
    std::fs::write(&path, text.replace("MODEL", model.to_str().unwrap())).unwrap();
    path.to_str().unwrap().to_owned()
}

fn start(config: &str) -> Running {
    binary::start(&["run", "-c", config, "--json"]).unwrap()
}

/// Share of `rows` that is trusted, and share of these that is right.
fn trust(rows: &[&Value]) -> (f64, f64) {
    let trusted: Vec<_> = rows.iter().filter(|row| row["abstained"] == value!(false)).collect();
    let right = trusted.iter().filter(|row| row["label"] == row["source_label"]).count();
    (trusted.len() as f64 / rows.len() as f64, right as f64 / trusted.len() as f64)
}

/// Each row's mark follows from its own threshold, and each source gets thresholds of its own.
fn check(rows: &[Value]) {
    let number = |row: &Value, name: &str| row[name].as_f64().unwrap();
    for row in rows {
        let is_below = number(row, "score") < number(row, "threshold");
        assert_eq!(row["abstained"], value!(is_below), "{row}");
    }
    let mut of_source: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
    rows.iter().for_each(|row| of_source.entry(row["source"].as_str().unwrap()).or_default().push(row));
    let thresholds = |source: &str| -> BTreeSet<String> {
        of_source[source].iter().map(|row| row["threshold"].to_string()).collect()
    };
    let shared = thresholds("near").intersection(&thresholds("far")).count();
    assert!(shared <= 2, "only the defaults of the two versions serve both sources: {shared}");
    let ((near, near_right), (far, far_right)) = (trust(&of_source["near"]), trust(&of_source["far"]));
    println!("near: {near:.3} trusted, {near_right:.3} right; far: {far:.3} trusted, {far_right:.3} right");
    assert!(near > far + 0.2, "text like that of the training is trusted more often: {near}, {far}");
    assert!(near_right >= 0.88 && far_right >= 0.75, "trusted labels are right: {near_right}, {far_right}");
}

#[test]
fn each_source_has_its_threshold_through_a_death_a_rebalance_and_a_swap() {
    let is = |split: &'static str| move |row: &Value| row["split"] == value!(split);
    let file = "headlines_zh_thucnews.jsonl";
    let Some(train_rows) = documents(file, "near", is("train")) else { return };
    let Some(near) = documents(file, "near", is("valid")) else { return };
    let labels: BTreeSet<String> = train_rows.iter().map(|row| row["label"].to_string()).collect();
    let known = |row: &Value| labels.contains(&row["label"].to_string());
    let Some(far) = documents("headlines_zh_toutiao.jsonl", "far", known) else { return };
    let Some(broker) = kafka::broker().unwrap() else { return };

    let directory = tempfile::tempdir().unwrap();
    let mixed: Vec<Value> =
        (0..train_rows.len()).map(|n| train_rows[n * 7919 % train_rows.len()].clone()).collect();
    let versions = [8_000, 12_000].map(|count| train(directory.path(), &mixed, count));
    promote(directory.path(), &versions[0]);
    let mut stream = Stream::new(broker, near, far);
    let config = config(&directory, &stream);
    let (first, second) = (start(&config), start(&config));
    for _ in 0..3 {
        stream.send();
        stream.wait();
    }
    // A member dies in the middle of its work; its partitions move to the other, which has seen none of their documents.
    stream.send();
    second.signal("KILL").unwrap();
    drop(second.wait(PATIENCE));
    stream.wait();
    let mut third = start(&config);
    third.wait_for_event("partitions_assigned", PATIENCE).unwrap();
    promote(directory.path(), &versions[1]);
    third.wait_for_event("model_swapped", PATIENCE).unwrap();
    for _ in 0..3 {
        stream.send();
        stream.wait();
    }
    let ends = [stop(first), stop(third)].map(|finished| json(&finished.stdout));

    let rows = stream.labelled();
    let ids: BTreeSet<&str> = rows.iter().map(|row| row["id"].as_str().unwrap()).collect();
    assert_eq!((ids.len(), rows.len()), (2 * stream.sent, 2 * stream.sent), "every document once");
    let of_version =
        |version: &String| rows.iter().filter(|row| row["model_version"] == value!(version)).count();
    assert!(
        versions.iter().all(|version| of_version(version) > 2 * WINDOW),
        "both versions labelled: {ends:?}"
    );
    check(&rows);
}
