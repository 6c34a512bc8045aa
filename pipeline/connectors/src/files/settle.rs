//! Completing commits that took effect.
//!
//! A commit is a manifest; what it says is then done to the names: files that it removes go, files that it adds
//! get theirs, in this order. So no row is seen twice by readers who go by names; rows that are moved from some
//! files to another are seen by none of them in between. A file that is still hidden says that its commit is not
//! completed, and whoever finds it does so. All steps may be taken twice, and by several processes at once.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use chrono::DateTime;
use fenliu_engine::Result;
use ulid::Ulid;

use super::directory::{Directory, DirectoryRef, hidden_names};
use super::manifest::{Manifest, ManifestLog};
use super::names::{DEAD_LETTERS, LABELLED, file_name, hidden, place_of};
use super::staged::Staged;

/// A file is begun before it is committed; clocks of machines, and of one machine at two times, differ by less.
const CLOCKS: Duration = Duration::from_secs(3600);

/// Does what is left to do of `manifest`, which was committed.
///
/// # Errors
/// When a file cannot be removed or renamed.
pub(super) fn complete(directory: &DirectoryRef, manifest: &Manifest) -> Result<()> {
    let files = manifest.files.iter().map(|file| Staged::left(directory, &file.name));
    let mut waiting = vec![];
    for file in files {
        if directory.exists(&file.hidden())? {
            waiting.push(file);
        }
    }
    if waiting.is_empty() {
        return Ok(());
    }
    if !manifest.removed.is_empty() {
        remove(&**directory, &manifest.removed)?;
    }
    waiting.iter().try_for_each(Staged::publish)
}

/// Removes files, durably, under both names: where renaming takes two steps, the first name may be left. Those that
/// are gone are.
fn remove(directory: &dyn Directory, names: &[String]) -> Result<()> {
    let mut places = BTreeSet::new();
    for name in names {
        directory.remove(&hidden(name))?;
        directory.remove(name)?;
        places.insert(place_of(name));
    }
    places.iter().try_for_each(|place| directory.sync(place))
}

/// Completes the commits of processes that have died: those of which a file is hidden still. Files that no manifest
/// names may be another process's work, so they stay; for their sake no manifests are read that whoever made the
/// newest had seen completed.
///
/// # Errors
/// What cannot be read, removed or renamed.
pub(super) fn settle(directory: &DirectoryRef, log: &ManifestLog) -> Result<()> {
    let mut hidden: BTreeSet<_> =
        hidden_names(&**directory, &[LABELLED, DEAD_LETTERS])?.into_iter().collect();
    let Some(oldest) = hidden.iter().filter_map(|name| begun_at(name)).min() else { return Ok(()) };
    let mut settled = None;
    for manifest in log.newest_first()? {
        let manifest = manifest?;
        if manifest.number <= *settled.get_or_insert(manifest.settled) {
            break;
        }
        let found = manifest.files.iter().filter(|file| hidden.remove(file_name(&file.name))).count();
        if found > 0 {
            complete(directory, &manifest)?;
        }
        let committed_at = DateTime::parse_from_rfc3339(&manifest.committed_at).ok().map(SystemTime::from);
        if hidden.is_empty() || committed_at.is_some_and(|time| time + CLOCKS < oldest) {
            break;
        }
    }
    Ok(())
}

/// When the file with that final name was begun.
fn begun_at(name: &str) -> Option<SystemTime> {
    let (stem, _) = name.rsplit_once('.')?;
    Some(Ulid::from_string(stem.rsplit('-').next()?).ok()?.datetime())
}
