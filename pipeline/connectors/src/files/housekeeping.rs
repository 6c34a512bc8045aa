//! The upkeep of a sink's directory: from time to time a commit lists what is there, and removes what failed commits
//! left.
//!
//! Every [`EVERY`]th manifest has a listing: what the [`EVERY`] manifests up to it add up to. Every [`EVERY`]th of
//! these lists what as many listings add up to. So a reader of the directory opens a few hundred manifests at most for
//! each ten thousand commits, and each commit is written down three times at most. A listing with very many files is
//! left out: it would not save any reading.
//!
//! The same commits remove hidden files that no commit named and that are a day old. The manifest names them: a process
//! that has slept on one of them since sees there that it is gone, and writes its rows again.

use std::time::Duration;

use fenliu_engine::Result;

use super::contents::Sum;
use super::directory::{Directory, DirectoryRef, hidden_names};
use super::manifest::{Listing, Manifest, ManifestLog};
use super::names::hidden;
use super::settle::settle;

/// One manifest in so many has a listing.
pub(super) const EVERY: u64 = 100;

/// A listing has at most so many files.
const MOST_FILES: usize = 20_000;

/// Hidden files are removed from this age on: a younger one may be of a commit that is still to come.
const LEFTOVER_AGE: Duration = Duration::from_secs(24 * 3600);

/// Whether the manifest of this number is one that looks after the directory.
pub(super) fn is_due(number: u64) -> bool {
    number.is_multiple_of(EVERY)
}

/// Adds to `manifest`, which is to be the next, the listing that it is due for, and the leftovers of `prefix` that it
/// removes. What fails is only logged: the commit does not depend on it.
pub(super) fn look_after(
    directory: &DirectoryRef,
    log: &ManifestLog,
    prefix: &'static str,
    manifest: &mut Manifest,
) {
    match leftovers(directory, log, prefix) {
        Ok(mut names) => {
            // If this process has slept for a day, its own files look like leftovers.
            names.retain(|name| manifest.files.iter().all(|file| file.name != *name));
            manifest.remove_leftovers(names);
        }
        Err(error) => tracing::warn!(event = "housekeeping_failed", %error, "leftovers are not looked for"),
    }
    match listing(log, manifest, EVERY) {
        Ok(Some(listing)) => manifest.list(listing),
        Ok(None) => {}
        Err(error) => tracing::warn!(event = "housekeeping_failed", %error, "no listing is written"),
    }
}

/// Removes the leftovers that `manifest`, which was committed, names.
pub(super) fn remove_leftovers(directory: &dyn Directory, manifest: &Manifest) {
    for name in &manifest.removed {
        if let Err(error) = directory.remove(&hidden(name)) {
            tracing::warn!(event = "housekeeping_failed", %error, "a leftover of a failed commit stays");
        }
    }
}

/// The final names of files that have been hidden and unchanged for a day, and that no commit named.
fn leftovers(directory: &DirectoryRef, log: &ManifestLog, prefix: &'static str) -> Result<Vec<String>> {
    // Files that are hidden although a commit named them get their names now.
    settle(directory, log)?;
    let mut leftovers = hidden_names(&**directory, &[prefix])?;
    leftovers.retain(|name| {
        // Where the time cannot be told, or lies in the future, the file stays.
        let modified = directory.modified(&hidden(name)).ok().flatten();
        modified.is_some_and(|time| time.elapsed().is_ok_and(|age| age >= LEFTOVER_AGE))
    });
    Ok(leftovers)
}

/// The longest listing that `manifest` is due for.
fn listing(log: &ManifestLog, manifest: &Manifest, every: u64) -> Result<Option<Listing>> {
    // The longer listing covers the shorter one.
    for span in [every * every, every] {
        if manifest.number.is_multiple_of(span)
            && let Some(listing) = listing_of(log, manifest, manifest.number + 1 - span)?
        {
            return Ok(Some(listing));
        }
    }
    Ok(None)
}

/// The listing of the manifests from number `first` up to `manifest`, which is not written yet. It begins later than
/// `first` where an older listing reaches back beyond `first`: that one stands for the rest. `None` where these are too
/// many files.
fn listing_of(log: &ManifestLog, manifest: &Manifest, first: u64) -> Result<Option<Listing>> {
    let mut sum = Sum::default();
    sum.add_older(manifest.clone());
    let mut since = manifest.number;
    while since > first && sum.len() <= MOST_FILES {
        let before = log.read(since - 1)?;
        if before.first_covered() < first {
            break;
        }
        since = before.first_covered();
        sum.add_older(before);
    }
    Ok((sum.len() <= MOST_FILES).then(|| sum.into_listing(since)))
}

#[cfg(test)]
mod tests;
