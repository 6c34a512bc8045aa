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

/// How long brokers keep a transaction open whose producer has gone silent; readers wait for it.
const TRANSACTION_TIMEOUT_MS: &str = "15000";

/// Sends rows to topics of the source's cluster.
pub(super) struct TransactionalSink {
    client: ClientConfig,
    topics: Vec<TopicRows>,
    consumer: Arc<KafkaConsumer>,
    writer: Option<MessageWriter>,
    /// Whether the topics were found to take what is sent to them.
    is_checked: bool,
    patience: UnknownTopic,
}

impl TransactionalSink {
    /// A sink whose producer is made when it is first needed. `consumer` is the source's.
    ///
    /// # Errors
    /// Properties that librdkafka refuses together: it looks at them so only when it makes a producer.
    pub(super) fn try_new(
        mut client: ClientConfig,
        group: &str,
        source: &KafkaSourceConfig,
        topics: Vec<TopicRows>,
        consumer: Arc<KafkaConsumer>,
    ) -> Result<Self> {
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
        // Taken before anything is sent: should the group move on meanwhile, the broker refuses the commit.
        let group = self.consumer.group_metadata().ok_or_else(|| {
            Error::new(Kind::Lost, "this process is no member of its consumer group any more")
        })?;
        self.check_ownership(moves)?;
        writer.begin()?;
        for topic in &self.topics {
            topic.send(writer, epoch, moves)?;
        }
        fault::point("kafka-sent")?;
        let stored = Stored { positions: moves.ends(), topics: moves.topics().clone() };
        writer.commit(&committable(&stored)?, &group)
    }

    /// Rows of a partition that went to another member are that member's to write.
    fn check_ownership(&self, moves: &Moves) -> Result<()> {
        let assigned = self.consumer.assignment().map_err(failed("list assigned partitions"))?;
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

    /// Ends a failed transaction. A producer that cannot is made anew, and its successor ends what it left
    /// open: it may have been fenced by a transaction that timed out while the broker was away. Where a twin
    /// has fenced it, the group fences this process's consumer too.
    fn abort(&mut self, writer: MessageWriter) {
        if writer.abort().is_ok() {
            self.writer = Some(writer);
        }
    }
}

impl Sink for TransactionalSink {
    fn positions(&mut self, partitions: &[TopicPartition]) -> Result<Stored> {
        // While a process before this one has offsets in an open transaction, the group's are not told: a
        // producer with its id ends that transaction at once, else it has to time out.
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
