//! Where the messages of a sink's topic come from: committed ones only, a JSON object each.

use std::borrow::Cow;
use std::ops::ControlFlow;

use indicatif::ProgressBar;
use rdkafka::Message;
use serde::Deserialize;

use super::partitions::Found;
use super::rows::Sole;
use crate::config::{KafkaConfig, KafkaSinkConfig};
use crate::error::Result;
use crate::kafka::{TopicReader, sink_client_config};

/// What a message says of its place.
#[derive(Debug, Default, Deserialize)]
struct Place<'a> {
    #[serde(borrow)]
    topic: Option<Cow<'a, str>>,
    partition: Option<i32>,
    offset: Option<i64>,
}

/// Notes every message of the topic in `found`.
///
/// # Errors
/// A broker that does not answer, a topic that is not there.
pub(super) fn read(
    kafka: &KafkaConfig,
    sink: &KafkaSinkConfig,
    sole: &Sole,
    found: &mut Found,
    progress: &ProgressBar,
) -> Result<()> {
    let reader = TopicReader::try_new(sink_client_config(kafka, sink), &sink.topic)?;
    let ends = reader.read(None, &mut |message| {
        progress.inc(1);
        let place: Place<'_> =
            serde_json::from_slice(message.payload().unwrap_or_default()).unwrap_or_default();
        sole.note(found, place.topic.as_deref(), place.partition, place.offset);
        Ok(ControlFlow::Continue(()))
    })?;
    let deleted: i64 = ends.values().map(|(first, _)| first).sum();
    if deleted > 0 {
        let note =
            format!("the topic has deleted its first {deleted} offsets: what was there counts as lost");
        found.notes.push(note);
    }
    Ok(())
}
