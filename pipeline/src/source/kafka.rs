//! Kafka as a source: one consumer, one poll loop.
//!
//! Offsets are committed by [`KafkaCommit`] after the sinks are durable, never by librdkafka on its
//! own. When the stages behind lag for long the partitions are paused and polling goes on, so that the
//! group keeps this member.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, TrySendError};
use std::time::{Duration, Instant};

use fenliu_schemas::{Offsets, Origin};
use rdkafka::Message;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext, Rebalance};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::OwnedMessage;
use rdkafka::{ClientContext, Offset, TopicPartitionList};

use super::{Assembler, Commit, Source};
use crate::batch::{Batch, Permit};
use crate::config::{KafkaSourceConfig, ValidatedConfig};
use crate::error::{PipelineError, Result};
use crate::kafka::client_config;
use crate::shutdown::Shutdown;
use crate::stage::Meter;

/// How long one poll waits when there is nothing to do.
const IDLE_POLL: Duration = Duration::from_millis(100);

/// How long the stages behind may be busy before the partitions are paused. Shorter waits are
/// everyday back-pressure, and pausing throws away what librdkafka has prefetched; much longer ones
/// would delay rebalances and in the end pass `max.poll.interval.ms`.
const PAUSE_AFTER: Duration = Duration::from_secs(2);

/// How often a waiting source looks again.
const RETRY: Duration = Duration::from_millis(5);

/// How often the last commit of a run is tried, and how long to wait in between: a rebalance takes a
/// few seconds.
const LAST_COMMIT_TRIES: usize = 20;
const LAST_COMMIT_PAUSE: Duration = Duration::from_millis(500);

/// Caps of librdkafka's own prefetch (its defaults, 64 MiB and 100,000 messages, lie outside our
/// memory budget), and an assignment that moves only the partitions that must move.
const DEFAULTS: &[(&str, &str)] = &[
    ("queued.max.messages.kbytes", "16384"),
    ("queued.min.messages", "1000"),
    ("partition.assignment.strategy", "cooperative-sticky"),
];

pub(super) type KafkaConsumer = BaseConsumer<Context>;

/// Logs what happens to the group membership.
#[derive(Debug)]
pub(super) struct Context;

impl ClientContext for Context {
    /// Every error also comes back from `poll`, where it is judged; only here it has a reason.
    fn error(&self, error: KafkaError, reason: &str) {
        if error.rdkafka_error_code() != Some(RDKafkaErrorCode::PartitionEOF) {
            tracing::warn!(%error, reason, "kafka consumer");
        }
    }
}

impl ConsumerContext for Context {
    fn post_rebalance(&self, _: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        match rebalance {
            Rebalance::Assign(list) => tracing::info!(partitions = %names(list), "partitions assigned"),
            Rebalance::Revoke(list) => tracing::info!(partitions = %names(list), "partitions revoked"),
            Rebalance::Error(error) => tracing::warn!(%error, "rebalance failed"),
        }
    }
}

fn names(list: &TopicPartitionList) -> String {
    let names: Vec<_> = list.elements().iter().map(|p| format!("{}/{}", p.topic(), p.partition())).collect();
    names.join(" ")
}

/// Makes the consumer; nothing is sent to the cluster before the first poll.
pub(super) fn connect(config: &ValidatedConfig, source: &KafkaSourceConfig) -> Result<KafkaConsumer> {
    let group = source.group.as_ref().unwrap_or(&config.name);
    let mut client = client_config(&config.kafka, &source.properties);
    for (name, value) in DEFAULTS {
        if client.get(name).is_none() {
            client.set(*name, *value);
        }
    }
    client
        .set("group.id", group)
        .set("auto.offset.reset", source.start.as_str())
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("enable.partition.eof", "true");
    client.create_with_context(Context).map_err(PipelineError::kafka("make a consumer"))
}

/// Reads topics as a member of a consumer group.
pub(super) struct KafkaSource {
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
}

impl KafkaSource {
    /// Subscribes to the topics.
    ///
    /// # Errors
    /// A topic name that Kafka does not allow; with `stop_at_end`, more than one topic.
    pub(super) fn try_new(
        consumer: Arc<KafkaConsumer>,
        source: &KafkaSourceConfig,
        assembler: Assembler,
        stop_at_end: bool,
    ) -> Result<Self> {
        // librdkafka names only the partition, not the topic, when it reports an end.
        if stop_at_end
            && (source.topics.len() != 1 || source.topics.iter().any(|topic| topic.starts_with('^')))
        {
            return Err(PipelineError::Data(format!(
                "stopping at the end works with one topic, but `source.topics` is {:?}",
                source.topics
            )));
        }
        let topics: Vec<&str> = source.topics.iter().map(String::as_str).collect();
        consumer.subscribe(&topics).map_err(PipelineError::kafka(format!("subscribe to {topics:?}")))?;
        Ok(KafkaSource {
            consumer,
            assembler,
            topics: source.topics.join(", "),
            topic: "".into(),
            stop_at_end,
            ended: HashSet::new(),
            paused: false,
            waiting: VecDeque::new(),
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
        let fatal = code == Some(RDKafkaErrorCode::Fatal);
        if fatal || denied || (unknown_topic && self.stop_at_end) {
            return Err(PipelineError::Kafka { action: format!("consume {}", self.topics), source: error });
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
    fn hand_over(&mut self, out: &SyncSender<Batch>, meter: &Meter) -> Result<bool> {
        let since = Instant::now();
        let permit = self.wait_for_memory(since, meter)?;
        let mut batch = self.assembler.finish(permit)?;
        loop {
            match out.try_send(batch) {
                Ok(()) => break,
                Err(TrySendError::Disconnected(_)) => return Ok(false),
                Err(TrySendError::Full(returned)) => batch = returned,
            }
            std::thread::sleep(RETRY);
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
        // Partitions assigned while paused start unpaused: pause again at each turn.
        self.pause()?;
        self.poll(Duration::ZERO, meter).map(drop)
    }

    fn pause(&mut self) -> Result<()> {
        let assigned = self.assignment()?;
        self.consumer.pause(&assigned).map_err(PipelineError::kafka("pause partitions"))?;
        self.paused = true;
        Ok(())
    }

    fn resume(&mut self) -> Result<()> {
        if self.paused && self.waiting.is_empty() {
            let assigned = self.assignment()?;
            self.consumer.resume(&assigned).map_err(PipelineError::kafka("resume partitions"))?;
            self.paused = false;
        }
        Ok(())
    }

    fn assignment(&self) -> Result<TopicPartitionList> {
        self.consumer.assignment().map_err(PipelineError::kafka("list assigned partitions"))
    }
}

impl Source for KafkaSource {
    fn run(mut self: Box<Self>, out: &SyncSender<Batch>, meter: &Meter, shutdown: &Shutdown) -> Result<()> {
        while !shutdown.is_requested() {
            let patience = if self.assembler.is_empty() { IDLE_POLL } else { RETRY };
            if !self.waiting.is_empty() {
                self.accept_waiting(meter)?;
            }
            let is_idle = !self.poll(patience, meter)?;
            if is_idle && self.waiting.is_empty() && self.has_ended() {
                break;
            }
            if self.assembler.is_due() && !self.hand_over(out, meter)? {
                return Ok(());
            }
        }
        if !self.assembler.is_empty() {
            self.hand_over(out, meter)?;
        }
        Ok(())
    }
}

/// Commits offsets of durable rows to the consumer group.
pub(super) struct KafkaCommit {
    consumer: Arc<KafkaConsumer>,
    /// Durable but not yet committed, because the group was rebalancing or its coordinator moving.
    pending: Offsets,
}

impl KafkaCommit {
    /// Commits for the group of `consumer`.
    pub(super) fn new(consumer: Arc<KafkaConsumer>) -> Self {
        KafkaCommit { consumer, pending: Offsets::default() }
    }

    /// The next offsets of the partitions that this member still owns: after a rebalance the new owner
    /// may be further, and an old position must not overwrite its.
    fn owned(&self) -> Result<TopicPartitionList> {
        let assigned =
            self.consumer.assignment().map_err(PipelineError::kafka("list assigned partitions"))?;
        let mut list = TopicPartitionList::new();
        for (topic, partition, range) in self.pending.iter() {
            if assigned.find_partition(topic, partition).is_some() {
                list.add_partition_offset(topic, partition, Offset::Offset(range.next))
                    .map_err(PipelineError::kafka("name an offset"))?;
            }
        }
        Ok(list)
    }

    fn try_commit(&mut self) -> Result<()> {
        let list = self.owned()?;
        if list.count() > 0 {
            self.consumer.commit(&list, CommitMode::Sync).map_err(PipelineError::kafka("commit offsets"))?;
        }
        self.pending = Offsets::default();
        Ok(())
    }
}

impl Commit for KafkaCommit {
    fn commit(&mut self, offsets: &Offsets) -> Result<()> {
        self.pending.merge(offsets);
        if let Err(error) = self.try_commit() {
            tracing::warn!(%error, "offsets are committed with the next epoch");
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<()> {
        for _ in 1..LAST_COMMIT_TRIES {
            if self.try_commit().is_ok() {
                return Ok(());
            }
            std::thread::sleep(LAST_COMMIT_PAUSE);
        }
        self.try_commit()
    }
}
