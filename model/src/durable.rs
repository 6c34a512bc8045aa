//! Writing files so that a crash cannot leave them incomplete.
//!
//! Contract: when a function returns, its data is on disk. Concurrent calls of [`replace`] for the same file
//! must be excluded by a lock of the callers.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use crate::error::{ModelError, Result};

/// Replaces the file `path` by `bytes`. A reader, and the next process after a crash, finds either the old
/// content or the complete new one.
///
/// # Errors
///
/// The file or its directory cannot be written. The old content is kept then.
pub fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::create_dir_all(directory).map_err(ModelError::io("create", directory))?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    // Always the same name, so that a crash leaves at most one temporary file, which the next write reuses.
    let temporary = directory.join(format!(".{name}.tmp"));
    // In the same directory, because a rename is atomic only within one file system.
    let mut file = File::create(&temporary).map_err(ModelError::io("create", &temporary))?;
    file.write_all(bytes).map_err(ModelError::io("write", &temporary))?;
    file.sync_all().map_err(ModelError::io("sync", &temporary))?;
    std::fs::rename(&temporary, path).map_err(ModelError::io("replace", path))?;
    sync(directory)
}

/// Syncs `directory` and all files and directories below it to disk.
pub(crate) fn sync_tree(directory: &Path) -> Result<()> {
    for entry in std::fs::read_dir(directory).map_err(ModelError::io("list", directory))? {
        let path = entry.map_err(ModelError::io("list", directory))?.path();
        if path.is_dir() { sync_tree(&path)? } else { sync(&path)? }
    }
    sync(directory)
}

/// Syncs the content of a file, or the entries of a directory, to disk.
pub(crate) fn sync(path: &Path) -> Result<()> {
    File::open(path).and_then(|file| file.sync_all()).map_err(ModelError::io("sync", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_created_with_its_directory_and_then_replaced() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("deep/state.json");
        for content in ["long content", "short"] {
            replace(&path, content.as_bytes()).unwrap();
            assert_eq!(std::fs::read_to_string(&path).unwrap(), content);
        }
        assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn an_error_names_the_file() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("taken")).unwrap();
        let error = replace(&root.path().join("taken"), b"x").unwrap_err().to_string();
        assert!(error.starts_with("cannot replace ") && error.contains("taken"), "{error}");
    }
}
