//! What the manifests of a directory add up to: the files that are part of the data, and where pipelines began.
//!
//! It is read from the newest manifest that lists it, and those after: however long the log is, few are read once
//! the directory is compacted now and then. Without such a manifest all are read.

use std::collections::{BTreeMap, BTreeSet};

use fenliu_engine::Result;
use fenliu_schemas::Positions;

use super::directory::DirectoryRef;
use super::manifest::{DataFile, Manifest, ManifestLog, Position, positions_of};
use super::names::file_name;

/// What all manifests add up to.
#[derive(Debug)]
pub(crate) struct Contents {
    log: ManifestLog,
    latest: Option<Manifest>,
    files: BTreeMap<String, DataFile>,
    /// Without their directories.
    removed: BTreeSet<String>,
    beginnings: Vec<Position>,
}

impl Contents {
    /// Adds up the manifests of the files in `directory`, which need not exist.
    ///
    /// # Errors
    /// A manifest that cannot be read.
    pub(crate) fn read(directory: &DirectoryRef) -> Result<Self> {
        let log = ManifestLog::of(directory);
        let mut contents = Contents {
            log: log.clone(),
            latest: None,
            files: BTreeMap::new(),
            removed: BTreeSet::new(),
            beginnings: vec![],
        };
        if let Some(number) = log.latest()?.and_then(|latest| latest.listed_in) {
            let mut manifest = log.read(number)?;
            if let Some(listing) = manifest.listing.take() {
                contents.files = listing.files.into_iter().map(|file| (file.name.clone(), file)).collect();
                contents.beginnings = listing.beginnings;
            }
            contents.latest = Some(manifest);
        }
        contents.advance()?;
        Ok(contents)
    }

    /// Adds the manifests that have come since.
    ///
    /// # Errors
    /// A manifest that cannot be read.
    pub(crate) fn advance(&mut self) -> Result<()> {
        let newest = self.log.latest()?.map_or(0, |latest| latest.number);
        let log = self.log.clone();
        log.between(self.number(), newest)
            .try_for_each(|manifest| manifest.map(|manifest| self.add(manifest)))
    }

    fn add(&mut self, mut manifest: Manifest) {
        for name in &manifest.removed {
            self.files.remove(name);
        }
        self.removed.extend(manifest.removed.iter().map(|name| file_name(name).to_owned()));
        for file in std::mem::take(&mut manifest.files) {
            let since = file.since.or(Some(manifest.number));
            self.files.insert(file.name.clone(), DataFile { since, ..file });
        }
        for position in manifest.beginnings() {
            if !self.beginnings.iter().any(|known| known.is_of(&position)) {
                self.beginnings.push(position);
            }
        }
        manifest.listing = None;
        self.latest = Some(manifest);
    }

    /// Number of the newest manifest; 0 where there is none.
    pub(crate) fn number(&self) -> u64 {
        self.latest.as_ref().map_or(0, |latest| latest.number)
    }

    /// The newest manifest; what it adds has been taken out of it.
    pub(super) fn latest(&self) -> Option<&Manifest> {
        self.latest.as_ref()
    }

    /// The files that are part of the data, by their paths within the directory.
    pub(crate) fn files(&self) -> &BTreeMap<String, DataFile> {
        &self.files
    }

    /// Whether a manifest after the last listing says that a file is no part of the data.
    pub(crate) fn has_removed(&self, name: &str) -> bool {
        self.removed.contains(file_name(name))
    }

    /// Whether a manifest that has come since this was read removes the file.
    ///
    /// # Errors
    /// A manifest that cannot be read.
    pub(crate) fn is_removed_since(&self, name: &str) -> Result<bool> {
        let newest = self.log.latest()?.map_or(0, |latest| latest.number);
        for manifest in self.log.between(self.number(), newest) {
            if manifest?.removes(name) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Where `pipeline` began with each partition.
    pub(crate) fn beginnings_of(&self, pipeline: &str) -> Positions {
        positions_of(&self.beginnings, pipeline)
    }

    /// Where `pipeline` stands.
    pub(crate) fn positions_of(&self, pipeline: &str) -> Positions {
        self.latest.as_ref().map_or_else(Positions::default, |latest| latest.positions_of(pipeline))
    }
}
