//! The manifests of a directory of data files: which files are part of the data, and the positions of the sink.
//!
//! Manifest *n* is a small JSON file, `_manifests/0000000/000000000n.json`: the disk or the bucket lets only one
//! process make a given number. It names the files that one commit adds and removes, the offsets that they cover, and
//! the positions of all partitions after it, so the newest manifest alone says where to begin. The data are the files
//! that were added and not removed; [`Contents`] adds them up.
//!
//! Manifests are never changed or removed, so a process that has slept cannot make a number a second time.
//!
//! [`Contents`]: super::contents::Contents

use std::io::Read;
use std::sync::Arc;

use fenliu_engine::position::{Moves, Stored};
use fenliu_engine::{Error, Result};
use fenliu_schemas::{Positions, TopicIdentity, Topics};
use serde::{Deserialize, Serialize};

use super::directory::DirectoryRef;
use super::names::file_name;

const DIRECTORY: &str = "_manifests/";

/// The versions of the format: the first, that with `removed`, that with listings of a range. A manifest has the
/// lowest that it needs.
const FORMAT: u32 = 1;
const FORMAT_REMOVED: u32 = 2;
const FORMAT_RANGE: u32 = 3;

/// How many manifests a sub-directory has: this keeps listings short.
const PER_DIRECTORY: u64 = 1000;

/// One commit.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Manifest {
    /// Version of this format.
    pub(crate) format: u32,
    /// Number of the commit, from 1.
    pub(crate) number: u64,
    /// RFC 3339.
    pub(crate) committed_at: String,
    /// The pipeline that committed.
    pub(crate) pipeline: String,
    /// The files that the commit adds.
    pub(crate) files: Vec<DataFile>,
    /// The files that are no part of the data from this commit on, or that never will be: hidden ones that no commit
    /// named, and in manifests of earlier releases those whose rows are in `files` now.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) removed: Vec<String>,
    /// The source positions that it covers, dropped and filtered rows included.
    pub(crate) covers: Vec<Covered>,
    /// The positions after it, of every pipeline that writes here.
    pub(crate) positions: Vec<Position>,
    /// What pipelines know of the topics that their positions belong to; absent in manifests of releases that did not
    /// store it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) topics: Vec<TopicNote>,
    /// All commits up to this number had been completed when this one was made. 0 in manifests from before there
    /// was such a number.
    #[serde(default)]
    pub(crate) settled: u64,
    /// What this manifest and those before it add up to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) listing: Option<Listing>,
}

/// A data file.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct DataFile {
    /// Path within the directory.
    pub(crate) name: String,
    /// Rows in it.
    pub(crate) rows: u64,
    /// Its length.
    pub(crate) bytes: u64,
    /// SHA-256 of its bytes, hexadecimal.
    pub(crate) sha256: String,
    /// The versions of the model that labelled the rows of its commit.
    pub(crate) model_versions: Vec<String>,
}

/// Offsets `first..next` of a partition; `first` is absent in a pipeline's first commit of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Covered {
    topic: String,
    partition: i32,
    #[serde(skip_serializing_if = "Option::is_none")]
    first: Option<i64>,
    next: i64,
}

/// The next offset that a pipeline wants of a partition.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Position {
    pipeline: String,
    topic: String,
    partition: i32,
    next: i64,
}

impl Position {
    /// Whether both are of one pipeline and one partition.
    pub(crate) fn is_of(&self, other: &Self) -> bool {
        self.pipeline == other.pipeline && self.topic == other.topic && self.partition == other.partition
    }
}

/// What identifies a topic that a pipeline reads.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct TopicNote {
    pipeline: String,
    topic: String,
    #[serde(flatten)]
    identity: TopicIdentity,
}

/// What the manifests from number `since` up to this one add up to.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Listing {
    /// Number of the first manifest that is counted; 1 in manifests of earlier releases, which counted all.
    #[serde(default = "first")]
    pub(super) since: u64,
    /// The files that these manifests add and do not remove.
    pub(super) files: Vec<DataFile>,
    /// The files that these manifests remove from what earlier ones add.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) removed: Vec<String>,
    /// Where pipelines began with the partitions of their sources.
    pub(super) beginnings: Vec<Position>,
}

fn first() -> u64 {
    1
}

impl Manifest {
    /// The positions of `pipeline` after this commit.
    pub(crate) fn positions_of(&self, pipeline: &str) -> Positions {
        positions_of(&self.positions, pipeline)
    }

    /// The stored identities of the topics of `pipeline` after this commit.
    pub(crate) fn topics_of(&self, pipeline: &str) -> Topics {
        let own = self.topics.iter().filter(|note| note.pipeline == pipeline);
        own.map(|note| (Arc::from(note.topic.as_str()), note.identity.clone())).collect()
    }

    /// What the sink of `pipeline` has stored after this commit.
    pub(crate) fn stored_of(&self, pipeline: &str) -> Stored {
        Stored { positions: self.positions_of(pipeline), topics: self.topics_of(pipeline) }
    }

    /// Where pipelines began with the Kafka partitions that they first had with this commit, which gives them
    /// their positions before there are rows.
    pub(crate) fn beginnings(&self) -> impl Iterator<Item = Position> {
        self.covers.iter().filter(|covered| covered.first.is_none()).map(|covered| Position {
            pipeline: self.pipeline.clone(),
            topic: covered.topic.clone(),
            partition: covered.partition,
            next: covered.next,
        })
    }

    /// The manifest of the commit after `latest` with which `pipeline` makes `moves`. All commits up to `latest` must
    /// be completed.
    pub(crate) fn after(latest: Option<&Self>, pipeline: &str, moves: &Moves, files: Vec<DataFile>) -> Self {
        let newest = latest.map_or(0, |latest| latest.number);
        let mut manifest = Manifest {
            format: FORMAT,
            number: newest + 1,
            committed_at: chrono::Utc::now().to_rfc3339(),
            pipeline: pipeline.to_owned(),
            files,
            removed: vec![],
            covers: vec![],
            positions: latest.map_or_else(Vec::new, |latest| latest.positions.clone()),
            topics: latest.map_or_else(Vec::new, |latest| latest.topics.clone()),
            settled: newest,
            listing: None,
        };
        for m in moves.iter() {
            // The positions of other partitions and pipelines are carried over: the newest manifest alone says where
            // all of them stand.
            manifest.positions.retain(|p| {
                p.pipeline != pipeline || p.topic != m.topic.as_ref() || p.partition != m.partition
            });
            let (pipeline, topic) = (pipeline.to_owned(), m.topic.to_string());
            manifest.positions.push(Position { pipeline, topic, partition: m.partition, next: m.to });
        }
        for (topic, identity) in moves.topics() {
            manifest.topics.retain(|note| note.pipeline != pipeline || note.topic != topic.as_ref());
            let (pipeline, topic) = (pipeline.to_owned(), topic.to_string());
            manifest.topics.push(TopicNote { pipeline, topic, identity: identity.clone() });
        }
        let covers = moves.iter().map(|m| Covered {
            topic: m.topic.to_string(),
            partition: m.partition,
            first: m.from,
            next: m.to,
        });
        manifest.covers.extend(covers);
        manifest
    }

    /// Lets the commit also remove hidden files that no commit named and never will.
    pub(super) fn remove_leftovers(&mut self, names: Vec<String>) {
        if !names.is_empty() {
            self.format = self.format.max(FORMAT_REMOVED);
            self.removed = names;
        }
    }

    /// Adds the listing to this manifest.
    pub(super) fn list(&mut self, listing: Listing) {
        self.format = FORMAT_RANGE;
        self.listing = Some(listing);
    }

    /// Number of the first manifest whose contents are known from this one: the beginning of its listing, or its own
    /// number.
    pub(super) fn first_covered(&self) -> u64 {
        self.listing.as_ref().map_or(self.number, |listing| listing.since)
    }

    /// Whether it says that the file `name` is not part of the data. The directory of the file is ignored: hidden files
    /// lie at the top, and names are unique without it.
    pub(crate) fn removes(&self, name: &str) -> bool {
        self.removed.iter().any(|removed| file_name(removed) == file_name(name))
    }
}

/// The positions that `pipeline` has among `positions`.
pub(crate) fn positions_of<'a>(
    positions: impl IntoIterator<Item = &'a Position>,
    pipeline: &str,
) -> Positions {
    let own = positions.into_iter().filter(|position| position.pipeline == pipeline);
    own.map(|p| ((Arc::from(p.topic.as_str()), p.partition), p.next)).collect()
}

/// The manifests of one directory.
#[derive(Clone, Debug)]
pub(crate) struct ManifestLog {
    directory: DirectoryRef,
}

impl ManifestLog {
    /// The manifests of the data files in `directory`.
    pub(crate) fn of(directory: &DirectoryRef) -> Self {
        ManifestLog { directory: DirectoryRef::clone(directory) }
    }

    /// The newest manifest.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(crate) fn latest(&self) -> Result<Option<Manifest>> {
        let Some(newest) = self.numbers(DIRECTORY)?.into_iter().max() else { return Ok(None) };
        // A process that was killed may have made the newest sub-directory and no manifest in it.
        let candidates = [Some(newest), newest.checked_sub(1)];
        for group in candidates.into_iter().flatten() {
            if let Some(number) = self.numbers(&self::group(group))?.into_iter().max() {
                return self.read(number).map(Some);
            }
        }
        Ok(None)
    }

    /// The manifests after number `seen` up to `newest`, from the oldest to the newest.
    pub(crate) fn between(&self, seen: u64, newest: u64) -> impl Iterator<Item = Result<Manifest>> + use<'_> {
        (seen + 1..=newest).map(|number| self.read(number))
    }

    /// All manifests from the newest to the oldest.
    pub(crate) fn newest_first(&self) -> Result<impl Iterator<Item = Result<Manifest>> + use<>> {
        // Numbers have no gaps: each manifest follows the newest one, and none is removed.
        let newest = self.latest()?.map_or(0, |manifest| manifest.number);
        let log = self.clone();
        Ok((1..=newest).rev().map(move |number| log.read(number)))
    }

    /// Adds a manifest; false when its number is taken.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn append(&self, manifest: &Manifest) -> Result<bool> {
        let text = serde_json::to_vec_pretty(manifest).map_err(|error| Error::internal(error.to_string()))?;
        if self.directory.create(&name(manifest.number), &text)? {
            return Ok(true);
        }
        // In a bucket, a request whose answer was lost is repeated, and the second one finds what the first one made.
        // Texts of two processes differ: they have the time, and the names of their files.
        Ok(self.text(manifest.number)?.is_some_and(|there| there == text))
    }

    /// Manifest `number`.
    ///
    /// # Errors
    /// When it is not there, or not of a format that is known.
    pub(crate) fn read(&self, number: u64) -> Result<Manifest> {
        let path = self.directory.path(&name(number));
        let refused = |why: String| Error::input(format!("{}: {why}", path.display()));
        let text = self.text(number)?.ok_or_else(|| refused("missing".into()))?;
        let manifest: Manifest = serde_json::from_slice(&text)
            .map_err(|error| refused(format!("not a manifest of fenliu: {error}")))?;
        if manifest.format > FORMAT_RANGE {
            let format = manifest.format;
            return Err(refused(format!(
                "of format {format}, newer than this program knows ({FORMAT_RANGE})"
            )));
        }
        Ok(manifest)
    }

    fn text(&self, number: u64) -> Result<Option<Vec<u8>>> {
        let name = name(number);
        let Some(mut file) = self.directory.read(&name)? else { return Ok(None) };
        let mut text = vec![];
        file.read_to_end(&mut text).map_err(Error::file("read", self.directory.path(&name)))?;
        Ok(Some(text))
    }

    /// The numbers that names in `place` begin with.
    fn numbers(&self, place: &str) -> Result<Vec<u64>> {
        // Other names are passed over, such as the hidden file of a process that was killed while it made a manifest.
        let number = |name: &String| name.split(['.', '/']).next()?.parse().ok();
        Ok(self.directory.names(place)?.iter().filter_map(number).collect())
    }
}

fn group(group: u64) -> String {
    format!("{DIRECTORY}{group:07}/")
}

fn name(number: u64) -> String {
    format!("{}{number:010}.json", group(number / PER_DIRECTORY))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moves(from: Option<i64>, to: i64, topics: &Topics) -> Moves {
        let mut stored = Positions::default();
        let topic: Arc<str> = "news".into();
        let Some(from) = from else {
            stored.set(&topic, 0, to);
            return Moves::first(&stored).with_topics(topics.clone());
        };
        stored.set(&topic, 0, from);
        let mut covered = fenliu_schemas::Offsets::default();
        covered.add(&topic, 0, from, to - 1);
        Moves::plan(&stored, &covered).unwrap().with_topics(topics.clone())
    }

    fn identity(id: &str, latest_below: i32) -> Topics {
        let identity = TopicIdentity { id: Some(id.into()), latest_below: Some(latest_below) };
        Topics::from([("news".into(), identity)])
    }

    /// Written to bytes and read again.
    fn kept(manifest: &Manifest) -> Manifest {
        serde_json::from_slice(&serde_json::to_vec(manifest).unwrap()).unwrap()
    }

    #[test]
    fn topics_are_stored_with_the_positions_and_kept_by_the_commits_of_others() {
        let first = kept(&Manifest::after(None, "p", &moves(None, 0, &identity("a", 2)), vec![]));
        assert_eq!(first.topics_of("p"), identity("a", 2));
        assert_eq!(first.topics_of("q"), Topics::new());
        let other = kept(&Manifest::after(Some(&first), "q", &moves(None, 5, &identity("b", 1)), vec![]));
        assert_eq!((other.topics_of("p"), other.topics_of("q")), (identity("a", 2), identity("b", 1)));
        let next = Manifest::after(Some(&other), "p", &moves(Some(0), 9, &identity("c", 2)), vec![]);
        assert_eq!(kept(&next).stored_of("p").topics, identity("c", 2));
        assert_eq!(kept(&next).stored_of("p").positions.get("news", 0), Some(9));
    }

    #[test]
    fn a_manifest_of_an_earlier_release_knows_no_topic() {
        let mut value =
            serde_json::to_value(Manifest::after(None, "p", &moves(None, 3, &Topics::new()), vec![]))
                .unwrap();
        assert!(value.as_object_mut().unwrap().remove("topics").is_none(), "empty ones are not written");
        let old: Manifest = serde_json::from_value(value).unwrap();
        assert_eq!(old.stored_of("p").positions.get("news", 0), Some(3));
        let next = Manifest::after(Some(&old), "p", &moves(Some(3), 4, &identity("a", 1)), vec![]);
        assert_eq!(next.topics_of("p"), identity("a", 1));
    }
}
