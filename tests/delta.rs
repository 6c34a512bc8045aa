//! Nothing lost and nothing twice in a Delta Lake table, whatever dies and whoever else writes to it. What is in
//! the table is what the `deltalake` package for Python finds, whose log reader is that of the library which writes here,
//! and pyarrow reads from the files; after the worst of it, also what Delta Kernel for Java reads.

use std::time::Duration;

use fenliu_tests::bucket::Bucket;
use fenliu_tests::{binary, kafka, readers};

use crate::fixtures::{PATIENCE, fails, json, run, stop};
use crate::job::{Counts, Job, count_pairs, randomness};
use crate::network::lose_requests_to;
use crate::outages::expire_keys;

/// Steps at which the process can be made to die.
const STEPS: [&str; 3] = ["delta-staged", "delta-before-commit", "delta-after-commit"];

const SINKS: &str = r#"
    [[sinks]]
    type = "delta"
    path = "DIR/labelled"
    partition_by = ["label"]
"#;

/// Compares the table with what should be in it, as `deltalake` and as `fenliu verify` see it.
fn check(job: &Job, name: &str) {
    check_outputs(job, name, &[("table", table(job))]);
}

/// As [`check`], and by Delta Kernel.
fn check_by_kernel(job: &Job, name: &str) {
    let mut outputs = vec![("table", table(job))];
    if let Some(rows) = readers::delta_kernel(&job.labelled_path()).unwrap() {
        outputs.push(("table by Delta Kernel", count_pairs(&rows)));
    }
    check_outputs(job, name, &outputs);
}

fn check_outputs(job: &Job, name: &str, outputs: &[(&str, Counts)]) {
    job.check(name, outputs);
    let finished = binary::run(&["verify", "-c", job.config(), "--json"], PATIENCE).unwrap();
    let report = json(&finished.stdout);
    assert_eq!(report["ok"], true, "{report}");
    assert_eq!(report["sinks"][0]["total"]["documents"], job.sent, "{report}");
}

/// As `deltalake` for Python reads the table: the list of files by its own reading of the log, the rows by pyarrow.
fn table(job: &Job) -> Counts {
    job.read_by(
        "import deltalake, json, sys\n\
         table = deltalake.DeltaTable(sys.argv[1]).to_pyarrow_table(columns=['partition', 'offset', 'label'])\n\
         assert table['label'].null_count == 0\n\
         print(json.dumps(list(zip(table['partition'].to_pylist(), table['offset'].to_pylist()))))",
    )
}

#[test]
fn killed_at_every_step_it_loses_nothing_and_repeats_nothing() {
    let Some(broker) = kafka::broker().unwrap() else { return };
    let mut job = Job::new(broker, 4_000, SINKS);
    let done = job.die_at(&STEPS, 6);
    check_by_kernel(&job, &done);
}

#[test]
fn killed_at_any_moment_it_loses_nothing_and_repeats_nothing() {
    let Some(broker) = kafka::broker().unwrap() else { return };
    let mut job = Job::new(broker, 4_000, SINKS);
    let done = job.kill(6);
    check_by_kernel(&job, &done);
}

#[test]
fn a_value_that_cannot_name_a_directory_stops_the_pipeline_and_is_named() {
    let Some(broker) = kafka::broker().unwrap() else { return };
    let wide = r#"partition_by = ["wide"]
        columns = ["id", "repeat(label, 100) AS wide"]"#;
    let job = Job::new(broker, 100, &SINKS.replace(r#"partition_by = ["label"]"#, wide));
    let finished = job.start(None, "", &["--stop-at-end"]).wait(PATIENCE).unwrap();
    assert_eq!(finished.status.code(), Some(1), "{}", finished.stderr);
    let (said, value) = ("a name is too long", "wide=");
    assert!(finished.stderr.contains(said) && finished.stderr.contains(value), "{}", finished.stderr);
}

/// A reply that is lost says nothing of what was done.
#[test]
fn steps_that_report_a_failure_before_or_after_their_effect_are_made_good() {
    let Some(broker) = kafka::broker().unwrap() else { return };
    let job = Job::new(broker, 4_000, SINKS);
    let faults = STEPS.map(|step| format!("{step}=1*off->2*return(error)->1*off->1*return(error)")).join(";");
    let finished = job.start(Some("a"), &faults, &["--stop-at-end"]).wait(PATIENCE).unwrap();
    assert!(finished.status.success(), "{}", finished.stderr);
    assert!(finished.events("retrying") > 0, "{}", finished.stderr);
    check(&job, "each step failed three times");
}

#[test]
fn a_process_that_slept_through_the_work_of_another_does_not_repeat_it() {
    let Some(broker) = kafka::broker().unwrap() else { return };
    let mut job = Job::new(broker, 20_000, SINKS);
    let done = job.sleep_through_the_work_of_another();
    check(&job, &done);
}

#[test]
fn a_table_that_is_compacted_and_cleaned_meanwhile_keeps_its_rows_and_its_positions() {
    let Some(broker) = kafka::broker().unwrap() else { return };
    let mut job = Job::new(broker, 2_000, SINKS);
    let running = job.start(Some("a"), "", &[]);
    job.wait_until_committed(2_000);
    let (mut replaced, mut removed) = (0, 0);
    for _ in 0..4 {
        job.send(2_000);
        let done = json(&run(&["compact", "-c", job.config(), "--vacuum", "0", "--json"]));
        replaced += done[0]["replaced"].as_u64().unwrap();
        removed += done[0]["removed"].as_u64().unwrap();
        std::thread::sleep(Duration::from_millis(500));
    }
    job.wait_until_committed(job.sent);
    running.signal("KILL").unwrap();
    running.wait(PATIENCE).unwrap();
    assert!(replaced > 0 && removed > 0, "{replaced} files replaced, {removed} removed");
    // What another writer does to the log: all of it goes into a checkpoint, and is forgotten.
    job.read_by(
        "import deltalake, json, sys\n\
         table = deltalake.DeltaTable(sys.argv[1])\n\
         table.create_checkpoint()\n\
         table.alter.set_table_properties({'delta.logRetentionDuration': 'interval 0 seconds'})\n\
         table = deltalake.DeltaTable(sys.argv[1])\n\
         table.create_checkpoint()\n\
         table.cleanup_metadata()\n\
         print(json.dumps([]))",
    );
    job.send(1_000);
    job.finish(Some("a"));
    check_by_kernel(&job, &format!("{replaced} files replaced and {removed} removed meanwhile"));
}

#[test]
fn two_pipelines_that_write_to_one_table_disturb_each_other_in_nothing() {
    let Some(broker) = kafka::broker().unwrap() else { return };
    let job = Job::new(broker, 4_000, SINKS);
    let other = ["--stop-at-end", "--set", "name=\"other\"", "--set", "source.group=\"GROUP\""];
    let group = format!("source.group=\"{}-other\"", job.topic);
    let other = other.map(|arg| if arg.contains("GROUP") { group.as_str() } else { arg });
    let both = [job.start(None, "", &["--stop-at-end"]), job.start(None, "", &other)];
    for running in both {
        let finished = running.wait(PATIENCE).unwrap();
        assert!(finished.status.success(), "{}", finished.stderr);
    }
    let expected: Counts = job.expected(false).into_keys().map(|place| (place, 2)).collect();
    assert!(table(&job) == expected, "each row once of each pipeline");
}

#[test]
fn a_table_of_other_columns_is_refused_with_the_column() {
    let Some(broker) = kafka::broker().unwrap() else { return };
    let mut job = Job::new(broker, 100, SINKS);
    let columns = "sinks.0.columns=[\"partition\", \"\\\"offset\\\"\", \"label\"]";
    let finished = job.start(None, "", &["--stop-at-end", "--set", columns]).wait(PATIENCE).unwrap();
    assert!(finished.status.success(), "{}", finished.stderr);
    job.send(100);
    let stderr = fails(&["run", "-c", job.config(), "--stop-at-end"], 1);
    assert!(stderr.contains("the table has no column"), "{stderr}");
}

/// A table in the bucket at `endpoint`.
fn in_bucket(endpoint: &str) -> String {
    let sinks = r#"
        [[sinks]]
        type = "delta"
        path = "s3://lake/news"
        partition_by = ["label"]
        [sinks.storage]
        endpoint = "ENDPOINT"
        region = "us-east-1"
        access_key_id = "key"
        secret_access_key = "secret"
        allow_http = true
    "#;
    sinks.replace("ENDPOINT", endpoint)
}

/// That table, as `deltalake` for Python reads it.
fn table_in_bucket(job: &Job, bucket: &Bucket) -> Counts {
    let code = "import deltalake, json\n\
         options = {'endpoint': 'ENDPOINT', 'region': 'us-east-1', 'access_key_id': 'key', 'secret_access_key': 'secret'}\n\
         table = deltalake.DeltaTable('s3://lake/news', storage_options=options | {'allow_http': 'true'})\n\
         table = table.to_pyarrow_table(columns=['partition', 'offset'])\n\
         print(json.dumps(list(zip(table['partition'].to_pylist(), table['offset'].to_pylist()))))";
    job.read_by(&code.replace("ENDPOINT", bucket.endpoint()))
}

#[test]
fn in_a_bucket_too_it_loses_nothing_and_repeats_nothing() {
    let Some(broker) = kafka::broker().unwrap() else { return };
    let bucket = Bucket::start().unwrap();
    let mut job = Job::new(broker, 2_000, &in_bucket(bucket.endpoint()));
    let done = job.die_at(&STEPS, 3);
    run(&["compact", "-c", job.config(), "--vacuum", "0"]);
    job.check(&done, &[("table", table_in_bucket(&job, &bucket))]);
}

/// The store may have done what it does not confirm; the library asks again in some cases, the pipeline in others.
#[test]
fn a_bucket_that_loses_requests_and_answers_loses_no_row_and_repeats_none() {
    let Some(broker) = kafka::broker().unwrap() else { return };
    let bucket = Bucket::start().unwrap();
    let mut job = Job::new(broker, 1_000, &in_bucket(&format!("http://{}", bucket.proxy().address())));
    let (rounds, random) = randomness(20);
    let lost = lose_requests_to(&bucket, random, "_delta_log");
    let running = job.start(Some("a"), "", &[]);
    for _ in 0..rounds {
        job.send(200);
        std::thread::sleep(Duration::from_millis(500));
    }
    job.wait_until_committed(job.sent);
    let tries = stop(running).events("retrying");
    println!("requests lost: {:?}; {tries} tries failed", lost.lock().unwrap());
    job.check("requests and answers lost", &[("table", table_in_bucket(&job, &bucket))]);
}

#[test]
fn keys_that_expired_are_waited_for() {
    let Some(broker) = kafka::broker().unwrap() else { return };
    let bucket = Bucket::start().unwrap();
    let mut job = Job::new(broker, 1_000, &in_bucket(&format!("http://{}", bucket.proxy().address())));
    expire_keys(&bucket, &mut job);
    job.check("keys expired", &[("table", table_in_bucket(&job, &bucket))]);
}
