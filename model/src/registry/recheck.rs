//! `rechecks/<ulid>.json`: how many labels of a version stayed the same when the cleaning of texts changed.
//!
//! A bundle is immutable and names the cleaning of its training texts. After an upgrade of the program the same cleaning
//! steps can give a few other texts; a record here says that this was measured.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::bundle::Bundle;
use crate::durable;
use crate::error::{ModelError, Result};

/// The smallest share of documents that must keep their label.
pub const REQUIRED_AGREEMENT: f64 = 0.995;

/// The fewest documents that must be compared. With 5 changes in 1,000 documents the true share of changes is below
/// 1.2 % at 95 % confidence.
pub const REQUIRED_DOCUMENTS: usize = 1000;

/// A comparison of labels before and after a change of the cleaning.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Recheck {
    /// Identifies the cleaning that was checked.
    pub fingerprint: String,
    /// When, RFC 3339, UTC.
    pub at: String,
    /// Documents that were labelled under both cleanings.
    pub documents: usize,
    /// Those of them whose label is another one now, or which are rejected now.
    pub changed: usize,
}

impl Recheck {
    /// The share of documents that kept their label; 0 if there were none.
    pub fn agreement(&self) -> f64 {
        1.0 - self.changed as f64 / self.documents.max(1) as f64
    }

    /// Whether enough documents kept their label.
    pub fn passed(&self) -> bool {
        self.documents >= REQUIRED_DOCUMENTS && self.agreement() >= REQUIRED_AGREEMENT
    }

    /// The newest record of `bundle`; `None` if there is none.
    ///
    /// # Errors
    ///
    /// The file cannot be read or is not such JSON.
    pub fn of(bundle: &Bundle) -> Result<Option<Self>> {
        let Some(path) = path(bundle).filter(|path| path.exists()) else { return Ok(None) };
        let bytes = std::fs::read(&path).map_err(ModelError::io("read", &path))?;
        serde_json::from_slice(&bytes).map(Some).map_err(ModelError::json(&path))
    }

    /// Writes the record of `bundle`.
    ///
    /// # Errors
    ///
    /// The bundle is in no registry, or the file cannot be written.
    pub fn save(&self, bundle: &Bundle) -> Result<()> {
        let problem = "it is not in a directory `versions`, so nothing can be recorded beside it";
        let path = path(bundle).ok_or_else(|| ModelError::bundle(bundle.path(), problem))?;
        durable::replace(&path, &serde_json::to_vec_pretty(self).map_err(ModelError::json(&path))?)
    }
}

/// Where the record of `bundle` is; `None` if the bundle is in no registry.
fn path(bundle: &Bundle) -> Option<PathBuf> {
    let versions = bundle.path().parent().filter(|parent| parent.ends_with("versions"))?;
    let name = Path::new(&bundle.manifest().version).with_extension("json");
    Some(versions.parent()?.join("rechecks").join(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bundle::tests::{description, staged};

    #[test]
    fn a_record_lies_beside_the_version_and_says_whether_it_passed() {
        let root = tempfile::tempdir().unwrap();
        let bundle = staged(root.path(), b"graph").finish(description()).unwrap();
        assert_eq!(Recheck::of(&bundle).unwrap(), None);
        let record = |documents, changed| Recheck {
            fingerprint: "f".into(),
            at: "2026-11-30T00:00:00Z".into(),
            documents,
            changed,
        };
        record(1000, 5).save(&bundle).unwrap();
        assert_eq!(Recheck::of(&bundle).unwrap(), Some(record(1000, 5)));
        assert!(record(1000, 5).passed());
        assert!(!record(1000, 6).passed() && !record(999, 0).passed() && !record(0, 0).passed());
    }
}
