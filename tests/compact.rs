//! Directories of files that are compacted while a pipeline writes there: nothing lost and nothing twice, whichever of
//! the two dies. DuckDB reads them in two ways, by a pattern of names and by the manifests.

use std::time::Duration;

use fenliu_tests::binary::{self, Running};
use fenliu_tests::kafka;
use rand::Rng;
use serde_json::Value;

use crate::fixtures::{PATIENCE, json, run, stop};
use crate::job::{Counts, Job, number, randomness};

/// Steps at which compaction can be made to die, with how often each is passed before.
const STEPS: [(&str, u32); 9] = [
    ("compact-staged", 0),
    ("compact-before-manifest", 1),
    ("compact-after-manifest", 0),
    ("compact-after-manifest", 1),
    ("compact-removing", 0),
    ("compact-removing", 3),
    ("compact-removed", 0),
    ("compact-named", 1),
    ("compact-listed", 0),
];

const SINKS: &str = r#"
    [[sinks]]
    type = "files"
    path = "DIR/labelled"
    columns = ["partition", "\"offset\"", "label"]
    partition_by = ["label"]
    max_age = "100ms"
"#;

/// The places that the Python function `read(root)` returns. A file may go, or get its name, between the listing and the
/// reading: the query is repeated, as a user would.
fn read(job: &Job, function: &str) -> Counts {
    let repeat = r"
import duckdb, json, os, sys
for attempt in range(20):
    try:
        rows = read(sys.argv[1])
        break
    except duckdb.IOException as error:
        assert 'No such file' in str(error) or 'No files' in str(error), error
print(json.dumps(rows))
";
    job.read_by(&format!("{function}{repeat}"))
}

/// By a pattern of names; the labels are in these alone.
fn by_names(job: &Job) -> Counts {
    read(
        job,
        r#"
def read(root):
    return duckdb.sql(f"SELECT partition, \"offset\" FROM '{root}/*/*.parquet' WHERE label IS NOT NULL").fetchall()
"#,
    )
}

/// By the manifests: the files that were added and not removed. One without its name yet is there, hidden.
fn by_manifests(job: &Job) -> Counts {
    read(
        job,
        r#"
def read(root):
    columns = {'files': 'STRUCT(name VARCHAR)[]', 'removed': 'VARCHAR[]'}
    log = duckdb.read_json(f'{root}/_manifests/*/*.json', columns=columns)
    names = duckdb.sql('SELECT unnest(files).name FROM log EXCEPT SELECT unnest(removed) FROM log').fetchall()
    paths = [(f'{root}/{name}', f'{root}/.{os.path.basename(name)}.inprogress') for (name,) in names]
    paths = [path if os.path.exists(path) else hidden for path, hidden in paths]
    return duckdb.read_parquet(paths, hive_partitioning=False).select('partition', '"offset"').fetchall()
"#,
    )
}

fn twice(found: &Counts) -> usize {
    found.values().map(|count| count - 1).sum()
}

/// Compacts in another process, which dies at `faults`.
fn start(job: &Job, faults: &str) -> Running {
    let args = ["compact", "-c", job.config(), "--vacuum", "0", "--json"];
    binary::start_with(&args, &[("FAILPOINTS", faults)]).unwrap()
}

/// Compacts to the end; says what was done.
pub(crate) fn compact(job: &Job) -> Value {
    json(&run(&["compact", "-c", job.config(), "--vacuum", "0", "--json"]))[0].clone()
}

/// Compares both readings with what should be there.
fn check(job: &Job, name: &str) {
    job.check(name, &[("names", by_names(job)), ("manifests", by_manifests(job))]);
}

fn verify(job: &Job) {
    let finished = binary::run(&["verify", "-c", job.config(), "--json"], PATIENCE).unwrap();
    let report = json(&finished.stdout);
    assert_eq!(report["ok"], true, "{report}");
    assert_eq!(report["sinks"][0]["total"]["documents"], job.sent, "{report}");
}

fn files(job: &Job) -> usize {
    let labels = std::fs::read_dir(job.directory.path().join("labelled")).unwrap();
    let labels = labels.map(|entry| entry.unwrap().path()).filter(|path| path.is_dir());
    let labels = labels.filter(|path| !path.ends_with("_manifests"));
    labels.map(|label| std::fs::read_dir(label).unwrap().count()).sum()
}

#[test]
fn killed_at_every_step_it_is_completed_by_the_next_one_or_by_the_pipeline() {
    let Some(broker) = kafka::broker().unwrap() else { return };
    let mut job = Job::new(broker, 0, SINKS);
    let faults = number("FENLIU_FAULTS", STEPS.len() as u64) as usize;
    for (number, (step, passed)) in STEPS.into_iter().cycle().take(faults).enumerate() {
        job.send(600);
        job.finish(Some("a"));
        let before = files(&job);
        let fault = format!("{step}={passed}*off->1*return");
        let died = start(&job, &fault).wait(PATIENCE).unwrap();
        assert_eq!(died.status.code(), None, "{fault}: it should have died:\n{}", died.stderr);
        let seen = by_names(&job);
        let missing = job.expected(false).len() - seen.len();
        assert_eq!(twice(&seen), 0, "{fault}: by names");
        assert!(by_manifests(&job) == job.expected(false), "{fault}: by manifests");
        if number % 2 == 0 {
            compact(&job);
        } else {
            job.send(200);
            job.finish(Some("a"));
        }
        check(&job, &format!("{fault}, of {before} files; {missing} rows unseen by names until completed"));
    }
    let done = compact(&job);
    check(&job, &format!("{faults} deaths, at the end {} files: {done}", files(&job)));
    verify(&job);
}

#[test]
fn killed_at_any_moment_while_a_pipeline_writes_that_is_killed_too() {
    let Some(broker) = kafka::broker().unwrap() else { return };
    let mut job = Job::new(broker, 500, SINKS);
    let (faults, mut random) = randomness(10);
    let mut running = job.start(Some("a"), "", &[]);
    job.wait_until_committed(500);
    for fault in 0..faults {
        job.send(500);
        let compaction = start(&job, "");
        std::thread::sleep(Duration::from_millis(random.random_range(0..1500)));
        compaction.signal("KILL").unwrap();
        compaction.wait(PATIENCE).unwrap();
        if fault % 3 == 2 {
            running.signal("KILL").unwrap();
            running.wait(PATIENCE).unwrap();
            running = job.start(Some("a"), "", &[]);
        }
        assert_eq!(twice(&by_names(&job)), 0, "by names");
        assert_eq!(twice(&by_manifests(&job)), 0, "by manifests");
    }
    job.wait_until_committed(job.sent);
    let meanwhile = compact(&job);
    stop(running);
    job.send(100);
    job.finish(Some("a"));
    check(&job, &format!("{faults} kills, {} files; then {meanwhile}", files(&job)));
    compact(&job);
    check(&job, &format!("compacted: {} files", files(&job)));
    verify(&job);
}

/// Each of them sleeps in the middle of its work, for so long that another does all of it.
#[test]
fn two_that_run_at_once_do_not_undo_or_repeat_what_the_other_did() {
    let Some(broker) = kafka::broker().unwrap() else { return };
    let mut job = Job::new(broker, 200, SINKS);
    job.finish(Some("a"));
    let steps = ["staged", "before-manifest", "after-manifest", "removing", "removed", "named"];
    for step in steps {
        job.send(400);
        job.finish(Some("a"));
        let sleeper = start(&job, &format!("compact-{step}=1*sleep(6000)"));
        std::thread::sleep(Duration::from_millis(1500));
        let done = compact(&job);
        assert_ne!(done["replaced"], 0, "{step}");
        job.send(200);
        job.finish(Some("a"));
        check(&job, &format!("while one slept at {step} another did {done}"));
        let finished = sleeper.wait(PATIENCE).unwrap();
        assert!(finished.status.success(), "{}", finished.stderr);
        check(&job, &format!("the sleeper woke and did {}", finished.stdout.trim()));
    }
    verify(&job);
}

#[test]
fn what_is_verified_meanwhile_is_whole_at_every_moment() {
    let Some(broker) = kafka::broker().unwrap() else { return };
    let mut job = Job::new(broker, 400, SINKS);
    let running = job.start(Some("a"), "", &[]);
    job.wait_until_committed(400);
    for _ in 0..5 {
        job.send(400);
        let compaction = start(&job, "");
        let report = json(&binary::run(&["verify", "-c", job.config(), "--json"], PATIENCE).unwrap().stdout);
        assert_eq!(report["ok"], true, "{report}");
        let finished = compaction.wait(PATIENCE).unwrap();
        assert!(finished.status.success(), "{}", finished.stderr);
    }
    stop(running);
}

/// It stands between having written its files and committing them, and takes them for lost.
#[test]
fn a_pipeline_whose_unfinished_files_are_removed_as_leftovers_writes_them_anew() {
    let Some(broker) = kafka::broker().unwrap() else { return };
    let job = Job::new(broker, 2_000, SINKS);
    let mut running = job.start(Some("a"), "files-staged=2*off->2*sleep(5000)", &["--stop-at-end"]);
    let directory = job.directory.path().join("labelled");
    let mut removed = 0;
    while !running.has_ended().unwrap() {
        if directory.join("_manifests").exists() {
            removed += compact(&job)["removed"].as_u64().unwrap();
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    let finished = running.wait(PATIENCE).unwrap();
    assert!(finished.status.success(), "{}", finished.stderr);
    assert!(removed > 0, "nothing was removed that could have been missed");
    check(&job, &format!("{removed} files removed before their commits"));
    verify(&job);
}
