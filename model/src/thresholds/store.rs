//! A directory of snapshots, which several processes share.
//!
//! Each process is an *instance* and writes only files of its own name, `INSTANCE-NUMBER.json`, so that no two
//! of them write the same file. A file holds the documents of its instance alone. Whoever reads the directory
//! can therefore add up the newest file of each instance, and no document is counted twice.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::snapshot::{Identity, Snapshot};
use crate::error::{ModelError, Result};

/// Files of an instance that are kept, the newest first.
const KEPT: usize = 3;
/// Instances that are read, those first that have written last. Names of instances may be different after each
/// restart, so files of older ones are removed.
const MAX_INSTANCES: usize = 32;

/// The snapshots of one pipeline and one version of its model, seen by one instance.
#[derive(Clone, Debug)]
pub struct Store {
    /// What the snapshots belong to.
    identity: Identity,
    directory: PathBuf,
    /// Only characters that [`escaped`] keeps.
    instance: String,
}

/// The newest usable snapshot of each instance.
#[derive(Clone, Debug, Default)]
pub struct Newest {
    /// That of the reading instance.
    pub own: Option<Snapshot>,
    /// Those of all others.
    pub others: Vec<Snapshot>,
}

/// The files of one instance.
struct Files {
    instance: String,
    /// In descending order.
    numbers: Vec<u64>,
    written: SystemTime,
}

impl Store {
    /// The snapshots of `identity` in the directory `root/PIPELINE/MODEL/VERSION`, which need not exist. No two
    /// running processes may have the same `instance`.
    pub fn new(root: &Path, identity: Identity, instance: &str) -> Self {
        let parts = [&identity.pipeline, &identity.model, &identity.version];
        let directory = parts.into_iter().fold(root.to_owned(), |path, part| path.join(escaped(part)));
        Self { identity, directory, instance: escaped(instance) }
    }

    /// Writes a snapshot of this instance, durably and in one step, and removes files that are not needed any
    /// more. Returns its path.
    ///
    /// # Errors
    ///
    /// The file or its directory cannot be written or listed. Files that cannot be removed are left.
    pub fn save(&self, snapshot: &Snapshot) -> Result<PathBuf> {
        let path = self.path(&self.instance, snapshot.number);
        snapshot.save(&path)?;
        self.prune()?;
        Ok(path)
    }

    /// The newest usable snapshot of each instance. If the newest file of an instance is damaged or belongs to
    /// something else, a warning names it, and the one before is taken.
    ///
    /// # Errors
    ///
    /// The directory exists and cannot be listed.
    pub fn newest(&self) -> Result<Newest> {
        let mut newest = Newest::default();
        let mut files = self.files()?;
        // The own files are read however old they are.
        files.sort_by_key(|files| files.instance != self.instance);
        for files in files.iter().take(MAX_INSTANCES) {
            let usable = files.numbers.iter().find_map(|number| self.usable(files, *number));
            match usable {
                Some(snapshot) if files.instance == self.instance => newest.own = Some(snapshot),
                other => newest.others.extend(other),
            }
        }
        Ok(newest)
    }

    fn usable(&self, files: &Files, number: u64) -> Option<Snapshot> {
        let path = self.path(&files.instance, number);
        match Snapshot::load(&path) {
            Ok(snapshot) if snapshot.identity == self.identity => Some(snapshot),
            Ok(snapshot) => {
                let other = format!("it belongs to {:?}", snapshot.identity);
                warn(&path, &other);
                None
            }
            // Its instance has removed it since the directory was listed.
            Err(ModelError::Io { source, .. }) if source.kind() == ErrorKind::NotFound => None,
            Err(error) => {
                warn(&path, &error.to_string());
                None
            }
        }
    }

    fn path(&self, instance: &str, number: u64) -> PathBuf {
        self.directory.join(format!("{instance}-{number:010}.json"))
    }

    fn prune(&self) -> Result<()> {
        for (place, files) in self.files()?.iter().enumerate() {
            let kept = match () {
                () if files.instance == self.instance => KEPT,
                () if place < MAX_INSTANCES => continue,
                () => 0,
            };
            for number in files.numbers.iter().skip(kept) {
                // A file that is left does no harm, and another instance may have removed it already.
                let _ = std::fs::remove_file(self.path(&files.instance, *number));
            }
        }
        Ok(())
    }

    /// The files by instance, those first that were written last; none if there is no directory.
    fn files(&self) -> Result<Vec<Files>> {
        let list = || ModelError::io("list", &self.directory);
        let entries = match std::fs::read_dir(&self.directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(vec![]),
            Err(error) => return Err(list()(error)),
        };
        let mut found = BTreeMap::<String, Files>::new();
        for entry in entries {
            let entry = entry.map_err(list())?;
            let Some((instance, number)) = parsed(&entry.file_name().to_string_lossy()) else { continue };
            let modified = entry.metadata().and_then(|metadata| metadata.modified());
            let written = modified.unwrap_or(SystemTime::UNIX_EPOCH);
            let files = found.entry(instance.clone());
            let files = files.or_insert(Files { instance, numbers: vec![], written });
            files.numbers.push(number);
            files.written = files.written.max(written);
        }
        let mut found: Vec<Files> = found.into_values().collect();
        found.iter_mut().for_each(|files| files.numbers.sort_unstable_by_key(|number| Reverse(*number)));
        found.sort_by_key(|files| Reverse(files.written));
        Ok(found)
    }
}

fn warn(path: &Path, reason: &str) {
    tracing::warn!(
        event = "thresholds_unusable",
        file = %path.display(),
        reason,
        "a file of thresholds cannot be used, the one before it is taken"
    );
}

/// Instance and number of a file name; `None` if it is the name of another file.
fn parsed(name: &str) -> Option<(String, u64)> {
    let (instance, number) = name.strip_suffix(".json")?.rsplit_once('-')?;
    // A temporary file begins with a dot.
    let is_instance = !instance.is_empty() && escaped(instance) == instance;
    is_instance.then_some((instance.to_owned(), number.parse().ok()?))
}

/// `instance` as a part of a file name: every byte but letters, digits, `_` and inner `-` and `.` becomes `=`
/// and two hexadecimal digits, so that different names stay different.
fn escaped(instance: &str) -> String {
    let mut name = String::with_capacity(instance.len());
    for (place, byte) in instance.bytes().enumerate() {
        let is_plain = byte.is_ascii_alphanumeric() || byte == b'_' || (place > 0 && b"-.=".contains(&byte));
        if is_plain { name.push(byte.into()) } else { name += &format!("={byte:02x}") }
    }
    name
}

#[cfg(test)]
mod tests {
    use super::super::snapshot::Rule;
    use super::*;

    fn identity(version: &str) -> Identity {
        Identity { pipeline: "news".into(), model: "m".into(), version: version.into() }
    }

    fn snapshot(number: u64, documents: u64) -> Snapshot {
        let rule = Rule { goal: 0.8, default_threshold: 0.77, window: 10 };
        let rows = (0..documents).map(|_| ("daily", 0.9));
        Snapshot { number, ..Snapshot::fit(identity("v1"), rule, rows) }
    }

    fn names(directory: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(directory).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn each_instance_has_its_own_files_and_old_ones_are_removed() {
        let root = tempfile::tempdir().unwrap();
        let first = Store::new(root.path(), identity("v1"), "pod-1");
        let second = Store::new(root.path(), identity("v1"), "pod-2");
        let directory = root.path().join("news/m/v1");
        assert!(first.newest().unwrap().own.is_none(), "there is no directory yet");
        second.save(&snapshot(7, 5)).unwrap();
        for number in [9, 10, 11, 12] {
            first.save(&snapshot(number, number)).unwrap();
        }
        let kept = ["pod-1-0000000010.json", "pod-1-0000000011.json", "pod-1-0000000012.json"];
        assert_eq!(names(&directory), [&kept[..], &["pod-2-0000000007.json"]].concat());

        let newest = first.newest().unwrap();
        assert_eq!(newest.own, Some(snapshot(12, 12)));
        assert_eq!(newest.others, [snapshot(7, 5)]);
        let newest = second.newest().unwrap();
        assert_eq!((newest.own, newest.others), (Some(snapshot(7, 5)), vec![snapshot(12, 12)]));
    }

    #[test]
    fn the_snapshot_before_a_damaged_one_is_taken() {
        let root = tempfile::tempdir().unwrap();
        let store = Store::new(root.path(), identity("v1"), "a");
        store.save(&snapshot(1, 1)).unwrap();
        let damaged = store.save(&snapshot(2, 2)).unwrap();
        for content in ["", "{\"number\": 2", "{}", "[]"] {
            std::fs::write(&damaged, content).unwrap();
            assert_eq!(store.newest().unwrap().own, Some(snapshot(1, 1)), "{content}");
        }
        let other = Snapshot { identity: identity("v2"), ..snapshot(2, 2) };
        other.save(&damaged).unwrap();
        assert_eq!(store.newest().unwrap().own, Some(snapshot(1, 1)), "it was put there by hand");
        std::fs::write(damaged.with_file_name("notes.txt"), "").unwrap();
        std::fs::write(damaged.with_file_name(".a-0000000003.json.tmp"), "").unwrap();
        assert_eq!(store.newest().unwrap().own, Some(snapshot(1, 1)));
    }

    #[test]
    fn files_of_instances_that_wrote_long_ago_are_removed() {
        let root = tempfile::tempdir().unwrap();
        for instance in 0..MAX_INSTANCES + 5 {
            let store = Store::new(root.path(), identity("v1"), &format!("i{instance}"));
            store.save(&snapshot(1, 1)).unwrap();
        }
        // Files that were written within one tick of the clock are in any order.
        assert_eq!(names(&root.path().join("news/m/v1")).len(), MAX_INSTANCES);
        let reader = Store::new(root.path(), identity("v1"), "reader");
        assert_eq!(reader.newest().unwrap().others.len(), MAX_INSTANCES);
    }

    #[test]
    fn names_of_instances_become_names_of_files() {
        for (instance, name) in [("pod-1.a_b", "pod-1.a_b"), (".hid", "=2ehid"), ("a/b", "a=2fb"), ("", "")] {
            assert_eq!(escaped(instance), name);
        }
        assert_eq!(parsed("a-b-0000000012.json"), Some(("a-b".into(), 12)));
        for name in ["-1.json", "a-x.json", "a.json", "a-1.txt", ".a-1.json"] {
            assert_eq!(parsed(name), None, "{name}");
        }
    }
}
