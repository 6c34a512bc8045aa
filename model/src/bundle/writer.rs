//! Building a bundle in a staging directory and publishing it by one rename.

use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use ulid::Ulid;

use super::digest::{self, SUMS_FILE};
use super::{Bundle, LABELS_FILE, MANIFEST_FILE, Manifest, ModelDescription};
use crate::durable::{sync, sync_tree};
use crate::error::{ModelError, Result};
use crate::labels::Labels;
use crate::lock::{ChangeLock, try_lock_directory};

/// Prefix of the names of directories with unfinished bundles.
const STAGING_PREFIX: &str = ".staging-";

/// A bundle that is being built. Dropping it without [`BundleWriter::finish`] removes its files. After a
/// crash the next writer removes them.
#[derive(Debug)]
pub struct BundleWriter {
    name: String,
    version: Ulid,
    versions: PathBuf,
    stage: PathBuf,
    is_published: bool,
    /// Shows other processes that the staging directory is in use.
    _lock: File,
}

impl BundleWriter {
    /// Creates an empty staging directory `<root>/<name>/versions/.staging-<ulid>`. Its ULID sorts after
    /// those of all other versions of the model.
    ///
    /// # Errors
    ///
    /// `name` is not allowed as the name of a model, or the directory cannot be created.
    pub fn create(root: &Path, name: &str) -> Result<Self> {
        check_name(name)?;
        let model = root.join(name);
        let versions = model.join("versions");
        std::fs::create_dir_all(&versions).map_err(ModelError::io("create", &versions))?;
        // Held until the new directory is locked. Without it, another writer could take the directory for a
        // leftover.
        let _changing = ChangeLock::wait(&model)?;
        remove_leftovers(&versions)?;
        let version = next_version(&versions)?;
        let stage = versions.join(staging_name(&version.to_string()));
        std::fs::create_dir(&stage).map_err(ModelError::io("create", &stage))?;
        let lock = try_lock_directory(&stage)?.ok_or_else(|| {
            ModelError::registry(&model, format!("another process has locked {}", stage.display()))
        })?;
        Ok(Self { name: name.to_owned(), version, versions, stage, is_published: false, _lock: lock })
    }

    /// The staging directory. All files of the bundle except `manifest.json` and `SHA256SUMS` must be written
    /// here before [`BundleWriter::finish`].
    pub fn path(&self) -> &Path {
        &self.stage
    }

    /// The staged files as a bundle, without verification and without a manifest on disk, so that a model can
    /// be run before it is published.
    ///
    /// # Errors
    ///
    /// The staging directory has no valid labels.
    pub fn preview(&self, model: &ModelDescription) -> Result<Bundle> {
        let labels = Labels::load(&self.stage.join(LABELS_FILE))?;
        Ok(Bundle { path: self.stage.clone(), manifest: self.manifest(model.clone()), labels })
    }

    fn manifest(&self, model: ModelDescription) -> Manifest {
        Manifest {
            format: model.format(),
            name: self.name.clone(),
            version: self.version.to_string(),
            created_at: chrono::DateTime::<chrono::Utc>::from(self.version.datetime()).to_rfc3339(),
            model,
        }
    }

    /// Writes `manifest.json` and `SHA256SUMS`, checks that the bundle opens, syncs all files to disk, and
    /// renames the directory to `versions/<ulid>`.
    ///
    /// # Errors
    ///
    /// A file cannot be written, or the staged files are not a valid bundle. Nothing is published then.
    pub fn finish(mut self, model: ModelDescription) -> Result<Bundle> {
        let manifest = self.manifest(model);
        let manifest_path = self.stage.join(MANIFEST_FILE);
        let json = serde_json::to_vec_pretty(&manifest).map_err(ModelError::json(&manifest_path))?;
        std::fs::write(&manifest_path, json).map_err(ModelError::io("write", &manifest_path))?;
        let sums_path = self.stage.join(SUMS_FILE);
        std::fs::write(&sums_path, digest::sums(&self.stage)?)
            .map_err(ModelError::io("write", &sums_path))?;

        // Verified in its final form, before anyone can see it.
        let mut bundle = Bundle::open_version(&self.stage)?;
        // The content must be on disk before the rename makes it visible, and the entry of the new name after it.
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

/// Checks the name of a model. It becomes a directory, and users write `name@alias`, so it must not contain
/// `/` or `@`.
fn check_name(name: &str) -> Result<()> {
    let is_allowed = |character: char| character.is_alphanumeric() || "-_.".contains(character);
    if name.is_empty() || name.starts_with('.') || !name.chars().all(is_allowed) {
        let bound = "must be letters, digits, `-`, `_` or `.`, and not start with `.`";
        return Err(ModelError::option("name", format!("`{name}`"), bound));
    }
    Ok(())
}

/// The name of the directory in `versions` for a version that is being built or removed.
pub(crate) fn staging_name(version: &str) -> String {
    format!("{STAGING_PREFIX}{version}")
}

/// Removes the staging directories of writers that crashed. The caller holds the model's [`ChangeLock`].
pub(crate) fn remove_leftovers(versions: &Path) -> Result<()> {
    for name in names(versions)?.iter().filter(|name| name.starts_with(STAGING_PREFIX)) {
        match remove_leftover(&versions.join(name)) {
            // Its writer removed it after the directory was listed.
            Err(ModelError::Io { source, .. }) if source.kind() == ErrorKind::NotFound => {}
            outcome => outcome?,
        }
    }
    Ok(())
}

fn remove_leftover(stage: &Path) -> Result<()> {
    // A living writer holds this lock until it ends, so a directory that can be locked has no writer.
    if let Some(_lock) = try_lock_directory(stage)? {
        std::fs::remove_dir_all(stage).map_err(ModelError::io("remove", stage))?;
        tracing::info!(path = %stage.display(), "removed the unfinished bundle of an interrupted writer");
    }
    Ok(())
}

/// A ULID of the current time, or the successor of the highest one that exists, so that versions sort by
/// their creation even if they are created within one millisecond or after the clock was set back.
fn next_version(versions: &Path) -> Result<Ulid> {
    let names = names(versions)?;
    // Staging directories count as well: two writers at the same time must get different versions.
    let ulids = names.iter().filter_map(|name| name.trim_start_matches(STAGING_PREFIX).parse::<Ulid>().ok());
    let newest = ulids.max().unwrap_or(Ulid::nil());
    let now = Ulid::generate();
    if now > newest {
        return Ok(now);
    }
    newest
        .increment()
        .map_err(|_| ModelError::bundle(versions, format!("no ULID is left after version {newest}")))
}

fn names(directory: &Path) -> Result<Vec<String>> {
    let entries = std::fs::read_dir(directory).map_err(ModelError::io("list", directory))?;
    entries
        .map(|entry| {
            let entry = entry.map_err(ModelError::io("list", directory))?;
            Ok(entry.file_name().to_string_lossy().into_owned())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bundle::tests::{description, staged};

    #[test]
    fn versions_sort_by_their_order_of_creation_even_if_the_clock_goes_back() {
        let root = tempfile::tempdir().unwrap();
        let versions = root.path().join("news/versions");
        let mut created = Vec::new();
        let mut writers = Vec::new();
        for _ in 0..200 {
            writers.push(BundleWriter::create(root.path(), "news").unwrap());
            created.push(writers[writers.len() - 1].version);
        }
        let future = Ulid::from_parts(Ulid::generate().timestamp_ms() + 3_600_000, u128::MAX >> 49);
        std::fs::create_dir(versions.join(future.to_string())).unwrap();
        created.push(future);
        created.push(BundleWriter::create(root.path(), "news").unwrap().version);
        assert!(created.is_sorted_by(|left, right| left < right), "{created:?}");
    }

    #[test]
    fn only_staging_directories_of_dead_writers_are_removed() {
        let root = tempfile::tempdir().unwrap();
        let alive = staged(root.path(), b"graph");
        let versions = root.path().join("news/versions");
        let abandoned = versions.join(staging_name("01ARZ3NDEKTSV4RRFFQ69G5FAV"));
        std::fs::create_dir_all(abandoned.join("onnx")).unwrap();
        drop(BundleWriter::create(root.path(), "news").unwrap());
        assert!(!abandoned.exists());
        let bundle = alive.finish(description()).unwrap();
        assert_eq!(names(&versions).unwrap(), [bundle.manifest().version.clone()]);
    }
}
