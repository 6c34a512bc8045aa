//! Nothing lost and nothing twice, whatever dies and when: the real binary is killed at every step of its
//! commits and while models change, and stopped for so long that the group gives its partitions away.

use std::time::Duration;

use fenliu_tests::{kafka, readers};
use rand::Rng;
use serde_json::Value;

use crate::fixtures::{PATIENCE, stop};
use crate::hot_swap::{Model, mixed};
use crate::job::{Counts, Job, randomness};
use crate::outages::{SLACK, outage};

/// Steps at which the process can be made to die.
pub(crate) const STEPS: [&str; 7] = [
    "kafka-sent",
    "kafka-before-commit",
    "kafka-after-commit",
    "files-staged",
    "files-before-manifest",
    "files-after-manifest",
    "files-named",
];

pub(crate) const SINKS: &str = r#"
    [[sinks]]
    type = "kafka"
    topic = "TOPIC-labelled"
    columns = ["partition", "\"offset\""]
    [[sinks]]
    type = "files"
    path = "DIR/labelled"
    columns = ["partition", "\"offset\"", "label"]
    partition_by = ["label"]
"#;

/// Compares the topic and the files with what should be in them.
pub(crate) fn check(job: &Job, name: &str) {
    job.check(name, &[("topic", job.labelled()), ("files", files(job))]);
}

/// As DuckDB reads the directories, by a pattern of names; the labels are in these alone.
fn files(job: &Job) -> Counts {
    job.read_by(
        "import duckdb, json, sys\n\
         rows = duckdb.sql(f\"SELECT partition, \\\"offset\\\" FROM '{sys.argv[1]}/*/*.parquet' WHERE label IS NOT NULL\").fetchall()\n\
         print(json.dumps(rows))",
    )
}

#[test]
fn killed_at_every_step_it_loses_nothing_and_repeats_nothing() {
    let Some(broker) = kafka::broker().unwrap() else { return };
    let mut job = Job::new(broker, 4_000, SINKS);
    let done = job.die_at(&STEPS, 14);
    check(&job, &done);
}

#[test]
fn killed_at_any_moment_it_loses_nothing_and_repeats_nothing() {
    let Some(broker) = kafka::broker().unwrap() else { return };
    let mut job = Job::new(broker, 4_000, SINKS);
    let done = job.kill(8);
    check(&job, &done);
}

/// A topic's position is that of the group, which brokers forget after a week without members.
#[test]
fn a_group_that_the_broker_has_forgotten_goes_on_where_the_files_are() {
    let Some(broker) = kafka::broker().unwrap() else { return };
    let mut job = Job::new(broker, 2_000, SINKS);
    job.finish(None);
    job.forget_group();
    job.send(1_000);
    job.finish(None);
    check(&job, "the broker forgot the group");
}

/// The champion changes again and again, and the process is killed again and again.
#[test]
fn killed_while_models_change_it_labels_each_document_once_and_says_by_which() {
    let Some(broker) = kafka::broker().unwrap() else { return };
    let model = Model::new();
    let columns = |more: &str| format!(r#"["partition", "\"offset\"", {more}"label"]"#);
    let sinks = SINKS.replace(r#"["partition", "\"offset\""]"#, &columns(""));
    let sinks = sinks.replace(&columns(""), &columns(r#""id", "model_version", "#));
    let mut job = Job::new(broker, 1_000, &sinks);
    let bundle = format!("model.bundle={:?}", model.path());
    let settings = ["--set", &bundle, "--set", "model.watch=\"50ms\""];
    let (faults, mut random) = randomness(5);
    for _ in 0..faults {
        job.send(1_000);
        let mut running = job.start(Some("a"), "", &settings);
        running.wait_for_event("partitions_assigned", PATIENCE).unwrap();
        model.promote(&model.versions[1]);
        running.wait_for_event("model_swapped", PATIENCE).unwrap();
        job.send(400);
        job.wait_until_committed(job.sent);
        model.promote(&model.versions[0]);
        job.send(600);
        // Before, within or after the second swap.
        std::thread::sleep(Duration::from_millis(random.random_range(0..1_500)));
        running.signal("KILL").unwrap();
        running.signal("KILL").unwrap();
        running.wait(PATIENCE).unwrap();
    }
    let last = job.start(Some("a"), "", &[&settings[..], &["--stop-at-end"]].concat());
    let finished = last.wait(PATIENCE).unwrap();
    assert!(finished.status.success(), "{}", finished.stderr);
    check(&job, &format!("{faults} kills while models changed"));
    for (output, rows) in [("topic", job.rows()), ("files", rows_of_files(&job))] {
        let by = |version: &String| rows.iter().filter(|row| row["model_version"] == **version).count();
        let by: Vec<usize> = model.versions.iter().map(by).collect();
        println!("{output}: rows by each version: {by:?}");
        assert_eq!(by.iter().sum::<usize>(), rows.len(), "{output}: only versions that there are");
        assert!(by.iter().all(|count| *count > 0), "{output}: one version alone proves nothing");
        assert_eq!(mixed(&rows, &model).0, 0, "{output}: rows that another version labelled than they say");
    }
}

/// What the files say of each document.
fn rows_of_files(job: &Job) -> Vec<Value> {
    let code = "import duckdb, json, sys\n\
        rows = duckdb.sql(f\"SELECT partition, id, model_version, label FROM '{sys.argv[1]}/*/*.parquet'\").fetchall()\n\
        print(json.dumps([dict(zip(['partition', 'id', 'model_version', 'label'], row)) for row in rows]))";
    readers::python(code, &[&job.labelled_path()]).unwrap().as_array().unwrap().clone()
}

/// The offsets of a group are not told while a transaction holds some; this one would stay open for 15 minutes.
#[test]
fn a_process_with_a_name_ends_the_transaction_that_the_dead_one_left_open() {
    let Some(broker) = kafka::broker().unwrap() else { return };
    let own = "topic = \"TOPIC-labelled\"\nproperties = { \"transaction.timeout.ms\" = 900000 }";
    let mut job = Job::new(broker, 2_000, &SINKS.replacen("topic = \"TOPIC-labelled\"", own, 1));
    let done = job.die_at(&["kafka-before-commit"], 2);
    check(&job, &done);
}

#[test]
fn a_member_that_was_given_up_cannot_write_what_another_has_written() {
    let Some(broker) = kafka::broker().unwrap() else { return };
    let mut job = Job::new(broker, 20_000, SINKS);
    let done = job.sleep_through_the_work_of_another();
    check(&job, &done);
}

#[test]
fn of_two_processes_with_one_name_one_ends_and_says_why() {
    let Some(broker) = kafka::broker().unwrap() else { return };
    let mut job = Job::new(broker, 2_000, SINKS);
    let mut twins = vec![job.start(Some("a"), "", &[])];
    job.wait_until_committed(500);
    twins.push(job.start(Some("a"), "", &[]));
    let ended = loop {
        job.send(50);
        std::thread::sleep(Duration::from_millis(200));
        if let Some(index) = twins.iter_mut().position(|twin| twin.has_ended().unwrap()) {
            break twins.swap_remove(index).wait(PATIENCE).unwrap();
        }
    };
    assert!(ended.stderr.contains("another process with the same `source.instance`"), "{}", ended.stderr);
    job.wait_until_committed(job.sent);
    stop(twins.remove(0));
    check(&job, "two processes with one name");
}

#[test]
fn a_sink_that_fails_holds_back_only_itself_and_gets_all_its_rows_later() {
    let Some(broker) = kafka::broker().unwrap() else { return };
    let mut job = Job::new(broker, 1_000, SINKS);
    let running = job.start(Some("a"), "", &[]);
    job.wait_until_committed(1_000);
    let (path, away) = (job.directory.path().join("labelled"), job.directory.path().join("away"));
    while !path.join("_manifests").exists() {
        std::thread::sleep(Duration::from_millis(50));
    }
    std::fs::rename(&path, &away).unwrap();
    std::fs::write(&path, "a file where a directory was").unwrap();
    let before = running.resident_bytes().unwrap() >> 20;
    job.send(4_000);
    job.wait_until_committed(5_000);
    assert_eq!(job.labelled().len() + job.dead().len(), 5_000, "the topics go on");
    std::thread::sleep(outage(0));
    let during = running.resident_bytes().unwrap() >> 20;
    println!("resident MiB: {before} before, {during} at the end of the failure");
    assert!(during <= before + before / 10 + SLACK, "{before} MiB before, {during} at the end");

    std::fs::remove_file(&path).unwrap();
    std::fs::rename(&away, &path).unwrap();
    let stopped = stop(running);
    assert!(stopped.events("retrying") > 0, "{}", stopped.stderr);
    check(&job, &format!("one of two sinks failed for {:?} and more", outage(0)));
}

/// A reply that is lost says nothing of what was done: every first try of every commit fails so.
#[test]
fn a_commit_that_took_effect_and_reports_a_failure_is_not_repeated() {
    let Some(broker) = kafka::broker().unwrap() else { return };
    let job = Job::new(broker, 4_000, SINKS);
    let faults = "kafka-after-commit=return(error);files-after-manifest=return(error)";
    let finished = job.start(Some("a"), faults, &["--stop-at-end"]).wait(PATIENCE).unwrap();
    assert!(finished.status.success(), "{}", finished.stderr);
    assert!(finished.events("retrying") > 0, "{}", finished.stderr);
    check(&job, "every commit took effect and reported a failure");
}

#[test]
fn a_commit_that_fails_before_its_effect_is_tried_until_it_has_one() {
    let Some(broker) = kafka::broker().unwrap() else { return };
    let job = Job::new(broker, 4_000, SINKS);
    let faults = STEPS.map(|step| format!("{step}=1*off->2*return(error)->1*off->1*return(error)")).join(";");
    let finished = job.start(Some("a"), &faults, &["--stop-at-end"]).wait(PATIENCE).unwrap();
    assert!(finished.status.success(), "{}", finished.stderr);
    check(&job, "each step failed three times, before or after its effect");
}

#[test]
fn a_message_that_its_topic_will_never_take_stops_the_pipeline_and_names_the_bound() {
    let Some(broker) = kafka::broker().unwrap() else { return };
    let job = Job::with_dead_letters(broker, 100, SINKS, &[("max.message.bytes", "100")]);
    let finished = job.start(None, "", &["--stop-at-end"]).wait(PATIENCE).unwrap();
    assert_eq!(finished.status.code(), Some(1), "{}", finished.stderr);
    assert!(finished.stderr.contains("max.message.bytes"), "{}", finished.stderr);
    assert_eq!(job.labelled().len(), 0, "nothing of the transaction is seen");
}
