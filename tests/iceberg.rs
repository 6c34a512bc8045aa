//! An Iceberg table under faults, read by pyiceberg, which shares no code with the sink: nothing lost and
//! nothing twice, whatever dies and when, and whoever else works on the table.

use std::time::Duration;

use fenliu_tests::bucket::Bucket;
use fenliu_tests::{binary, kafka, readers};
use serde_json::Value;

use crate::fixtures::{PATIENCE, json, stop};
use crate::job::{Counts, Job};

/// Steps at which the process can be made to die.
const STEPS: [&str; 3] = ["iceberg-staged", "iceberg-before-commit", "iceberg-after-commit"];

const SINKS: &str = r#"
    [[sinks]]
    type = "iceberg"
    namespace = "desk.news"
    table = "labelled"
    partition_by = ["label"]
    [sinks.catalog]
    uri = "sqlite:DIR/labelled/catalog.db"
    warehouse = "DIR/labelled"
"#;

/// Opens the table by pyiceberg, in the directory that is the first argument.
const OPEN: &str = r#"
import json, sys
from pyiceberg.catalog import load_catalog
directory = sys.argv[1]
catalog = load_catalog("fenliu", type="sql", uri=f"sqlite:///{directory}/catalog.db", warehouse=directory)
table = catalog.load_table("desk.news.labelled")
"#;

/// Prints the places in the table.
const ROWS: &str = r#"
rows = table.scan(selected_fields=("partition", "offset")).to_arrow()
print(json.dumps(list(zip(rows["partition"].to_pylist(), rows["offset"].to_pylist()))))
"#;

/// As pyiceberg reads the table.
fn rows(job: &Job) -> Counts {
    job.read_by(&format!("{OPEN}{ROWS}"))
}

/// Runs `code` on the table, as another engine would.
fn python(job: &Job, code: &str) -> Value {
    let path = job.directory.path().join("labelled");
    readers::python(&format!("{OPEN}{code}"), &[path.to_str().unwrap()]).unwrap()
}

/// Compares the table with what should be in it, by pyiceberg and by `fenliu verify`.
fn check(job: &Job, name: &str) {
    job.check(name, &[("table", rows(job))]);
    verify(job);
}

fn verify(job: &Job) {
    let config = job.directory.path().join("fenliu.toml");
    let finished = binary::run(&["verify", "-c", config.to_str().unwrap(), "--json"], PATIENCE).unwrap();
    assert_eq!(finished.status.code(), Some(0), "{}\n{}", finished.stdout, finished.stderr);
    let total = &json(&finished.stdout)["sinks"][0]["total"];
    assert_eq!(total["rows"].as_u64().unwrap() as usize, job.expected(false).len(), "{total}");
}

#[test]
fn killed_at_every_step_it_loses_nothing_and_repeats_nothing() {
    let Some(broker) = kafka::broker().unwrap() else { return };
    let mut job = Job::new(broker, 2_000, SINKS);
    let done = job.die_at(&STEPS, 9);
    check(&job, &done);
}

#[test]
fn killed_at_any_moment_it_loses_nothing_and_repeats_nothing() {
    let Some(broker) = kafka::broker().unwrap() else { return };
    let sinks = SINKS.replace("[\"label\"]", "[\"label\", \"day(processed_at)\"]");
    let mut job = Job::new(broker, 2_000, &sinks);
    let done = job.kill(8);
    check(&job, &done);
}

#[test]
fn commits_that_report_a_failure_are_neither_lost_nor_repeated() {
    let Some(broker) = kafka::broker().unwrap() else { return };
    let job = Job::new(broker, 4_000, SINKS);
    let faults = "iceberg-staged=1*off->1*return(error);iceberg-before-commit=2*off->2*return(error);iceberg-after-commit=return(error)";
    let finished = job.start(Some("a"), faults, &["--stop-at-end"]).wait(PATIENCE).unwrap();
    assert!(finished.status.success(), "{}", finished.stderr);
    assert!(finished.events("retrying") > 0, "{}", finished.stderr);
    check(&job, "every commit reported a failure after its effect");
}

#[test]
fn a_member_that_was_given_up_cannot_write_what_another_has_written() {
    let Some(broker) = kafka::broker().unwrap() else { return };
    let mut job = Job::new(broker, 12_000, SINKS);
    let done = job.sleep_through_the_work_of_another();
    check(&job, &done);
}

/// Snapshots go, and with them what they said of positions; all files are exchanged for others.
#[test]
fn positions_survive_expiry_and_rewriting_by_another_engine() {
    let Some(broker) = kafka::broker().unwrap() else { return };
    let mut job = Job::new(broker, 3_000, SINKS);
    job.finish(Some("a"));
    let rewritten = python(
        &job,
        r#"
import datetime
before = (len(table.inspect.files()), len(table.metadata.snapshots))
table.overwrite(table.scan().to_arrow())
table.maintenance.expire_snapshots().older_than(datetime.datetime.now() + datetime.timedelta(days=1)).commit()
table.refresh()
print(json.dumps([*before, len(table.inspect.files()), len(table.metadata.snapshots)]))
"#,
    );
    println!("files and snapshots before and after: {rewritten}");
    assert!(rewritten[2].as_u64() < rewritten[0].as_u64() && rewritten[3].as_u64() < rewritten[1].as_u64());
    check(&job, "rewritten and expired");
    job.send(2_000);
    job.finish(Some("a"));
    check(&job, "and gone on from there");
}

/// Another engine rewrites the table again and again while the pipeline writes.
#[test]
fn another_engine_may_rewrite_the_table_meanwhile() {
    let Some(broker) = kafka::broker().unwrap() else { return };
    let mut job = Job::new(broker, 2_000, SINKS);
    job.finish(Some("a"));
    let running = job.start(Some("a"), "", &[]);
    let code = r#"
from pyiceberg.exceptions import CommitFailedException, ValidationException
done = refused = 0
for _ in range(4):
    try:
        table.refresh().overwrite(table.scan().to_arrow())
        done += 1
    except (CommitFailedException, ValidationException):
        refused += 1
print(json.dumps([done, refused]))
"#;
    let mut rewritten = 0;
    for _ in 0..3 {
        job.send(1_000);
        let outcome = python(&job, code);
        println!("rewritten and refused: {outcome}");
        rewritten += outcome[0].as_u64().unwrap();
    }
    assert!(rewritten > 0, "the pipeline alone has written");
    job.wait_until_committed(job.sent);
    stop(running);
    check(&job, "another engine rewrote the table meanwhile");
}

#[test]
fn a_table_with_other_columns_is_refused_with_what_to_do() {
    let Some(broker) = kafka::broker().unwrap() else { return };
    let job = Job::new(broker, 100, SINKS);
    job.finish(Some("a"));
    for (columns, problem) in [
        (r#"["label", "score AS certainty", "processed_at"]"#, "has no column `certainty`"),
        (r#"["CAST(score AS VARCHAR) AS score", "label", "processed_at"]"#, "has a column `score`"),
    ] {
        let set = format!("sinks.0.columns={columns}");
        let finished = job.start(Some("a"), "", &["--stop-at-end", "--set", &set]).wait(PATIENCE).unwrap();
        assert_eq!(finished.status.code(), Some(1), "{}", finished.stderr);
        assert!(finished.stderr.contains(problem), "{}", finished.stderr);
    }
}

/// The same with the files in a bucket.
#[test]
fn in_a_bucket_too_it_loses_nothing_and_repeats_nothing() {
    let Some(broker) = kafka::broker().unwrap() else { return };
    let bucket = Bucket::start().unwrap();
    let sinks = r#"
        [sinks.storage]
        "s3.endpoint" = "ENDPOINT"
        "s3.region" = "us-east-1"
        "s3.access-key-id" = "key"
        "s3.secret-access-key" = "secret"
        "s3.path-style-access" = true
    "#;
    let sinks = SINKS.replace("warehouse = \"DIR/labelled\"", "warehouse = \"s3://lake/news\"") + sinks;
    let mut job = Job::new(broker, 2_000, &sinks.replace("ENDPOINT", bucket.endpoint()));
    let done = job.die_at(&STEPS, 3);

    let open = r#"
import json, sys
from pyiceberg.catalog import load_catalog
store = {"s3.endpoint": "ENDPOINT", "s3.region": "us-east-1", "s3.access-key-id": "key", "s3.secret-access-key": "secret"}
catalog = load_catalog("fenliu", type="sql", uri=f"sqlite:///{sys.argv[1]}/catalog.db", warehouse="s3://lake/news", **store)
table = catalog.load_table("desk.news.labelled")
"#;
    let table = job.read_by(&format!("{}{ROWS}", open.replace("ENDPOINT", bucket.endpoint())));
    job.check(&done, &[("table", table)]);
    verify(&job);
}

/// The same by a REST server that wants a token, instead of a catalog in SQLite.
#[test]
fn killed_at_every_step_before_a_rest_server_it_loses_nothing_and_repeats_nothing() {
    let Some(broker) = kafka::broker().unwrap() else { return };
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_str().unwrap();
    let token = |token: &str| std::fs::write(directory.path().join("token"), token).unwrap();
    token("first");
    let (_server, port) = readers::serve(include_str!("iceberg_rest.py"), directory.path()).unwrap();
    let begin = SINKS.find("uri =").unwrap();
    let catalog = r#"
        type = "rest"
        uri = "http://127.0.0.1:PORT"
        warehouse = "news"
        properties = { token = "first" }
    "#;
    let sinks = format!("{}{}", &SINKS[..begin], catalog.replace("PORT", &port.to_string()));
    let mut job = Job::new(broker, 2_000, &sinks);
    let done = job.die_at(&STEPS, 3);

    // A right that was withdrawn is waited for.
    let running = job.start(Some("a"), "", &[]);
    token("second");
    job.send(500);
    std::thread::sleep(Duration::from_secs(3));
    assert!(job.committed() < job.sent);
    token("first");
    job.wait_until_committed(job.sent);
    let stopped = stop(running);
    let log = &stopped.stderr;
    assert!(stopped.events("retrying") > 0 && log.contains("iceberg: cannot"), "{log}");

    let count = r#"
rows = table.scan(selected_fields=("partition", "offset")).to_arrow()
print(json.dumps([rows.num_rows, rows.group_by(["partition", "offset"]).aggregate([]).num_rows]))
"#;
    let counts = readers::python(&format!("{OPEN}{count}"), &[path]).unwrap();
    let expected = job.expected(false).len();
    println!("{done}: rows and different ones: {counts} of {expected}");
    assert_eq!(counts, serde_json::json!([expected, expected]));
    verify(&job);
}
