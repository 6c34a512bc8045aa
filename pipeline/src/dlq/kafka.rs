//! Dead letters in a topic: the original bytes as the value, the rest as headers `fenliu.*`.
//!
//! A message without these headers is somebody else's and is left alone.

use std::ops::ControlFlow;

use rdkafka::Message;
use rdkafka::message::{BorrowedMessage, Headers};

use super::{DeadLetter, Visit};
use crate::config::{KafkaConfig, KafkaSinkConfig};
use crate::error::Result;
use crate::kafka::{TopicReader, sink_client_config};

/// Shows `visit` the letters of a topic.
///
/// # Errors
/// A broker that does not answer, a topic that is not there, the error of `visit`.
pub(super) fn read(
    kafka: &KafkaConfig,
    sink: &KafkaSinkConfig,
    payload: bool,
    visit: &mut Visit<'_>,
) -> Result<()> {
    let client = sink_client_config(kafka, sink);
    let mut strangers = 0_u64;
    TopicReader::try_new(client, &sink.topic)?.read(None, &mut |message| match letter(message, payload) {
        Some(letter) => visit(letter),
        None => {
            strangers += 1;
            Ok(ControlFlow::Continue(()))
        }
    })?;
    if strangers > 0 {
        tracing::warn!(
            topic = sink.topic,
            messages = strangers,
            "messages that are no dead letters left out"
        );
    }
    Ok(())
}

fn letter(message: &BorrowedMessage<'_>, payload: bool) -> Option<DeadLetter> {
    let headers = message.headers()?;
    let text = |name: &str| {
        let header = headers.iter().find(|header| header.key.strip_prefix("fenliu.") == Some(name))?;
        header.value.map(|value| String::from_utf8_lossy(value).into_owned())
    };
    Some(DeadLetter {
        topic: text("topic")?,
        partition: text("partition")?.parse().ok()?,
        offset: text("offset")?.parse().ok()?,
        timestamp_ms: text("timestamp_ms").and_then(|millis| millis.parse().ok()),
        id: None,
        stage: text("stage")?,
        reason: text("reason")?,
        detail: text("detail"),
        model_version: text("model_version"),
        rejected_at_ms: message.timestamp().to_millis(),
        payload: payload.then(|| message.payload().unwrap_or_default().to_vec()),
    })
}
