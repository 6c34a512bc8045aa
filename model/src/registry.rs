//! The versions of a model, and the aliases that name those in use.
//!
//! ```text
//! models/<name>/
//!   versions/<ulid>/          bundles, see [`crate::bundle`]
//!   aliases/champion.json     the version in use          } an AliasRecord each
//!   aliases/challenger.json   the one that may follow it  }
//!   history.jsonl             every move of an alias and every removal
//!   thresholds/               what pipelines know of their sources, see [`crate::thresholds`]
//!   rechecks/<ulid>.json      labels of a version before and after a change of the cleaning
//!   .lock  .lease             locks between processes
//! ```
//!
//! A selector names a version: its ULID or the start of it, `champion`, `challenger`, or `previous` (the
//! version that the champion replaced). Command lines and configurations use `models/<name>@<selector>`.
//!
//! Contract: an alias is replaced by one rename, so that readers need no lock, and a crash leaves either the
//! old alias or the new one. Changes of one model exclude each other, also across processes. An alias records
//! the digest of its version, and a version with another digest is not opened. Version directories never
//! change: they appear and disappear as a whole.
//!
//! Not here: deciding which version is better.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use ulid::Ulid;

use crate::bundle::Bundle;
use crate::error::{ModelError, Result};
use crate::lock::{ChangeLock, Lease};

mod alias;
mod history;
mod open;
mod recheck;
mod selector;
mod versions;

pub use alias::{Alias, AliasRecord};
pub use history::{History, HistoryEntry};
pub use recheck::{REQUIRED_AGREEMENT, REQUIRED_DOCUMENTS, Recheck};
pub use versions::VersionEntry;

use selector::Selector;

/// All versions of one model.
#[derive(Clone, Debug)]
pub struct Registry {
    model: PathBuf,
}

impl Registry {
    /// Opens the directory of a model, `models/<name>`.
    ///
    /// # Errors
    ///
    /// It does not exist or has no directory `versions`.
    pub fn open(model: &Path) -> Result<Self> {
        let registry = Self { model: model.to_path_buf() };
        if registry.versions_directory().is_dir() {
            return Ok(registry);
        }
        let problem = match (model.exists(), model.join("manifest.json").exists()) {
            (false, _) => "it does not exist",
            (_, true) => "it is one version: name the model by the directory that holds `versions`",
            _ => "it has neither manifest.json nor a directory `versions`",
        };
        Err(ModelError::registry(model, problem))
    }

    /// Opens the model of `models/<name>` or `models/<name>@<selector>` and returns the selector.
    ///
    /// # Errors
    ///
    /// As [`Registry::open`].
    pub fn find(path: &Path) -> Result<(Self, Option<String>)> {
        let (model, selector) = selector::split(path);
        Ok((Self::open(&model)?, selector))
    }

    /// The model's directory.
    pub fn path(&self) -> &Path {
        &self.model
    }

    /// The version that an alias names; `None` if it names none. A challenger that has become the champion is
    /// not reported as challenger any more.
    ///
    /// # Errors
    ///
    /// The alias's file cannot be read or is not an alias.
    pub fn alias(&self, alias: Alias) -> Result<Option<AliasRecord>> {
        let record = alias::load(&self.model, alias)?;
        if alias == Alias::Challenger && record.is_some() {
            let champion = alias::load(&self.model, Alias::Champion)?;
            return Ok(record.filter(|record| champion.is_none_or(|c| c.version != record.version)));
        }
        Ok(record)
    }

    /// The version that `models/<name>` opens: the champion, or the newest version if there is no champion.
    ///
    /// # Errors
    ///
    /// The champion's alias is unusable, or there is no version.
    pub fn current(&self) -> Result<String> {
        if let Some(champion) = self.alias(Alias::Champion)? {
            return Ok(champion.version);
        }
        let newest = self.ids()?.last().map(ToString::to_string);
        newest.ok_or_else(|| ModelError::registry(&self.model, "`versions` holds no version"))
    }

    /// The ULID of the version that `selector` names: `champion`, `challenger`, `previous`, a ULID or the
    /// start of one.
    ///
    /// # Errors
    ///
    /// The selector is invalid, it names no version or more than one, or an alias is unusable.
    pub fn resolve(&self, selector: &str) -> Result<String> {
        let parsed =
            selector.parse().map_err(|problem: String| ModelError::registry(&self.model, problem))?;
        match parsed {
            Selector::Alias(alias) => match self.alias(alias)? {
                Some(record) => Ok(record.version),
                None => Err(ModelError::registry(&self.model, format!("there is no {}", alias.name()))),
            },
            Selector::Previous => self.previous(),
            Selector::Prefix(prefix) => self.version_starting_with(&prefix),
        }
    }

    fn previous(&self) -> Result<String> {
        let champion = self.alias(Alias::Champion)?;
        champion.and_then(|champion| champion.previous).ok_or_else(|| {
            ModelError::registry(&self.model, "there is no previous champion: name the version instead")
        })
    }

    fn version_starting_with(&self, prefix: &str) -> Result<String> {
        let versions: Vec<String> = self.ids()?.iter().map(ToString::to_string).collect();
        let matching: Vec<&String> = versions.iter().filter(|version| version.starts_with(prefix)).collect();
        let problem = match matching.as_slice() {
            [version] => return Ok((*version).clone()),
            [first, .., last] => format!(
                "{} versions start with `{prefix}`, from {first} to {last}: give more of it",
                matching.len()
            ),
            [] if versions.is_empty() => "`versions` holds no version".to_owned(),
            [] => format!("no version is or starts with `{prefix}`; there are: {}", versions.join(", ")),
        };
        Err(ModelError::registry(&self.model, problem))
    }

    /// Opens and verifies the version that `selector` names, see [`Registry::resolve`].
    ///
    /// # Errors
    ///
    /// As [`Registry::resolve`] and [`Bundle::open`]; or the version has changed since the alias was set.
    pub fn bundle(&self, selector: &str) -> Result<Bundle> {
        let version = self.resolve(selector)?;
        self.open_version(&version)
    }

    /// Opens the version that [`Registry::current`] names.
    pub(crate) fn current_bundle(&self) -> Result<Bundle> {
        self.open_version(&self.current()?)
    }

    fn open_version(&self, version: &str) -> Result<Bundle> {
        let path = self.versions_directory().join(version);
        // An alias is a file that people can edit; anything but a ULID could lead out of `versions`.
        if version.parse::<Ulid>().is_err() || !path.is_dir() {
            let problem = format!("version `{version}`, which an alias names, is not in `versions`");
            return Err(ModelError::registry(&self.model, problem));
        }
        let bundle = Bundle::open_version(&path)?;
        // The digests cover the manifest but not the name of the directory.
        let written = &bundle.manifest().version;
        if written != version {
            let problem = format!("manifest.json says that it is version `{written}`");
            return Err(ModelError::bundle(&path, problem));
        }
        self.check_pinned(&bundle)?;
        Ok(bundle)
    }

    /// Refuses a version that was changed after an alias was set to it.
    fn check_pinned(&self, bundle: &Bundle) -> Result<()> {
        let actual = bundle.sums_sha256()?;
        for alias in Alias::ALL {
            let record = self.alias(alias)?.filter(|record| record.version == bundle.manifest().version);
            if let Some(record) = record.filter(|record| record.sums_sha256 != actual) {
                let problem = format!(
                    "it was changed after it became {} on {}: SHA256SUMS has the SHA-256 {actual} but aliases/{}.json says {}",
                    alias.name(),
                    record.at,
                    alias.name(),
                    record.sums_sha256
                );
                return Err(ModelError::bundle(bundle.path(), problem));
            }
        }
        Ok(())
    }

    /// Makes a version the champion, after verifying it. The version that was in use becomes `previous`. If
    /// the version was the challenger, that alias is removed. Promoting the champion has no effect.
    ///
    /// # Errors
    ///
    /// As [`Registry::bundle`]; the version has no trained head; or a file cannot be written.
    pub fn promote(&self, selector: &str, by: &str, reason: &str) -> Result<AliasRecord> {
        let _changing = ChangeLock::wait(&self.model)?;
        self.make_champion(selector, by, reason)
    }

    /// As [`Registry::promote`] if `expected` is still the champion (`None`: if there is none); otherwise does nothing and
    /// returns `None`, so that a person never replaces a champion that he or she has not seen.
    ///
    /// # Errors
    ///
    /// As [`Registry::promote`].
    pub fn promote_from(
        &self,
        expected: Option<&str>,
        selector: &str,
        by: &str,
        reason: &str,
    ) -> Result<Option<AliasRecord>> {
        let _changing = ChangeLock::wait(&self.model)?;
        let champion = self.alias(Alias::Champion)?;
        if champion.as_ref().map(|record| record.version.as_str()) != expected {
            return Ok(None);
        }
        self.make_champion(selector, by, reason).map(Some)
    }

    fn make_champion(&self, selector: &str, by: &str, reason: &str) -> Result<AliasRecord> {
        // Verified under the lock, so that no other process can remove the version before the alias names it.
        let bundle = self.usable_bundle(selector)?;
        let version = &bundle.manifest().version;
        let champion = match self.alias(Alias::Champion)? {
            Some(champion) if champion.version == *version => champion,
            _ => {
                // Without a champion, the newest version was in use: a rollback returns to that.
                let previous = Some(self.current()?).filter(|current| current != version);
                self.set(Alias::Champion, record(&bundle, by, reason, previous)?)?
            }
        };
        // After the promotion, so that a crash in between leaves two aliases for one version, and not none. `alias`
        // hides such a challenger.
        if alias::load(&self.model, Alias::Challenger)?.is_some_and(|record| record.version == *version) {
            alias::clear(&self.model, Alias::Challenger)?;
        }
        Ok(champion)
    }

    /// Makes a version the challenger, after verifying it.
    ///
    /// # Errors
    ///
    /// As [`Registry::promote`]; there is no champion that it could challenge, or it is the champion.
    pub fn set_challenger(&self, selector: &str, by: &str, reason: &str) -> Result<AliasRecord> {
        let _changing = ChangeLock::wait(&self.model)?;
        let bundle = self.usable_bundle(selector)?;
        let version = &bundle.manifest().version;
        let problem = match self.alias(Alias::Champion)? {
            Some(champion) if champion.version != *version => {
                return self.set(Alias::Challenger, record(&bundle, by, reason, None)?);
            }
            Some(_) => format!("version {version} is the champion and cannot be its own challenger"),
            None => "there is no champion to challenge: promote a version first".to_owned(),
        };
        Err(ModelError::registry(&self.model, problem))
    }

    /// Makes the previous champion the champion again, after verifying it. After that there is no `previous`.
    ///
    /// # Errors
    ///
    /// There is no previous champion, it does not open, or a file cannot be written.
    pub fn rollback(&self, by: &str, reason: &str) -> Result<AliasRecord> {
        let _changing = ChangeLock::wait(&self.model)?;
        self.return_to_previous(by, reason)
    }

    /// As [`Registry::rollback`] if `version` is still the champion; otherwise does nothing and returns
    /// `None`, so that two processes that see the same version fail roll back only once.
    ///
    /// # Errors
    ///
    /// As [`Registry::rollback`].
    pub fn rollback_from(&self, version: &str, by: &str, reason: &str) -> Result<Option<AliasRecord>> {
        let _changing = ChangeLock::wait(&self.model)?;
        match self.alias(Alias::Champion)? {
            Some(champion) if champion.version == version => self.return_to_previous(by, reason).map(Some),
            _ => Ok(None),
        }
    }

    fn return_to_previous(&self, by: &str, reason: &str) -> Result<AliasRecord> {
        let bundle = self.usable_bundle("previous")?;
        self.set(Alias::Champion, record(&bundle, by, reason, None)?)
    }

    fn set(&self, alias: Alias, record: AliasRecord) -> Result<AliasRecord> {
        // A crash may have kept the current record out of the history, so it is added before it is replaced.
        history::complete(&self.model)?;
        alias::store(&self.model, alias, &record)?;
        history::complete(&self.model)?;
        Ok(record)
    }

    fn usable_bundle(&self, selector: &str) -> Result<Bundle> {
        let bundle = self.bundle(selector)?;
        bundle.check_head()?;
        Ok(bundle)
    }

    /// All moves of aliases and removals, oldest first.
    ///
    /// # Errors
    ///
    /// A file cannot be read.
    pub fn history(&self) -> Result<History> {
        history::load(&self.model)
    }

    /// Takes the exclusive right to run a fine-tuning job of the model, until the result is dropped or the
    /// process ends. `purpose` is shown to others that try to take it.
    ///
    /// # Errors
    ///
    /// [`ModelError::Leased`] if another process or job has it.
    pub fn lease(&self, purpose: &str) -> Result<Lease> {
        Lease::take(&self.model, purpose)
    }

    fn versions_directory(&self) -> PathBuf {
        self.model.join("versions")
    }

    /// The ULIDs of all version directories, oldest first.
    fn ids(&self) -> Result<BTreeSet<Ulid>> {
        let directory = self.versions_directory();
        let mut ids = BTreeSet::new();
        for entry in std::fs::read_dir(&directory).map_err(ModelError::io("list", &directory))? {
            let name = entry.map_err(ModelError::io("list", &directory))?.file_name();
            let name = name.to_string_lossy();
            // A ULID can be written in several ways; the name of a version is the one in capitals.
            ids.extend(name.parse::<Ulid>().ok().filter(|ulid| ulid.to_string() == name));
        }
        Ok(ids)
    }
}

fn record(bundle: &Bundle, by: &str, reason: &str, previous: Option<String>) -> Result<AliasRecord> {
    Ok(AliasRecord {
        version: bundle.manifest().version.clone(),
        sums_sha256: bundle.sums_sha256()?,
        by: by.to_owned(),
        at: crate::time::now(),
        reason: reason.to_owned(),
        previous,
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::bundle::tests::{description, staged};
    use crate::bundle::{BundleWriter, ModelDescription};

    struct Fixture {
        root: tempfile::TempDir,
        versions: Vec<String>,
        registry: Registry,
    }

    /// A model `news` with `count` versions, oldest first.
    fn fixture(count: usize) -> Fixture {
        let root = tempfile::tempdir().unwrap();
        let publish =
            |_| staged(root.path(), b"graph").finish(description()).unwrap().manifest().version.clone();
        let versions = (0..count).map(publish).collect();
        let registry = Registry::open(&root.path().join("news")).unwrap();
        Fixture { root, versions, registry }
    }

    impl Fixture {
        fn open(&self, name: &str) -> Result<String> {
            Ok(Bundle::open(&self.root.path().join(name))?.manifest().version.clone())
        }

        fn file(&self, version: usize, name: &str) -> PathBuf {
            self.registry.versions_directory().join(&self.versions[version]).join(name)
        }

        fn roles(&self) -> Vec<Vec<&'static str>> {
            self.registry.versions().unwrap().into_iter().map(|entry| entry.roles).collect()
        }
    }

    #[track_caller]
    fn refused<T: std::fmt::Debug>(result: Result<T>, message: &str) {
        let error = result.unwrap_err().to_string();
        assert!(error.contains(message), "`{message}` is not in: {error}");
    }

    #[test]
    fn the_newest_version_is_in_use_until_one_is_promoted() {
        let f = fixture(3);
        let [first, second, third] = &f.versions[..] else { unreachable!() };
        assert_eq!(f.open("news").unwrap(), *third);
        refused(f.open("news@champion"), "there is no champion");
        refused(f.open("news@previous"), "there is no previous champion");

        let champion = f.registry.promote(first, "ann", "best").unwrap();
        assert_eq!((champion.by.as_str(), champion.reason.as_str()), ("ann", "best"));
        // A rollback returns to the version that was in use, even if it had never been promoted.
        assert_eq!(champion.previous.as_ref(), Some(third));
        f.registry.set_challenger(second, "job", "").unwrap();
        for (name, version) in [
            ("news", first),
            ("news@champion", first),
            ("news@challenger", second),
            ("news@previous", third),
            (&*format!("news@{}", second.to_lowercase()), second),
        ] {
            assert_eq!(f.open(name).unwrap(), *version, "{name}");
        }
        assert_eq!(f.roles(), [["champion"], ["challenger"], ["previous"]]);
    }

    #[test]
    fn promotion_removes_the_challenger_alias_and_a_rollback_works_once() {
        let f = fixture(2);
        let [first, second] = &f.versions[..] else { unreachable!() };
        refused(f.registry.set_challenger(second, "job", ""), "promote a version first");
        f.registry.promote(first, "ann", "").unwrap();
        refused(f.registry.set_challenger(first, "job", ""), "cannot be its own challenger");
        f.registry.set_challenger(second, "job", "").unwrap();
        f.registry.promote("challenger", "job", "better").unwrap();
        assert_eq!(f.registry.alias(Alias::Challenger).unwrap(), None);
        assert_eq!(f.open("news").unwrap(), *second);

        // Promoting the champion must not make it its own `previous`.
        f.registry.promote(second, "job", "again").unwrap();
        assert_eq!(f.registry.rollback_from(first, "run", "").unwrap(), None);
        let champion = f.registry.rollback_from(second, "run", "it failed").unwrap().unwrap();
        assert_eq!((&champion.version, &champion.previous), (first, &None));
        refused(f.registry.rollback("run", ""), "there is no previous champion");
        let moves: Vec<_> = f.registry.history().unwrap().entries.into_iter().map(moved).collect();
        let expected = [
            (Alias::Champion, first, ""),
            (Alias::Challenger, second, ""),
            (Alias::Champion, second, "better"),
            (Alias::Champion, first, "it failed"),
        ];
        assert_eq!(moves, expected.map(|(alias, version, why)| (alias, version.clone(), why.to_owned())));
    }

    fn moved(entry: HistoryEntry) -> (Alias, String, String) {
        match entry {
            HistoryEntry::Alias { alias, record } => (alias, record.version, record.reason),
            HistoryEntry::Remove { .. } => unreachable!(),
        }
    }

    #[test]
    fn errors_of_ambiguous_or_unknown_selectors_list_the_versions() {
        let f = fixture(2);
        refused(f.registry.bundle("champoin"), "no version is or starts with `CHAMPOIN`; there are: 01");
        refused(f.registry.bundle("0"), "2 versions start with `0`");
        refused(f.registry.bundle("../0"), "`../0` is not `champion`, `challenger`");
        refused(f.open("nosuch@champion"), "nosuch: it does not exist");
        refused(f.open("nosuch"), "nosuch: it does not exist");
    }

    #[test]
    fn damaged_versions_are_listed_with_their_problem_and_not_promoted() {
        let f = fixture(3);
        fs::write(f.file(0, "onnx/fp32.onnx"), b"grape").unwrap();
        fs::remove_file(f.file(1, "labels.json")).unwrap();
        for (version, message) in [(0, "onnx/fp32.onnx (5 bytes) was changed"), (1, "labels.json is listed")]
        {
            refused(f.registry.promote(&f.versions[version], "ann", ""), message);
        }
        let problems: Vec<_> = f.registry.versions().unwrap().into_iter().map(|v| v.problem).collect();
        assert!(matches!(&problems[..], [None, Some(problem), None] if problem.contains("labels.json")));
        assert_eq!(f.registry.alias(Alias::Champion).unwrap(), None);
        assert_eq!(f.registry.remove(&f.versions[1], "ann", "damaged").unwrap(), f.versions[1]);
    }

    #[test]
    fn a_version_that_changed_after_its_promotion_is_refused() {
        let f = fixture(2);
        f.registry.promote(&f.versions[0], "ann", "").unwrap();
        // Consistent in itself, but not the version that was promoted.
        fs::remove_dir_all(f.file(0, "")).unwrap();
        copy_flat(&f.file(1, ""), &f.file(0, ""));
        refused(f.open("news"), "manifest.json says that it is version");
        let manifest = fs::read_to_string(f.file(0, "manifest.json")).unwrap();
        fs::write(f.file(0, "manifest.json"), manifest.replace(&f.versions[1], &f.versions[0])).unwrap();
        refused(f.open("news"), "manifest.json (");
        let sums = crate::bundle::tests::sums(&f.file(0, ""));
        fs::write(f.file(0, "SHA256SUMS"), sums).unwrap();
        refused(f.open("news"), "it was changed after it became champion on");
        refused(f.registry.promote(&f.versions[0], "ann", ""), "it was changed after");
    }

    fn copy_flat(from: &Path, to: &Path) {
        fs::create_dir_all(to.join("onnx")).unwrap();
        for file in fs::read_dir(from).unwrap().chain(fs::read_dir(from.join("onnx")).unwrap()) {
            let path = file.unwrap().path();
            if path.is_file() {
                fs::copy(&path, to.join(path.strip_prefix(from).unwrap())).unwrap();
            }
        }
    }

    #[test]
    fn a_broken_alias_is_named() {
        let f = fixture(1);
        f.registry.promote(&f.versions[0], "ann", "").unwrap();
        let path = f.registry.path().join("aliases/champion.json");
        let alias = fs::read_to_string(&path).unwrap();
        for (content, message) in [
            (alias.replace(&f.versions[0], "01ARZ3NDEKTSV4RRFFQ69G5FAV"), "is not in `versions`"),
            (alias.replace(&f.versions[0], "../versions"), "`../versions`, which an alias names, is not in"),
            (alias[..alias.len() / 2].to_owned(), "invalid JSON in"),
            (String::new(), "champion.json"),
        ] {
            fs::write(&path, content).unwrap();
            refused(f.open("news"), message);
        }
    }

    #[test]
    fn an_untrained_head_is_not_promoted() {
        let root = tempfile::tempdir().unwrap();
        let untrained = ModelDescription { head_trained: false, ..description() };
        staged(root.path(), b"graph").finish(untrained).unwrap();
        let registry = Registry::open(&root.path().join("news")).unwrap();
        refused(registry.promote("0", "ann", ""), "no trained classification head: fine-tune it first");
    }

    #[test]
    fn pruning_keeps_versions_in_use_and_removes_the_oldest_others() {
        let f = fixture(6);
        let v = &f.versions;
        f.registry.promote(&v[0], "ann", "").unwrap();
        f.registry.promote(&v[2], "ann", "").unwrap();
        f.registry.set_challenger(&v[1], "ann", "").unwrap();
        for (version, role) in [(&v[0], "previous"), (&v[1], "challenger"), (&v[2], "champion")] {
            refused(f.registry.remove(version, "ann", ""), &format!("is the {role} and cannot be removed"));
        }
        let leftover = f.registry.versions_directory().join(crate::bundle::staging_name(&v[0]));
        fs::create_dir(&leftover).unwrap();
        assert_eq!(f.registry.prune(1, "ann", "full disk").unwrap(), v[3..5]);
        assert_eq!(f.registry.prune(1, "ann", "").unwrap(), [""; 0]);
        assert!(!leftover.exists());
        let left: Vec<_> = f.registry.versions().unwrap().into_iter().map(|entry| entry.version).collect();
        assert_eq!(left, [0, 1, 2, 5].map(|index: usize| v[index].clone()));
        let entries = f.registry.history().unwrap().entries;
        let removed =
            |e: &&HistoryEntry| matches!(e, HistoryEntry::Remove { reason, .. } if reason == "full disk");
        assert_eq!(entries.iter().filter(removed).count(), 2);
    }

    #[test]
    fn the_version_in_use_is_not_pruned_if_it_was_never_promoted() {
        let f = fixture(3);
        assert_eq!(f.registry.prune(0, "ann", "").unwrap(), f.versions[..2]);
        assert_eq!(f.open("news").unwrap(), f.versions[2]);
    }

    #[test]
    fn a_history_damaged_by_a_crash_is_reported_and_repaired() {
        let f = fixture(3);
        let path = f.registry.path().join("history.jsonl");
        f.registry.promote(&f.versions[0], "ann", "").unwrap();
        f.registry.promote(&f.versions[1], "ann", "银行").unwrap();
        let whole = f.registry.history().unwrap();
        let bytes = fs::read(&path).unwrap();
        let second = bytes.iter().position(|byte| *byte == b'\n').unwrap() + 1;
        for length in second..bytes.len() {
            fs::write(&path, &bytes[..length]).unwrap();
            let torn = f.registry.history().unwrap();
            assert_eq!(
                torn.entries, whole.entries,
                "the alias restores the entry that the history lost at {length}"
            );
            let reported = length > second && length + 1 < bytes.len();
            assert_eq!(!torn.problems.is_empty(), reported, "{length}: {:?}", torn.problems);
        }
        f.registry.set_challenger(&f.versions[2], "job", "").unwrap();
        let mended = f.registry.history().unwrap();
        assert_eq!((mended.entries.len(), mended.problems.len()), (3, 0));
        assert_eq!(mended.entries[..2], whole.entries[..]);
    }

    #[test]
    fn a_model_has_one_job_at_a_time() {
        let f = fixture(1);
        let lease = f.registry.lease("fine-tuning 01").unwrap();
        refused(f.registry.lease("another"), "news already has a job: fine-tuning 01, process ");
        drop(lease);
        f.registry.lease("another").unwrap();
    }

    #[test]
    fn concurrent_changes_exclude_each_other() {
        let f = fixture(4);
        std::thread::scope(|scope| {
            for version in &f.versions {
                scope.spawn(|| {
                    for _ in 0..10 {
                        f.registry.promote(version, "ann", "").unwrap();
                        assert!(f.versions.contains(&f.open("news").unwrap()));
                        drop(BundleWriter::create(f.root.path(), "news").unwrap());
                    }
                });
            }
        });
        let champion = f.registry.alias(Alias::Champion).unwrap().unwrap();
        let history = f.registry.history().unwrap();
        assert_eq!(history.problems, [""; 0]);
        let mut before = None;
        for entry in history.entries {
            let HistoryEntry::Alias { record, .. } = entry else { unreachable!() };
            assert_eq!(
                record.previous,
                before.or(Some(f.versions[3].clone())).filter(|p| *p != record.version)
            );
            before = Some(record.version);
        }
        assert_eq!(before, Some(champion.version));
    }
}
