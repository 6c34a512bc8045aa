//! Listings and leftovers, in directories of the local disk.

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use fenliu_engine::position::Moves;
use fenliu_schemas::Positions;
use tempfile::TempDir;

use super::*;
use crate::files::contents::Contents;
use crate::files::manifest::DataFile;
use crate::files::names::LABELLED;
use crate::files::open::on_disk;

/// A directory that counts how many files are read.
#[derive(Debug)]
struct Counting {
    inner: DirectoryRef,
    reads: AtomicU64,
}

impl Directory for Counting {
    fn path(&self, name: &str) -> PathBuf {
        self.inner.path(name)
    }

    fn make(&self) -> Result<()> {
        self.inner.make()
    }

    fn begin(&self, name: &str) -> Result<File> {
        self.inner.begin(name)
    }

    fn finish(&self, name: &str, file: File) -> Result<()> {
        self.inner.finish(name, file)
    }

    fn create(&self, name: &str, bytes: &[u8]) -> Result<bool> {
        self.inner.create(name, bytes)
    }

    fn read(&self, name: &str) -> Result<Option<File>> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        self.inner.read(name)
    }

    fn names(&self, place: &str) -> Result<Vec<String>> {
        self.inner.names(place)
    }

    fn modified(&self, name: &str) -> Result<Option<SystemTime>> {
        self.inner.modified(name)
    }

    fn rename(&self, from: &str, to: &str) -> Result<()> {
        self.inner.rename(from, to)
    }

    fn remove(&self, name: &str) -> Result<()> {
        self.inner.remove(name)
    }

    fn sync(&self, place: &str) -> Result<()> {
        self.inner.sync(place)
    }
}

fn directory() -> (TempDir, Arc<Counting>) {
    let temporary = tempfile::tempdir().unwrap();
    let counting = Counting { inner: on_disk(temporary.path()), reads: AtomicU64::new(0) };
    (temporary, Arc::new(counting))
}

fn file(name: String) -> DataFile {
    DataFile { name, rows: 1, bytes: 2, sha256: "00".into(), model_versions: vec![] }
}

/// Moves of a pipeline's only partition, from where it stands to the next offset.
fn moves(latest: Option<&Manifest>) -> Moves {
    let topic: Arc<str> = "news".into();
    let at = |next| Positions::from_iter([((Arc::clone(&topic), 0), next)]);
    match latest {
        None => Moves::first(&at(7)),
        Some(latest) => {
            let stored = latest.positions_of("p");
            let mut covered = fenliu_schemas::Offsets::default();
            let next = stored.get(&topic, 0).unwrap();
            covered.add(&topic, 0, next, next);
            Moves::plan(&stored, &covered).unwrap()
        }
    }
}

/// Commits up to manifest `number`, one file each, with a listing every `every`.
fn commit_up_to(log: &ManifestLog, number: u64, every: u64) {
    let mut latest = log.latest().unwrap();
    while latest.as_ref().map_or(0, |latest| latest.number) < number {
        let next = latest.as_ref().map_or(0, |latest| latest.number) + 1;
        let files = vec![file(format!("labelled-{next:05}.parquet"))];
        let mut manifest = Manifest::after(latest.as_ref(), "p", &moves(latest.as_ref()), files);
        if let Some(listing) = listing(log, &manifest, every).unwrap() {
            manifest.list(listing);
        }
        assert!(log.append(&manifest).unwrap());
        latest = Some(manifest);
    }
}

#[test]
fn few_manifests_are_read_however_long_the_log_is_and_nothing_is_missed() {
    let (_temporary, counting) = directory();
    let directory: DirectoryRef = Arc::<Counting>::clone(&counting);
    let log = ManifestLog::of(&directory);
    // Of 64 manifests every fifth has a listing; those of 25 and 50 reach over 25.
    for (number, most_read) in [(1, 1), (4, 4), (5, 1), (24, 8), (25, 1), (49, 9), (64, 8)] {
        commit_up_to(&log, number, 5);
        counting.reads.store(0, Ordering::Relaxed);
        let contents = Contents::read(&directory).unwrap();
        assert!(counting.reads.load(Ordering::Relaxed) <= most_read + 1, "{number}: {counting:?}");
        let names: Vec<_> = contents.files().keys().cloned().collect();
        let expected: Vec<_> = (1..=number).map(|n| format!("labelled-{n:05}.parquet")).collect();
        assert_eq!(names, expected);
        let start = contents.beginnings_of("p").get("news", 0);
        assert_eq!((start, contents.positions_of("p").get("news", 0)), (Some(7), Some(6 + number as i64)));
    }
}

#[test]
fn what_an_earlier_release_replaced_stays_replaced() {
    let (_temporary, counting) = directory();
    let directory: DirectoryRef = counting;
    let log = ManifestLog::of(&directory);
    commit_up_to(&log, 3, 5);
    // A merged file, and a listing of everything before it: without `since`.
    let latest = log.latest().unwrap();
    let mut merged =
        Manifest::after(latest.as_ref(), "p", &Moves::default(), vec![file("labelled-m.parquet".into())]);
    merged.remove_leftovers((1..=2).map(|n| format!("labelled-{n:05}.parquet")).collect());
    let mut text = serde_json::to_value(&merged).unwrap();
    let [merged_file, third] = ["labelled-m.parquet", "labelled-00003.parquet"].map(|name| file(name.into()));
    text["listing"] = serde_json::json!({ "files": [merged_file, third], "beginnings": [] });
    text["listed_in"] = 4.into();
    text["files"][0]["since"] = 1.into();
    assert!(directory.create("_manifests/0000000/0000000004.json", text.to_string().as_bytes()).unwrap());
    let names = |directory| Contents::read(directory).unwrap().files().keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&directory), ["labelled-00003.parquet", "labelled-m.parquet"]);
    commit_up_to(&log, 11, 5);
    let found = names(&directory);
    assert_eq!(
        (found.len(), &found[0][..], &found[1][..]),
        (9, "labelled-00003.parquet", "labelled-00005.parquet")
    );
}

#[test]
fn leftovers_are_removed_when_they_are_old_and_no_commit_named_them() {
    let (temporary, counting) = directory();
    let directory: DirectoryRef = counting;
    let log = ManifestLog::of(&directory);
    commit_up_to(&log, 2, 5);
    let old = SystemTime::now() - LEFTOVER_AGE - Duration::from_secs(60);
    let hide = |name: &str, time: SystemTime| {
        let file = File::create(temporary.path().join(hidden(name))).unwrap();
        file.set_modified(time).unwrap();
    };
    hide("labelled-01J00000000000000000000001.parquet", old);
    hide("labelled-01J00000000000000000000002.parquet", SystemTime::now());
    hide("dead-letters-01J00000000000000000000003.parquet", old);
    hide("labelled-00002.parquet", old);

    let latest = log.latest().unwrap();
    let mut manifest = Manifest::after(latest.as_ref(), "p", &moves(latest.as_ref()), vec![]);
    look_after(&directory, &log, LABELLED, &mut manifest);
    assert_eq!(manifest.removed, ["labelled-01J00000000000000000000001.parquet"]);
    assert!(log.append(&manifest).unwrap());
    remove_leftovers(&*directory, &manifest);
    assert!(!directory.exists(&hidden("labelled-01J00000000000000000000001.parquet")).unwrap());
    assert!(directory.exists(&hidden("labelled-01J00000000000000000000002.parquet")).unwrap());
}
