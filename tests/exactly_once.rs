//! Nothing lost and nothing twice, whatever dies and when: the real binary is killed at every step of its
//! commits, stopped for so long that the group gives its partitions away, and joined and left by others.
//!
//! `FENLIU_FAULTS` is the number of deaths in each test, `FENLIU_SEED` where their randomness begins; both are
//! printed.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use fenliu_tests::binary::{self, Running};
use fenliu_tests::kafka::{self, Broker, NewRecord, unique_name};
use fenliu_tests::readers;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use serde_json::Value;
use tempfile::TempDir;

use crate::fixtures::{PATIENCE, articles, config};

/// One message in so many is broken.
const BROKEN_EVERY: i64 = 50;
const PARTITIONS: i64 = 4;

/// Steps at which the process can be made to die.
const STEPS: [&str; 7] = [
    "kafka-sent",
    "kafka-before-commit",
    "kafka-after-commit",
    "files-staged",
    "files-before-manifest",
    "files-after-manifest",
    "files-named",
];

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
    bundle = "BUNDLE"
    [[sinks]]
    type = "kafka"
    topic = "TOPIC-labelled"
    columns = ["partition", "\"offset\""]
    [[sinks]]
    type = "files"
    path = "DIR/labelled"
    columns = ["partition", "\"offset\"", "label"]
    [dead_letters]
    type = "kafka"
    topic = "TOPIC-dead"
    [breaker]
    rows = 0
    [epoch]
    max_age = "300ms"
    kafka_max_age = "200ms"
    max_rows = 500
"#;

/// How often each `(partition, offset)` is there.
type Counts = BTreeMap<(i64, i64), usize>;

/// A topic of documents, three outputs, and a configuration.
struct Job {
    broker: &'static Broker,
    topic: String,
    config: String,
    sent: i64,
    directory: TempDir,
}

impl Job {
    fn new(broker: &'static Broker, documents: i64) -> Self {
        Self::with_dead_letters(broker, documents, &[])
    }

    /// A job whose topic of dead letters has `settings`.
    fn with_dead_letters(broker: &'static Broker, documents: i64, settings: &[(&str, &str)]) -> Self {
        let topic = unique_name("once");
        for (suffix, partitions) in [("", PARTITIONS as i32), ("-labelled", 3)] {
            broker.create_topic(&format!("{topic}{suffix}"), partitions).unwrap();
        }
        broker.create_topic_with(&format!("{topic}-dead"), 1, settings).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let text = CONFIG.replace("TOPIC", &topic).replace("BROKERS", broker.brokers());
        let config = config(directory.path(), &text);
        let mut job = Job { broker, topic, config, sent: 0, directory };
        job.send(documents);
        job
    }

    fn send(&mut self, documents: i64) {
        let articles = articles(500);
        let value = |n: i64| match n % BROKEN_EVERY {
            7 => format!("{{\"broken\": {n}"),
            _ => articles[n as usize % articles.len()].to_string(),
        };
        let record = |n: i64| NewRecord {
            partition: Some((n % PARTITIONS) as i32),
            value: Some(value(n).into_bytes()),
            ..NewRecord::default()
        };
        let records: Vec<NewRecord> = (self.sent..self.sent + documents).map(record).collect();
        self.broker.produce(&self.topic, &records).unwrap();
        self.sent += documents;
    }

    fn start(&self, instance: Option<&str>, faults: &str, more: &[&str]) -> Running {
        let instance = instance.map(|name| format!("source.instance=\"{name}\""));
        let set: Vec<&str> = instance.iter().flat_map(|set| ["--set", set.as_str()]).collect();
        let args = [&["run", "-c", self.config.as_str(), "--json"], &set[..], more].concat();
        binary::start_with(&args, &[("FAILPOINTS", faults)]).unwrap()
    }

    /// Runs until everything is read.
    fn finish(&self, instance: Option<&str>) {
        let finished = self.start(instance, "", &["--stop-at-end"]).wait(PATIENCE).unwrap();
        assert!(finished.status.success(), "{}", finished.stderr);
    }

    fn committed(&self) -> i64 {
        let group = format!("{}-group", self.topic);
        self.broker.committed(&group, &self.topic).unwrap().values().flatten().sum()
    }

    fn wait_until_committed(&self, count: i64) {
        let deadline = Instant::now() + PATIENCE;
        while self.committed() < count {
            assert!(Instant::now() < deadline, "only {} of {count} committed", self.committed());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// What lies in each output, and what should.
    fn check(&self, name: &str) {
        let expected = |broken: bool| -> Counts {
            let numbers = (0..self.sent).filter(|n| (n % BROKEN_EVERY == 7) == broken);
            numbers.map(|n| ((n % PARTITIONS, n / PARTITIONS), 1)).collect()
        };
        for (output, found, expected) in [
            ("topic", self.labelled(), expected(false)),
            ("dead letters", self.dead(), expected(true)),
            ("files", self.files(), expected(false)),
        ] {
            let lost = expected.keys().filter(|place| !found.contains_key(place)).count();
            let twice: usize = found.values().map(|count| count - 1).sum();
            println!(
                "{name}: {output}: {} of {} rows, {lost} lost, {twice} twice",
                found.len(),
                expected.len()
            );
            assert!(found == expected, "{name}: {output}: {lost} lost, {twice} twice");
        }
    }

    fn labelled(&self) -> Counts {
        let records = self.broker.consume_all(&format!("{}-labelled", self.topic)).unwrap();
        count(records.iter().map(|record| {
            let row: Value = serde_json::from_slice(record.value.as_ref().unwrap()).unwrap();
            (row["partition"].as_i64().unwrap(), row["offset"].as_i64().unwrap())
        }))
    }

    fn dead(&self) -> Counts {
        let number = |headers: &[(String, Vec<u8>)], name: &str| -> i64 {
            let value = &headers.iter().find(|(header, _)| header == name).unwrap().1;
            std::str::from_utf8(value).unwrap().parse().unwrap()
        };
        let records = self.broker.consume_all(&format!("{}-dead", self.topic)).unwrap();
        count(records.iter().map(|record| {
            (number(&record.headers, "fenliu.partition"), number(&record.headers, "fenliu.offset"))
        }))
    }

    /// As DuckDB reads the directory, by a pattern of names.
    fn files(&self) -> Counts {
        let code = "import duckdb, json, sys\n\
            rows = duckdb.sql(f\"SELECT partition, \\\"offset\\\" FROM '{sys.argv[1]}/*.parquet'\").fetchall()\n\
            print(json.dumps(rows))";
        let path = self.directory.path().join("labelled");
        let rows = readers::python(code, &[path.to_str().unwrap()]).unwrap();
        let place = |row: &Value| (row[0].as_i64().unwrap(), row[1].as_i64().unwrap());
        count(rows.as_array().unwrap().iter().map(place))
    }
}

fn count(places: impl Iterator<Item = (i64, i64)>) -> Counts {
    let mut counts = Counts::new();
    places.for_each(|place| *counts.entry(place).or_default() += 1);
    counts
}

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).ok().map_or(default, |value| value.parse().unwrap())
}

#[test]
fn killed_at_every_step_it_loses_nothing_and_repeats_nothing() {
    let Some(broker) = kafka::broker().unwrap() else { return };
    let (faults, seed) = (number("FENLIU_FAULTS", 14), number("FENLIU_SEED", 1));
    println!("seed {seed}, {faults} deaths");
    let mut random = SmallRng::seed_from_u64(seed);
    let mut job = Job::new(broker, 4_000);
    for death in 0..faults {
        let step = STEPS[death as usize % STEPS.len()];
        let fault = format!("{step}={}*off->1*return", random.random_range(0..3));
        job.send(1_500);
        let finished = job.start(Some("a"), &fault, &[]).wait(PATIENCE).unwrap();
        assert_eq!(finished.status.code(), None, "{fault}: it should have died:\n{}", finished.stderr);
    }
    job.finish(Some("a"));
    job.check(&format!("{faults} deaths at {} steps", STEPS.len()));
}

#[test]
fn killed_at_any_moment_it_loses_nothing_and_repeats_nothing() {
    let Some(broker) = kafka::broker().unwrap() else { return };
    let (faults, seed) = (number("FENLIU_FAULTS", 8), number("FENLIU_SEED", 1));
    println!("seed {seed}, {faults} kills");
    let mut random = SmallRng::seed_from_u64(seed);
    let mut job = Job::new(broker, 4_000);
    for _ in 0..faults {
        job.send(1_500);
        let running = job.start(Some("a"), "", &[]);
        std::thread::sleep(Duration::from_millis(random.random_range(300..2500)));
        running.signal("KILL").unwrap();
        running.wait(PATIENCE).unwrap();
    }
    job.finish(Some("a"));
    job.check(&format!("{faults} kills"));
}

#[test]
fn a_member_that_was_given_up_cannot_write_what_another_has_written() {
    let Some(broker) = kafka::broker().unwrap() else { return };
    let mut job = Job::new(broker, 20_000);
    let zombie = job.start(None, "", &[]);
    job.wait_until_committed(1_000);
    zombie.signal("STOP").unwrap();
    let stopped_at = job.committed();
    assert!(stopped_at < 20_000, "stopped too late to prove anything");
    job.finish(None);
    zombie.signal("CONT").unwrap();
    job.send(2_000);
    job.wait_until_committed(job.sent);
    zombie.signal("TERM").unwrap();
    let finished = zombie.wait(PATIENCE).unwrap();
    assert!(finished.status.success(), "{}", finished.stderr);
    job.check(&format!("stopped with {stopped_at} committed, went on after another had the rest"));
}

#[test]
fn members_that_join_and_leave_lose_nothing_and_repeat_nothing() {
    let Some(broker) = kafka::broker().unwrap() else { return };
    let mut job = Job::new(broker, 2_000);
    let first = job.start(None, "", &[]);
    let rounds = number("FENLIU_FAULTS", 4);
    for _ in 0..rounds {
        let second = job.start(None, "", &[]);
        for _ in 0..6 {
            job.send(400);
            std::thread::sleep(Duration::from_millis(500));
        }
        second.signal("TERM").unwrap();
        let finished = second.wait(PATIENCE).unwrap();
        assert!(finished.status.success(), "{}", finished.stderr);
    }
    job.wait_until_committed(job.sent);
    first.signal("TERM").unwrap();
    let finished = first.wait(PATIENCE).unwrap();
    assert!(finished.status.success(), "{}", finished.stderr);
    job.check(&format!("{rounds} times another member joined and left"));
}

#[test]
fn a_sink_that_fails_holds_back_only_itself_and_gets_all_its_rows_later() {
    let Some(broker) = kafka::broker().unwrap() else { return };
    let mut job = Job::new(broker, 1_000);
    let running = job.start(Some("a"), "", &[]);
    job.wait_until_committed(1_000);
    let (path, away) = (job.directory.path().join("labelled"), job.directory.path().join("away"));
    while !path.join("_manifests").exists() {
        std::thread::sleep(Duration::from_millis(50));
    }
    std::fs::rename(&path, &away).unwrap();
    std::fs::write(&path, "a file where a directory was").unwrap();
    job.send(4_000);
    job.wait_until_committed(5_000);
    assert_eq!(job.labelled().len() + job.dead().len(), 5_000, "the topics go on");

    std::fs::remove_file(&path).unwrap();
    std::fs::rename(&away, &path).unwrap();
    running.signal("TERM").unwrap();
    let finished = running.wait(PATIENCE).unwrap();
    assert!(finished.status.success(), "{}", finished.stderr);
    assert!(finished.stderr.contains("it is tried again"), "{}", finished.stderr);
    job.check("one of two sinks failed for a while");
}

/// A reply that is lost says nothing of what was done: every first try of every commit fails so.
#[test]
fn a_commit_that_took_effect_and_reports_a_failure_is_not_repeated() {
    let Some(broker) = kafka::broker().unwrap() else { return };
    let job = Job::new(broker, 4_000);
    let faults = "kafka-after-commit=return(error);files-after-manifest=return(error)";
    let finished = job.start(Some("a"), faults, &["--stop-at-end"]).wait(PATIENCE).unwrap();
    assert!(finished.status.success(), "{}", finished.stderr);
    assert!(finished.stderr.contains("it is tried again"), "{}", finished.stderr);
    job.check("every commit took effect and reported a failure");
}

#[test]
fn a_commit_that_fails_before_its_effect_is_tried_until_it_has_one() {
    let Some(broker) = kafka::broker().unwrap() else { return };
    let job = Job::new(broker, 4_000);
    let faults = STEPS.map(|step| format!("{step}=1*off->2*return(error)->1*off->1*return(error)")).join(";");
    let finished = job.start(Some("a"), &faults, &["--stop-at-end"]).wait(PATIENCE).unwrap();
    assert!(finished.status.success(), "{}", finished.stderr);
    job.check("each step failed three times, before or after its effect");
}

#[test]
fn a_message_that_its_topic_will_never_take_stops_the_pipeline_and_names_the_bound() {
    let Some(broker) = kafka::broker().unwrap() else { return };
    let job = Job::with_dead_letters(broker, 100, &[("max.message.bytes", "100")]);
    let finished = job.start(None, "", &["--stop-at-end"]).wait(PATIENCE).unwrap();
    assert_eq!(finished.status.code(), Some(1), "{}", finished.stderr);
    assert!(finished.stderr.contains("max.message.bytes"), "{}", finished.stderr);
    assert_eq!(job.labelled().len(), 0, "nothing of the transaction is seen");
}
