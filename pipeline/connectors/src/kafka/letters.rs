//! Dead letters in a topic: the original bytes as the value, the rest as headers `fenliu.*`.
//!
//! A message without these headers was written by someone else and is left out.

use std::ops::ControlFlow;

use fenliu_engine::Result;
use rdkafka::message::{BorrowedMessage, Headers};
use rdkafka::{ClientConfig, Message};

use super::reader::TopicReader;
use crate::dead_letter::DeadLetter;
use crate::reader::VisitLetter;

/// Shows `visit` the letters of a topic.
///
/// # Errors
/// A broker that does not answer, a topic that is not there, the error of `visit`.
pub(super) fn read(
    client: ClientConfig,
    topic: &str,
    payload: bool,
    visit: &mut VisitLetter<'_>,
) -> Result<()> {
    let mut others = 0_u64;
    TopicReader::try_new(client, topic)?.read(None, &mut |message| match letter(message, payload) {
        Some(letter) => visit(letter),
        None => {
            others += 1;
            Ok(ControlFlow::Continue(()))
        }
    })?;
    if others > 0 {
        tracing::warn!(
            event = "other_messages",
            topic,
            messages = others,
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
