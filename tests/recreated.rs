//! What offsets alone do not tell, on a real Apache Kafka: topics that were deleted and created again, partitions that
//! were added, offsets that the source deleted, and compacted topics as outputs.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use fenliu_tests::binary;
use fenliu_tests::kafka::{self, Broker, NewRecord, unique_name};
use serde_json::Value;
use tempfile::TempDir;

use crate::fixtures::{PATIENCE, fails, json, run, stop};

/// A pipeline without a model, whose metadata are fresh within a second.
const CONFIG: &str = r#"
    name = "TOPIC"
    [kafka]
    brokers = "BROKERS"
    [source]
    topics = ["TOPIC"]
    [source.properties]
    "topic.metadata.refresh.interval.ms" = 1000
    [output]
    body = true
    [[sinks]]
    type = "files"
    path = "DIR/rows"
    format = "jsonl"
    [dead_letters]
    path = "DIR/dead"
    [epoch]
    max_age = "300ms"
"#;

/// Sinks of every kind that keeps positions.
const ALL_KINDS: &str = r#"
    [[sinks]]
    type = "delta"
    path = "DIR/delta"
    [[sinks]]
    type = "iceberg"
    [sinks.catalog]
    uri = "sqlite:DIR/catalog/catalog.db"
    warehouse = "DIR/warehouse"
    [[sinks]]
    type = "kafka"
    topic = "TOPIC-rows"
"#;

struct Job {
    broker: &'static Broker,
    topic: String,
    directory: TempDir,
    config: String,
}

impl Job {
    fn new(broker: &'static Broker, more: &str) -> Self {
        let (topic, directory) = (unique_name("identity"), tempfile::tempdir().unwrap());
        broker.create_topic(&topic, 1).unwrap();
        let config = directory.path().join("fenliu.toml").display().to_string();
        let text = format!("{CONFIG}{more}").replace("TOPIC", &topic).replace("BROKERS", broker.brokers());
        std::fs::write(&config, text.replace("DIR", &directory.path().display().to_string())).unwrap();
        Job { broker, topic, directory, config }
    }

    /// Stories `first..next`, to `partition`.
    fn send(&self, partition: i32, (first, next): (usize, usize)) {
        let record = |n: usize| {
            let value = format!("{{\"id\": \"{partition}-{n}\", \"title\": \"Story {n}\"}}");
            NewRecord { partition: Some(partition), value: Some(value.into_bytes()), ..NewRecord::default() }
        };
        self.broker.produce(&self.topic, &(first..next).map(record).collect::<Vec<_>>()).unwrap();
    }

    /// Deletes the topic and creates it again, with `count` other stories.
    fn recreate(&self, count: usize) {
        self.broker.delete_topic(&self.topic).unwrap();
        let deadline = Instant::now() + PATIENCE;
        while let Err(error) = self.broker.create_topic(&self.topic, 1) {
            assert!(Instant::now() < deadline, "{error:#}");
            thread::sleep(Duration::from_millis(200));
        }
        self.send(0, (100, 100 + count));
    }

    fn rows(&self) -> usize {
        let files = files(&self.directory.path().join("rows"), "jsonl");
        files.iter().map(|file| std::fs::read_to_string(file).unwrap().lines().count()).sum()
    }

    fn wait_for_rows(&self, count: usize) {
        let deadline = Instant::now() + PATIENCE;
        while self.rows() < count {
            assert!(Instant::now() < deadline, "only {} of {count} rows", self.rows());
            thread::sleep(Duration::from_millis(100));
        }
    }

    fn run(&self) {
        run(&["run", "-c", &self.config, "--stop-at-end"]);
    }

    /// Exit code and report.
    fn verify(&self) -> (Option<i32>, Value) {
        let finished = binary::run(&["verify", "-c", &self.config, "--json"], PATIENCE).unwrap();
        assert!(!finished.stdout.is_empty(), "{}", finished.stderr);
        (finished.status.code(), json(&finished.stdout))
    }
}

fn files(directory: &Path, extension: &str) -> Vec<std::path::PathBuf> {
    let Ok(entries) = std::fs::read_dir(directory) else { return vec![] };
    let paths = entries.map(|entry| entry.unwrap().path());
    let is_wanted = |path: &std::path::PathBuf| {
        let name = path.file_name().unwrap().to_str().unwrap();
        !name.starts_with('.') && path.extension().is_some_and(|found| found == extension)
    };
    let mut paths: Vec<_> = paths.filter(is_wanted).collect();
    paths.sort();
    paths
}

#[test]
fn a_topic_that_was_created_again_stops_the_next_run_and_every_sink_knows_it() {
    let Some(broker) = kafka::broker().unwrap() else { return };
    let job = Job::new(broker, ALL_KINDS);
    broker.create_topic(&format!("{}-rows", job.topic), 1).unwrap();
    job.send(0, (0, 10));
    job.run();
    let (code, report) = job.verify();
    assert_eq!(code, Some(0), "{report:#}");

    job.recreate(25);
    let log = fails(&["run", "-c", &job.config, "--stop-at-end"], 1);
    assert!(log.contains("was deleted and created again"), "{log}");
    assert_eq!(job.rows(), 10, "nothing of the new topic is written under old offsets");
    let (code, report) = job.verify();
    assert_eq!(code, Some(1), "{report:#}");
    let outputs: Vec<&Value> =
        report["sinks"].as_array().unwrap().iter().chain([&report["dead_letters"]]).collect();
    assert_eq!(outputs.len(), 5);
    for output in outputs {
        let problems = output["problems"].to_string();
        // Kafka has removed the group's offsets with the topic: all that is left are the rows.
        let of_group = problems.contains("the consumer group has no offset");
        let by_id = problems.contains("created again") && problems.contains("/0 0..25");
        assert_eq!(of_group, output["name"].as_str().unwrap().contains("-rows"), "{output:#}");
        assert!(of_group || by_id, "{output:#}");
    }
}

/// Kafka removes the offsets of a topic with it, so a pipeline whose positions are in the group alone starts again.
#[test]
fn what_only_the_group_has_read_is_read_from_the_beginning_when_its_topic_is_created_again() {
    let Some(broker) = kafka::broker().unwrap() else { return };
    let job = Job::new(broker, "");
    let text = std::fs::read_to_string(&job.config).unwrap();
    let (head, rest) = text.split_once("[[sinks]]").unwrap();
    let (_, tail) = rest.split_once("[epoch]").unwrap();
    let name = &job.topic;
    let sinks = format!(
        "[[sinks]]\ntype = \"kafka\"\ntopic = \"{name}-rows\"\n[dead_letters]\ntype = \"kafka\"\ntopic = \"{name}-dead\"\n"
    );
    std::fs::write(&job.config, format!("{head}{sinks}[epoch]{tail}")).unwrap();
    for suffix in ["rows", "dead"] {
        broker.create_topic(&format!("{name}-{suffix}"), 1).unwrap();
    }
    job.send(0, (0, 10));
    job.run();
    job.recreate(25);
    let (code, report) = job.verify();
    assert_eq!(code, Some(1), "{report:#}");
    assert!(report.to_string().contains("the consumer group has no offset"), "{report:#}");
    job.run();
    assert_eq!(broker.consume_all(&format!("{name}-rows")).unwrap().len(), 10 + 25);
}

#[test]
fn a_topic_that_is_created_again_while_it_is_read_is_noticed() {
    let Some(broker) = kafka::broker().unwrap() else { return };
    let job = Job::new(broker, "");
    job.send(0, (0, 10));
    let running = binary::start(&["run", "-c", &job.config]).unwrap();
    job.wait_for_rows(10);
    job.recreate(25);
    let finished = running.wait(PATIENCE).unwrap();
    assert_eq!(finished.status.code(), Some(1), "{}", finished.stderr);
    assert!(finished.stderr.contains("was deleted and created again"), "{}", finished.stderr);
    let (code, report) = job.verify();
    assert_eq!(code, Some(1), "{report:#}");
}

#[test]
fn a_partition_that_is_added_under_latest_is_read_from_its_beginning() {
    let Some(broker) = kafka::broker().unwrap() else { return };
    let job = Job::new(broker, "");
    let args = ["run", "-c", &job.config, "--set", "source.start=\"latest\""];
    job.send(0, (0, 5));
    let mut running = binary::start(&args).unwrap();
    running.wait_for_event("partitions_assigned", PATIENCE).unwrap();
    broker.add_partitions(&job.topic, 3).unwrap();
    (0..3).for_each(|partition| job.send(partition, (10, 20)));
    job.wait_for_rows(30);
    stop(running);
    // One that is added while nothing runs is no different.
    broker.add_partitions(&job.topic, 4).unwrap();
    job.send(3, (10, 17));
    let running = binary::start(&args).unwrap();
    job.wait_for_rows(37);
    stop(running);
    assert_eq!(job.rows(), 37, "none of the five that were there before the start");
    let (code, report) = job.verify();
    assert_eq!(code, Some(0), "{report:#}");
}

#[test]
fn positions_of_an_earlier_release_adopt_the_topic_that_is_there() {
    let Some(broker) = kafka::broker().unwrap() else { return };
    let job = Job::new(broker, "");
    job.send(0, (0, 10));
    job.run();
    let directories = ["rows", "dead"].map(|name| job.directory.path().join(name).join("_manifests/0000000"));
    let topics = |path: &Path| {
        let manifest: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        manifest["topics"].clone()
    };
    for manifest in directories.iter().flat_map(|directory| files(directory, "json")) {
        assert!(topics(&manifest)[0]["id"].is_string());
        let mut value: Value = serde_json::from_slice(&std::fs::read(&manifest).unwrap()).unwrap();
        value.as_object_mut().unwrap().remove("topics");
        std::fs::write(&manifest, value.to_string()).unwrap();
    }
    job.send(0, (10, 20));
    let finished = binary::run(&["run", "-c", &job.config, "--stop-at-end"], PATIENCE).unwrap();
    assert!(finished.status.success(), "{}", finished.stderr);
    assert_eq!(finished.stderr.matches("topic_adopted").count(), 1, "{}", finished.stderr);
    assert_eq!(job.rows(), 20);
    assert!(topics(files(&directories[0], "json").last().unwrap())[0]["id"].is_string());
}

#[test]
fn offsets_that_the_source_deleted_before_they_were_read_are_lost_before_and_after_the_next_run() {
    let Some(broker) = kafka::broker().unwrap() else { return };
    let job = Job::new(broker, "");
    job.send(0, (0, 10));
    job.run();
    job.send(0, (10, 50));
    broker.delete_records(&job.topic, 0, 40).unwrap();
    let lost = |report: &Value| report["sinks"][0]["total"]["lost"].as_i64();
    let (code, report) = job.verify();
    assert_eq!((code, lost(&report)), (Some(1), Some(30)), "{report:#}");
    assert!(report["sinks"][0]["problems"].to_string().contains("10..40"), "{report:#}");

    let finished = binary::run(&["run", "-c", &job.config, "--stop-at-end"], PATIENCE).unwrap();
    assert!(
        finished.stderr.contains("offsets_deleted") && finished.stderr.contains("lost=30"),
        "{}",
        finished.stderr
    );
    assert_eq!(job.rows(), 20);
    let (code, report) = job.verify();
    assert_eq!((code, lost(&report)), (Some(1), Some(30)), "{report:#}");
}

#[test]
fn compacted_topics_refuse_what_has_no_key_and_the_pipeline_says_so_and_stops() {
    let Some(broker) = kafka::broker().unwrap() else { return };
    let job = Job::new(broker, "[[sinks]]\ntype = \"kafka\"\ntopic = \"TOPIC-rows\"\n");
    let compacted = [("cleanup.policy", "compact")];
    for suffix in ["rows", "titles"] {
        broker.create_topic_with(&format!("{}-{suffix}", job.topic), 1, &compacted).unwrap();
    }
    let value = |text: &str| NewRecord { value: Some(text.as_bytes().to_vec()), ..NewRecord::default() };
    broker
        .produce(&job.topic, &[value("{\"title\": \"A story without an id\"}"), value("{\"broken")])
        .unwrap();

    // The key may be there, so it is the broker that refuses.
    let started = Instant::now();
    let log = fails(&["run", "-c", &job.config, "--stop-at-end"], 1);
    assert!(log.contains(&format!("{}-rows", job.topic)) && log.contains("cleanup.policy=compact"), "{log}");
    assert!(started.elapsed() < Duration::from_secs(60), "{:?}", started.elapsed());

    // Without `id` there is never a key.
    let columns = format!("sinks=[{{type=\"kafka\",topic=\"{}-titles\",columns=[\"title\"]}}]", job.topic);
    for command in [&["check"][..], &["run", "--stop-at-end"]] {
        let log = fails(&[command, &["-c", &job.config, "--set", &columns]].concat(), 1);
        assert!(log.contains("is compacted") && log.contains("-titles"), "{log}");
    }

    let files_only = job.config.replace("fenliu.toml", "files.toml");
    let text = std::fs::read_to_string(&job.config).unwrap();
    std::fs::write(&files_only, text.rsplit_once("[[sinks]]").unwrap().0).unwrap();
    run(&["run", "-c", &files_only, "--stop-at-end"]);
    let to = format!("{}-titles", job.topic);
    let log = fails(&["dlq", "replay", "-c", &files_only, "--to", &to], 1);
    assert!(log.contains("is compacted"), "{log}");
    assert!(broker.consume_all(&to).unwrap().is_empty());
}
