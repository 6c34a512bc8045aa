//! Directories whose commits are made by hand.

use std::path::Path;
use std::sync::Arc;

use arrow::array::{Int64Array, RecordBatch};
use tempfile::TempDir;

use super::*;
use crate::config::FileFormat;
use crate::position::Moves;
use crate::sink::directory::{digest, on_disk};
use crate::sink::staged::StagedFile;

const TARGET: ByteSize = ByteSize::mib(1);

fn rows(column: &str, offsets: std::ops::Range<i64>) -> RecordBatch {
    RecordBatch::try_from_iter([(column, Arc::new(Int64Array::from_iter_values(offsets)) as _)]).unwrap()
}

struct Job {
    directory: TempDir,
    config: FilesSinkConfig,
}

impl Job {
    fn new(format: FileFormat) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let config = FilesSinkConfig { path: directory.path().into(), format, ..FilesSinkConfig::default() };
        Job { directory, config }
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    fn files(&self) -> DirectoryRef {
        on_disk(self.path())
    }

    /// A file that is hidden still.
    fn stage(&self, place: &str, batch: &RecordBatch) -> DataFile {
        let stem = format!("{place}{LABELLED}");
        let mut file = StagedFile::create(&self.files(), &stem, self.config.format, &batch.schema()).unwrap();
        file.write(batch).unwrap();
        let (file, (bytes, sha256)) = file.finish().unwrap();
        let file = file.kept();
        let rows = batch.num_rows() as u64;
        let name = file.name().to_owned();
        DataFile { name, rows, bytes, sha256, model_versions: vec!["1".into()], since: None }
    }

    fn commit(&self, files: Vec<DataFile>) {
        let log = ManifestLog::of(&self.files());
        let manifest = Manifest::after(log.latest().unwrap().as_ref(), "p", &Moves::default(), files);
        assert!(log.append(&manifest).unwrap());
        complete(&self.files(), &manifest).unwrap();
    }

    /// Ten commits of two rows in each of `places`.
    fn fill(&self, places: &[&str]) {
        for first in (0..20).step_by(2) {
            let batch = rows("offset", first..first + 2);
            self.commit(places.iter().map(|place| self.stage(place, &batch)).collect());
        }
    }

    fn compact(&self) -> Compacted {
        compact_files(&self.config, "p", TARGET, None).unwrap()
    }

    fn contents(&self) -> Contents {
        Contents::read(&self.files()).unwrap()
    }
}

#[test]
fn each_directory_gets_one_file_with_its_rows_in_order() {
    for format in [FileFormat::Parquet, FileFormat::Arrow, FileFormat::Jsonl] {
        let job = Job::new(format);
        job.fill(&["label=a/", "label=b/"]);
        let done = job.compact();
        assert_eq!((done.replaced, done.added), (20, 2), "{format:?}");
        let contents = job.contents();
        assert_eq!(contents.number(), 10 + 2 + 1, "two merged files and the list");
        for (name, file) in contents.files() {
            assert_eq!((file.rows, file.since), (20, Some(1)), "{name}");
            let content = job.files().read(name).unwrap().unwrap();
            assert_eq!(digest(&content, name).unwrap(), (file.bytes, file.sha256.clone()));
            if format == FileFormat::Jsonl {
                let text = std::fs::read_to_string(job.path().join(name)).unwrap();
                let expected: String = (0..20).map(|n| format!("{{\"offset\":{n}}}\n")).collect();
                assert_eq!(text, expected);
            }
        }
        for label in ["label=a", "label=b"] {
            assert_eq!(std::fs::read_dir(job.path().join(label)).unwrap().count(), 1);
        }
        let again = job.compact();
        assert_eq!((again.replaced, job.contents().number()), (0, 13), "nothing to do");
    }
}

#[test]
fn rows_committed_after_those_of_a_merged_file_follow_them() {
    let job = Job::new(FileFormat::Jsonl);
    job.fill(&[""]);
    // Written before the compaction, committed after it.
    let late = job.stage("", &rows("offset", 20..22));
    job.compact();
    job.commit(vec![late]);
    job.compact();
    let contents = job.contents();
    let [name] = contents.files().keys().collect::<Vec<_>>()[..] else { panic!("{contents:?}") };
    let text = std::fs::read_to_string(job.path().join(name)).unwrap();
    assert_eq!(text, (0..22).map(|n| format!("{{\"offset\":{n}}}\n")).collect::<String>());
}

#[test]
fn files_that_are_large_or_have_other_columns_stay_alone() {
    let job = Job::new(FileFormat::Parquet);
    job.fill(&[""]);
    job.commit(vec![job.stage("", &rows("other", 0..2))]);
    job.fill(&[""]);
    assert_eq!((job.compact().replaced, job.contents().files().len()), (20, 3));
    let large = DataFile { bytes: TARGET.as_u64(), ..job.stage("", &rows("offset", 0..2)) };
    job.commit(vec![large]);
    assert_eq!((job.compact().replaced, job.contents().files().len()), (0, 4));
}

#[test]
fn readers_learn_what_went_while_they_read_and_what_began_where_is_remembered() {
    let job = Job::new(FileFormat::Parquet);
    let began = [((Arc::from("t"), 3), 7)].into_iter().collect();
    let first = Manifest::after(None, "p", &Moves::first(&began), vec![]);
    assert!(ManifestLog::of(&job.files()).append(&first).unwrap());
    job.fill(&[""]);
    let before = job.contents();
    job.compact();
    assert!(before.files().keys().all(|name| before.is_removed_since(name).unwrap()));
    let after = job.contents();
    assert!(after.files().keys().all(|name| !before.is_removed_since(name).unwrap()));
    assert_eq!((after.beginnings_of("p"), after.positions_of("p")), (began.clone(), began));
    assert!(after.beginnings_of("other").is_empty());
}

#[test]
fn a_damaged_file_is_named_and_not_merged() {
    let job = Job::new(FileFormat::Arrow);
    job.fill(&[""]);
    let name = job.contents().files().keys().nth(3).unwrap().clone();
    let mut bytes = std::fs::read(job.path().join(&name)).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(job.path().join(&name), bytes).unwrap();
    let error = compact_files(&job.config, "p", TARGET, None).unwrap_err().to_string();
    assert!(error.contains(&name) && error.contains("SHA-256"), "{error}");
    assert_eq!(job.contents().files().len(), 10);
    assert!(hidden_names(&*job.files(), &[LABELLED]).unwrap().is_empty());
}

/// A pipeline that starts would read them all, however many they are.
#[test]
fn commits_that_were_completed_are_not_read_for_the_sake_of_a_leftover() {
    let job = Job::new(FileFormat::Jsonl);
    let leftover = job.stage("", &rows("offset", 0..2));
    job.fill(&[""]);
    std::fs::write(job.path().join("_manifests/0000000/0000000003.json"), "damaged").unwrap();
    let (log, left) = (ManifestLog::of(&job.files()), job.stage("", &rows("offset", 20..22)));
    let last = Manifest::after(log.latest().unwrap().as_ref(), "p", &Moves::default(), vec![left.clone()]);
    assert!(log.append(&last).unwrap());
    settle(&job.files(), &log).unwrap();
    assert!(job.path().join(&left.name).is_file(), "its commit is completed");
    assert_eq!(hidden_names(&*job.files(), &[LABELLED]).unwrap(), [leftover.name]);
}

#[test]
fn leftovers_go_once_they_are_old_and_their_commits_never_come() {
    let job = Job::new(FileFormat::Parquet);
    job.fill(&[""]);
    let orphan = job.stage("label=a/", &rows("offset", 0..2));
    assert_eq!(job.compact().removed, 0, "it may still be committed");
    let done = compact_files(&job.config, "p", TARGET, Some(Duration::ZERO)).unwrap();
    assert_eq!(done.removed, 1);
    assert!(hidden_names(&*job.files(), &[LABELLED]).unwrap().is_empty());
    let latest = ManifestLog::of(&job.files()).latest().unwrap().unwrap();
    assert!(latest.removes(&orphan.name), "its writer is told");
}

#[test]
fn what_was_committed_and_not_completed_is_completed_first() {
    let job = Job::new(FileFormat::Parquet);
    job.fill(&[""]);
    let log = ManifestLog::of(&job.files());
    let (contents, merged) = (job.contents(), job.stage("", &rows("offset", 0..20)));
    let old: Vec<_> = contents.files().keys().cloned().collect();
    let manifest = Manifest::replacing(contents.latest(), "p", old.clone(), vec![merged.clone()]);
    assert!(log.append(&manifest).unwrap());
    std::fs::remove_file(job.path().join(&old[4])).unwrap();
    assert_eq!(job.compact().replaced, 0);
    assert!(job.path().join(&merged.name).exists());
    assert!(old.iter().all(|name| !job.path().join(name).exists()));
}
