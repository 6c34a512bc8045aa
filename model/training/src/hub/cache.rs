//! The directory of a repository in the cache:
//!
//! ```text
//! models--OWNER--NAME/refs/main                     the commit that a revision meant when it was last asked for
//! models--OWNER--NAME/blobs/ETAG                    content
//! models--OWNER--NAME/snapshots/COMMIT/config.json  a link to ../../blobs/ETAG
//! .locks/models--OWNER--NAME/ETAG.lock              held while a blob is written
//! ```
//!
//! Contract: what has its final name is complete. Files get other names until then, and are renamed.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use fenliu_model::{ModelError, Result};

use super::reference::{Reference, is_commit};

/// What the cache has of one repository.
#[derive(Debug)]
pub(super) struct Cache {
    repository: PathBuf,
    locks: PathBuf,
}

impl Cache {
    /// That of `reference` in the directory `root`.
    pub(super) fn new(root: &Path, reference: &Reference) -> Self {
        let name = format!("models--{}--{}", reference.owner(), reference.name());
        Self { repository: root.join(&name), locks: root.join(".locks").join(name) }
    }

    /// Its directory.
    pub(super) fn path(&self) -> &Path {
        &self.repository
    }

    /// The directory of the files of a commit.
    pub(super) fn snapshot(&self, commit: &str) -> PathBuf {
        self.repository.join("snapshots").join(commit)
    }

    /// The content with this `ETag`.
    pub(super) fn blob(&self, etag: &str) -> PathBuf {
        self.repository.join("blobs").join(etag)
    }

    /// The part of a blob that has arrived.
    pub(super) fn incomplete(&self, etag: &str) -> PathBuf {
        self.repository.join("blobs").join(format!("{etag}.incomplete"))
    }

    /// The commit that `revision` meant when it was last asked for.
    pub(super) fn commit(&self, revision: &str) -> Result<Option<String>> {
        let path = self.reference(revision);
        match std::fs::read_to_string(&path) {
            Ok(commit) => Ok(Some(commit.trim().to_owned()).filter(|commit| is_commit(commit))),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(ModelError::io("read", &path)(error)),
        }
    }

    /// Records what `revision` means.
    pub(super) fn set_commit(&self, revision: &str, commit: &str) -> Result<()> {
        if revision == commit {
            return Ok(());
        }
        let path = self.reference(revision);
        create_parent(&path)?;
        let temporary = unique(&path);
        std::fs::write(&temporary, commit).map_err(ModelError::io("write", &temporary))?;
        std::fs::rename(&temporary, &path).map_err(ModelError::io("replace", &path))
    }

    fn reference(&self, revision: &str) -> PathBuf {
        self.repository.join("refs").join(revision)
    }

    /// Gives a blob the name `file` in a commit.
    pub(super) fn link(&self, commit: &str, file: &str, etag: &str) -> Result<()> {
        let path = self.snapshot(commit).join(file);
        create_parent(&path)?;
        // Relative, so that the cache can be moved: from `snapshots/COMMIT` and the directories of the file.
        let up = "../".repeat(2 + file.matches('/').count());
        let temporary = unique(&path);
        symlink(Path::new(&format!("{up}blobs/{etag}")), &temporary, &self.blob(etag))
            .map_err(ModelError::io("link", &temporary))?;
        std::fs::rename(&temporary, &path).map_err(ModelError::io("replace", &path))
    }

    /// Waits until no other process writes the blob, Python's `huggingface_hub` included. The lock is released when the
    /// result is dropped.
    pub(super) fn lock(&self, etag: &str) -> Result<File> {
        let path = self.locks.join(format!("{etag}.lock"));
        create_parent(&path)?;
        let file = File::options().write(true).create(true).truncate(false).open(&path);
        let file = file.map_err(ModelError::io("open", &path))?;
        file.lock().map_err(ModelError::io("lock", &path))?;
        Ok(file)
    }
}

/// Creates the directory of `path`.
pub(super) fn create_parent(path: &Path) -> Result<()> {
    let parent = path.parent().unwrap_or(path);
    std::fs::create_dir_all(parent).map_err(ModelError::io("create", parent))
}

/// A name beside `path` that nothing else uses.
fn unique(path: &Path) -> PathBuf {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let (process, count) = (std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    path.with_file_name(format!(".{name}.{process}.{count}.tmp"))
}

#[cfg(unix)]
fn symlink(target: &Path, link: &Path, _blob: &Path) -> std::io::Result<()> {
    std::os::unix::fs::symlink(target, link)
}

#[cfg(not(unix))]
fn symlink(_target: &Path, link: &Path, blob: &Path) -> std::io::Result<()> {
    std::fs::hard_link(blob, link)
}
