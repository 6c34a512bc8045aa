//! A pipeline to be harmed: a topic of documents, outputs, a configuration, and what should lie in each output.
//!
//! `FENLIU_FAULTS` is the number of deaths in each test, `FENLIU_SEED` where their randomness begins; both are
//! printed. `FENLIU_BURST` is the number of documents that are sent before each death.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use fenliu_tests::binary::{self, Running};
use fenliu_tests::kafka::{Broker, NewRecord, Record, unique_name};
use fenliu_tests::readers;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use serde_json::Value;
use tempfile::TempDir;

use crate::fixtures::{ARTICLES, PATIENCE, articles, config, stop};

/// One message in so many is broken.
const BROKEN_EVERY: i64 = 50;
const PARTITIONS: i64 = 4;
/// Documents sent before each death, if not said otherwise.
const BURST: u64 = 1_500;
/// Deaths come with so many bursts waiting at most, or little more.
const MOST_BURSTS_WAITING: i64 = 7;
/// A burst is so many epochs by their bound of rows.
const EPOCHS_OF_BURST: i64 = 3;

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
    SINKS
    [dead_letters]
    type = "kafka"
    topic = "TOPIC-dead"
    [breaker]
    rows = 0
    [epoch]
    max_age = "300ms"
    kafka_max_age = "200ms"
    max_rows = MAX_ROWS
"#;

/// How often each `(partition, offset)` is there.
pub(crate) type Counts = BTreeMap<(i64, i64), usize>;

/// A topic of documents, its outputs, and a configuration.
pub(crate) struct Job<'a> {
    broker: &'a Broker,
    /// The name of the source; outputs are called after it.
    pub(crate) topic: String,
    config: String,
    /// How many documents were sent.
    pub(crate) sent: i64,
    /// Where `DIR` is.
    pub(crate) directory: TempDir,
}

impl<'a> Job<'a> {
    /// `sinks` are the tables of the configuration, in which `TOPIC` and `DIR` stand for their names.
    pub(crate) fn new(broker: &'a Broker, documents: i64, sinks: &str) -> Self {
        Self::with_dead_letters(broker, documents, sinks, &[])
    }

    /// A job whose topic of dead letters has `settings`.
    pub(crate) fn with_dead_letters(
        broker: &'a Broker,
        documents: i64,
        sinks: &str,
        settings: &[(&str, &str)],
    ) -> Self {
        let topic = unique_name("once");
        for (suffix, partitions) in [("", PARTITIONS as i32), ("-labelled", 3)] {
            broker.create_topic(&format!("{topic}{suffix}"), partitions).unwrap();
        }
        broker.create_topic_with(&format!("{topic}-dead"), 1, settings).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let text = CONFIG
            .replace("MAX_ROWS", &epoch_rows().to_string())
            .replace("SINKS", sinks)
            .replace("TOPIC", &topic);
        let config = config(directory.path(), &text.replace("BROKERS", broker.brokers()));
        let mut job = Job { broker, topic, config, sent: 0, directory };
        job.send(documents);
        job
    }

    /// The job with a pipeline that has no model.
    pub(crate) fn without_model(self) -> Self {
        let text = std::fs::read_to_string(&self.config).unwrap();
        let is_model = |line: &str| matches!(line.split_whitespace().next(), Some("[model]" | "bundle"));
        let lines: Vec<&str> = text.lines().filter(|line| !is_model(line)).collect();
        std::fs::write(&self.config, lines.join("\n")).unwrap();
        self
    }

    /// Sends more documents.
    pub(crate) fn send(&mut self, documents: i64) {
        let articles = articles(ARTICLES);
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

    /// Starts the pipeline as the member `instance`, with `faults` at which it dies.
    pub(crate) fn start(&self, instance: Option<&str>, faults: &str, more: &[&str]) -> Running {
        let instance = instance.map(|name| format!("source.instance=\"{name}\""));
        let set: Vec<&str> = instance.iter().flat_map(|set| ["--set", set.as_str()]).collect();
        let args = [&["run", "-c", self.config.as_str(), "--json"], &set[..], more].concat();
        binary::start_with(&args, &[("FAILPOINTS", faults)]).unwrap()
    }

    /// Lets the broker forget the group, which has no members.
    pub(crate) fn forget_group(&self) {
        self.broker.delete_group(&format!("{}-group", self.topic)).unwrap();
    }

    /// The file of the configuration.
    pub(crate) fn config(&self) -> &str {
        &self.config
    }

    /// Runs until everything is read.
    pub(crate) fn finish(&self, instance: Option<&str>) {
        let finished = self.start(instance, "", &["--stop-at-end"]).wait(PATIENCE).unwrap();
        assert!(finished.status.success(), "{}", finished.stderr);
    }

    /// How many documents the group has committed.
    pub(crate) fn committed(&self) -> i64 {
        let group = format!("{}-group", self.topic);
        self.broker.committed(&group, &self.topic).unwrap().values().flatten().sum()
    }

    /// Waits until the group has committed `count` documents; how long that took.
    pub(crate) fn wait_until_committed(&self, count: i64) -> Duration {
        let start = Instant::now();
        let deadline = start + PATIENCE;
        while self.committed() < count {
            assert!(Instant::now() < deadline, "only {} of {count} committed", self.committed());
            std::thread::sleep(Duration::from_millis(50));
        }
        start.elapsed()
    }

    /// Waits until the group commits more documents, if there are more; how long that took.
    pub(crate) fn wait_until_next_commit(&self) -> Duration {
        self.wait_until_committed(self.sent.min(self.committed() + 1))
    }

    /// The documents that should be in a sink, or with `broken` among the dead letters.
    pub(crate) fn expected(&self, broken: bool) -> Counts {
        let numbers = (0..self.sent).filter(|n| (n % BROKEN_EVERY == 7) == broken);
        numbers.map(|n| ((n % PARTITIONS, n / PARTITIONS), 1)).collect()
    }

    /// Compares what lies in an output, and in the dead letters, with what should.
    pub(crate) fn check(&self, name: &str, outputs: &[(&str, Counts)]) {
        let outputs = outputs.iter().map(|(output, found)| (*output, found.clone(), self.expected(false)));
        let dead = ("dead letters", self.dead(), self.expected(true));
        for (output, found, expected) in outputs.chain([dead]) {
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

    /// Lets it die at each of `steps` in turn, with new documents each time; says what was done.
    pub(crate) fn die_at(&mut self, steps: &[&str], default: u64) -> String {
        let (faults, mut random) = randomness(default);
        for death in 0..faults {
            let step = steps[death as usize % steps.len()];
            let fault = format!("{step}={}*off->1*return", random.random_range(0..3));
            self.send_more();
            let finished = self.start(Some("a"), &fault, &[]).wait(PATIENCE).unwrap();
            assert_eq!(finished.status.code(), None, "{fault}: it should have died:\n{}", finished.stderr);
        }
        self.finish(Some("a"));
        format!("{faults} deaths at {} steps", steps.len())
    }

    /// Kills it at random moments, with new documents each time; says what was done.
    pub(crate) fn kill(&mut self, default: u64) -> String {
        let (faults, mut random) = randomness(default);
        for _ in 0..faults {
            self.send_more();
            let running = self.start(Some("a"), "", &[]);
            std::thread::sleep(Duration::from_millis(random.random_range(300..2500)));
            running.signal("KILL").unwrap();
            running.wait(PATIENCE).unwrap();
        }
        self.finish(Some("a"));
        format!("{faults} kills")
    }

    /// Stops a member for so long that its group gives it up and another does its work, then lets it go on;
    /// says what was done.
    pub(crate) fn sleep_through_the_work_of_another(&mut self) -> String {
        let sleeper = self.start(None, "", &[]);
        self.wait_until_committed(1_000);
        sleeper.signal("STOP").unwrap();
        let stopped_at = self.committed();
        assert!(stopped_at < self.sent, "stopped too late to prove anything");
        self.finish(None);
        sleeper.signal("CONT").unwrap();
        self.send(2_000);
        self.wait_until_committed(self.sent);
        stop(sleeper);
        format!("stopped with {stopped_at} committed, went on after another had the rest")
    }

    /// The rows in the topic of labelled ones.
    pub(crate) fn rows(&self) -> Vec<Value> {
        let records = self.broker.consume_all(&format!("{}-labelled", self.topic)).unwrap();
        let row = |record: &Record| serde_json::from_slice(record.value.as_ref().unwrap()).unwrap();
        records.iter().map(row).collect()
    }

    /// What is in the topic of labelled rows.
    pub(crate) fn labelled(&self) -> Counts {
        let place = |row: Value| (row["partition"].as_i64().unwrap(), row["offset"].as_i64().unwrap());
        count(self.rows().into_iter().map(place))
    }

    /// What is in the topic of dead letters.
    pub(crate) fn dead(&self) -> Counts {
        let number = |headers: &[(String, Vec<u8>)], name: &str| -> i64 {
            let value = &headers.iter().find(|(header, _)| header == name).unwrap().1;
            std::str::from_utf8(value).unwrap().parse().unwrap()
        };
        let records = self.broker.consume_all(&format!("{}-dead", self.topic)).unwrap();
        count(records.iter().map(|record| {
            (number(&record.headers, "fenliu.partition"), number(&record.headers, "fenliu.offset"))
        }))
    }

    /// The places that Python `code` prints, as pairs, of what is in `DIR/labelled` (its argument).
    pub(crate) fn read_by(&self, code: &str) -> Counts {
        count_pairs(&readers::python(code, &[&self.labelled_path()]).unwrap())
    }

    /// Sends documents for one death more, unless many are waiting: the end is to come soon after the last death.
    fn send_more(&mut self) {
        if self.sent - self.committed() < MOST_BURSTS_WAITING * burst() {
            self.send(burst());
        }
    }

    /// Where `DIR/labelled` is.
    pub(crate) fn labelled_path(&self) -> String {
        self.directory.path().join("labelled").display().to_string()
    }
}

/// Counts pairs of a partition and an offset.
pub(crate) fn count_pairs(pairs: &Value) -> Counts {
    count(pairs.as_array().unwrap().iter().map(|pair| (pair[0].as_i64().unwrap(), pair[1].as_i64().unwrap())))
}

fn count(places: impl Iterator<Item = (i64, i64)>) -> Counts {
    let mut counts = Counts::new();
    places.for_each(|place| *counts.entry(place).or_default() += 1);
    counts
}

/// The value of an environment variable, or `default`.
pub(crate) fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).ok().map_or(default, |value| value.parse().unwrap())
}

fn burst() -> i64 {
    number("FENLIU_BURST", BURST) as i64
}

/// Rows of an epoch at most.
pub(crate) fn epoch_rows() -> i64 {
    burst() / EPOCHS_OF_BURST
}

/// How many faults, and the randomness of them; both are printed.
pub(crate) fn randomness(default: u64) -> (u64, SmallRng) {
    let (faults, seed) = (number("FENLIU_FAULTS", default), number("FENLIU_SEED", 1));
    println!("seed {seed}, {faults} faults");
    (faults, SmallRng::seed_from_u64(seed))
}
