//! Dead letters in a topic: the original bytes as the value, the original key and headers, the rest as headers
//! `fenliu.*`. Where the letters of a topic have another key than the original, the original key is in the header
//! `fenliu.key`.
//!
//! A message without these headers was written by someone else and is left out.

use std::ops::ControlFlow;

use fenliu_engine::Result;
use fenliu_schemas::Header;
use rdkafka::message::BorrowedMessage;
use rdkafka::{ClientConfig, Message};

use super::headers::{OWN_PREFIX, headers_of};
use super::messages::{ORIGINAL_KEY, PAYLOAD_BYTES};
use super::reader::TopicReader;
use crate::dead_letter::{DeadLetter, OwnedHeader};
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
    let headers = headers_of(message);
    let own = |name: &str| headers.iter().find(|(found, _)| found.strip_prefix("fenliu.") == Some(name));
    let text = |name: &str| own(name)?.1.map(|value| String::from_utf8_lossy(value).into_owned());
    let is_kept = |(name, _): &&Header<'_>| !name.starts_with(OWN_PREFIX);
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
        // No header holds this time. The letter is sent when its epoch is committed, so its own timestamp comes
        // closest.
        rejected_at_ms: message.timestamp().to_millis(),
        payload: message.payload().filter(|_| payload).map(<[u8]>::to_vec),
        cut_from: text(PAYLOAD_BYTES).and_then(|bytes| bytes.parse().ok()),
        key: original_key(message, &headers).filter(|_| payload).map(<[u8]>::to_vec),
        headers: headers.iter().filter(|_| payload).filter(is_kept).map(owned).collect(),
    })
}

/// The key of the message that the letter is of: the letter's own, unless a header says otherwise.
fn original_key<'a>(message: &'a BorrowedMessage<'_>, headers: &[Header<'a>]) -> Option<&'a [u8]> {
    match headers.iter().find(|(name, _)| name == ORIGINAL_KEY) {
        Some((_, key)) => *key,
        None => message.key(),
    }
}

fn owned((name, value): &Header<'_>) -> OwnedHeader {
    (name.to_string(), value.map(<[u8]>::to_vec))
}
