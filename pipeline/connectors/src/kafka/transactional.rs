//! Topics exactly once: rows and the group's offsets in one transaction.

use std::sync::Arc;
use std::time::Instant;

use fenliu_engine::position::{Move, Moves, Stored};
use fenliu_engine::{Error, Kind, Result, Rows, Sink};
use fenliu_schemas::TopicPartition;
use rdkafka::ClientConfig;
use rdkafka::consumer::Consumer;
use ulid::Ulid;

use super::config::KafkaSourceConfig;
use super::consumer::{KafkaConsumer, committable, committed};
use super::error::{UnknownTopic, failed};
use super::topics::{TopicRows, check_keys};
use super::writer::MessageWriter;
use crate::fault;

/// After this time brokers abort the transaction of a producer that has gone silent. Readers of committed messages wait
/// for that long at most; librdkafka's default is a minute.
const TRANSACTION_TIMEOUT_MS: &str = "15000";

/// Sends rows to topics of the source's cluster.
pub(super) struct TransactionalSink {
    client: ClientConfig,
    topics: Vec<TopicRows>,
    consumer: Arc<KafkaConsumer>,
    writer: Option<MessageWriter>,
    /// Whether the topics were checked: a compacted topic would refuse messages without a key.
    is_checked: bool,
    patience: UnknownTopic,
}

impl TransactionalSink {
    /// A sink whose producer is made when it is first needed. `consumer` is the source's.
    ///
    /// # Errors
    /// A combination of properties that librdkafka refuses. It checks combinations only when it makes a producer, so
    /// one is made here and dropped.
    pub(super) fn try_new(
        mut client: ClientConfig,
        group: &str,
        source: &KafkaSourceConfig,
        topics: Vec<TopicRows>,
        consumer: Arc<KafkaConsumer>,
    ) -> Result<Self> {
        // With `source.instance` the id stays the same over restarts, so that the next process can end the transaction
        // that this one left open. A random id leaves that to the time-out of the transaction.
        let instance = source.instance.clone().unwrap_or_else(|| Ulid::generate().to_string());
        client.set("transactional.id", format!("{group}.{instance}"));
        if client.get("transaction.timeout.ms").is_none() {
            client.set("transaction.timeout.ms", TRANSACTION_TIMEOUT_MS);
        }
        drop(MessageWriter::try_new(client.clone())?);
        let patience = UnknownTopic::default();
        Ok(TransactionalSink { client, topics, consumer, writer: None, is_checked: false, patience })
    }

    /// A producer that is ready for a transaction.
    fn writer(&mut self) -> Result<MessageWriter> {
        match self.writer.take() {
            Some(writer) => Ok(writer),
            None => {
                let writer = MessageWriter::try_new(self.client.clone())?;
                writer.init_transactions(&self.client)?;
                Ok(writer)
            }
        }
    }

    fn transact(&self, writer: &MessageWriter, epoch: &[Arc<Rows>], moves: &Moves) -> Result<()> {
        // The metadata hold the generation of the group. They are taken before the ownership is checked: if the group
        // rebalances after this line, the broker refuses the offsets of the old generation, and with them the
        // transaction.
        let group = self.consumer.group_metadata().ok_or_else(|| {
            Error::new(Kind::Lost, "this process is no member of its consumer group any more")
        })?;
        self.check_ownership(moves)?;
        writer.begin()?;
        for topic in &self.topics {
            topic.send(writer, epoch, moves)?;
        }
        fault::point("kafka-sent")?;
        // Messages and offsets take effect together. A crash from here on leaves a transaction that is open or
        // committed; whichever it is, the group's offsets tell the next process.
        let stored = Stored { positions: moves.ends(), topics: moves.topics().clone() };
        writer.commit(&committable(&stored)?, &group)
    }

    /// Checks that all partitions still belong to this member: after a rebalance, the next owner reads and writes these
    /// rows.
    fn check_ownership(&self, moves: &Moves) -> Result<()> {
        let assigned = self.consumer.assignment().map_err(failed("list assigned partitions"))?;
        // Moves without `from` claim a first position. That happens before the partitions are assigned, so the consumer
        // does not list them yet.
        let is_lost =
            |m: &&Move| m.from.is_some() && assigned.find_partition(&m.topic, m.partition).is_none();
        match moves.iter().find(is_lost) {
            None => Ok(()),
            Some(m) => {
                let (topic, partition) = (&m.topic, m.partition);
                let why = "went to another member of the group before its rows were written";
                Err(Error::new(Kind::Lost, format!("{topic}/{partition} {why}")))
            }
        }
    }

    /// Aborts a failed transaction. If that fails, the producer is dropped, and `init_transactions` of the next one
    /// ends what was left open. A producer can be fenced without any other process: when its transaction timed out
    /// while the broker was away. If another process has fenced it, the group fences the consumer of this process too.
    fn abort(&mut self, writer: MessageWriter) {
        if writer.abort().is_ok() {
            self.writer = Some(writer);
        }
    }
}

impl Sink for TransactionalSink {
    fn positions(&mut self, partitions: &[TopicPartition]) -> Result<Stored> {
        // The producer comes first: `init_transactions` ends at once a transaction that an earlier process with the
        // same id left open. Otherwise the brokers would not tell the group's offsets until that transaction has timed
        // out.
        let writer = self.writer()?;
        if !self.is_checked {
            check_keys(&writer, &self.topics)?;
            self.is_checked = true;
        }
        self.writer = Some(writer);
        committed(&self.consumer, partitions)
    }

    fn commit(&mut self, epoch: &[Arc<Rows>], moves: &Moves) -> Result<()> {
        let writer = self.writer()?;
        // `moves` are not compared with the stored positions here, as other sinks do. `check_ownership` and the
        // generation of the group take the place of that: the transaction commits only while this member still owns the
        // partitions.
        let outcome = self.transact(&writer, epoch, moves);
        match self.patience.judge(Instant::now(), outcome) {
            Ok(()) => {
                self.writer = Some(writer);
                Ok(())
            }
            Err(error) => {
                self.abort(writer);
                Err(error)
            }
        }
    }
}
