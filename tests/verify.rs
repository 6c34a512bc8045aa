//! `fenliu verify` on a real Apache Kafka: a clean run is whole, and what was done to the files afterwards is
//! found, to the row.

use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use fenliu_tests::binary;
use fenliu_tests::kafka::{self, Broker, NewRecord, unique_name};
use serde_json::Value;
use tempfile::TempDir;

use crate::fixtures::{PATIENCE, articles, config, json, run, stop};

const PARTITIONS: usize = 3;
/// One message in so many is broken.
const BROKEN_EVERY: usize = 50;

const CONFIG: &str = r#"
    name = "TOPIC"
    [kafka]
    brokers = "BROKERS"
    [source]
    type = "kafka"
    topics = ["TOPIC"]
    [model]
    bundle = "BUNDLE"
    [[sinks]]
    type = "kafka"
    topic = "TOPIC-labelled"
    columns = ["title AS body", "partition", "\"offset\""]
    [[sinks]]
    type = "files"
    path = "DIR/labelled"
    [dead_letters]
    type = "kafka"
    topic = "TOPIC-dead"
    [breaker]
    rows = 0
    [limits]
    batch_rows = 50
    [epoch]
    max_rows = 100
"#;

/// Reads what the first pipeline has written in transactions, whose markers take offsets.
const SECOND: &str = r#"
    name = "TOPIC-second"
    [kafka]
    brokers = "BROKERS"
    [source]
    type = "kafka"
    topics = ["TOPIC-labelled"]
    [model]
    bundle = "BUNDLE"
    [[sinks]]
    type = "files"
    path = "DIR/second"
    format = "jsonl"
    [dead_letters]
    type = "files"
    path = "DIR/second-dead"
    [breaker]
    rows = 0
"#;

fn send(broker: &Broker, topic: &str, count: usize) {
    let articles = articles(300);
    let value = |n: usize| match n % BROKEN_EVERY {
        7 => format!("{{\"broken\": {n}"),
        _ => {
            let body = articles[n % articles.len()]["body"].as_str().unwrap();
            serde_json::json!({ "title": format!("{n} {body}") }).to_string()
        }
    };
    let record = |n: usize| NewRecord {
        partition: Some((n % PARTITIONS) as i32),
        value: Some(value(n).into_bytes()),
        ..NewRecord::default()
    };
    broker.produce(topic, &(0..count).map(record).collect::<Vec<_>>()).unwrap();
}

/// Exit code and report.
fn verify(config: &str, more: &[&str]) -> (Option<i32>, Value) {
    let finished = binary::run(&[&["verify", "-c", config, "--json"], more].concat(), PATIENCE).unwrap();
    assert!(!finished.stdout.is_empty(), "{}", finished.stderr);
    assert!(!finished.stderr.contains("ERROR"), "{}", finished.stderr);
    (finished.status.code(), json(&finished.stdout))
}

/// Documents, rows, dead letters, lost, duplicated and not reached of one sink in total.
fn total(sink: &Value) -> [i64; 6] {
    ["documents", "rows", "dead_lettered", "lost", "duplicated", "not_reached"]
        .map(|name| sink["total"][name].as_i64().unwrap())
}

/// The data files that the manifests name, with their rows.
fn committed(directory: &Path) -> Vec<(PathBuf, i64)> {
    let manifests = std::fs::read_dir(directory.join("_manifests/0000000")).unwrap();
    let mut files = vec![];
    for manifest in manifests {
        let manifest: Value =
            serde_json::from_slice(&std::fs::read(manifest.unwrap().path()).unwrap()).unwrap();
        for file in manifest["files"].as_array().unwrap() {
            files.push((directory.join(file["name"].as_str().unwrap()), file["rows"].as_i64().unwrap()));
        }
    }
    files
}

/// A topic of its own with the topics that the first pipeline writes to, and its configuration.
fn job(broker: &Broker, directory: &Path) -> (String, String) {
    let topic = unique_name("verify");
    for suffix in ["", "-labelled", "-dead"] {
        broker.create_topic(&format!("{topic}{suffix}"), PARTITIONS as i32).unwrap();
    }
    let text = CONFIG.replace("TOPIC", &topic).replace("BROKERS", broker.brokers());
    (config(directory, &text), topic)
}

#[test]
fn lost_and_repeated_rows_are_found_and_nothing_else() {
    let Some(broker) = kafka::broker().unwrap() else { return };
    let directories: [TempDir; 2] = std::array::from_fn(|_| tempfile::tempdir().unwrap());
    let (first, topic) = job(broker, directories[0].path());
    let second = SECOND.replace("TOPIC", &topic).replace("BROKERS", broker.brokers());
    let second = config(directories[1].path(), &second);
    send(broker, &topic, 600);
    run(&["run", "-c", &first, "--stop-at-end"]);

    let (code, report) = verify(&first, &[]);
    assert_eq!(code, Some(0), "{report:#}");
    for sink in report["sinks"].as_array().unwrap() {
        assert_eq!(total(sink), [600, 588, 12, 0, 0, 0], "{sink:#}");
        assert_eq!(sink["partitions"].as_array().unwrap().len(), PARTITIONS);
    }

    run(&["run", "-c", &second, "--stop-at-end"]);
    let (code, report) = verify(&second, &[]);
    assert_eq!(code, Some(0), "{report:#}");
    let [documents, rows, _, lost, duplicated, _] = total(&report["sinks"][0]);
    assert_eq!([documents, rows, lost, duplicated], [588, 588, 0, 0], "{report:#}");

    send(broker, &topic, 30);
    let labelled = directories[0].path().join("labelled");
    let files = committed(&labelled);
    assert!(files.len() >= 2, "{files:?}");
    let ((copied, twice), (removed, lost)) = (&files[0], &files[1]);
    std::fs::copy(copied, labelled.join("copy.parquet")).unwrap();
    std::fs::remove_file(removed).unwrap();
    let (code, report) = verify(&first, &[]);
    assert_eq!(code, Some(1), "{report:#}");
    assert_eq!(total(&report["sinks"][0]), [600, 588, 12, 0, 0, 30]);
    let sink = &report["sinks"][1];
    assert_eq!(total(sink), [600, 588 + twice - lost, 12, *lost, *twice, 30], "{sink:#}");
    let count = |name: &str| sink[name].as_array().unwrap().len() as i64;
    assert_eq!((count("lost"), count("duplicated"), count("problems")), (10.min(*lost), 10.min(*twice), 2));

    assert_eq!(verify(&first, &["--sink", "0"]).0, Some(0), "the topic is whole");
    let finished = binary::run(&["verify", "-c", &first, "--sink", "1"], PATIENCE).unwrap();
    assert_eq!(finished.status.code(), Some(1));
    println!("{}", finished.stdout);
    for text in
        ["not reached", "first lost: ", "first duplicated: ", "copy.parquet: in no manifest", "missing"]
    {
        assert!(finished.stdout.contains(text), "{text}:\n{}", finished.stdout);
    }
}

#[test]
fn a_topic_that_was_added_later_lacks_what_came_before_and_may_be_excused() {
    let Some(broker) = kafka::broker().unwrap() else { return };
    let directory = tempfile::tempdir().unwrap();
    let (with, topic) = job(broker, directory.path());
    let text = std::fs::read_to_string(&with).unwrap();
    let (before, sinks) = text.split_once("[[sinks]]").unwrap();
    let (_, files) = sinks.split_once("[[sinks]]").unwrap();
    let without = directory.path().join("without.toml");
    std::fs::write(&without, format!("{before}[[sinks]]{files}")).unwrap();
    send(broker, &topic, 300);
    run(&["run", "-c", without.to_str().unwrap(), "--stop-at-end"]);
    send(broker, &topic, 300);
    run(&["run", "-c", &with, "--stop-at-end"]);

    let (code, report) = verify(&with, &[]);
    assert_eq!(code, Some(1), "{report:#}");
    assert_eq!(total(&report["sinks"][0]), [600, 294, 12, 294, 0, 0], "{report:#}");
    assert!(report["sinks"][0]["notes"].to_string().contains("added later"), "{report:#}");
    assert_eq!(total(&report["sinks"][1]), [600, 588, 12, 0, 0, 0], "{report:#}");
}

#[test]
fn a_pipeline_that_runs_meanwhile_is_whole_at_every_moment() {
    let Some(broker) = kafka::broker().unwrap() else { return };
    let directory = tempfile::tempdir().unwrap();
    let (config, topic) = job(broker, directory.path());
    send(broker, &topic, 3_000);
    let running = binary::start(&["run", "-c", &config, "--set", "epoch.max_age=\"200ms\""]).unwrap();
    let committed = || broker.committed(&topic, &topic).unwrap().values().flatten().sum::<i64>();
    let deadline = Instant::now() + PATIENCE;
    while committed() == 0 {
        assert!(Instant::now() < deadline, "nothing committed");
        thread::sleep(Duration::from_millis(50));
    }
    let mut compared = vec![];
    for _ in 0..8 {
        send(broker, &topic, 300);
        let (code, report) = verify(&config, &[]);
        assert_eq!(code, Some(0), "{report:#}");
        compared.extend(report["sinks"].as_array().unwrap().iter().map(|sink| total(sink)[0]));
    }
    println!("documents compared while the pipeline ran: {compared:?}");
    assert!(compared.iter().any(|documents| *documents > 0), "nothing was compared");
    stop(running);
    run(&["run", "-c", &config, "--stop-at-end"]);
    let (code, report) = verify(&config, &[]);
    assert_eq!(code, Some(0), "{report:#}");
    for sink in report["sinks"].as_array().unwrap() {
        let [documents, _, _, lost, duplicated, not_reached] = total(sink);
        assert_eq!([documents, lost, duplicated, not_reached], [5_400, 0, 0, 0], "{sink:#}");
    }
}
