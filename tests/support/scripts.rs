//! Runs the repository's set-up scripts, which put a thing into the user's cache and print its path.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

/// The repository's root directory.
#[must_use]
pub fn repository() -> &'static Path {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().unwrap_or(tests)
}

/// Runs the script at `path`, relative to the repository, and returns the path that it printed.
///
/// # Errors
/// If the script cannot be run, fails (the error carries its own words) or prints no existing path.
pub fn run(path: &str, args: &[&str]) -> Result<PathBuf> {
    let output = Command::new("sh")
        .arg(repository().join(path))
        .args(args)
        .output()
        .with_context(|| format!("cannot run sh {path}"))?;
    ensure!(
        output.status.success(),
        "{path}: {}: {}",
        output.status,
        String::from_utf8_lossy(&output.stderr).trim(),
    );
    let printed = PathBuf::from(String::from_utf8(output.stdout)?.trim());
    ensure!(printed.exists(), "{path} printed {printed:?}, which does not exist");
    Ok(printed)
}
