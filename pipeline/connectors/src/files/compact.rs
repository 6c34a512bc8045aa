//! Few large files instead of many small ones, in a directory of data files with manifests.
//!
//! A merged file is written under a hidden name like any other; one manifest then adds it and removes the files
//! that it is made of. That manifest moves no position, and competes with the pipeline's for its number: whoever
//! comes second looks again and takes the next. Afterwards the old files go and the new one gets its name
//! ([`settle`](super::settle)). Rows stay in the order of their commits.
//!
//! The last manifest of a run lists all files, so that readers need none before it, and removes hidden files that
//! no commit named and that are old. A process that has slept on one of them since finds it removed by a manifest
//! that it has not seen, and writes the rows anew.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytesize::ByteSize;
use serde::Serialize;

use super::contents::Contents;
use super::directory::{self, DirectoryRef};
use super::files::{DEAD_LETTERS, LABELLED};
use super::manifest::{DataFile, Manifest, ManifestLog};
use super::merge::{Merged, merge};
use super::settle::{complete, settle};
use super::staged::{file_name, hidden, hidden_names};
use crate::config::{FilesSinkConfig, Problems, is_bucket};
use crate::error::Result;
use crate::fault;

/// Files of one commit: bounds its manifest, and the time in which readers who go by names miss its rows.
const MOST_FILES: usize = 1000;

/// So many manifests after the last listing there is another, even when nothing was merged.
const MOST_UNLISTED: u64 = 1000;

/// Hidden files are removed from this age on, if nothing else is asked for: a younger one may be of a commit that
/// is still to come.
const LEFTOVER_AGE: Duration = Duration::from_secs(24 * 3600);

/// A bucket renames a file by copying it, and S3 copies at most 5 GB at once.
const LARGEST_IN_BUCKET: ByteSize = ByteSize::gib(4);

/// What compaction did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Compacted {
    /// The directory or the table.
    pub place: String,
    /// Files that were replaced.
    pub replaced: u64,
    /// Their bytes.
    pub bytes_replaced: u64,
    /// Files that took their place.
    pub added: u64,
    /// Their bytes.
    pub bytes_added: u64,
    /// Other files that were removed: old versions of a table, leftovers of failed commits.
    pub removed: u64,
}

/// Compacts a directory of labelled rows to files of about `target` bytes, in the name of `pipeline`. Hidden files
/// without a commit are removed when they are older than `leftover`, a day if that is not given.
///
/// # Errors
/// A file that cannot be read or written, or is not what its manifest says.
pub fn compact_files(
    config: &FilesSinkConfig,
    pipeline: &str,
    target: ByteSize,
    leftover: Option<Duration>,
) -> Result<Compacted> {
    compact(config, LABELLED, pipeline, target, leftover)
}

/// As [`compact_files`], a directory of dead letters.
///
/// # Errors
/// As [`compact_files`].
pub fn compact_dead_letters(
    config: &FilesSinkConfig,
    pipeline: &str,
    target: ByteSize,
    leftover: Option<Duration>,
) -> Result<Compacted> {
    compact(config, DEAD_LETTERS, pipeline, target, leftover)
}

fn compact(
    config: &FilesSinkConfig,
    prefix: &str,
    pipeline: &str,
    target: ByteSize,
    leftover: Option<Duration>,
) -> Result<Compacted> {
    if is_bucket(&config.path.to_string_lossy()) && target > LARGEST_IN_BUCKET {
        let message = format!("is {target} but a bucket renames files of at most {LARGEST_IN_BUCKET}");
        return Err(Problems::one("compact", "--target-size", message).into());
    }
    let directory = directory::open(&config.path, &config.storage)?;
    let log = ManifestLog::of(&directory);
    settle(&directory, &log)?;
    let contents = Contents::read(&directory)?;
    let mut compaction = Compaction {
        directory,
        pipeline: pipeline.to_owned(),
        target: target.as_u64(),
        begins_at: contents.number(),
        contents,
        log,
        made: BTreeSet::new(),
        done: Compacted { place: config.path.display().to_string(), ..Compacted::default() },
    };
    while compaction.pass()? {}
    compaction.close(prefix, leftover.unwrap_or(LEFTOVER_AGE))?;
    Ok(compaction.done)
}

struct Compaction {
    directory: DirectoryRef,
    pipeline: String,
    target: u64,
    /// Number of the newest manifest at the start: what comes later is left to the next run, else it might never end.
    begins_at: u64,
    contents: Contents,
    log: ManifestLog,
    /// Merged files of this run.
    made: BTreeSet<String>,
    done: Compacted,
}

impl Compaction {
    /// Merges all that lie side by side and are small; false when there was nothing to merge.
    fn pass(&mut self) -> Result<bool> {
        let mut has_merged = false;
        for (stem, run) in self.runs() {
            has_merged |= self.merge_run(&stem, &run)?;
        }
        Ok(has_merged)
    }

    /// Merges files that follow one another, into as many as it takes; false when none was.
    fn merge_run(&mut self, stem: &str, run: &[DataFile]) -> Result<bool> {
        let (mut has_merged, mut rest) = (false, run);
        while rest.len() > 1 {
            let files = rest.get(..MOST_FILES).unwrap_or(rest);
            let taken = match merge(&self.directory, stem, files, self.target) {
                Ok(Some(merged)) => {
                    let taken = merged.inputs.len();
                    has_merged |= self.commit(merged)?;
                    taken
                }
                // The first has to stay alone.
                Ok(None) => 1,
                Err(error) => {
                    self.contents.advance()?;
                    if files.iter().all(|file| self.contents.files().contains_key(&file.name)) {
                        return Err(error);
                    }
                    // Another compaction has removed what was being read: the next pass sees what there is now.
                    break;
                }
            };
            rest = rest.get(taken..).unwrap_or_default();
        }
        Ok(has_merged)
    }

    /// Runs of small files that follow one another in the order of their commits, with the path that their names
    /// begin with: only files of one directory and one format are merged.
    fn runs(&self) -> Vec<(String, Vec<DataFile>)> {
        let mut groups: BTreeMap<(String, String), Vec<&DataFile>> = BTreeMap::new();
        let old = |file: &&DataFile| file.since.is_none_or(|since| since <= self.begins_at);
        for file in self.contents.files().values().filter(old) {
            let (stem, rest) = file.name.rsplit_once('-').unwrap_or(("", &file.name));
            let ending = rest.rsplit('.').next().unwrap_or_default();
            groups.entry((stem.to_owned(), ending.to_owned())).or_default().push(file);
        }
        let mut runs = vec![];
        for ((stem, _), mut files) in groups {
            files.sort_by_key(|file| (file.since, &file.name));
            let small = |file: &&DataFile| file.bytes < self.target.div_ceil(2);
            let chunks = files.chunk_by(|a, b| small(a) && small(b)).filter(|run| run.len() > 1);
            runs.extend(chunks.map(|run| (stem.clone(), run.iter().map(|&file| file.clone()).collect())));
        }
        runs
    }

    /// Puts the merged file in the place of those it is made of; false when another process has replaced one of
    /// them.
    fn commit(&mut self, merged: Merged) -> Result<bool> {
        let Merged { file, entry, inputs } = merged;
        self.directory.sync("")?;
        fault::point("compact-staged")?;
        let manifest = loop {
            self.contents.advance()?;
            let are_there = inputs.iter().all(|name| self.contents.files().contains_key(name));
            if !are_there || self.contents.has_removed(&entry.name) {
                return Ok(false);
            }
            let (removed, added) = (inputs.clone(), vec![entry.clone()]);
            let manifest = Manifest::replacing(self.contents.latest(), &self.pipeline, removed, added);
            fault::point("compact-before-manifest")?;
            let added = self.log.append(&manifest);
            match added.and_then(|added| fault::point("compact-after-manifest").map(|()| added)) {
                Ok(true) => break manifest,
                Ok(false) => {}
                Err(error) => {
                    // Nobody knows whether the manifest is there. If it is, its file must be, too.
                    drop(file.kept());
                    return Err(error);
                }
            }
        };
        drop(file.kept());
        self.count(&entry, &inputs);
        complete(&self.directory, &manifest)?;
        fault::point("compact-named")?;
        self.contents.advance()?;
        Ok(true)
    }

    /// Counts what was there before and what is there now; a file that came and went in this run is neither.
    fn count(&mut self, added: &DataFile, removed: &[String]) {
        let done = &mut self.done;
        for file in removed.iter().filter_map(|name| self.contents.files().get(name)) {
            if self.made.remove(&file.name) {
                done.added -= 1;
                done.bytes_added -= file.bytes;
            } else {
                done.replaced += 1;
                done.bytes_replaced += file.bytes;
            }
        }
        self.made.insert(added.name.clone());
        done.added += 1;
        done.bytes_added += added.bytes;
    }

    /// Removes leftovers of failed commits, and writes down what is there.
    fn close(&mut self, prefix: &str, age: Duration) -> Result<()> {
        let leftovers = self.leftovers(prefix, age)?;
        let removed = loop {
            self.contents.advance()?;
            let listed_in = self.contents.latest().and_then(|latest| latest.listed_in);
            let unlisted = self.contents.number() - listed_in.unwrap_or(0);
            let committed: BTreeSet<_> = self.contents.files().keys().map(|name| file_name(name)).collect();
            let names = leftovers.iter().filter(|name| !committed.contains(name.as_str()));
            let names: Vec<_> = names.cloned().collect();
            if names.is_empty() && self.done.replaced == 0 && unlisted < MOST_UNLISTED {
                return Ok(());
            }
            let manifest = Manifest::replacing(self.contents.latest(), &self.pipeline, names.clone(), vec![]);
            if self.log.append(&manifest.with_listing(self.contents.listing()))? {
                break names;
            }
        };
        fault::point("compact-listed")?;
        for name in &removed {
            self.directory.remove(&hidden(name))?;
        }
        self.done.removed += removed.len() as u64;
        Ok(())
    }

    /// The final names of files that have been hidden and unchanged for so long.
    fn leftovers(&self, prefix: &str, age: Duration) -> Result<Vec<String>> {
        let mut leftovers = hidden_names(&*self.directory, &[prefix])?;
        leftovers.retain(|name| {
            let modified = self.directory.modified(&hidden(name)).ok().flatten();
            modified.is_some_and(|time| time.elapsed().is_ok_and(|elapsed| elapsed >= age))
        });
        Ok(leftovers)
    }
}

#[cfg(test)]
mod tests;
