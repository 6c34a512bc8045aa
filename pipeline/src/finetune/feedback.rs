//! Reads corrections from a Kafka topic and from files.
//!
//! Contract: each partition of the topic is read from its beginning to the end that it has when reading starts. These
//! ends are part of the result, so that a job knows exactly which corrections it has seen. A message that is not a valid
//! correction is skipped with a reason and never stops a job.

use std::ops::ControlFlow;
use std::path::PathBuf;

use fenliu_connectors::KafkaConfig;
use fenliu_connectors::files::{Documents, data_files};
use fenliu_connectors::kafka::{Ends, TopicReader, client_config};
use fenliu_decode::time::{DateRules, parse_number, parse_text};
use fenliu_schemas::Feedback;
use rdkafka::Message;
use serde::{Deserialize, Serialize};

use crate::error::Result;

/// A correction, and the position where it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Correction {
    /// The correction itself.
    pub(super) feedback: Feedback,
    /// Where it was read.
    pub(super) place: FeedbackPosition,
}

/// Where a correction was read: topic, partition and offset of a message, or path of a file, 0 and the number of the row.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(super) struct FeedbackPosition {
    pub(super) topic: String,
    pub(super) partition: i32,
    pub(super) offset: i64,
}

/// A correction or an invalid message that is not used, with the reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Skipped {
    /// Where it was read.
    #[serde(flatten)]
    pub(super) place: FeedbackPosition,
    /// The reason as one word, for counting: `invalid_json`, `superseded`, ...
    pub(super) reason: String,
    /// Details such as the value at fault, for a person.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) detail: Option<String>,
    /// The correction; `None` if the message was invalid.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) feedback: Option<Feedback>,
}

impl Correction {
    /// Skips the correction.
    pub(super) fn skip(self, reason: impl Into<String>, detail: Option<String>) -> Skipped {
        Skipped { place: self.place, reason: reason.into(), detail, feedback: Some(self.feedback) }
    }
}

/// All corrections that were read.
#[derive(Debug, Default)]
pub(super) struct Collected {
    /// Valid corrections, in the order of files, partitions and offsets.
    pub(super) corrections: Vec<Correction>,
    /// Invalid messages.
    pub(super) skipped: Vec<Skipped>,
    /// The range of offsets that was read of each partition of the topic.
    pub(super) ends: Ends,
}

impl Collected {
    fn add(&mut self, place: FeedbackPosition, payload: &[u8], received_at: Option<i64>) {
        match decode(payload) {
            Ok(mut feedback) => {
                // A time is needed to tell which of several corrections is the latest.
                feedback.at = feedback.at.or(received_at);
                self.corrections.push(Correction { feedback, place });
            }
            Err(Undecodable { reason, detail }) => {
                let detail = Some(detail);
                self.skipped.push(Skipped { place, reason: reason.into(), detail, feedback: None });
            }
        }
    }
}

/// Reads all corrections in `paths` and adds them to `collected`.
///
/// # Errors
/// A file cannot be read.
pub(super) fn read_files(paths: &[PathBuf], collected: &mut Collected) -> Result<()> {
    if paths.is_empty() {
        return Ok(());
    }
    for path in data_files(paths)? {
        let topic = path.display().to_string();
        for row in Documents::open(&path)? {
            let row = row?;
            let position = FeedbackPosition { topic: topic.clone(), partition: 0, offset: row.number };
            collected.add(position, row.content.payload(), None);
        }
    }
    Ok(())
}

/// Reads all corrections in `topic` up to its present end and adds them to `collected`. If a correction has no `at`, the
/// timestamp of its message is used.
///
/// # Errors
/// A broker does not answer, or the topic does not exist.
pub(super) fn read_topic(kafka: &KafkaConfig, topic: &str, collected: &mut Collected) -> Result<()> {
    let begin = collected.corrections.len();
    let ends = reader(kafka, topic)?.read(None, &mut |message| {
        let (partition, offset) = (message.partition(), message.offset());
        let place = FeedbackPosition { topic: topic.to_string(), partition, offset };
        collected.add(place, message.payload().unwrap_or_default(), message.timestamp().to_millis());
        Ok(ControlFlow::Continue(()))
    })?;
    // Messages of different partitions arrive interleaved in no fixed order. Sorting makes the snapshot reproducible.
    if let Some(read) = collected.corrections.get_mut(begin..) {
        read.sort_by(|a, b| a.place.cmp(&b.place));
    }
    collected.ends = ends;
    Ok(())
}

/// A reader of the topic with the corrections.
///
/// # Errors
/// librdkafka refuses a property.
pub(super) fn reader(kafka: &KafkaConfig, topic: &str) -> Result<TopicReader> {
    TopicReader::try_new(client_config(kafka, &Default::default()), topic)
}

/// Why a message is not a valid correction.
#[derive(Debug)]
struct Undecodable {
    reason: &'static str,
    detail: String,
}

/// A string, or a number that is read as one: producers write ids and times both ways.
#[derive(Deserialize)]
#[serde(untagged)]
enum Scalar {
    Integer(i64),
    Text(String),
}

impl Scalar {
    fn into_text(self) -> String {
        match self {
            Scalar::Integer(number) => number.to_string(),
            Scalar::Text(text) => text,
        }
    }
}

/// A correction as messages and files contain it.
#[derive(Deserialize)]
struct Wire {
    id: Option<Scalar>,
    title: Option<String>,
    body: Option<String>,
    text: Option<String>,
    label: Option<Scalar>,
    by: Option<Scalar>,
    at: Option<Scalar>,
    #[serde(default)]
    withdrawn: bool,
}

fn decode(payload: &[u8]) -> std::result::Result<Feedback, Undecodable> {
    let wire: Wire = serde_json::from_slice(payload)
        .map_err(|error| Undecodable { reason: "invalid_json", detail: error.to_string() })?;
    let rules = DateRules::default();
    let at = match wire.at {
        None => None,
        Some(Scalar::Text(text)) => Some(parse_text(&text, &rules).map_err(|_| text)),
        Some(Scalar::Integer(number)) => Some(parse_number(number, &rules).map_err(|_| number.to_string())),
    };
    let at = at
        .transpose()
        .map_err(|value| Undecodable { reason: "invalid_time", detail: format!("`at` is {value}") })?
        .map(|moment| moment.millis);
    let label =
        wire.label.map(|label| label.into_text().trim().to_string()).filter(|label| !label.is_empty());
    let feedback = Feedback {
        id: wire.id.map(Scalar::into_text),
        title: wire.title,
        body: wire.body.or(wire.text),
        label: label.ok_or(Undecodable { reason: "missing_label", detail: "no `label`".into() })?,
        by: wire.by.map(Scalar::into_text),
        at,
        withdrawn: wire.withdrawn,
    };
    if feedback.id.is_none() && !feedback.has_text() {
        let detail = "neither `id` nor `text`".to_string();
        return Err(Undecodable { reason: "missing_document", detail });
    }
    Ok(feedback)
}

#[cfg(test)]
mod tests {
    use super::*;
    use fenliu_connectors::kafka::{EmbeddedBroker, MessageWriter, NewMessage};

    #[test]
    fn each_form_of_a_correction_is_read() {
        let full = br#"{"id":7,"title":"t","text":"b","label":" sports ","by":12,"at":"2023-11-14T22:13:20Z","x":1}"#;
        let expected = Feedback {
            id: Some("7".into()),
            title: Some("t".into()),
            body: Some("b".into()),
            label: "sports".into(),
            by: Some("12".into()),
            at: Some(1_700_000_000_000),
            withdrawn: false,
        };
        assert_eq!(decode(full).unwrap(), expected);
        assert_eq!(decode(br#"{"text":"x","label":"y","at":1700000000}"#).unwrap().at, expected.at);
    }

    #[test]
    fn each_invalid_message_is_skipped_with_its_reason() {
        let cases: [(&[u8], &str); 6] = [
            (b"", "invalid_json"),
            (b"{\"id\":\"1\",\"label\":[]}", "invalid_json"),
            (b"{\"text\":\"\xff\",\"label\":\"x\"}", "invalid_json"),
            (b"{\"id\":\"1\",\"label\":\" \"}", "missing_label"),
            (b"{\"text\":\" \",\"label\":\"x\"}", "missing_document"),
            (b"{\"id\":\"1\",\"label\":\"x\",\"at\":\"soon\"}", "invalid_time"),
        ];
        for (payload, reason) in cases {
            let Undecodable { reason: given, .. } = decode(payload).unwrap_err();
            assert_eq!(given, reason, "{}", String::from_utf8_lossy(payload));
        }
    }

    #[test]
    fn a_topic_is_read_up_to_its_end() {
        let broker = EmbeddedBroker::start(&["corrections".into()], 3).unwrap();
        let kafka = KafkaConfig { brokers: broker.brokers(), ..KafkaConfig::default() };
        let client = client_config(&kafka, &Default::default());
        let writer = MessageWriter::try_new(client).unwrap();
        for n in 0..20 {
            let value = format!(r#"{{"id":"{n}","label":"sports"}}"#);
            let key = n.to_string();
            let message = NewMessage::new("corrections", value.as_bytes());
            writer.send(NewMessage { key: Some(key.as_bytes()), ..message }).unwrap();
        }
        writer.send(NewMessage::new("corrections", b"broken")).unwrap();
        writer.flush().unwrap();
        let mut collected = Collected::default();
        read_topic(&kafka, "corrections", &mut collected).unwrap();
        assert_eq!((collected.corrections.len(), collected.skipped.len()), (20, 1));
        assert!(collected.corrections.iter().all(|c| c.feedback.at.is_some()), "the message's time");
        assert!(collected.corrections.is_sorted_by_key(|c| c.place.clone()));
        assert_eq!(collected.ends.values().map(|(first, next)| next - first).sum::<i64>(), 21);
    }
}
