//! Building a bundle in a staging directory and publishing it by one rename.

use std::fs::File;
use std::path::{Path, PathBuf};

use ulid::Ulid;

use super::digest::{self, SUMS_FILE};
use super::{Bundle, FORMAT, LABELS_FILE, MANIFEST_FILE, Manifest, ModelDescription};
use crate::error::{ModelError, Result};
use crate::labels::Labels;

/// A bundle that is being built. Dropping it without [`BundleWriter::finish`] removes what was
/// written.
#[derive(Debug)]
pub struct BundleWriter {
    name: String,
    version: Ulid,
    versions: PathBuf,
    stage: PathBuf,
    is_published: bool,
}

impl BundleWriter {
    /// Makes an empty staging directory `<root>/<name>/versions/.staging-<ulid>`.
    ///
    /// # Errors
    ///
    /// `name` is not usable as a directory name, or the directory cannot be made.
    pub fn create(root: &Path, name: &str) -> Result<Self> {
        check_name(name)?;
        let version = Ulid::generate();
        let versions = root.join(name).join("versions");
        std::fs::create_dir_all(&versions).map_err(ModelError::io("create", &versions))?;
        let stage = versions.join(format!(".staging-{version}"));
        std::fs::create_dir(&stage).map_err(ModelError::io("create", &stage))?;
        Ok(Self { name: name.to_owned(), version, versions, stage, is_published: false })
    }

    /// The staging directory: every file of the bundle but `manifest.json` and `SHA256SUMS` goes
    /// here before [`BundleWriter::finish`].
    pub fn path(&self) -> &Path {
        &self.stage
    }

    /// What is staged as a bundle, unverified and without a manifest on disk: to run a model before it is
    /// published.
    ///
    /// # Errors
    ///
    /// There are no valid labels in the stage.
    pub(crate) fn preview(&self, model: &ModelDescription) -> Result<Bundle> {
        let labels = Labels::load(&self.stage.join(LABELS_FILE))?;
        Ok(Bundle { path: self.stage.clone(), manifest: self.manifest(model.clone()), labels })
    }

    fn manifest(&self, model: ModelDescription) -> Manifest {
        Manifest {
            format: FORMAT,
            name: self.name.clone(),
            version: self.version.to_string(),
            created_at: chrono::DateTime::<chrono::Utc>::from(self.version.datetime()).to_rfc3339(),
            model,
        }
    }

    /// Writes `manifest.json` and `SHA256SUMS`, checks that the bundle opens, brings all of it to
    /// disk, and renames it to `versions/<ulid>`.
    ///
    /// # Errors
    ///
    /// A file cannot be written, or what was staged is not a valid bundle; nothing is published
    /// then.
    pub fn finish(mut self, model: ModelDescription) -> Result<Bundle> {
        let manifest = self.manifest(model);
        let manifest_path = self.stage.join(MANIFEST_FILE);
        let json = serde_json::to_vec_pretty(&manifest).map_err(ModelError::json(&manifest_path))?;
        std::fs::write(&manifest_path, json).map_err(ModelError::io("write", &manifest_path))?;
        let sums_path = self.stage.join(SUMS_FILE);
        std::fs::write(&sums_path, digest::sums(&self.stage)?)
            .map_err(ModelError::io("write", &sums_path))?;

        let mut bundle = Bundle::open_version(&self.stage)?;
        sync_tree(&self.stage)?;
        let target = self.versions.join(self.version.to_string());
        std::fs::rename(&self.stage, &target).map_err(ModelError::io("rename", &self.stage))?;
        self.is_published = true;
        sync(&self.versions)?;
        bundle.path = target;
        Ok(bundle)
    }
}

impl Drop for BundleWriter {
    fn drop(&mut self) {
        if !self.is_published
            && let Err(error) = std::fs::remove_dir_all(&self.stage)
        {
            tracing::warn!(path = %self.stage.display(), %error, "cannot remove unfinished bundle");
        }
    }
}

/// A name becomes a directory, and is written `name@alias` on command lines.
fn check_name(name: &str) -> Result<()> {
    let is_allowed = |character: char| character.is_alphanumeric() || "-_.".contains(character);
    if name.is_empty() || name.starts_with('.') || !name.chars().all(is_allowed) {
        let bound = "must be letters, digits, `-`, `_` or `.`, and not start with `.`";
        return Err(ModelError::option("name", format!("`{name}`"), bound));
    }
    Ok(())
}

/// Brings every file and directory below `directory`, and itself, to disk.
fn sync_tree(directory: &Path) -> Result<()> {
    for entry in std::fs::read_dir(directory).map_err(ModelError::io("list", directory))? {
        let path = entry.map_err(ModelError::io("list", directory))?.path();
        if path.is_dir() { sync_tree(&path)? } else { sync(&path)? }
    }
    sync(directory)
}

fn sync(path: &Path) -> Result<()> {
    File::open(path).and_then(|file| file.sync_all()).map_err(ModelError::io("sync", path))
}
