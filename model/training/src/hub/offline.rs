//! Finding a checkpoint in the cache alone.

use std::path::Path;

use fenliu_model::{ModelError, Result};

use super::cache::Cache;
use super::failure::Failure;
use super::reference::Reference;
use super::selection::Selection;
use super::snapshot::Snapshot;

/// Directories in a commit that are searched for files: enough for `1_Pooling/config.json`.
const MAX_DEPTH: usize = 4;

/// The files of a reference, if all that an import needs were fetched before.
pub(super) fn find(reference: &Reference, cache: &Cache) -> Result<Snapshot> {
    snapshot(reference, cache).map_err(|failure| {
        let failure = match failure {
            Failure::Lasting { .. } => failure.with(&advice(reference, cache)),
            other => other,
        };
        failure.about(reference)
    })
}

fn advice(reference: &Reference, cache: &Cache) -> String {
    format!(
        "; HF_HUB_OFFLINE is set, so only the cache {} was used: unset it, or fetch {reference} once where there is a network and \
         copy the cache",
        cache.path().display()
    )
}

fn snapshot(reference: &Reference, cache: &Cache) -> Result<Snapshot, Failure> {
    let revision = reference.revision();
    let commit = match reference.commit() {
        Some(commit) => Some(commit.to_owned()),
        None => cache.commit(revision)?,
    };
    let commit = commit.filter(|commit| cache.snapshot(commit).is_dir());
    let commit =
        commit.ok_or_else(|| Failure::absent(format!("the revision `{revision}` is not in the cache")))?;
    let mut snapshot = Snapshot::new(reference, cache, &commit);
    let names = names(&snapshot.directory)?;
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let selection = Selection::of(&names)?;
    let shards = selection.shards(&snapshot.directory)?;
    for file in selection.files.iter().copied().chain(shards.iter().map(String::as_str)) {
        if !names.contains(&file) {
            return Err(Failure::absent(format!("{file} is not in the cache")));
        }
        snapshot.add_cached(file)?;
    }
    Ok(snapshot)
}

/// The paths of the files below `directory` whose content is there.
fn names(directory: &Path) -> Result<Vec<String>> {
    let mut found = Vec::new();
    collect(directory, "", MAX_DEPTH, &mut found)?;
    Ok(found)
}

fn collect(directory: &Path, prefix: &str, depth: usize, found: &mut Vec<String>) -> Result<()> {
    for entry in std::fs::read_dir(directory).map_err(ModelError::io("list", directory))? {
        let path = entry.map_err(ModelError::io("list", directory))?.path();
        let name = format!("{prefix}{}", path.file_name().unwrap_or_default().to_string_lossy());
        if path.is_file() {
            found.push(name);
        } else if path.is_dir() && depth > 0 {
            collect(&path, &format!("{name}/"), depth - 1, found)?;
        }
    }
    Ok(())
}
