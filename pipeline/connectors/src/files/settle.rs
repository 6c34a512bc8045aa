//! Completing commits that took effect.
//!
//! A commit takes effect with its manifest. What the manifest says is then done to the files: those that it removes are
//! deleted, then those that it adds get their final names. In this order a reader that goes by names sees no row twice;
//! rows that move from some files to another one are visible in neither for a moment. A file that is still hidden shows
//! that its commit is not completed, and any process that finds it completes the commit. Every step can be repeated,
//! and several processes can do it at once.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use chrono::DateTime;
use fenliu_engine::Result;
use ulid::Ulid;

use super::directory::{Directory, DirectoryRef, hidden_names};
use super::manifest::{Manifest, ManifestLog};
use super::names::{DEAD_LETTERS, LABELLED, file_name, hidden, place_of};
use super::staged::Staged;

/// The allowed difference between clocks, of several machines or of one machine at two times. A file is begun before
/// its commit, so a manifest that is older than the file by more than this does not name it.
const CLOCKS: Duration = Duration::from_secs(3600);

/// Completes the commit of `manifest`, if that is not done.
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
    // Removals come before renames, so once all files have their names the removals are done. A manifest that adds no
    // file removes hidden leftovers only, which no reader counts.
    if waiting.is_empty() {
        return Ok(());
    }
    if !manifest.removed.is_empty() {
        remove(&**directory, &manifest.removed)?;
    }
    waiting.iter().try_for_each(Staged::publish)
}

/// Removes files, durably, under both names: in a bucket a rename is a copy and a removal, and a crash in between
/// leaves the first name. Files that are gone already are no error.
fn remove(directory: &dyn Directory, names: &[String]) -> Result<()> {
    let mut places = BTreeSet::new();
    for name in names {
        directory.remove(&hidden(name))?;
        directory.remove(name)?;
        places.insert(place_of(name));
    }
    places.iter().try_for_each(|place| directory.sync(place))
}

/// Completes the commits that dead processes left half-done: those of which a file still has its hidden name. Hidden
/// files that no manifest names may belong to a running process, and stay. Manifests up to the number `settled` of the
/// newest one are known to be completed and are not read.
///
/// # Errors
/// A manifest that cannot be read, a file that cannot be removed or renamed.
pub(super) fn settle(directory: &DirectoryRef, log: &ManifestLog) -> Result<()> {
    let mut hidden: BTreeSet<_> =
        hidden_names(&**directory, &[LABELLED, DEAD_LETTERS])?.into_iter().collect();
    // Without hidden files all commits are completed, and no manifest has to be read.
    let Some(oldest) = hidden.iter().filter_map(|name| begun_at(name)).min() else { return Ok(()) };
    let mut settled = None;
    for manifest in log.newest_first()? {
        let manifest = manifest?;
        if manifest.number <= *settled.get_or_insert(manifest.settled) {
            break;
        }
        // `remove` takes the files of this commit out of those that are still unexplained.
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

/// When the file with that final name was begun: the ULID in the name says so.
fn begun_at(name: &str) -> Option<SystemTime> {
    let (stem, _) = name.rsplit_once('.')?;
    Some(Ulid::from_string(stem.rsplit('-').next()?).ok()?.datetime())
}
