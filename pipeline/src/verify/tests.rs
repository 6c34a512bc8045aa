//! Real sinks write real files, which the tests then damage.

use std::path::PathBuf;
use std::sync::Arc;

use fenliu_connectors::outputs;
use fenliu_engine::Rows;
use fenliu_engine::position::Moves;
use fenliu_schemas::{
    Document, Offsets, Origin, Prediction, RawBuilder, Reject, Stage, label_rows, model_dead_letters,
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use super::*;
use crate::config::Config;
use crate::error::Kind;

const DOCUMENTS: i64 = 40;

/// One document in so many becomes a dead letter.
const DEAD_EVERY: i64 = 10;

const CONFIG: &str = r#"
    [source]
    type = "files"
    paths = ["DIR/in.jsonl"]
    [model]
    bundle = "DIR"
    [[sinks]]
    type = "files"
    path = "DIR/parquet"
    [[sinks]]
    type = "files"
    path = "DIR/arrow"
    format = "arrow"
    where = "\"offset\" % 2 = 0"
    [[sinks]]
    type = "files"
    path = "DIR/jsonl"
    format = "jsonl"
    columns = ["\"offset\"", "upper(label) AS label"]
    [[sinks]]
    type = "files"
    path = "DIR/blind"
    columns = ["label"]
    [[sinks]]
    type = "stdout"
    [dead_letters]
    type = "files"
    path = "DIR/dead"
"#;

/// A file of documents, and sinks to which all of them were committed, ten at a time. Row 20 is blank.
struct Job {
    directory: TempDir,
    config: Plan,
}

impl Job {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let line = |n: i64| if n == 20 { "\n".to_owned() } else { format!("{{\"body\": \"{n}\"}}\n") };
        std::fs::write(directory.path().join("in.jsonl"), (0..DOCUMENTS).map(line).collect::<String>())
            .unwrap();
        let text = CONFIG.replace("DIR", &directory.path().display().to_string());
        let config = Config::parse(&text, "t", &[], &|_| None).unwrap().validate("t").unwrap();
        let job = Job { directory, config };
        job.commit();
        job
    }

    fn commit(&self) {
        let schema = Arc::clone(&self.config.schema);
        let topic: Arc<str> = self.path("in.jsonl").into();
        let topics = self.config.topics();
        let open = outputs::open(&self.config.outputs, &self.config.name, &topics, None).unwrap();
        for mut sink in open.sinks {
            for first in (0..DOCUMENTS).step_by(10) {
                let mut covered = Offsets::default();
                covered.add(&topic, 0, first, first + 9);
                let moves = Moves::plan(&sink.sink.positions(&[]).unwrap().positions, &covered).unwrap();
                let offsets = || (first..first + 10).filter(|offset| *offset != 20);
                let raw = |dead: bool| {
                    let mut builder = RawBuilder::default();
                    for offset in offsets().filter(|offset| (offset % DEAD_EVERY == 7) == dead) {
                        let origin = Origin { topic: &topic, partition: 0, offset, timestamp_ms: None };
                        builder.append(origin, b"{}", &Ok(Document::default()));
                    }
                    builder.finish().unwrap()
                };
                let (good, bad) = (raw(false), raw(true));
                let prediction =
                    Prediction { top: vec![("a", 0.5)], abstained: false, threshold: None, truncated: false };
                let labels = vec![prediction; good.num_rows()];
                let rejects = vec![Reject::new(Stage::Infer, "not_finite", None); bad.num_rows()];
                let rows = Rows {
                    labelled: label_rows(&good, &labels, &schema, ("m", "1"), 0).unwrap(),
                    dead_letters: vec![model_dead_letters(&bad, &rejects, "1", 0).unwrap()],
                };
                sink.sink.commit(&[Arc::new(rows)], &moves).unwrap();
            }
        }
    }

    fn path(&self, name: &str) -> String {
        self.directory.path().join(name).display().to_string()
    }

    /// The manifests of a sink, oldest first.
    fn manifests(&self, sink: &str) -> Vec<Value> {
        let directory = self.directory.path().join(sink).join("_manifests/0000000");
        let mut paths: Vec<_> =
            std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        paths.iter().map(|path| serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()).collect()
    }

    /// The data files of a sink, in the order of their commits.
    fn files(&self, sink: &str) -> Vec<PathBuf> {
        let manifests = self.manifests(sink);
        let files = manifests.iter().flat_map(|manifest| manifest["files"].as_array().unwrap());
        files.map(|file| self.directory.path().join(sink).join(file["name"].as_str().unwrap())).collect()
    }

    fn verify(&self) -> VerifyReport {
        verify(&self.config, VerifyOptions { sink: None, examples: 3 }).unwrap()
    }
}

fn counts(lost: Option<u64>, rows: u64, duplicated: u64) -> DeliveryCounts {
    DeliveryCounts { documents: 39, rows, dead_lettered: 4, lost, duplicated, not_reached: 0 }
}

#[test]
fn complete_sinks_are_reported_as_complete_and_notes_say_what_cannot_be_determined() {
    let job = Job::new();
    let report = job.verify();
    assert!(report.ok, "{report:#?}");
    let [parquet, arrow, jsonl, blind] = &report.sinks[..] else { panic!("{report:#?}") };
    assert_eq!(parquet.total, counts(Some(0), 35, 0));
    assert_eq!(jsonl.total, counts(Some(0), 35, 0));
    assert_eq!(arrow.total, counts(None, 19, 0));
    assert!(arrow.notes[0].contains("`where`"), "{arrow:#?}");
    assert!(blind.partitions.is_empty() && blind.notes[0].contains("`offset`"), "{blind:#?}");
    assert_eq!(report.dead_letters.total.rows, 4);
}

#[test]
fn missing_copied_and_changed_files_are_named_with_their_effect() {
    let job = Job::new();
    let files = job.files("parquet");
    std::fs::remove_file(&files[0]).unwrap();
    std::fs::copy(&files[1], job.path("parquet/copy.parquet")).unwrap();
    let jsonl = &job.files("jsonl")[3];
    let lines = std::fs::read_to_string(jsonl).unwrap();
    std::fs::write(jsonl, lines.replace("\"offset\":39", "\"offset\":37")).unwrap();
    let arrow = &job.files("arrow")[0];
    std::fs::write(arrow, &std::fs::read(arrow).unwrap()[..100]).unwrap();
    std::fs::remove_file(&job.files("blind")[0]).unwrap();

    let report = job.verify();
    assert!(!report.ok);
    let [parquet, arrow, jsonl, blind] = &report.sinks[..] else { panic!("{report:#?}") };
    assert_eq!(parquet.total, counts(Some(9), 35, 9));
    let place = |offset: i64| format!("{}/0/{offset}", job.path("in.jsonl"));
    assert_eq!(parquet.lost, [0, 1, 2].map(place));
    assert_eq!(parquet.duplicated, [10, 11, 12].map(place));
    assert_eq!(parquet.problems.len(), 2, "{parquet:#?}");
    assert!(parquet.problems[0].contains("missing, with 9 rows"), "{parquet:#?}");
    assert!(parquet.problems[1].contains("copy.parquet: in no manifest, with 9 rows"), "{parquet:#?}");

    // Document 37 has a dead letter, so its row is a duplicate.
    assert_eq!(jsonl.total, counts(Some(1), 35, 1));
    assert_eq!((&jsonl.lost[..], &jsonl.duplicated[..]), (&[place(39)][..], &[place(37)][..]));
    assert!(jsonl.problems[0].contains("SHA-256"), "{jsonl:#?}");

    assert!(arrow.problems[0].contains(".arrow"), "{arrow:#?}");
    assert!(blind.problems[0].contains("missing"), "{blind:#?}");
}

#[test]
fn rows_of_a_file_that_still_has_its_hidden_name_count_as_lost() {
    let job = Job::new();
    let file = &job.files("dead")[0];
    let name = file.file_name().unwrap().to_str().unwrap();
    std::fs::rename(file, file.with_file_name(format!(".{name}.inprogress"))).unwrap();
    let report = job.verify();
    assert_eq!(report.sinks[0].total.lost, Some(1));
    assert!(report.dead_letters.problems[0].contains("readers do not see it"), "{report:#?}");
}

/// Earlier releases compacted a directory with a manifest that adds a merged file and removes the files it replaces.
#[test]
fn a_directory_that_an_earlier_release_compacted_is_complete() {
    let job = Job::new();
    let (files, manifests) = (job.files("jsonl"), job.manifests("jsonl"));
    let names: Vec<_> = files.iter().map(|file| file.file_name().unwrap().to_str().unwrap()).collect();
    let merged: Vec<u8> = files.iter().flat_map(|file| std::fs::read(file).unwrap()).collect();
    let name = "labelled-01J00000000000000000000000.jsonl";
    std::fs::write(job.path(&format!("jsonl/{name}")), &merged).unwrap();
    let (mut manifest, number) = (manifests[manifests.len() - 1].clone(), manifests.len() + 1);
    let (rows, sha256) = (merged.split(|byte| *byte == b'\n').count() - 1, Sha256::digest(&merged));
    let entry = json!({
        "name": name, "rows": rows, "bytes": merged.len(), "sha256": hex::encode(sha256), "model_versions": ["1"],
        "since": 1,
    });
    for (key, value) in [
        ("format", json!(2)),
        ("number", json!(number)),
        ("files", json!([entry])),
        ("covers", json!([])),
        ("removed", json!(names)),
    ] {
        manifest[key] = value;
    }
    std::fs::write(job.path(&format!("jsonl/_manifests/0000000/{number:010}.json")), manifest.to_string())
        .unwrap();
    files.iter().for_each(|file| std::fs::remove_file(file).unwrap());

    let report = job.verify();
    assert!(report.ok, "{report:#?}");
    assert_eq!(report.sinks[2].total, counts(Some(0), 35, 0));
}

#[test]
fn documents_that_the_sinks_have_not_reached_are_not_lost() {
    let job = Job::new();
    let more: String = (0..25).map(|n| format!("{{\"body\": \"{n}\"}}\n")).collect();
    let path = job.path("in.jsonl");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text + &more).unwrap();
    let report = job.verify();
    assert!(report.ok, "{report:#?}");
    assert_eq!(report.sinks[0].total, DeliveryCounts { not_reached: 25, ..counts(Some(0), 35, 0) });
}

#[test]
fn the_number_of_a_sink_that_does_not_exist_is_a_usage_error() {
    let job = Job::new();
    let error = verify(&job.config, VerifyOptions { sink: Some(5), examples: 3 }).unwrap_err();
    assert_eq!(error.kind(), Kind::Usage);
    assert!(error.to_string().contains("has 5"), "{error}");
    let only = verify(&job.config, VerifyOptions { sink: Some(2), examples: 3 }).unwrap();
    assert_eq!(only.sinks.len(), 1);
    assert!(only.sinks[0].name.contains("jsonl"));
}
