//! Kafka as a source: one consumer, one poll loop.
//!
//! A partition that is assigned is read from where the sinks stand, not from where the group's offsets
//! are. A partition that is revoked is given up when the sinks have what was read of it; if that takes too
//! long, everything in flight is dropped and reading begins anew. When the stages behind lag for long the
//! partitions are paused and polling goes on, so that the group keeps this member.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, TrySendError};
use std::thread;
use std::time::{Duration, Instant};

use fenliu_engine::batch::{Batch, Permit};
use fenliu_engine::{Error, Kind, Result};
use fenliu_schemas::{Origin, Positions, TopicPartition};
use rdkafka::consumer::Consumer;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::OwnedMessage;
use rdkafka::{Message, TopicPartitionList};

use super::client::REQUEST_TIMEOUT;
use super::config::{KafkaSourceConfig, Start};
use super::consumer::{KafkaConsumer, Rebalance, apply, check_usable, committed, offsets_list};
use super::error::{failed, of};
use crate::assemble::Assembler;
use crate::cluster::KafkaConfig;
use crate::ledger::Ledger;
use crate::meter::Meter;
use crate::retry::Retry;
use crate::shutdown::Shutdown;
use crate::source::Source;

/// librdkafka's default of `max.poll.interval.ms`.
const MAX_POLL_INTERVAL_MS: u64 = 300_000;

/// How long one poll waits when there is nothing to do.
const IDLE_POLL: Duration = Duration::from_millis(100);

/// How long the stages behind may be busy before the partitions are paused. Shorter waits are
/// everyday back-pressure, and pausing throws away what librdkafka has prefetched; much longer ones
/// would delay rebalances and in the end pass `max.poll.interval.ms`.
const PAUSE_AFTER: Duration = Duration::from_secs(2);

/// How often a waiting source looks again.
const RETRY: Duration = Duration::from_millis(5);

/// Reads topics as a member of a consumer group.
pub struct KafkaSource {
    consumer: Arc<KafkaConsumer>,
    assembler: Assembler,
    /// For messages: librdkafka's errors do not name the topic.
    topics: String,
    /// The topic read last: consecutive messages mostly share it.
    topic: Arc<str>,
    stop_at_end: bool,
    /// Partitions whose end was reached at least once.
    ended: HashSet<i32>,
    paused: bool,
    /// Received but not yet taken by the assembler, since the schema registry does not answer: what came
    /// before the partitions were paused.
    waiting: VecDeque<OwnedMessage>,
    ledger: Arc<dyn Ledger>,
    start: Start,
    /// Since when the group wants partitions back, and how long it may take until the sinks have what was read of them.
    wanted_since: Option<Instant>,
    drain_limit: Duration,
}

impl KafkaSource {
    /// Subscribes to the topics; for `drain_limit` see [`drain_limit`].
    ///
    /// # Errors
    /// A topic name that Kafka does not allow; with `stop_at_end`, more than one topic.
    pub fn try_new(
        consumer: Arc<KafkaConsumer>,
        source: &KafkaSourceConfig,
        assembler: Assembler,
        ledger: Arc<dyn Ledger>,
        stop_at_end: bool,
        drain_limit: Duration,
    ) -> Result<Self> {
        // librdkafka names only the partition, not the topic, when it reports an end.
        if stop_at_end
            && (source.topics.len() != 1 || source.topics.iter().any(|topic| topic.starts_with('^')))
        {
            return Err(Error::usage(format!(
                "stopping at the end works with one topic, but `source.topics` is {:?}",
                source.topics
            )));
        }
        let topics: Vec<&str> = source.topics.iter().map(String::as_str).collect();
        consumer.subscribe(&topics).map_err(failed(format!("subscribe to {topics:?}")))?;
        Ok(KafkaSource {
            consumer,
            assembler,
            topics: source.topics.join(", "),
            topic: "".into(),
            stop_at_end,
            ended: HashSet::new(),
            paused: false,
            waiting: VecDeque::new(),
            ledger,
            start: source.start,
            wanted_since: None,
            drain_limit,
        })
    }

    /// Polls once and takes in what comes; whether that was a message.
    fn poll(&mut self, patience: Duration, meter: &Meter) -> Result<bool> {
        let consumer = Arc::clone(&self.consumer);
        match consumer.poll(patience) {
            Some(Ok(message)) => {
                if !self.waiting.is_empty() || !meter.measure(|| self.accept(&message))? {
                    self.waiting.push_back(message.detach());
                    self.pause()?;
                }
                return Ok(true);
            }
            Some(Err(KafkaError::PartitionEOF(partition))) => {
                self.ended.insert(partition);
            }
            Some(Err(error)) => self.survive(error)?,
            None => {}
        }
        Ok(false)
    }

    /// Whether the message was taken.
    fn accept(&mut self, message: &impl Message) -> Result<bool> {
        if self.topic.as_ref() != message.topic() {
            self.topic = message.topic().into();
        }
        let origin = Origin {
            topic: message.topic(),
            partition: message.partition(),
            offset: message.offset(),
            timestamp_ms: message.timestamp().to_millis(),
        };
        // A message without a value (a tombstone) holds no document: it is rejected as such.
        self.assembler.push(&self.topic, origin, message.payload().unwrap_or_default())
    }

    /// Tries the waiting messages again, in order, until the batch is due.
    fn accept_waiting(&mut self, meter: &Meter) -> Result<()> {
        while !self.assembler.is_due()
            && let Some(message) = self.waiting.pop_front()
        {
            if !meter.measure(|| self.accept(&message))? {
                self.waiting.push_front(message);
                return Ok(());
            }
        }
        if self.waiting.is_empty() { self.resume() } else { Ok(()) }
    }

    /// librdkafka mends most errors by itself; the others end the pipeline.
    fn survive(&self, error: KafkaError) -> Result<()> {
        let code = error.rdkafka_error_code();
        let unknown_topic = code == Some(RDKafkaErrorCode::UnknownTopicOrPartition);
        let denied = matches!(
            code,
            Some(
                RDKafkaErrorCode::Authentication
                    | RDKafkaErrorCode::GroupAuthorizationFailed
                    | RDKafkaErrorCode::TopicAuthorizationFailed
            )
        );
        check_usable(&self.consumer)?;
        if denied || (unknown_topic && self.stop_at_end) {
            return Err(of(&format!("consume {}", self.topics), error).permanent());
        }
        Ok(())
    }

    fn has_ended(&self) -> bool {
        self.stop_at_end
            && !self.ended.is_empty()
            && self.consumer.assignment().is_ok_and(|assigned| {
                assigned.count() > 0
                    && assigned.elements().iter().all(|p| self.ended.contains(&p.partition()))
            })
    }

    /// Hands the batch on once there is memory and room for it; `false` when nobody wants more.
    fn hand_over(&mut self, out: &SyncSender<Batch>, meter: &Meter, closes_epoch: bool) -> Result<bool> {
        let since = Instant::now();
        let permit = self.wait_for_memory(since, meter)?;
        let mut batch = self.assembler.finish(permit)?;
        batch.closes_epoch = closes_epoch;
        loop {
            match out.try_send(batch) {
                Ok(()) => break,
                Err(TrySendError::Disconnected(_)) => return Ok(false),
                Err(TrySendError::Full(returned)) => batch = returned,
            }
            thread::sleep(RETRY);
            self.keep_membership(since, meter)?;
        }
        self.resume()?;
        Ok(true)
    }

    fn wait_for_memory(&mut self, since: Instant, meter: &Meter) -> Result<Permit> {
        loop {
            if let Some(permit) = self.assembler.acquire(RETRY) {
                return Ok(permit);
            }
            self.keep_membership(since, meter)?;
        }
    }

    /// Called while waiting: pauses the partitions when the wait gets long, then polls on.
    fn keep_membership(&mut self, since: Instant, meter: &Meter) -> Result<()> {
        if since.elapsed() < PAUSE_AFTER {
            return Ok(());
        }
        if self.is_overdue() {
            return Err(lost("the sinks are too far behind to give up partitions in time"));
        }
        // Partitions assigned while paused start unpaused: pause again at each turn.
        self.pause()?;
        self.poll(Duration::ZERO, meter).map(drop)
    }

    fn pause(&mut self) -> Result<()> {
        let assigned = self.assignment()?;
        self.consumer.pause(&assigned).map_err(failed("pause partitions"))?;
        self.paused = true;
        Ok(())
    }

    fn resume(&mut self) -> Result<()> {
        if self.paused && self.waiting.is_empty() {
            let assigned = self.assignment()?;
            self.consumer.resume(&assigned).map_err(failed("resume partitions"))?;
            self.paused = false;
        }
        Ok(())
    }

    fn assignment(&self) -> Result<TopicPartitionList> {
        self.consumer.assignment().map_err(failed("list assigned partitions"))
    }
}

/// Rebalances.
impl KafkaSource {
    /// Does what the group wants; `false` when nobody wants batches any more.
    fn rebalance(&mut self, out: &SyncSender<Batch>, meter: &Meter, shutdown: &Shutdown) -> Result<bool> {
        while let Some(rebalance) = self.consumer.context().next_rebalance() {
            if rebalance.is_assignment {
                self.take(rebalance, meter, shutdown)?;
            } else {
                self.wanted_since.get_or_insert_with(Instant::now);
                if !self.give_up(&rebalance, out, meter, shutdown)? {
                    return Ok(false);
                }
            }
            self.wanted_since = None;
        }
        Ok(true)
    }

    /// Begins to read partitions where the sinks stand.
    fn take(&mut self, mut rebalance: Rebalance, meter: &Meter, shutdown: &Shutdown) -> Result<()> {
        let partitions = keys(&rebalance.partitions);
        let mut retry = Retry::new("kafka consumer", shutdown);
        let positions = loop {
            match self.find_positions(&partitions) {
                Ok(positions) => break positions,
                Err(error) => {
                    retry.pause(error)?;
                    // Keeps the group from taking this member for dead.
                    self.poll(Duration::ZERO, meter)?;
                }
            }
        };
        rebalance.partitions = offsets_list(&positions)?;
        apply(&self.consumer, &rebalance)?;
        self.ended.retain(|ended| !partitions.iter().any(|(_, partition)| partition == ended));
        self.ledger.report(&positions);
        self.assembler.start_at(&positions);
        tracing::info!(partitions = %names(&rebalance.partitions), "partitions assigned");
        Ok(())
    }

    /// Where the sinks stand, which the topics still have.
    fn find_positions(&self, partitions: &[TopicPartition]) -> Result<Positions> {
        let starts = self.default_starts(partitions)?;
        let positions = self.ledger.resume(&starts, true)?;
        self.check_positions(&positions)?;
        Ok(positions)
    }

    /// Where sinks begin that have no position in a partition: where the group is; where the sink is that is furthest
    /// behind, since brokers forget a group that was away for long (`offsets.retention.minutes`); else as configured.
    fn default_starts(&self, partitions: &[TopicPartition]) -> Result<Positions> {
        // The sinks first: one may have to end the transaction of a dead process, until which the group does not answer.
        let stored = self.ledger.stored(partitions)?;
        let mut starts = committed(&self.consumer, partitions)?;
        let is_unknown = |(topic, partition): &&(Arc<str>, i32)| starts.get(topic, *partition).is_none();
        let unknown: Vec<_> = partitions.iter().filter(is_unknown).cloned().collect();
        for (topic, partition) in &unknown {
            let start = match stored.get(topic, *partition) {
                Some(next) => {
                    tracing::info!(%topic, partition, offset = next, "the group has no offset, a sink has");
                    next
                }
                None => {
                    let (oldest, newest) = self.watermarks(topic, *partition)?;
                    if self.start == Start::Latest { newest } else { oldest }
                }
            };
            starts.set(topic, *partition, start);
        }
        Ok(starts)
    }

    /// A position behind the end of its partition means that the topic was made anew.
    fn check_positions(&self, positions: &Positions) -> Result<()> {
        for (topic, partition, next) in positions.iter() {
            let (oldest, newest) = self.watermarks(topic, partition)?;
            if next > newest {
                let message = format!(
                    "{topic}/{partition}: the sinks have everything before offset {next}, but the partition ends at {newest}: \
                     was the topic made anew? Another `name` or other sinks begin from scratch"
                );
                return Err(Error::new(Kind::Recreated, message));
            }
            if next < oldest {
                let lost = oldest - next;
                tracing::error!(%topic, partition, position = next, oldest, lost, "offsets were deleted before they were read");
            }
        }
        Ok(())
    }

    fn watermarks(&self, topic: &str, partition: i32) -> Result<(i64, i64)> {
        let watermarks = self.consumer.fetch_watermarks(topic, partition, REQUEST_TIMEOUT);
        watermarks.map_err(failed(format!("read the offsets of {topic}/{partition}")))
    }

    /// Gives partitions up once the sinks have what was read of them.
    fn give_up(
        &mut self,
        rebalance: &Rebalance,
        out: &SyncSender<Batch>,
        meter: &Meter,
        shutdown: &Shutdown,
    ) -> Result<bool> {
        let named = names(&rebalance.partitions);
        if self.consumer.assignment_lost() {
            apply(&self.consumer, rebalance)?;
            return Err(lost(format!(
                "the group gave {named} to other members, since this one was silent for too long"
            )));
        }
        // Not taken yet, so the next owner reads them.
        let goes = |m: &OwnedMessage| rebalance.partitions.find_partition(m.topic(), m.partition()).is_some();
        self.waiting.retain(|message| !goes(message));
        if !self.hand_over(out, meter, true)? {
            return Ok(false);
        }
        let drained = self.drain(&rebalance.partitions, meter, shutdown)?;
        if !drained && shutdown.is_requested() {
            // The sinks end as owners, and the partitions are given up after them.
            self.consumer.context().put_back(rebalance.clone());
            return Ok(false);
        }
        self.resume()?;
        // A partition that goes while it is paused would be paused when it comes again.
        self.consumer.resume(&rebalance.partitions).map_err(failed("resume partitions"))?;
        apply(&self.consumer, rebalance)?;
        tracing::info!(partitions = %named, drained, "partitions revoked");
        if drained {
            return Ok(true);
        }
        Err(lost(format!("{named} had to be given up before the sinks had their rows")))
    }
}

/// Waiting for the sinks.
impl KafkaSource {
    /// Whether the sinks got, in time, all that was read of `partitions`. Polls meanwhile, so that the group keeps this
    /// member, as which they commit; nothing more is read.
    fn drain(&mut self, partitions: &TopicPartitionList, meter: &Meter, shutdown: &Shutdown) -> Result<bool> {
        let reading = self.reading(partitions);
        self.pause()?;
        while !self.ledger.wait(&reading, IDLE_POLL) {
            if self.is_overdue() || self.consumer.assignment_lost() || shutdown.is_requested() {
                return Ok(false);
            }
            self.poll(Duration::ZERO, meter)?;
        }
        Ok(true)
    }

    /// Whether the group has wanted partitions for too long.
    fn is_overdue(&mut self) -> bool {
        if self.consumer.context().is_rebalancing() {
            self.wanted_since.get_or_insert_with(Instant::now);
        }
        self.wanted_since.is_some_and(|since| since.elapsed() > self.drain_limit)
    }

    /// Hands over the rest at the end of the topic and stays a member until the sinks have it, however long they take:
    /// `false` if partitions come or go before.
    fn settle(&mut self, out: &SyncSender<Batch>, meter: &Meter, shutdown: &Shutdown) -> Result<bool> {
        if !self.hand_over(out, meter, true)? {
            return Ok(true);
        }
        let reading = self.reading(&self.assignment()?);
        self.pause()?;
        while !shutdown.is_requested() && !self.ledger.wait(&reading, IDLE_POLL) {
            self.poll(Duration::ZERO, meter)?;
            if self.consumer.context().is_rebalancing() {
                self.resume()?;
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Where reading goes on in each of `partitions`.
    fn reading(&self, partitions: &TopicPartitionList) -> Positions {
        let reading = keys(partitions).into_iter().filter_map(|(topic, partition)| {
            let next = self.assembler.reading(&topic, partition)?;
            Some(((topic, partition), next))
        });
        reading.collect()
    }
}

/// Partitions went to another member before their rows were durable.
fn lost(why: impl Into<String>) -> Error {
    Error::new(Kind::Lost, why)
}

fn keys(list: &TopicPartitionList) -> Vec<TopicPartition> {
    list.elements().iter().map(|p| (Arc::from(p.topic()), p.partition())).collect()
}

fn names(list: &TopicPartitionList) -> String {
    let names: Vec<_> = list.elements().iter().map(|p| format!("{}/{}", p.topic(), p.partition())).collect();
    names.join(" ")
}

/// How long it may take to give partitions up: four fifths of what the group allows between two polls.
pub fn drain_limit(kafka: &KafkaConfig, source: &KafkaSourceConfig) -> Duration {
    let key = "max.poll.interval.ms";
    let interval = source.properties.get(key).or_else(|| kafka.properties.get(key));
    Duration::from_millis(interval.and_then(|value| value.parse().ok()).unwrap_or(MAX_POLL_INTERVAL_MS)) * 4
        / 5
}

impl Source for KafkaSource {
    fn run(mut self: Box<Self>, out: &SyncSender<Batch>, meter: &Meter, shutdown: &Shutdown) -> Result<()> {
        while !shutdown.is_requested() {
            if !self.rebalance(out, meter, shutdown)? {
                return Ok(());
            }
            let patience = if self.assembler.is_empty() { IDLE_POLL } else { RETRY };
            if !self.waiting.is_empty() {
                self.accept_waiting(meter)?;
            }
            let is_idle = !self.poll(patience, meter)?;
            if is_idle && self.waiting.is_empty() && self.has_ended() && self.settle(out, meter, shutdown)? {
                return Ok(());
            }
            if self.assembler.is_due() && !self.hand_over(out, meter, false)? {
                return Ok(());
            }
        }
        if !self.assembler.is_empty() {
            self.hand_over(out, meter, false)?;
        }
        Ok(())
    }
}
