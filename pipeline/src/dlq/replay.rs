//! Sends dead letters back to where they came from, after the cause of their rejection has been fixed.
//!
//! Contract: a message gets its original bytes, key, headers and timestamp and goes to its topic and partition again.
//! One header is added, which names the message that it repeats; other headers of fenliu, which an earlier replay
//! added, are left out. (If the topic's retention is by time, a message with an old timestamp can be deleted again
//! before it is read: replay it to another topic with `--to`, or let the pipeline run meanwhile.) No message is sent
//! twice in one replay, however many copies of its dead letter there are. What an earlier replay has sent is found in
//! the target topic by the added header and left out, so that an interrupted replay can be repeated. Dead letters of
//! releases that stored neither keys nor headers are sent without them.

use std::collections::{BTreeMap, HashSet};
use std::ops::ControlFlow;

use fenliu_connectors::kafka::{
    MessageWriter, NewMessage, TopicReader, client_config, header, headers_of, keyless, without_own,
};
use fenliu_connectors::{DeadLetter, KafkaConfig};
use indicatif::ProgressBar;
use serde::Serialize;

use super::{Filter, Letters};
use crate::error::{Error, Result};
use crate::progress::bar;

/// The header that names the original message, as `topic/partition/offset`.
pub(crate) const REPLAYED_FROM: &str = "fenliu.replayed_from";

/// How far the clocks of the machines that reject and that replay may differ.
const CLOCK_SKEW_MS: i64 = 3_600_000;

/// Most kilobytes of messages that wait in the producer. The default of librdkafka is 1 GiB.
const QUEUE_KILOBYTES: &str = "65536";

/// What to replay, and how.
#[derive(Clone, Debug, Default)]
pub(crate) struct ReplayOptions {
    /// Which dead letters to replay.
    pub filter: Filter,
    /// The topic to send to, instead of the topic that each message came from.
    pub to: Option<String>,
    /// Most messages to send; `None`: all.
    pub limit: Option<u64>,
    /// Send nothing, only count what would be sent.
    pub dry_run: bool,
    /// Also send messages that were replayed before.
    pub again: bool,
}

/// The result of a replay.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Replayed {
    /// Number of messages that were sent, or would be sent, by topic.
    pub sent: BTreeMap<String, u64>,
    /// Number of dead letters that were left out because an earlier replay had sent them.
    pub replayed_before: u64,
    /// Number of dead letters that were left out because they are copies of others.
    pub copies: u64,
    /// Whether nothing was actually sent.
    pub dry_run: bool,
}

impl Replayed {
    /// How many messages were sent, or would be.
    pub(crate) fn total(&self) -> u64 {
        self.sent.values().sum()
    }
}

/// Replays dead letters to the topics of the cluster `kafka`.
///
/// # Errors
/// A dead letter cannot be read, has no payload, or came from a file and no topic is given; a target topic does not exist,
/// or is compacted and a letter has no key; or a message was not delivered.
pub(crate) fn replay(letters: &Letters, kafka: &KafkaConfig, options: &ReplayOptions) -> Result<Replayed> {
    let targets = targets(letters, options)?;
    check_keys(letters, kafka, options, &targets.keys().cloned().collect::<Vec<_>>())?;
    let mut known = BTreeMap::new();
    for (topic, since_ms) in targets {
        let reader = TopicReader::try_new(client_config(kafka, &Default::default()), &topic)?;
        if options.again {
            // Only to check that the topic exists.
            reader.ends()?;
        } else {
            known.insert(topic, replayed_before(&reader, since_ms)?);
        }
    }
    let done = Replayed { dry_run: options.dry_run, ..Replayed::default() };
    let mut replay = Replay {
        kafka,
        options,
        known,
        seen: HashSet::new(),
        writer: None,
        bar: bar(None, "messages"),
        done,
    };
    letters.read(&options.filter, true, &mut |letter| replay.send(&letter))?;
    // Sending only queues messages. Without a message, or in a dry run, there is no writer.
    replay.writer.as_ref().map_or(Ok(()), MessageWriter::flush)?;
    replay.bar.finish_and_clear();
    Ok(replay.done)
}

/// Checks before anything is sent that every dead letter for a compacted topic has a key. Brokers refuse messages
/// without a key there, and the replay would stop when a part of it has been sent already.
///
/// # Errors
/// A dead letter without a key goes to one of `topics` that is compacted.
fn check_keys(
    letters: &Letters,
    kafka: &KafkaConfig,
    options: &ReplayOptions,
    topics: &[String],
) -> Result<()> {
    let compacted = MessageWriter::try_new(client_config(kafka, &Default::default()))?.compacted(topics);
    if compacted.is_empty() {
        return Ok(());
    }
    letters.read(&options.filter, true, &mut |letter| match target(&letter, options)? {
        topic if letter.key.is_none() && compacted.contains(topic) => Err(keyless(topic)),
        _ => Ok(ControlFlow::Continue(())),
    })
}

/// The target topics, each with a lower bound of the timestamps of messages that earlier replays can have sent to it;
/// `None` if no bound is known. A replayed message has the timestamp of its original, or the time of the replay if the
/// original had none.
fn targets(letters: &Letters, options: &ReplayOptions) -> Result<BTreeMap<String, Option<i64>>> {
    let mut targets: BTreeMap<String, Option<i64>> = BTreeMap::new();
    letters.read(&options.filter, false, &mut |letter| {
        let topic = target(&letter, options)?;
        let replayed_at = letter.rejected_at_ms.map(|at| at - CLOCK_SKEW_MS);
        let since = replayed_at.map(|at| letter.timestamp_ms.map_or(at, |original| original.min(at)));
        match targets.get_mut(topic) {
            // One letter without a bound leaves the whole topic without one.
            Some(first) => *first = first.zip(since).map(|(first, since)| first.min(since)),
            None => drop(targets.insert(topic.to_string(), since)),
        }
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(targets)
}

/// The origins of the messages that replays have sent to a topic.
fn replayed_before(reader: &TopicReader, since_ms: Option<i64>) -> Result<HashSet<String>> {
    let mut known = HashSet::new();
    reader.read(since_ms, &mut |message| {
        let headers = headers_of(message);
        let origin = headers.iter().find(|(name, _)| name == REPLAYED_FROM).and_then(|(_, origin)| *origin);
        known.extend(origin.map(|origin| String::from_utf8_lossy(origin).into_owned()));
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(known)
}

/// The topic that a letter goes to.
fn target<'a>(letter: &'a DeadLetter, options: &'a ReplayOptions) -> Result<&'a str> {
    let topic = options.to.as_deref().unwrap_or(&letter.topic);
    // What Kafka allows in a name.
    if topic.chars().all(|c| c.is_ascii_alphanumeric() || ".-_".contains(c)) {
        return Ok(topic);
    }
    Err(Error::input(format!("dead letters of `{topic}` did not come from a topic: name one with --to")))
}

struct Replay<'a> {
    kafka: &'a KafkaConfig,
    options: &'a ReplayOptions,
    /// Origins that earlier replays sent, by topic.
    known: BTreeMap<String, HashSet<String>>,
    /// Origins of the letters seen.
    seen: HashSet<String>,
    /// Made with the first message.
    writer: Option<MessageWriter>,
    bar: ProgressBar,
    done: Replayed,
}

impl Replay<'_> {
    fn send(&mut self, letter: &DeadLetter) -> Result<ControlFlow<()>> {
        let origin = letter.origin();
        if self.seen.contains(&origin) {
            self.done.copies += 1;
            return Ok(ControlFlow::Continue(()));
        }
        let topic = target(letter, self.options)?.to_string();
        // Before the limit, so that repeated calls with a limit make progress.
        if self.known.get(&topic).is_some_and(|known| known.contains(&origin)) {
            self.seen.insert(origin);
            self.done.replayed_before += 1;
            return Ok(ControlFlow::Continue(()));
        }
        if self.options.limit.is_some_and(|limit| self.done.total() >= limit) {
            return Ok(ControlFlow::Break(()));
        }
        if let Some(bytes) = letter.cut_from {
            return Err(Error::input(format!(
                "the dead letter of {origin} has only the first of {bytes} bytes, since its topic takes no more: read the \
                 message at its origin"
            )));
        }
        // A tombstone has no value, and is sent again without one.
        if letter.payload.is_none() && letter.reason != "tombstone" {
            return Err(Error::input(format!(
                "the dead letter of {origin} has no payload: `dead_letters.columns` left it out"
            )));
        }
        if !self.options.dry_run {
            let original = letter.headers.iter().map(|(name, value)| (name.as_str(), value.as_deref()));
            self.writer()?.send(NewMessage {
                // Another topic may have fewer partitions; there, the partitioner chooses by the key.
                partition: (topic == letter.topic).then_some(letter.partition),
                key: letter.key.as_deref(),
                headers: Some(header(without_own(original), REPLAYED_FROM, Some(origin.as_bytes()))),
                timestamp_ms: letter.timestamp_ms,
                value: letter.payload.as_deref(),
                ..NewMessage::new(&topic, &[])
            })?;
        }
        // Counted when it is in the queue of the producer; `flush` at the end reports a message that was not
        // delivered.
        *self.done.sent.entry(topic).or_default() += 1;
        self.seen.insert(origin);
        self.bar.inc(1);
        Ok(ControlFlow::Continue(()))
    }

    fn writer(&mut self) -> Result<&MessageWriter> {
        let writer = match self.writer.take() {
            Some(writer) => writer,
            None => {
                let mut client = client_config(self.kafka, &Default::default());
                client.set("queue.buffering.max.kbytes", QUEUE_KILOBYTES);
                MessageWriter::try_new(client)?
            }
        };
        Ok(self.writer.insert(writer))
    }
}
