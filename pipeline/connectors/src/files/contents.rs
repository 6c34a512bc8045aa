//! What the manifests of a directory add up to: the files that are part of the data, and where each pipeline began.
//!
//! Manifests are read from the newest to the oldest. One with a listing stands for all manifests that the listing
//! covers, so few are read however long the log is ([`housekeeping`](super::housekeeping) writes the listings).

use std::collections::{BTreeMap, BTreeSet};

use fenliu_engine::Result;
use fenliu_schemas::{Positions, Topics};

use super::directory::DirectoryRef;
use super::manifest::{DataFile, Listing, Manifest, ManifestLog, Position, positions_of};
use super::names::file_name;

/// What a range of manifests adds up to, as far as they were read.
#[derive(Debug, Default)]
pub(super) struct Sum {
    files: BTreeMap<String, DataFile>,
    /// Without their directories: a hidden file has none yet.
    removed: BTreeSet<String>,
    beginnings: Vec<Position>,
}

impl Sum {
    /// Adds a manifest that is older than all that were added before.
    pub(super) fn add_older(&mut self, mut manifest: Manifest) {
        let Listing { files, removed, beginnings, .. } = match manifest.listing.take() {
            Some(listing) => listing,
            None => {
                let beginnings = manifest.beginnings().collect();
                Listing {
                    since: manifest.number,
                    files: manifest.files,
                    removed: manifest.removed,
                    beginnings,
                }
            }
        };
        // Only removals of newer manifests count here: a manifest never removes a file that it adds itself.
        let kept = files.into_iter().filter(|file| !self.removed.contains(file_name(&file.name)));
        self.files.extend(kept.map(|file| (file.name.clone(), file)));
        self.removed.extend(removed.iter().map(|name| file_name(name).to_owned()));
        for position in beginnings {
            // Manifests are added from the newest to the oldest, so this beginning is the earlier one.
            self.beginnings.retain(|known| !known.is_of(&position));
            self.beginnings.push(position);
        }
    }

    /// How many files there are.
    pub(super) fn len(&self) -> usize {
        self.files.len()
    }

    /// The sum of the manifests from number `since` on, to be written down.
    pub(super) fn into_listing(self, since: u64) -> Listing {
        Listing {
            since,
            files: self.files.into_values().collect(),
            removed: self.removed.into_iter().collect(),
            beginnings: self.beginnings,
        }
    }
}

/// What all manifests add up to.
#[derive(Debug)]
pub(super) struct Contents {
    latest: Option<Manifest>,
    sum: Sum,
}

impl Contents {
    /// Adds up the manifests of the files in `directory`, which need not exist.
    ///
    /// # Errors
    /// A manifest that cannot be read.
    pub(super) fn read(directory: &DirectoryRef) -> Result<Self> {
        let log = ManifestLog::of(directory);
        let latest = log.latest()?;
        let (mut sum, mut next) = (Sum::default(), latest.clone());
        while let Some(manifest) = next {
            let before = manifest.first_covered().saturating_sub(1);
            sum.add_older(manifest);
            next = if before > 0 { Some(log.read(before)?) } else { None };
        }
        Ok(Contents { latest, sum })
    }

    /// The files that are part of the data, by their paths within the directory.
    pub(super) fn files(&self) -> &BTreeMap<String, DataFile> {
        &self.sum.files
    }

    /// Whether a manifest has removed the file from the data.
    pub(super) fn has_removed(&self, name: &str) -> bool {
        self.sum.removed.contains(file_name(name))
    }

    /// Where `pipeline` began with each partition.
    pub(super) fn beginnings_of(&self, pipeline: &str) -> Positions {
        positions_of(&self.sum.beginnings, pipeline)
    }

    /// The stored identities of the topics of `pipeline`.
    pub(crate) fn topics_of(&self, pipeline: &str) -> Topics {
        self.latest.as_ref().map_or_else(Topics::new, |latest| latest.topics_of(pipeline))
    }

    /// The positions of `pipeline`.
    pub(super) fn positions_of(&self, pipeline: &str) -> Positions {
        self.latest.as_ref().map_or_else(Positions::default, |latest| latest.positions_of(pipeline))
    }
}
