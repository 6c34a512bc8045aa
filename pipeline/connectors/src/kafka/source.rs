//! Kafka as a source: one consumer, one poll loop.
//!
//! The engine's [`Reader`] decides what is read and when partitions are given up. This file tells it what happens and
//! carries out its actions. The loop never waits for a sink: it polls often enough to stay a member of the group,
//! however long a commit takes.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, TrySendError};
use std::time::{Duration, Instant};

use fenliu_engine::batch::Batch;
use fenliu_engine::position::Stored;
use fenliu_engine::reader::{self, Action, Event, Notice, Reader};
use fenliu_engine::{Error, Result};
use fenliu_schemas::{KeyAndHeaders, Origin, Positions, TopicPartition};
use rand::SeedableRng;
use rand::rngs::SmallRng;
use rdkafka::consumer::Consumer;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, OwnedMessage};
use rdkafka::{Message, TopicPartitionList};

use super::config::{KafkaSourceConfig, Start};
use super::consumer::{
    KafkaConsumer, Rebalance, apply, check_usable, commit_aside, committable, offsets_list,
};
use super::error::failed;
use super::headers::WithHeaders;
use super::watch::TopicWatch;
use super::watched::Watched;
use crate::assemble::Assembler;
use crate::cluster::KafkaConfig;
use crate::links::SinkLinks;
use crate::meter::Meter;
use crate::shutdown::Shutdown;
use crate::source::Source;

/// librdkafka's default of `max.poll.interval.ms`.
const MAX_POLL_INTERVAL_MS: u64 = 300_000;

/// How long one poll waits when there is nothing else to do, and when there is.
const IDLE_POLL: Duration = Duration::from_millis(100);
const BUSY_POLL: Duration = Duration::from_millis(5);

/// How the source behaves.
#[derive(Clone, Copy, Debug)]
pub(super) struct KafkaSourceOptions {
    /// End where the topic ends at present, instead of waiting for more.
    pub(super) stop_at_end: bool,
    /// Whether the source commits the group's offsets; not where a sink does so in its transactions.
    pub(super) commits_offsets: bool,
    /// Whether the keys of messages are used, and so kept.
    pub(super) keeps_keys: bool,
    /// Whether the headers of messages are used, and so kept.
    pub(super) keeps_headers: bool,
    /// How long giving up partitions may take: see [`drain_limit`].
    pub(super) drain_limit: Duration,
    /// How often the ids of the topics are looked up.
    pub(super) refresh: Duration,
}

/// Reads topics as a member of a consumer group.
pub(super) struct KafkaSource {
    consumer: Arc<KafkaConsumer>,
    assembler: Assembler,
    links: SinkLinks,
    reader: Reader,
    watch: TopicWatch,
    watched: Watched,
    /// For messages: librdkafka's errors do not name the topic.
    topics: String,
    /// The topic read last: consecutive messages mostly share it.
    topic: Arc<str>,
    stop_at_end: bool,
    keeps_keys: bool,
    keeps_headers: bool,
    /// Partitions whose end was reached at least once.
    ended: HashSet<i32>,
    /// Messages that were received but could not be decoded yet, because the schema registry does not answer.
    waiting: VecDeque<OwnedMessage>,
    /// The rebalance that was reported to the reader. librdkafka waits until the source assigns or unassigns its
    /// partitions.
    unanswered: Option<Rebalance>,
    /// A batch that waits for room in the queue of the next stage.
    batch: Option<Batch>,
    /// Whether the reader asked for everything that was read, as a batch that closes the epoch of every sink.
    hand_over: bool,
    /// Whether a batch waits for memory or for room in the queue of the next stage.
    is_blocked: bool,
    is_paused: bool,
    is_stopping: bool,
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
        links: SinkLinks,
        watched: Watched,
        options: KafkaSourceOptions,
    ) -> Result<Self> {
        if options.stop_at_end {
            check_single_topic(&source.topics)?;
        }
        let topics: Vec<&str> = source.topics.iter().map(String::as_str).collect();
        consumer.subscribe(&topics).map_err(failed(format!("subscribe to {topics:?}")))?;
        let start = match source.start {
            Start::Earliest => reader::Start::Earliest,
            Start::Latest => reader::Start::Latest,
        };
        let options_of_reader = reader::Options {
            sinks: links.sinks(),
            start,
            drain_limit: options.drain_limit,
            commits_offsets: options.commits_offsets,
            claims: true,
        };
        Ok(KafkaSource {
            watch: TopicWatch::new(Arc::clone(&consumer), source.start, options.refresh),
            watched,
            consumer,
            assembler,
            links,
            reader: Reader::new(options_of_reader, SmallRng::from_rng(&mut rand::rng())),
            topics: source.topics.join(", "),
            topic: "".into(),
            stop_at_end: options.stop_at_end,
            keeps_keys: options.keeps_keys,
            keeps_headers: options.keeps_headers,
            ended: HashSet::new(),
            waiting: VecDeque::new(),
            unanswered: None,
            batch: None,
            hand_over: false,
            is_blocked: false,
            is_paused: false,
            is_stopping: false,
        })
    }
}

/// librdkafka names only the partition, not the topic, when it reports an end.
fn check_single_topic(topics: &[String]) -> Result<()> {
    if topics.len() == 1 && topics.iter().all(|topic| !topic.starts_with('^')) {
        return Ok(());
    }
    Err(Error::usage(format!("--stop-at-end works with one topic, but `source.topics` is {topics:?}")))
}

impl Source for KafkaSource {
    fn run(mut self: Box<Self>, out: &SyncSender<Batch>, meter: &Meter, shutdown: &Shutdown) -> Result<()> {
        let outcome = self.drive(out, meter, shutdown);
        if let Some(rebalance) = self.unanswered.take() {
            // It is not answered here: until all sinks have ended they may commit as the owner of the partitions.
            // `leave` answers it afterwards.
            self.consumer.context().put_back(rebalance);
        }
        outcome
    }
}

/// The loop.
impl KafkaSource {
    fn drive(&mut self, out: &SyncSender<Batch>, meter: &Meter, shutdown: &Shutdown) -> Result<()> {
        loop {
            self.notice(shutdown);
            while let Some(action) = self.reader.next_action() {
                if let Action::End(outcome) = action {
                    return outcome;
                }
                self.act(action)?;
            }
            self.hand_on(out, meter)?;
            self.poll(meter)?;
            self.watched.look(&self.consumer, &self.reader, self.is_paused);
        }
    }

    fn tell(&mut self, event: Event) {
        self.reader.handle(Instant::now(), event);
    }

    /// Tells the reader what has happened since the last turn.
    fn notice(&mut self, shutdown: &Shutdown) {
        // Until brokers have answered once, this waits up to two seconds a turn, and only with `start = "latest"`.
        self.watch.note_start();
        let reading = self.reader.reading();
        let topics = self.watch.look(|| reading.iter().map(|(topic, ..)| topic.to_string()).collect());
        if let Some(topics) = topics {
            self.tell(Event::TopicsSeen(topics));
        }
        while let Some(report) = self.links.report() {
            self.tell(report);
        }
        while let Some(outcome) = self.consumer.context().next_commit() {
            self.tell(Event::OffsetsCommitted(outcome.map_err(failed("commit offsets"))));
        }
        // One rebalance at a time: `unanswered` holds the one that has to be put back if the source ends before its
        // answer.
        if self.unanswered.is_none()
            && let Some(rebalance) = self.consumer.context().next_rebalance()
        {
            self.watched.count_rebalance();
            self.tell(self.event_of(&rebalance));
            self.unanswered = Some(rebalance);
        }
        // After a failure nothing in flight becomes durable any more, so there is nothing to hand over or to wait for.
        if shutdown.has_failed() {
            self.tell(Event::OutputClosed);
        } else if shutdown.is_requested() && !self.is_stopping {
            self.is_stopping = true;
            self.tell(Event::StopRequested);
        }
        if self.reader.deadline().is_some_and(|deadline| deadline <= Instant::now()) {
            self.tell(Event::Tick);
        }
    }

    fn event_of(&self, rebalance: &Rebalance) -> Event {
        let partitions = keys(&rebalance.partitions);
        match rebalance.is_assignment {
            true => Event::Assigned(partitions),
            false => Event::Revoked { partitions, lost: self.consumer.assignment_lost() },
        }
    }

    fn act(&mut self, action: Action) -> Result<()> {
        match action {
            Action::AskSinks(question) => {
                if !self.links.ask(&question) {
                    self.tell(Event::OutputClosed);
                }
            }
            Action::AskBrokers(partitions) => {
                // Waits for the brokers, unlike the questions to the sinks. The first request that gets no answer ends
                // it, so it delays the next poll by seconds and not by `max.poll.interval.ms`.
                let facts = self.watch.facts(&partitions);
                self.tell(Event::BrokersAnswered(facts));
            }
            Action::Assign(positions) => self.assign(&positions)?,
            Action::Unassign(partitions) => self.unassign(&partitions)?,
            Action::HandOver => self.hand_over = true,
            Action::Pause => self.pause(true)?,
            Action::Resume => self.pause(false)?,
            Action::CommitOffsets(stored) => self.commit(&stored),
            Action::Notice(notice) => log(&notice),
            Action::End(_) => {}
        }
        Ok(())
    }
}

/// Partitions.
impl KafkaSource {
    fn assign(&mut self, positions: &Positions) -> Result<()> {
        self.unanswered = None;
        let partitions = offsets_list(positions)?;
        let taken: Vec<i32> = positions.iter().map(|(_, partition, _)| partition).collect();
        // A partition that is assigned again may begin at an earlier offset; librdkafka then reports its end again.
        self.ended.retain(|ended| !taken.contains(ended));
        apply(&self.consumer, &Rebalance { is_assignment: true, partitions })
    }

    fn unassign(&mut self, partitions: &[TopicPartition]) -> Result<()> {
        self.unanswered = None;
        let mut list = TopicPartitionList::new();
        for (topic, partition) in partitions {
            list.add_partition(topic, *partition);
        }
        // These messages are in no batch, so no position moves past them: the next owner of the partitions reads them.
        self.waiting.retain(|message| list.find_partition(message.topic(), message.partition()).is_none());
        // librdkafka keeps the pause of a partition that is unassigned: it would still be paused when it is assigned
        // again.
        if self.is_paused {
            self.consumer.resume(&list).map_err(failed("resume partitions"))?;
        }
        apply(&self.consumer, &Rebalance { is_assignment: false, partitions: list })
    }

    fn pause(&mut self, pause: bool) -> Result<()> {
        self.is_paused = pause;
        let assigned = self.consumer.assignment().map_err(failed("list assigned partitions"))?;
        let outcome = if pause { self.consumer.pause(&assigned) } else { self.consumer.resume(&assigned) };
        outcome.map_err(failed("pause or resume partitions"))
    }

    /// Sends the offsets off; the outcome comes later.
    fn commit(&mut self, stored: &Stored) {
        let sent = committable(stored).and_then(|list| commit_aside(&self.consumer, list));
        if let Err(error) = sent {
            self.tell(Event::OffsetsCommitted(Err(error)));
        }
    }

    fn has_ended(&self) -> bool {
        self.stop_at_end
            && self.waiting.is_empty()
            // Without an assignment nothing has ended: before the first one, and between two, there is none.
            && !self.ended.is_empty()
            && self.consumer.assignment().is_ok_and(|assigned| {
                assigned.count() > 0
                    && assigned.elements().iter().all(|p| self.ended.contains(&p.partition()))
            })
    }
}

/// Messages.
impl KafkaSource {
    /// Polls once and takes in what comes.
    fn poll(&mut self, meter: &Meter) -> Result<()> {
        self.take_waiting(meter)?;
        if self.is_blocked && !self.is_paused {
            // A full batch waits for room, and a poll would return more messages. Waiting for a report of a sink is
            // better: its commit may have freed memory. If this lasts, the reader pauses the partitions and polling
            // goes on.
            let waiting = Instant::now();
            if let Some(report) = self.links.wait(BUSY_POLL) {
                self.tell(report);
            }
            meter.waited(waiting.elapsed());
            return Ok(());
        }
        let is_busy = !self.assembler.is_empty() || self.batch.is_some() || !self.reader.is_reading();
        let consumer = Arc::clone(&self.consumer);
        // A short poll while something is under way: an open batch has to close on time, and the reader waits for
        // reports.
        match consumer.poll(if is_busy { BUSY_POLL } else { IDLE_POLL }) {
            Some(Ok(message)) => self.receive(&message, meter)?,
            Some(Err(KafkaError::PartitionEOF(partition))) => {
                self.ended.insert(partition);
                self.watched.reached_end(self.reader.reading(), partition);
            }
            Some(Err(error)) => self.survive(error)?,
            // An end counts only while the reader is idle: during a rebalance the assignment may still change.
            None if self.has_ended() && self.reader.is_reading() => self.tell(Event::InputEnded),
            None => {}
        }
        Ok(())
    }

    /// Takes a message, or keeps it until the schema registry answers.
    fn receive(&mut self, message: &BorrowedMessage<'_>, meter: &Meter) -> Result<()> {
        // Behind messages that wait already, even if it could be decoded: rows of a partition keep their order.
        if !self.waiting.is_empty() || !meter.measure(|| self.accept(message))? {
            if self.waiting.is_empty() {
                self.watched.count_registry_failure();
            }
            self.waiting.push_back(message.detach());
            self.tell(Event::Holding(true));
        }
        Ok(())
    }

    /// Whether the message is dealt with; `false`: the schema registry does not answer.
    fn accept(&mut self, message: &impl WithHeaders) -> Result<bool> {
        let (partition, offset) = (message.partition(), message.offset());
        let Some(first) = self.reader.first_covered(message.topic(), partition, offset) else {
            return Ok(true);
        };
        if self.topic.as_ref() != message.topic() {
            self.topic = message.topic().into();
        }
        let timestamp_ms = message.timestamp().to_millis();
        let origin = Origin { topic: message.topic(), partition, offset, timestamp_ms };
        let headers = if self.keeps_headers { message.header_list() } else { vec![] };
        let beside = KeyAndHeaders { key: message.key().filter(|_| self.keeps_keys), headers: &headers };
        let taken = self.assembler.push(&self.topic, origin, first, beside, message.payload())?;
        if taken {
            self.reader.take(&self.topic, partition, offset);
        }
        Ok(taken)
    }

    /// Tries the waiting messages again, in order, until the batch is due.
    fn take_waiting(&mut self, meter: &Meter) -> Result<()> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        // A batch that is due goes on first, so that it does not grow past its bounds.
        while !self.assembler.is_due()
            && let Some(message) = self.waiting.pop_front()
        {
            if !meter.measure(|| self.accept(&message))? {
                self.waiting.push_front(message);
                return Ok(());
            }
        }
        if self.waiting.is_empty() {
            self.tell(Event::Holding(false));
        }
        Ok(())
    }

    /// librdkafka recovers from most errors by itself; the others end the pipeline.
    fn survive(&self, error: KafkaError) -> Result<()> {
        let code = error.rdkafka_error_code();
        let is_unknown = code == Some(RDKafkaErrorCode::UnknownTopicOrPartition);
        // Checked first: librdkafka reports a fatal error, such as a fenced instance, under its own code and not as
        // `Fatal`. By its code alone it would look temporary, and the loop would poll a dead consumer for ever.
        check_usable(&self.consumer)?;
        let action = format!("consume {}", self.topics);
        let error = self.consumer.context().connection().explain(&action, error);
        // A topic that does not exist may be created later. With `--stop-at-end` its end would be waited for without
        // any bound.
        if !error.is_retryable() || (is_unknown && self.stop_at_end) {
            return Err(error);
        }
        Ok(())
    }

    /// Hands a batch on that is due, once there is memory and room for it.
    fn hand_on(&mut self, out: &SyncSender<Batch>, meter: &Meter) -> Result<()> {
        let wanted = self.hand_over || self.assembler.is_due();
        // A batch that was cut before the reader asked for everything does not close the epoch. The one after it does,
        // even if it has no rows.
        if self.batch.is_none()
            && wanted
            && let Some(permit) = self.assembler.try_acquire()
        {
            let batch = self.assembler.finish(permit)?;
            self.watched.read(&batch);
            self.batch = Some(Batch { closes_epoch: self.hand_over, ..batch });
        }
        let documents = self.batch.as_ref().map_or(0, |batch| batch.documents());
        match self.batch.take().map(|batch| (batch.closes_epoch, out.try_send(batch))) {
            // Due, but without memory: for the reader this is the same as a full queue.
            None => self.block(wanted),
            Some((_, Err(TrySendError::Full(batch)))) => {
                self.batch = Some(batch);
                self.block(true);
            }
            Some((_, Err(TrySendError::Disconnected(_)))) => self.tell(Event::OutputClosed),
            Some((closes_epoch, Ok(()))) => {
                self.block(false);
                meter.handed(documents);
                if closes_epoch {
                    self.hand_over = false;
                    self.tell(Event::HandedOver);
                }
            }
        }
        Ok(())
    }

    fn block(&mut self, is_blocked: bool) {
        if self.is_blocked != is_blocked {
            self.is_blocked = is_blocked;
            self.tell(Event::Blocked(is_blocked));
        }
    }
}

fn log(notice: &Notice) {
    match notice {
        Notice::Assigned(positions) => {
            let partitions = names(&positions.partitions());
            tracing::info!(event = "partitions_assigned", %partitions, "partitions assigned");
        }
        Notice::Revoked { partitions, drained } => {
            let partitions = names(partitions);
            tracing::info!(event = "partitions_revoked", %partitions, drained, "partitions revoked");
        }
        Notice::Deleted { partition: (topic, partition), position, oldest } => {
            let lost = oldest - position;
            tracing::error!(
                event = "offsets_deleted",
                %topic, partition, position, oldest, lost,
                "the topic's retention deleted offsets before they were read"
            );
        }
        Notice::Adopted { topic, id } => tracing::info!(
            event = "topic_adopted",
            %topic, id,
            "the stored position names no topic id; it is taken for the topic that is there today"
        ),
        Notice::Retrying { error } => {
            tracing::warn!(event = "retrying", at = "kafka consumer", %error, "the brokers do not answer, retrying");
        }
    }
}

fn keys(list: &TopicPartitionList) -> Vec<TopicPartition> {
    list.elements().iter().map(|p| (Arc::from(p.topic()), p.partition())).collect()
}

fn names(partitions: &[TopicPartition]) -> String {
    let names: Vec<_> = partitions.iter().map(|(topic, partition)| format!("{topic}/{partition}")).collect();
    names.join(" ")
}

/// How long giving partitions up may take: four fifths of `max.poll.interval.ms`. librdkafka sends that interval to the
/// group as its rebalance timeout; a member that has not joined again by then loses its partitions.
pub(super) fn drain_limit(kafka: &KafkaConfig, source: &KafkaSourceConfig) -> Duration {
    let key = "max.poll.interval.ms";
    let interval = source.properties.get(key).or_else(|| kafka.properties.get(key));
    let millis = interval.and_then(|value| value.parse().ok()).unwrap_or(MAX_POLL_INTERVAL_MS);
    Duration::from_millis(millis) * 4 / 5
}
