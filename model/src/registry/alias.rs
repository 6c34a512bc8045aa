//! `aliases/<alias>.json`: which version an alias names, since when and why.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::durable;
use crate::error::{ModelError, Result};

/// A name that can be moved from one version to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Alias {
    /// The version in use.
    Champion,
    /// A version that may become the champion.
    Challenger,
}

impl Alias {
    pub(super) const ALL: [Self; 2] = [Self::Champion, Self::Challenger];

    /// How the alias is written: `champion` or `challenger`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Champion => "champion",
            Self::Challenger => "challenger",
        }
    }
}

/// The version that an alias names, and how it came to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AliasRecord {
    /// ULID of the version.
    pub version: String,
    /// SHA-256 of the version's `SHA256SUMS`, and so of everything in the version.
    pub sums_sha256: String,
    /// Who moved the alias: a person or a program.
    pub by: String,
    /// When it was moved, RFC 3339, UTC.
    pub at: String,
    /// Why it was moved; may be empty.
    pub reason: String,
    /// For a champion: the version that a rollback returns to. Null if there is none; also after a rollback,
    /// so that a second one does not restore the version that the first one replaced.
    pub previous: Option<String>,
}

/// Reads an alias; `None` if it names no version.
pub(super) fn load(model: &Path, alias: Alias) -> Result<Option<AliasRecord>> {
    let path = path(model, alias);
    match std::fs::read(&path) {
        Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(ModelError::json(&path)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(ModelError::io("read", &path)(error)),
    }
}

/// Sets an alias; readers see either the old record or the new one.
pub(super) fn store(model: &Path, alias: Alias, record: &AliasRecord) -> Result<()> {
    let path = path(model, alias);
    let bytes = serde_json::to_vec_pretty(record).map_err(ModelError::json(&path))?;
    durable::replace(&path, &bytes)
}

/// Removes an alias.
pub(super) fn clear(model: &Path, alias: Alias) -> Result<()> {
    let path = path(model, alias);
    match std::fs::remove_file(&path) {
        Ok(()) => durable::sync(&directory(model)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(ModelError::io("remove", &path)(error)),
    }
}

fn directory(model: &Path) -> PathBuf {
    model.join("aliases")
}

fn path(model: &Path, alias: Alias) -> PathBuf {
    directory(model).join(format!("{}.json", alias.name()))
}
