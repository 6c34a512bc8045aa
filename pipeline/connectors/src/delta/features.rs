//! What may be done with a table whose protocol has a feature: one line a feature, with the reason.
//!
//! This is a list of permissions. A feature that it does not have, such as one of a later release of Delta Lake, is
//! refused by its name, and so is a version of the protocol that is not known. It is read from the source of
//! `deltalake` 0.32: what that library's `ProtocolChecker` refuses to commit to is refused here before a data file is
//! written, and of what it accepts only that which [`RecordBatchWriter`](deltalake::writer::RecordBatchWriter) and
//! the commits of this sink honour. Constraints and columns that a feature allows are checked in
//! [`rules`](super::rules).

use deltalake::kernel::Protocol;

/// What is to be done with a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    /// Read its rows.
    Read,
    /// Add rows.
    Append,
    /// Replace files by others with the same rows.
    Compact,
    /// Remove files that are no longer part of it.
    Vacuum,
}

use Use::{Append, Compact, Read, Vacuum};

impl Use {
    /// For messages: "the table cannot be ...".
    pub(super) fn participle(self) -> &'static str {
        match self {
            Read => "read",
            Append => "written to",
            Compact => "compacted",
            Vacuum => "vacuumed",
        }
    }

    /// For messages: what a user can do about it.
    pub(super) fn remedy(self) -> &'static str {
        match self {
            Read => "read it with an engine that has this, or drop it there (`ALTER TABLE ... DROP FEATURE`)",
            Append => {
                "drop this with the engine that set it (such as `ALTER TABLE ... DROP CONSTRAINT` or `DROP FEATURE`), \
                 or name another table in `path`"
            }
            Compact => "leave it to the engine that set this (`OPTIMIZE`)",
            Vacuum => "leave it to the engine that set this (`VACUUM`)",
        }
    }
}

/// What may be done with a table that has the feature, and why the rest may not.
struct Feature {
    name: &'static str,
    allowed: &'static [Use],
    reason: &'static str,
}

const fn feature(name: &'static str, allowed: &'static [Use], reason: &'static str) -> Feature {
    Feature { name, allowed, reason }
}

const ALL: &[Use] = &[Read, Append, Compact, Vacuum];
const READ: &[Use] = &[Read];
const NONE: &[Use] = &[];

/// Readers need to know only the features in `readerFeatures`: for the others `Read` has no meaning.
const FEATURES: &[Feature] = &[
    feature("appendOnly", ALL, "rows are added, and compaction marks that it changes no data"),
    feature("invariants", ALL, "a column that has an invariant is refused by its metadata"),
    feature("checkConstraints", ALL, "a table that has a constraint is refused by its properties"),
    feature("generatedColumns", ALL, "a generated column is refused by its metadata"),
    feature("changeDataFeed", ALL, "readers derive the changes from files that are only added"),
    feature("timestampNtz", ALL, "such columns are written and rewritten as they are"),
    feature("deletionVectors", &[Read, Append, Compact], "the library takes their files for orphans"),
    feature("columnMapping", READ, "the library does not write columns by their physical names"),
    feature("variantType", READ, "the library's encoding was not compared with other engines"),
    feature("variantType-preview", READ, "the library's encoding was not compared with other engines"),
    feature("variantShredding-preview", NONE, "the library does not read shredded variants"),
    feature("typeWidening", NONE, "the library does not convert files of the narrower types"),
    feature("typeWidening-preview", NONE, "the library does not convert files of the narrower types"),
    feature("identityColumns", NONE, "the library does not generate values of identity columns"),
    feature("allowColumnDefaults", NONE, "the library does not commit to tables with defaults"),
    feature("rowTracking", NONE, "the library does not give new files the ids of their rows"),
    feature("domainMetadata", NONE, "the library does not commit to tables with domain metadata"),
    feature("clustering", NONE, "the library does not commit to clustered tables"),
    feature("inCommitTimestamp", NONE, "the library does not write timestamps into commits"),
    feature("icebergCompatV1", NONE, "the library does not write files that suit Apache Iceberg"),
    feature("icebergCompatV2", NONE, "the library does not write files that suit Apache Iceberg"),
    feature("icebergCompatV3", NONE, "the library does not write files that suit Apache Iceberg"),
    feature("icebergWriterCompatV1", NONE, "the library does not write files that suit Apache Iceberg"),
    feature("materializePartitionColumns", NONE, "the library leaves these columns out of data files"),
    feature("v2Checkpoint", NONE, "the library does not read tables with such checkpoints"),
    feature("checkpointProtection", NONE, "the library does not keep the checkpoints that it protects"),
    feature("vacuumProtocolCheck", NONE, "the library does not read tables with it"),
    feature("catalogManaged", NONE, "commits have to go through the catalog"),
    feature("catalogOwned-preview", NONE, "commits have to go through the catalog"),
    feature("coordinatedCommits-preview", NONE, "commits have to go through the coordinator"),
];

/// What a writer version below 7 implies, from which version on.
const LEGACY: &[(i32, &str)] = &[
    (2, "appendOnly"),
    (2, "invariants"),
    (3, "checkConstraints"),
    (4, "changeDataFeed"),
    (4, "generatedColumns"),
    (5, "columnMapping"),
    (6, "identityColumns"),
];

/// From these versions on, features are listed by name; no later version is known.
const READER_LISTS: i32 = 3;
const WRITER_LISTS: i32 = 7;

/// What `protocol` has that forbids `wanted`, for messages: "the table has ...".
pub(super) fn obstacles(protocol: &Protocol, wanted: Use) -> Vec<String> {
    let mut problems = vec![];
    let features = required(protocol, wanted, &mut problems);
    problems.extend(features.iter().filter_map(|feature| {
        let why = refusal(&feature.name, wanted)?;
        Some(format!("the feature `{}`{} ({why})", feature.name, feature.implied_by))
    }));
    problems
}

/// Why the feature forbids `wanted`; `None` where it allows it.
fn refusal(name: &str, wanted: Use) -> Option<&'static str> {
    match FEATURES.iter().find(|feature| feature.name == name) {
        Some(feature) => (!feature.allowed.contains(&wanted)).then_some(feature.reason),
        None => Some("this version of fenliu does not know it"),
    }
}

/// A feature that a protocol asks for.
struct Required {
    name: String,
    /// For messages: the version that implies it; empty where it is listed.
    implied_by: String,
}

/// The features that `wanted` has to honour: a writer has to honour those for readers as well. What is wrong with the
/// protocol itself is added to `problems`.
fn required(protocol: &Protocol, wanted: Use, problems: &mut Vec<String>) -> Vec<Required> {
    let mut features = reader_features(protocol, problems);
    if wanted != Read {
        for feature in writer_features(protocol, problems) {
            if features.iter().all(|known| known.name != feature.name) {
                features.push(feature);
            }
        }
    }
    features
}

fn reader_features(protocol: &Protocol, problems: &mut Vec<String>) -> Vec<Required> {
    // Of the two versions below the lists, only 2 implies a feature. A version without its list, or a list without its
    // version, is malformed by the Delta protocol.
    match (protocol.min_reader_version(), protocol.reader_features()) {
        (1, None) => vec![],
        (2, None) => {
            vec![Required {
                name: "columnMapping".into(),
                implied_by: ", implied by reader version 2".into(),
            }]
        }
        (READER_LISTS, Some(listed)) => listed.iter().map(by_name).collect(),
        (version, listed) => {
            problems.push(malformed("Reader", "readerFeatures", version, READER_LISTS, listed.is_some()));
            vec![]
        }
    }
}

fn writer_features(protocol: &Protocol, problems: &mut Vec<String>) -> Vec<Required> {
    match (protocol.min_writer_version(), protocol.writer_features()) {
        (version @ 1..WRITER_LISTS, None) => {
            let implied = LEGACY.iter().filter(|(since, _)| *since <= version);
            let implied_by = format!(", implied by writer version {version}");
            implied
                .map(|(_, name)| Required { name: (*name).into(), implied_by: implied_by.clone() })
                .collect()
        }
        (WRITER_LISTS, Some(listed)) => listed.iter().map(by_name).collect(),
        (version, listed) => {
            problems.push(malformed("Writer", "writerFeatures", version, WRITER_LISTS, listed.is_some()));
            vec![]
        }
    }
}

fn by_name(feature: &impl ToString) -> Required {
    Required { name: feature.to_string(), implied_by: String::new() }
}

/// What is wrong with a version and its list of features, which exists from version `lists_from` on.
fn malformed(role: &str, list: &str, version: i32, lists_from: i32, is_listed: bool) -> String {
    let minimum = format!("a malformed protocol: `min{role}Version` {version}");
    match is_listed {
        _ if version < 1 => format!("{minimum}, and versions begin at 1"),
        _ if version > lists_from => {
            format!("a protocol of `min{role}Version` {version}, and versions up to {lists_from} are known")
        }
        true => format!("{minimum} with `{list}`, which begin with version {lists_from}"),
        false => format!("{minimum} without `{list}`"),
    }
}

/// The names of all features that the list has.
#[cfg(test)]
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    FEATURES.iter().map(|feature| feature.name)
}
