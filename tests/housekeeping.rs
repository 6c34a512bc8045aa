//! A directory of files looks after itself: it lists what is there from time to time, and removes what failed commits
//! left behind. DuckDB reads it in two ways, by a pattern of names and by the manifests.

use std::fs::File;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use fenliu_tests::{binary, kafka};
use serde_json::Value;

use crate::fixtures::{PATIENCE, config, json, stop};
use crate::job::{Counts, Job};

const SINKS: &str = r#"
    [[sinks]]
    type = "files"
    path = "DIR/labelled"
    columns = ["partition", "\"offset\"", "label"]
    partition_by = ["label"]
    max_age = "20ms"
"#;

/// Manifests after which there are two listings.
const MANIFESTS: usize = 210;

/// By a pattern of names; the labels are in these alone.
fn by_names(job: &Job) -> Counts {
    job.read_by(
        r#"
import duckdb, json, sys
rows = duckdb.sql(f"SELECT partition, \"offset\" FROM '{sys.argv[1]}/*/*.parquet' WHERE label IS NOT NULL").fetchall()
print(json.dumps(rows))
"#,
    )
}

/// By the manifests: the files that were added and not removed.
fn by_manifests(job: &Job) -> Counts {
    job.read_by(
        r#"
import duckdb, json, sys
root = sys.argv[1]
columns = {'files': 'STRUCT(name VARCHAR)[]', 'removed': 'VARCHAR[]'}
log = duckdb.read_json(f'{root}/_manifests/*/*.json', columns=columns)
names = duckdb.sql('SELECT unnest(files).name FROM log EXCEPT SELECT unnest(removed) FROM log').fetchall()
paths = [f'{root}/{name}' for (name,) in names]
rows = duckdb.read_parquet(paths, hive_partitioning=False).select('partition', '"offset"').fetchall()
print(json.dumps(rows))
"#,
    )
}

/// The manifests of a directory, oldest first.
fn manifests(directory: &Path) -> Vec<Value> {
    let Ok(entries) = std::fs::read_dir(directory.join("_manifests/0000000")) else { return vec![] };
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|ending| ending == "json"));
    paths.sort();
    paths.iter().map(|path| serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()).collect()
}

#[test]
fn a_directory_lists_itself_and_removes_what_failed_commits_left() {
    let Some(broker) = kafka::broker().unwrap() else { return };
    let mut job = Job::new(broker, 100, SINKS);
    let directory = job.directory.path().join("labelled");
    std::fs::create_dir_all(&directory).unwrap();
    let leftover = |name: &str, days: u64| {
        let path = directory.join(format!(".labelled-{name}.parquet.inprogress"));
        let time = SystemTime::now() - Duration::from_secs(days * 24 * 3600 + 60);
        File::create(&path).unwrap().set_modified(time).unwrap();
        path
    };
    let (old, young) = (leftover("01J00000000000000000000001", 1), leftover("01J00000000000000000000002", 0));

    let running = job.start(Some("a"), "", &[]);
    let began = Instant::now();
    while manifests(&directory).len() < MANIFESTS {
        assert!(began.elapsed() < PATIENCE, "{} manifests", manifests(&directory).len());
        job.send(20);
        std::thread::sleep(Duration::from_millis(50));
    }
    job.wait_until_committed(job.sent);
    stop(running);

    let manifests = manifests(&directory);
    let since = |number: usize| manifests[number - 1]["listing"]["since"].as_u64();
    assert_eq!((since(100), since(200)), (Some(1), Some(101)));
    assert_eq!(
        manifests.iter().filter(|manifest| manifest["listing"].is_object()).count(),
        manifests.len() / 100
    );
    assert_eq!(manifests[99]["removed"], serde_json::json!(["labelled-01J00000000000000000000001.parquet"]));
    assert!(!old.exists() && young.exists(), "only what is a day old is removed");
    job.check("listed", &[("names", by_names(&job)), ("manifests", by_manifests(&job))]);
    let finished = binary::run(&["verify", "-c", job.config(), "--json"], PATIENCE).unwrap();
    let report = json(&finished.stdout);
    assert_eq!((&report["ok"], &report["sinks"][0]["total"]["documents"]), (&true.into(), &job.sent.into()));
}

#[test]
fn compact_says_that_directories_of_files_need_none() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("rows.jsonl"), "").unwrap();
    let text = "[source]\ntype = \"files\"\npaths = [\"DIR/rows.jsonl\"]\n[[sinks]]\ntype = \"files\"\npath = \"DIR/out\"";
    let config = config(directory.path(), text);
    for args in [&["compact", "-c", &config][..], &["compact", "-c", &config, "--sink", "0"]] {
        let finished = binary::run(args, PATIENCE).unwrap();
        assert_eq!(finished.status.code(), Some(2), "{}", finished.stderr);
        assert!(finished.stderr.contains("only Delta tables are compacted"), "{}", finished.stderr);
    }
}
