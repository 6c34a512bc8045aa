//! Listing and removing versions.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use serde::Serialize;
use ulid::Ulid;

use super::Registry;
use super::alias::{self, Alias};
use super::history::{self, HistoryEntry};
use crate::bundle::{self, Manifest};
use crate::durable;
use crate::error::{ModelError, Result};
use crate::lock::ChangeLock;

/// A version in the registry.
#[derive(Clone, Debug, Serialize)]
pub struct VersionEntry {
    /// ULID of the version.
    pub version: String,
    /// When it was created, RFC 3339, UTC.
    pub created_at: String,
    /// `champion`, `challenger`, `previous`; none, one or more.
    pub roles: Vec<&'static str>,
    /// Whether `models/<name>` opens it.
    pub in_use: bool,
    /// Size of all its files in bytes; 0 if they cannot be listed.
    pub bytes: u64,
    /// Its manifest; null if it cannot be read, see [`VersionEntry::problem`].
    pub manifest: Option<Manifest>,
    /// Label ids in logit order; empty if they cannot be read.
    pub labels: Vec<String>,
    /// Why it cannot be opened; null if its list of files and its descriptions are valid. Digests are only
    /// compared when the version is opened.
    pub problem: Option<String>,
}

impl Registry {
    /// All versions, oldest first, including those that cannot be opened.
    ///
    /// # Errors
    ///
    /// The directory or an alias cannot be read.
    pub fn versions(&self) -> Result<Vec<VersionEntry>> {
        let (roles, current) = (self.roles()?, self.current().ok());
        Ok(self.ids()?.iter().map(|id| self.entry(*id, &roles, current.as_deref())).collect())
    }

    /// The version with this ULID.
    ///
    /// # Errors
    ///
    /// As [`Registry::versions`]; or there is no such version.
    pub fn version(&self, version: &str) -> Result<VersionEntry> {
        let entry = self.versions()?.into_iter().find(|entry| entry.version == version);
        entry.ok_or_else(|| {
            ModelError::registry(&self.model, format!("version `{version}` is not in `versions`"))
        })
    }

    fn entry(&self, id: Ulid, roles: &[(&'static str, String)], current: Option<&str>) -> VersionEntry {
        let version = id.to_string();
        let path = self.versions_directory().join(&version);
        let described = bundle::describe(&path);
        // A damaged version is listed with its problem, so that it can be found and removed.
        let problem = described.as_ref().err().map(ToString::to_string);
        let (manifest, labels) = described.ok().unzip();
        VersionEntry {
            created_at: DateTime::<Utc>::from(id.datetime()).to_rfc3339(),
            roles: roles.iter().filter(|(_, named)| *named == version).map(|(role, _)| *role).collect(),
            in_use: current == Some(version.as_str()),
            bytes: bundle::size(&path).unwrap_or(0),
            labels: labels.map(|labels| labels.ids()).unwrap_or_default(),
            manifest,
            problem,
            version,
        }
    }

    /// The versions that must not be removed, with their roles.
    fn roles(&self) -> Result<Vec<(&'static str, String)>> {
        let champion = alias::load(&self.model, Alias::Champion)?;
        let challenger = self.alias(Alias::Challenger)?;
        let mut roles = Vec::new();
        if let Some(champion) = champion {
            roles.push(("champion", champion.version));
            roles.extend(champion.previous.map(|version| ("previous", version)));
        }
        roles.extend(challenger.map(|record| ("challenger", record.version)));
        Ok(roles)
    }

    /// Removes a version, which may be damaged, and returns its ULID.
    ///
    /// # Errors
    ///
    /// `selector` names no version, see [`Registry::resolve`]; the version is champion, challenger or
    /// previous; or a file cannot be removed.
    pub fn remove(&self, selector: &str, by: &str, reason: &str) -> Result<String> {
        let _changing = ChangeLock::wait(&self.model)?;
        let version = self.resolve(selector)?;
        let roles = self.roles()?;
        if let Some((role, _)) = roles.iter().find(|(_, named)| *named == version) {
            let problem = format!("version {version} is the {role} and cannot be removed");
            return Err(ModelError::registry(&self.model, problem));
        }
        self.remove_version(&version, by, reason)?;
        Ok(version)
    }

    /// Removes all versions except the newest `keep`. Champion, challenger, previous and the version in use
    /// are always kept and not counted. The staging directories of crashed writers are removed, too. Returns
    /// the removed versions, oldest first.
    ///
    /// # Errors
    ///
    /// A directory or alias cannot be read, or a file cannot be removed.
    pub fn prune(&self, keep: usize, by: &str, reason: &str) -> Result<Vec<String>> {
        let _changing = ChangeLock::wait(&self.model)?;
        bundle::remove_leftovers(&self.versions_directory())?;
        let mut kept: BTreeSet<String> = self.roles()?.into_iter().map(|(_, version)| version).collect();
        // Without a champion, the newest version is in use.
        kept.extend(self.current().ok());
        let mut removable: Vec<String> = self.ids()?.iter().map(ToString::to_string).collect();
        removable.retain(|version| !kept.contains(version));
        removable.truncate(removable.len().saturating_sub(keep));
        for version in &removable {
            self.remove_version(version, by, reason)?;
        }
        Ok(removable)
    }

    fn remove_version(&self, version: &str, by: &str, reason: &str) -> Result<()> {
        let directory = self.versions_directory();
        // Renamed first: a crash must not leave a part of a version under its name.
        let hidden = directory.join(bundle::staging_name(version));
        let visible = directory.join(version);
        std::fs::rename(&visible, &hidden).map_err(ModelError::io("rename", &visible))?;
        durable::sync(&directory)?;
        let entry = HistoryEntry::Remove {
            version: version.to_owned(),
            by: by.to_owned(),
            at: crate::time::now(),
            reason: reason.to_owned(),
        };
        // Before the files are deleted, which takes a while: the version is gone for readers since the rename.
        history::append(&self.model, Some(entry))?;
        std::fs::remove_dir_all(&hidden).map_err(ModelError::io("remove", &hidden))
    }
}
