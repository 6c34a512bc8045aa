//! A checkpoint as it was fetched.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::cache::Cache;
use super::digest::Expected;
use super::failure::Failure;
use super::reference::Reference;

/// The files of a commit that an import needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// What was asked for.
    pub reference: Reference,
    /// The commit that it meant, as 40 hexadecimal digits.
    pub commit: String,
    /// The directory with the files, by their names in the repository. It belongs to the cache: do not change it.
    pub directory: PathBuf,
    /// SHA-256 of each file in hexadecimal digits, by its name.
    pub files: BTreeMap<String, String>,
}

impl Snapshot {
    /// Without files.
    pub(super) fn new(reference: &Reference, cache: &Cache, commit: &str) -> Self {
        Self {
            reference: reference.clone(),
            commit: commit.to_owned(),
            directory: cache.snapshot(commit),
            files: BTreeMap::new(),
        }
    }

    /// Where a model comes from, for its manifest: the reference, the commit and the digests of the files.
    pub fn origin(&self) -> Value {
        json!({ "imported_from": self.reference.to_string(), "commit": self.commit, "files": self.files })
    }

    /// Adds a file that is in the cache, after its content was compared with the digest in its name there.
    pub(super) fn add_cached(&mut self, file: &str) -> Result<(), Failure> {
        let path = self.directory.join(file);
        let blob = std::fs::canonicalize(&path).unwrap_or_else(|_| path.clone());
        let digest = expected(&blob).check(&path)?.map_err(|problem| {
            let blob = blob.display();
            Failure::unusable(format!("{file} in the cache is damaged: {problem}; remove {blob}"))
        })?;
        self.files.insert(file.to_owned(), digest);
        Ok(())
    }
}

/// The digest in the name of a blob. A file that is not a link has a name of another kind.
fn expected(blob: &Path) -> Expected {
    Expected::of_etag(&blob.file_name().unwrap_or_default().to_string_lossy())
}
