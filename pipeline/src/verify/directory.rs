//! A directory of data files beside its manifests.
//!
//! The files are listed before the manifests are read: a file gets its name after it stands in a
//! manifest, so one that is in none of them was not put there by a commit.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use fenliu_schemas::Positions;
use indicatif::ProgressBar;

use super::partitions::Found;
use super::rows::{self, Sole};
use crate::dlq::data_files;
use crate::error::Result;
use crate::sink::{DataFile, ManifestLog, digest, hidden};

/// A commit gives its file the final name at once. If it runs meanwhile, it is waited for so long.
const PATIENCE: Duration = Duration::from_millis(500);

/// What lies in the directory, and what the manifests say of it.
pub(super) struct Directory {
    path: PathBuf,
    /// Names of the files that readers see.
    present: Vec<String>,
    /// The files that the manifests name.
    committed: BTreeMap<String, DataFile>,
    /// Where the pipeline began with each partition.
    pub(super) beginnings: Positions,
    /// Where it stands.
    pub(super) positions: Positions,
}

impl Directory {
    /// Lists the directory and reads all its manifests; it need not exist.
    ///
    /// # Errors
    /// What cannot be read.
    pub(super) fn open(path: &Path, pipeline: &str) -> Result<Self> {
        let files = if path.is_dir() { data_files(path)? } else { vec![] };
        let name = |file: &PathBuf| file.strip_prefix(path).map_or_else(|_| file.clone(), Path::to_path_buf);
        let mut directory = Directory {
            path: path.to_path_buf(),
            present: files.iter().map(|file| name(file).to_string_lossy().into_owned()).collect(),
            committed: BTreeMap::new(),
            beginnings: Positions::default(),
            positions: Positions::default(),
        };
        for (age, manifest) in ManifestLog::of(path).newest_first()?.enumerate() {
            let manifest = manifest?;
            if age == 0 {
                directory.positions = manifest.positions_of(pipeline);
            }
            directory.beginnings.update(&manifest.beginnings_of(pipeline));
            let files = manifest.files.into_iter();
            directory.committed.extend(files.map(|file| (file.name.clone(), file)));
        }
        Ok(directory)
    }

    /// Notes the rows of all files in `found`, and what is wrong with the files. Without `sole` rows cannot
    /// be told apart and are only counted.
    pub(super) fn read(&self, sole: Option<&Sole>, found: &mut Found, progress: &ProgressBar) {
        let mut names = self.present.clone();
        for file in self.committed.values().filter(|file| !self.present.contains(&file.name)) {
            match self.absent(file) {
                None => names.push(file.name.clone()),
                Some(problem) => found.problems.push(problem),
            }
        }
        for name in names {
            let path = self.path.join(&name);
            let counted = rows::read(&path, &mut |batch| {
                progress.inc(batch.num_rows() as u64);
                sole.map_or(Ok(()), |sole| rows::note(batch, sole, found))
            });
            let problems = match counted {
                Ok(count) => self.compare(&name, count),
                Err(error) => vec![error.to_string()],
            };
            found.problems.extend(problems);
        }
    }

    /// What is wrong with a committed file that was not there when the directory was listed; none when it has
    /// come since.
    fn absent(&self, file: &DataFile) -> Option<String> {
        let (path, hidden) = (self.path.join(&file.name), hidden(&self.path, &file.name));
        if hidden.exists() {
            std::thread::sleep(PATIENCE);
        }
        let (shown, rows) = (path.display(), file.rows);
        if path.exists() {
            None
        } else if hidden.exists() {
            Some(format!(
                "{shown}: committed with {rows} rows, but readers do not see it yet: it gets its name when the pipeline starts again"
            ))
        } else {
            Some(format!("{shown}: missing, with {rows} rows"))
        }
    }

    /// How the file `name`, in which `count` rows were found, differs from what its manifest says.
    fn compare(&self, name: &str, count: u64) -> Vec<String> {
        let path = self.path.join(name);
        let shown = path.display();
        let Some(file) = self.committed.get(name) else {
            return vec![format!("{shown}: in no manifest, with {count} rows")];
        };
        let mut problems = vec![];
        if file.rows != count {
            problems.push(format!("{shown}: has {count} rows, but its manifest says {}", file.rows));
        }
        match digest(&path) {
            Ok((bytes, sha256)) if bytes == file.bytes && sha256 == file.sha256 => {}
            Ok(_) => problems.push(format!("{shown}: changed since it was committed (SHA-256)")),
            Err(error) => problems.push(error.to_string()),
        }
        problems
    }
}
