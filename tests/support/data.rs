//! Where the documents that tests read are.

use std::path::PathBuf;

use anyhow::Result;
use fenliu_skip::{Part, skipped};

use crate::scripts;

/// A file of the real news data beside the repository (`../shared/data`), or `None`, said aloud, where it is missing.
///
/// # Panics
/// If it is missing and `FENLIU_REQUIRE` lists `data`.
#[must_use]
pub fn shared(name: &str) -> Option<PathBuf> {
    let path = scripts::repository().join("../shared/data").join(name);
    if path.is_file() {
        return Some(path);
    }
    skipped(Part::Data, format_args!("{} is missing", path.display()));
    None
}

/// The directory with `train.jsonl` and `test.jsonl` of Reuters R8, fetched on first use.
///
/// # Errors
/// If the corpus is not in the cache and cannot be fetched.
pub fn reuters() -> Result<PathBuf> {
    scripts::run("deploy/scripts/reuters.sh", &[])
}
