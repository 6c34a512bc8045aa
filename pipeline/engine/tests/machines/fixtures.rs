//! Positions and topics in short, and how an outcome reads in an assertion.

use std::sync::Arc;

use fenliu_engine::position::Stored;
use fenliu_engine::{Error, Result};
use fenliu_schemas::{Positions, TopicIdentity, TopicPartition, Topics};

/// The topic of all these tests.
pub(crate) fn topic() -> Arc<str> {
    "news".into()
}

/// Partitions of the topic.
pub(crate) fn keys(partitions: &[i32]) -> Vec<TopicPartition> {
    partitions.iter().map(|partition| (topic(), *partition)).collect()
}

/// The next offset of each partition.
pub(crate) fn at(next: &[(i32, i64)]) -> Positions {
    next.iter().map(|(partition, next)| ((topic(), *partition), *next)).collect()
}

/// The topic with this id, seen first when it had so many partitions.
pub(crate) fn identity(id: &str, latest_below: Option<i32>) -> Topics {
    Topics::from([(topic(), TopicIdentity { id: Some(id.to_owned()), latest_below })])
}

/// What a sink or the group has stored, of the topic with this id.
pub(crate) fn stored(next: &[(i32, i64)], id: &str) -> Stored {
    Stored { positions: at(next), topics: identity(id, None) }
}

/// `news/0@5 news/1@7`.
pub(crate) fn shown(positions: &Positions) -> String {
    let each = positions.iter().map(|(topic, partition, next)| format!("{topic}/{partition}@{next}"));
    each.collect::<Vec<_>>().join(" ")
}

/// `news/0 news/1`.
pub(crate) fn named(partitions: &[TopicPartition]) -> String {
    let each = partitions.iter().map(|(topic, partition)| format!("{topic}/{partition}"));
    each.collect::<Vec<_>>().join(" ")
}

/// `ok`, or the kind of the error.
pub(crate) fn kind(outcome: &Result<()>) -> String {
    outcome.as_ref().map_or_else(|error| format!("{:?}", error.kind()), |()| "ok".to_owned())
}

/// The other side does not answer.
pub(crate) fn away() -> Error {
    Error::unavailable("no answer")
}
