//! Opening a bundle by the name that configurations and command lines use.

use std::path::Path;

use super::Registry;
use crate::bundle::{Bundle, MANIFEST_FILE};
use crate::error::Result;

impl Bundle {
    /// Opens what `path` names: a version directory; or a model directory `models/<name>`, whose champion or,
    /// without one, newest version is taken; or `models/<name>@<selector>`, see [`Registry::resolve`].
    ///
    /// Reads every file once to compare it with its digest.
    ///
    /// # Errors
    ///
    /// There is no bundle at `path`; a file is missing, changed, cut short or not listed in `SHA256SUMS`; a
    /// description is invalid or of a newer format; an alias pins other bytes.
    pub fn open(path: &Path) -> Result<Self> {
        if path.join(MANIFEST_FILE).exists() {
            return Self::open_version(path);
        }
        let (registry, selector) = Registry::find(path)?;
        match selector {
            Some(selector) => registry.bundle(&selector),
            None => registry.current_bundle(),
        }
    }
}
