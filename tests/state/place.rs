//! A copy of what a release left, in a working directory where the binary finds everything by the names in the
//! configurations, which are relative.
//!
//! Only Iceberg names files in full, in its metadata: in the fixture by [`NOWHERE`], a directory that is
//! replaced by the real one, of a path of the same length, since the metadata are in binary formats.

use std::fs;
use std::path::{Path, PathBuf};

use fenliu_tests::binary::{self, Finished, Running};
use fenliu_tests::scripts::repository;
use serde_json::Value;
use tempfile::TempDir;

use crate::fixtures::{PATIENCE, json};

/// Length of the path of every working directory: room for the temporary directories of all systems.
const PATH_LENGTH: usize = 100;

/// How the path of the working directory begins in the fixture; underscores make it as long as the others.
const NOWHERE: &str = "/working-directory";

/// The releases that left a fixture, by name.
pub(super) fn releases() -> Vec<String> {
    let entries = fs::read_dir(repository().join("tests/state")).unwrap().map(|entry| entry.unwrap());
    let directories = entries.filter(|entry| entry.path().is_dir());
    let mut names: Vec<String> =
        directories.map(|directory| directory.file_name().into_string().unwrap()).collect();
    names.sort();
    assert!(!names.is_empty(), "there is no fixture");
    names
}

/// A working directory.
pub(super) struct Place {
    /// The release whose state it is.
    pub(super) release: String,
    root: PathBuf,
    variables: Vec<(&'static str, String)>,
    _directory: TempDir,
}

impl Place {
    /// An empty one, for `release` to write to.
    pub(super) fn empty(release: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        // A child process sees its working directory without symbolic links.
        let path = directory.path().canonicalize().unwrap();
        let room = PATH_LENGTH.checked_sub(path.as_os_str().len() + 1);
        let root = path.join("_".repeat(room.expect("the temporary directory has a long path")));
        fs::create_dir(&root).unwrap();
        let variables =
            ["KAFKA_PASSWORD", "REGISTRY_PASSWORD", "TOKEN"].map(|name| (name, "secret".to_owned()));
        let mut place =
            Place { release: release.to_owned(), root, variables: variables.to_vec(), _directory: directory };
        // Who moves an alias is written down.
        place.set("USER", "desk");
        place.set("BROKERS", "localhost:1");
        place
    }

    /// One with what `release` left.
    pub(super) fn of(release: &str) -> Self {
        let place = Place::empty(release);
        relocate(&repository().join("tests/state").join(release), place.root(), &nowhere(), place.root());
        place
    }

    /// Writes all of it to the fixture; how many bytes that is.
    pub(super) fn keep(&self) -> u64 {
        let fixture = repository().join("tests/state").join(&self.release);
        relocate(self.root(), &fixture, self.root(), &nowhere())
    }

    /// Sets an environment variable of the binary.
    pub(super) fn set(&mut self, name: &'static str, value: &str) {
        self.variables.retain(|(known, _)| *known != name);
        self.variables.push((name, value.to_owned()));
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    pub(super) fn read(&self, name: &str) -> String {
        let path = self.path(name);
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// Writes a file, and the directories above it.
    pub(super) fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub(super) fn start(&self, args: &[&str]) -> Running {
        let variables: Vec<(&str, &str)> =
            self.variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
        binary::start_in(&self.root, args, &variables).unwrap()
    }

    /// Runs the binary here, to whatever end.
    pub(super) fn finish(&self, args: &[&str]) -> Finished {
        self.start(args).wait(PATIENCE).unwrap()
    }

    /// Runs the binary here to a successful end; its standard output.
    pub(super) fn run(&self, args: &[&str]) -> String {
        let finished = self.finish(args);
        assert!(finished.status.success(), "{args:?}: {}\n{}", finished.status, finished.stderr);
        finished.stdout
    }

    /// As [`Place::run`] with `--json`; the last line of standard output.
    pub(super) fn json(&self, args: &[&str]) -> Value {
        json(&self.run(&[args, &["--json"]].concat()))
    }
}

fn nowhere() -> PathBuf {
    PathBuf::from(format!("{NOWHERE}{}", "_".repeat(PATH_LENGTH - NOWHERE.len())))
}

/// Copies a directory in whose files one path stands for another of the same length; the bytes copied.
fn relocate(from: &Path, to: &Path, path: &Path, other: &Path) -> u64 {
    fs::create_dir_all(to).unwrap();
    let mut copied = 0;
    for entry in fs::read_dir(from).unwrap() {
        let (source, target) = entry.map(|entry| (entry.path(), to.join(entry.file_name()))).unwrap();
        if source.is_dir() {
            copied += relocate(&source, &target, path, other);
            continue;
        }
        let mut bytes = fs::read(&source).unwrap();
        replace(&mut bytes, path.to_str().unwrap().as_bytes(), other.to_str().unwrap().as_bytes());
        copied += bytes.len() as u64;
        fs::write(target, bytes).unwrap();
    }
    copied
}

fn replace(bytes: &mut [u8], path: &[u8], other: &[u8]) {
    assert_eq!(path.len(), other.len());
    let found: Vec<usize> =
        bytes.windows(path.len()).enumerate().filter(|(_, part)| *part == path).map(|(at, _)| at).collect();
    for at in found {
        bytes[at..at + other.len()].copy_from_slice(other);
    }
}
