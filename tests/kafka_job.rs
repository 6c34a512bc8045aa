//! The pipeline on a real Apache Kafka: nothing lost when it is killed, a clean stop when asked.

use std::collections::BTreeSet;
use std::thread;
use std::time::{Duration, Instant};

use fenliu_tests::binary;
use fenliu_tests::kafka::{self, Broker, NewRecord, Record, unique_name};
use serde_json::Value;

use crate::fixtures::{PATIENCE, articles, config, json, rows, run, stop};

/// One message in so many is broken.
const BROKEN_EVERY: usize = 100;

const CONFIG: &str = r#"
    [kafka]
    brokers = "BROKERS"
    [source]
    type = "kafka"
    topics = ["TOPIC"]
    group = "TOPIC-group"
    [source.properties]
    "session.timeout.ms" = 6000
    [model]
    bundle = "BUNDLE"
    [[sinks]]
    type = "kafka"
    topic = "TOPIC-labelled"
    columns = ["id", "label", "partition", "\"offset\""]
    [dead_letters]
    type = "kafka"
    topic = "TOPIC-dead"
    [epoch]
    max_age = "300ms"
"#;

/// Partitions and offsets.
type Positions = BTreeSet<(i64, i64)>;

/// A topic of `count` documents over four partitions, the topics for the output, and a configuration.
struct Job {
    broker: &'static Broker,
    topic: String,
    config: String,
    sent: Vec<NewRecord>,
    _directory: tempfile::TempDir,
}

impl Job {
    fn new(broker: &'static Broker, count: usize) -> Self {
        let topic = unique_name("news");
        for (suffix, partitions) in [("", 4), ("-labelled", 3), ("-dead", 1)] {
            broker.create_topic(&format!("{topic}{suffix}"), partitions).unwrap();
        }
        let sent = messages(count);
        broker.produce(&topic, &sent).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let text = CONFIG.replace("TOPIC", &topic).replace("BROKERS", broker.brokers());
        let config = config(directory.path(), &text);
        Job { broker, topic, config, sent, _directory: directory }
    }

    fn start(&self, more: &[&str]) -> binary::Running {
        binary::start(&[&["run", "-c", self.config.as_str(), "--json"], more].concat()).unwrap()
    }

    /// Waits until the group has committed at least `count` documents.
    fn wait_for_commits(&self, count: i64) {
        let deadline = Instant::now() + PATIENCE;
        while self.committed() < count {
            assert!(Instant::now() < deadline, "only {} committed", self.committed());
            thread::sleep(Duration::from_millis(100));
        }
    }

    fn committed(&self) -> i64 {
        let group = format!("{}-group", self.topic);
        self.broker.committed(&group, &self.topic).unwrap().values().flatten().sum()
    }

    fn labelled(&self) -> Vec<(i64, i64)> {
        let records = self.broker.consume_all(&format!("{}-labelled", self.topic)).unwrap();
        let position = |record: &Record| {
            let row: Value = serde_json::from_slice(record.value.as_ref().unwrap()).unwrap();
            assert_eq!(record.key.as_deref(), Some(row["id"].as_str().unwrap().as_bytes()));
            (row["partition"].as_i64().unwrap(), row["offset"].as_i64().unwrap())
        };
        records.iter().map(position).collect()
    }

    fn dead(&self) -> Vec<((i64, i64), Record)> {
        let records = self.broker.consume_all(&format!("{}-dead", self.topic)).unwrap();
        records
            .into_iter()
            .map(|record| ((number(&record, "partition"), number(&record, "offset")), record))
            .collect()
    }

    /// Every position of the input, split into good and broken.
    fn expected(&self) -> (Positions, Positions) {
        let (good, broken): (Vec<_>, Vec<_>) = (0..self.sent.len()).partition(|n| n % BROKEN_EVERY != 7);
        let places = |numbers: Vec<usize>| numbers.iter().map(|n| ((n % 4) as i64, (n / 4) as i64)).collect();
        (places(good), places(broken))
    }
}

fn messages(count: usize) -> Vec<NewRecord> {
    let articles = articles(500);
    let value = |n: usize| {
        if n % BROKEN_EVERY == 7 {
            return format!("{{\"broken\": {n}").into_bytes();
        }
        let mut article = articles[n % articles.len()].clone();
        article["id"] = Value::String(format!("doc-{n}"));
        article.to_string().into_bytes()
    };
    (0..count)
        .map(|n| NewRecord { partition: Some((n % 4) as i32), value: Some(value(n)), ..NewRecord::default() })
        .collect()
}

fn header(record: &Record, name: &str) -> String {
    let (_, value) = record.headers.iter().find(|(header, _)| header == name).unwrap();
    String::from_utf8(value.clone()).unwrap()
}

fn number(record: &Record, name: &str) -> i64 {
    header(record, &format!("fenliu.{name}")).parse().unwrap()
}

#[test]
fn nothing_is_lost_when_it_is_killed_in_the_middle() {
    let Some(broker) = kafka::broker().unwrap() else { return };
    let job = Job::new(broker, 20_000);
    let first = job.start(&[]);
    job.wait_for_commits(4_000);
    first.signal("KILL").unwrap();
    let killed_at = job.committed();
    assert!(killed_at < 16_000, "killed too late to prove anything: {killed_at} committed");

    let second = job.start(&["--stop-at-end"]).wait(PATIENCE).unwrap();
    assert!(second.status.success(), "{}", second.stderr);

    let (good, broken) = job.expected();
    let labelled = job.labelled();
    assert_eq!(labelled.iter().copied().collect::<BTreeSet<_>>(), good, "labelled");
    let dead = job.dead();
    assert_eq!(dead.iter().map(|(position, _)| *position).collect::<BTreeSet<_>>(), broken, "dead letters");
    for ((partition, offset), record) in &dead {
        let original = &job.sent[(offset * 4 + partition) as usize];
        assert_eq!(record.value, original.value, "the original bytes");
        assert_eq!(header(record, "fenliu.topic"), job.topic);
        assert_eq!(
            (header(record, "fenliu.reason"), header(record, "fenliu.stage")),
            ("invalid_json".into(), "decode".into())
        );
    }
    assert_eq!(job.committed(), 20_000);
    println!(
        "20,000 documents, killed with {killed_at} committed: 0 lost, {} written twice (at least once)",
        labelled.len() + dead.len() - 20_000
    );
}

#[test]
fn asked_to_stop_it_finishes_what_is_in_flight_and_commits_it() {
    let Some(broker) = kafka::broker().unwrap() else { return };
    let job = Job::new(broker, 12_000);
    let running = job.start(&[]);
    job.wait_for_commits(500);
    let finished = stop(running);

    let summary = json(&finished.stdout);
    let committed = job.committed();
    assert_eq!(summary["documents"], committed);
    let (labelled, dead) = (job.labelled(), job.dead());
    assert_eq!(
        (labelled.len() + dead.len()) as i64,
        committed,
        "what is committed is written, and only that"
    );
    assert!(committed < 12_000, "it was to stop before the end");

    let rest = job.start(&["--stop-at-end"]).wait(PATIENCE).unwrap();
    assert_eq!(json(&rest.stdout)["documents"], 12_000 - committed, "{}", rest.stderr);
    assert_eq!(job.labelled().len() + job.dead().len(), 12_000, "no document twice after a clean stop");
}

#[test]
fn produced_files_arrive_byte_for_byte() {
    let Some(broker) = kafka::broker().unwrap() else { return };
    let topic = unique_name("produced");
    broker.create_topic(&topic, 2).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let file = rows(directory.path(), "test", 200);
    let args = [
        "produce",
        "--topic",
        &topic,
        "--brokers",
        broker.brokers(),
        "--data",
        file.to_str().unwrap(),
        "--json",
    ];
    assert_eq!(json(&run(&args))["documents"], 200);
    let mut received: Vec<_> =
        broker.consume_all(&topic).unwrap().into_iter().filter_map(|r| r.value).collect();
    let text = std::fs::read_to_string(&file).unwrap();
    let mut sent: Vec<_> = text.lines().map(|line| line.as_bytes().to_vec()).collect();
    received.sort();
    sent.sort();
    assert_eq!(received, sent);
}

#[test]
fn a_topic_that_is_not_there_is_named() {
    let Some(broker) = kafka::broker().unwrap() else { return };
    let job = Job::new(broker, 4);
    let missing = unique_name("missing");
    let topics = format!("source.topics=[\"{missing}\"]");
    let finished = job
        .start(&[
            "--stop-at-end",
            "--set",
            &topics,
            "--set",
            "source.properties.\"allow.auto.create.topics\"=\"false\"",
        ])
        .wait(PATIENCE)
        .unwrap();
    assert_eq!(finished.status.code(), Some(1), "{}", finished.stderr);
    assert!(finished.stderr.contains(&missing), "{}", finished.stderr);
}
