//! `SHA256SUMS`: lines of the form `<hex digest>  <path>`, which `sha256sum` can check.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read;
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::error::{ModelError, Result};

pub(super) const SUMS_FILE: &str = "SHA256SUMS";

/// Checks that `directory` holds exactly the files that its `SHA256SUMS` lists, unchanged.
pub(super) fn verify(directory: &Path) -> Result<()> {
    for (file, expected) in check_list(directory)? {
        let (actual, bytes) = digest(&directory.join(&file))?;
        if actual != expected {
            let problem = format!(
                "{file} ({bytes} bytes) was changed or cut short: its SHA-256 is {actual} but {SUMS_FILE} says {expected}"
            );
            return Err(ModelError::bundle(directory, problem));
        }
    }
    Ok(())
}

/// Checks that `directory` holds exactly the files that its `SHA256SUMS` lists, without reading them, and
/// returns the listed digests.
pub(super) fn check_list(directory: &Path) -> Result<BTreeMap<String, String>> {
    let sums_path = directory.join(SUMS_FILE);
    let content = std::fs::read_to_string(&sums_path).map_err(ModelError::io("read", &sums_path))?;
    let listed = parse(&content).map_err(|problem| ModelError::bundle(directory, problem))?;
    let files = files(directory)?;
    if let Some(file) = files.iter().find(|file| !listed.contains_key(*file)) {
        return Err(ModelError::bundle(directory, format!("{file} is not listed in {SUMS_FILE}")));
    }
    match listed.keys().find(|file| !files.contains(*file)) {
        Some(file) => {
            Err(ModelError::bundle(directory, format!("{file} is listed in {SUMS_FILE} but missing")))
        }
        None => Ok(listed),
    }
}

/// The digest of `SHA256SUMS` itself.
pub(super) fn of_sums(directory: &Path) -> Result<String> {
    Ok(digest(&directory.join(SUMS_FILE))?.0)
}

/// Size in bytes of all files below `directory`.
pub(super) fn size(directory: &Path) -> Result<u64> {
    let bytes = |file: &String| {
        let path = directory.join(file);
        Ok(path.metadata().map_err(ModelError::io("inspect", &path))?.len())
    };
    files(directory)?.iter().map(bytes).sum()
}

/// The content of `SHA256SUMS` for the files in `directory`.
pub(super) fn sums(directory: &Path) -> Result<String> {
    let mut content = String::new();
    for file in files(directory)? {
        let (digest, _) = digest(&directory.join(&file))?;
        content.push_str(&format!("{digest}  {file}\n"));
    }
    Ok(content)
}

/// All files below `directory` except `SHA256SUMS`, as relative paths with `/` as separator.
pub(super) fn files(directory: &Path) -> Result<BTreeSet<String>> {
    let mut files = BTreeSet::new();
    let mut pending = vec![String::new()];
    while let Some(parent) = pending.pop() {
        let path = directory.join(&parent);
        for entry in std::fs::read_dir(&path).map_err(ModelError::io("list", &path))? {
            let entry = entry.map_err(ModelError::io("list", &path))?;
            let Ok(name) = entry.file_name().into_string() else {
                return Err(ModelError::bundle(
                    directory,
                    format!("{:?} is not a UTF-8 name", entry.file_name()),
                ));
            };
            let file = if parent.is_empty() { name } else { format!("{parent}/{name}") };
            let kind = entry.file_type().map_err(ModelError::io("inspect", &entry.path()))?;
            if kind.is_dir() {
                pending.push(file);
            } else if !kind.is_file() {
                // `file_type` does not follow symbolic links: a link could lead to a file outside that changes later.
                return Err(ModelError::bundle(
                    directory,
                    format!("{file} is neither a file nor a directory"),
                ));
            } else if file != SUMS_FILE {
                files.insert(file);
            }
        }
    }
    Ok(files)
}

fn parse(content: &str) -> Result<BTreeMap<String, String>, String> {
    let mut listed = BTreeMap::new();
    for (number, line) in (1..).zip(content.lines()) {
        // Two spaces: the form of `sha256sum` in text mode.
        let entry = line.split_once("  ").filter(|(digest, file)| digest.len() == 64 && !file.is_empty());
        let (digest, file) =
            entry.ok_or_else(|| format!("{SUMS_FILE} line {number} is not `<sha256>  <path>`"))?;
        listed.insert(file.to_owned(), digest.to_ascii_lowercase());
    }
    Ok(listed)
}

/// The SHA-256 of a file in lower-case hexadecimal, and its size in bytes.
fn digest(path: &Path) -> Result<(String, u64)> {
    let mut file = File::open(path).map_err(ModelError::io("open", path))?;
    let mut hasher = Sha256::new();
    // In pieces: weights can be larger than the memory that is left.
    let mut buffer = vec![0; 1 << 16];
    let mut bytes = 0;
    loop {
        let read = file.read(&mut buffer).map_err(ModelError::io("read", path))?;
        if read == 0 {
            return Ok((hex::encode(hasher.finalize()), bytes));
        }
        hasher.update(&buffer[..read]);
        bytes += read as u64;
    }
}
