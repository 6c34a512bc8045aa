//! Reading a topic from outside any consumer group, up to where it ends at present.
//!
//! Contract: only committed messages are seen, and no offset is committed. What arrives after the reading began
//! is left for the next one.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fenliu_engine::{Error, Kind, Result};
use fenliu_schemas::Topics;
use rdkafka::client::OAuthToken;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::message::BorrowedMessage;
use rdkafka::{ClientConfig, ClientContext, Message, Offset, TopicPartitionList};

use super::client::REQUEST_TIMEOUT;
use super::connection::Connections;
use super::error::failed;
use super::identity::look_up;
use super::token;

/// If no message comes for this long before the end is reached, reading fails.
const SILENCE: Duration = Duration::from_secs(60);

/// How long one poll waits for a message.
const POLL: Duration = Duration::from_millis(200);

/// How long one poll waits for log lines and errors that the client has queued.
const SERVE: Duration = Duration::from_millis(20);

/// Offset ranges of a topic by partition: `(first, next)`.
pub type Ends = BTreeMap<i32, (i64, i64)>;

/// The context of a consumer that is a member of no group.
struct Observed(Connections);

impl ClientContext for Observed {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn log(&self, level: RDKafkaLogLevel, facility: &str, text: &str) {
        self.0.log(level, facility, text);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.0.error(&error, reason);
    }

    fn generate_oauth_token(&self, settings: Option<&str>) -> Result<OAuthToken, token::NoToken> {
        token::token(settings)
    }
}

impl ConsumerContext for Observed {}

/// Asks for the brokers and the topics of a cluster: how many there are of each.
///
/// # Errors
/// Properties that librdkafka refuses; when no broker answers, with the cause and what helps.
pub fn look_up_cluster(client: &ClientConfig) -> Result<(usize, usize)> {
    let consumer: BaseConsumer<Observed> = client
        .create_with_context(Observed(Connections::new("reader")))
        .map(token::begin)
        .map_err(failed("make a consumer"))?;
    let metadata = ask(&consumer, "look up the brokers", |wait| consumer.fetch_metadata(None, wait))?;
    Ok((metadata.brokers().len(), metadata.topics().len()))
}

/// Asks through `consumer`, which has no partitions: polling it brings log lines and errors alone.
fn ask<T>(
    consumer: &BaseConsumer<Observed>,
    action: &str,
    question: impl Fn(Duration) -> KafkaResult<T>,
) -> Result<T> {
    let serve = || while consumer.poll(SERVE).is_some() {};
    consumer.context().0.ask(action, serve, question)
}

/// Looks at the messages of one topic.
pub struct TopicReader {
    consumer: BaseConsumer<Observed>,
    topic: String,
}

impl TopicReader {
    /// Makes a consumer with the properties of `client`; nothing is asked yet.
    ///
    /// # Errors
    /// Properties that librdkafka refuses.
    pub fn try_new(mut client: ClientConfig, topic: &str) -> Result<Self> {
        client
            // librdkafka requires the name of a group, although nothing is committed and no group is joined.
            .set("group.id", "fenliu-reader")
            .set("enable.auto.commit", "false")
            .set("enable.partition.eof", "true")
            .set("isolation.level", "read_committed");
        let action = format!("make a consumer for topic `{topic}`");
        let consumer = client
            .create_with_context(Observed(Connections::new("reader")))
            .map(token::begin)
            .map_err(failed(action))?;
        Ok(TopicReader { consumer, topic: topic.to_string() })
    }

    /// The first offset of each partition and one past the last, at this moment.
    ///
    /// # Errors
    /// A broker that does not answer, a topic that is not there.
    pub fn ends(&self) -> Result<Ends> {
        // `ask` polls and drops what comes. With the partitions of an earlier reading still assigned, these would be
        // messages.
        self.consumer.unassign().map_err(failed("let go of the partitions read before"))?;
        let action = format!("look up topic `{}`", self.topic);
        let metadata =
            ask(&self.consumer, &action, |wait| self.consumer.fetch_metadata(Some(&self.topic), wait))?;
        let partitions = metadata.topics().iter().flat_map(|topic| topic.partitions());
        let mut ends = Ends::new();
        for partition in partitions.map(|partition| partition.id()) {
            let range = self
                .consumer
                .fetch_watermarks(&self.topic, partition, REQUEST_TIMEOUT)
                .map_err(failed(&*action))?;
            ends.insert(partition, range);
        }
        if ends.is_empty() {
            return Err(Error::new(Kind::NotFound, format!("kafka topic `{}` does not exist", self.topic)));
        }
        Ok(ends)
    }

    /// The topic as the cluster knows it now.
    ///
    /// # Errors
    /// A broker that does not answer. An id that it does not tell is missing.
    pub fn identity(&self) -> Result<Topics> {
        let names = BTreeSet::from([Arc::from(self.topic.as_str())]);
        Ok(look_up(self.consumer.client(), &names)?.topics)
    }

    /// Shows `visit` every message up to the present end, in order within a partition, until it breaks off;
    /// with `since_ms` (milliseconds since the Unix epoch) from the first message of that time or later on.
    /// Returns what was there to read.
    ///
    /// # Errors
    /// A broker that does not answer, a topic that is not there, the error of `visit`.
    pub fn read(
        &self,
        since_ms: Option<i64>,
        visit: &mut dyn FnMut(&BorrowedMessage<'_>) -> Result<ControlFlow<()>>,
    ) -> Result<Ends> {
        let ends = self.ends()?;
        let starts = match since_ms {
            Some(since_ms) => self.starts(&ends, since_ms)?,
            None => ends.iter().map(|(partition, (first, _))| (*partition, *first)).collect(),
        };
        let end = |partition: &i32, first| ends.get(partition).map_or(first, |(_, next)| *next);
        let ranges = starts.iter().map(|(partition, first)| (*partition, (*first, end(partition, *first))));
        self.read_between(&ranges.collect(), visit)?;
        Ok(ends)
    }

    /// Shows `visit` every message whose offset lies in `ranges`, in order within a partition, until it
    /// breaks off.
    ///
    /// # Errors
    /// A broker that does not answer, the error of `visit`.
    pub fn read_between(
        &self,
        ranges: &Ends,
        visit: &mut dyn FnMut(&BorrowedMessage<'_>) -> Result<ControlFlow<()>>,
    ) -> Result<()> {
        let mut list = TopicPartitionList::new();
        let mut open: BTreeMap<i32, i64> = BTreeMap::new();
        for (&partition, &(first, next)) in ranges {
            if first < next {
                open.insert(partition, next);
                list.add_partition_offset(&self.topic, partition, Offset::Offset(first))
                    .map_err(failed("name an offset"))?;
            }
        }
        let action = format!("read topic `{}`", self.topic);
        self.consumer.assign(&list).map_err(failed(action))?;
        self.poll(open, visit)
    }

    /// The first offset of each partition at or after a time; partitions without one are left out.
    fn starts(&self, ends: &Ends, since_ms: i64) -> Result<BTreeMap<i32, i64>> {
        let mut times = TopicPartitionList::new();
        for partition in ends.keys() {
            times
                .add_partition_offset(&self.topic, *partition, Offset::Offset(since_ms))
                .map_err(failed("name a time"))?;
        }
        let action = format!("look up offsets by time in topic `{}`", self.topic);
        let found = self.consumer.offsets_for_times(times, REQUEST_TIMEOUT).map_err(failed(action))?;
        let first =
            |element: &rdkafka::topic_partition_list::TopicPartitionListElem<'_>| match element.offset() {
                Offset::Offset(first) => Some((element.partition(), first)),
                _ => None,
            };
        Ok(found.elements().iter().filter_map(first).collect())
    }

    /// `open` holds the end of each partition that has not been reached.
    fn poll(
        &self,
        mut open: BTreeMap<i32, i64>,
        visit: &mut dyn FnMut(&BorrowedMessage<'_>) -> Result<ControlFlow<()>>,
    ) -> Result<()> {
        let mut heard = Instant::now();
        while !open.is_empty() {
            match self.consumer.poll(POLL) {
                Some(Ok(message)) => {
                    heard = Instant::now();
                    let partition = message.partition();
                    // The partition was read to its end; librdkafka has prefetched more of it.
                    let Some(&next) = open.get(&partition) else { continue };
                    // A message at or after `next` lies past the range. It is not shown, but it tells that the range is
                    // done, even if the last offsets of the range hold no message.
                    if message.offset() < next && visit(&message)?.is_break() {
                        return Ok(());
                    }
                    if message.offset() + 1 >= next {
                        open.remove(&partition);
                    }
                }
                // The end can lie behind the last message: transaction markers and compacted offsets are not delivered.
                Some(Err(KafkaError::PartitionEOF(partition))) => drop(open.remove(&partition)),
                // librdkafka recovers from other errors by itself. If it does not, the bound on silence ends the
                // reading.
                Some(Err(error)) => {
                    tracing::warn!(event = "read_failed", topic = self.topic, %error, "reading a topic")
                }
                None => {}
            }
            if heard.elapsed() > SILENCE {
                return Err(Error::unavailable(format!(
                    "topic `{}`: no message for {SILENCE:?} before the end was reached",
                    self.topic
                )));
            }
        }
        Ok(())
    }
}
