//! The events that a reader takes in, and the actions that it asks for.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use fenliu_schemas::{Positions, TopicPartition, Topics};

use crate::error::{Error, Result};
use crate::position::Stored;
use crate::worker::Question;

/// Where a partition begins of which neither a sink nor the group has a position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// At the oldest message kept.
    Earliest,
    /// After the newest message, in partitions that were there when the pipeline first saw the topic; partitions
    /// that were added later begin at their oldest message, since whatever they hold came after the start.
    Latest,
}

/// How a reader behaves.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// How many sinks there are.
    pub sinks: usize,
    /// Where unknown partitions begin.
    pub start: Start,
    /// How long giving up partitions may take.
    pub drain_limit: Duration,
    /// Whether the reader commits the group's offsets; not where a sink does so in its transactions.
    pub commits_offsets: bool,
    /// Whether a sink without a position is given one before any row is read.
    pub claims: bool,
}

/// What the brokers say about partitions.
#[derive(Clone, Debug, Default)]
pub struct BrokerFacts {
    /// What the group has committed.
    pub committed: Stored,
    /// The oldest offset kept of each partition, and the one after its newest message.
    pub bounds: BTreeMap<TopicPartition, (i64, i64)>,
    /// The topics as they are now; `latest_below` is the number of their partitions, and 0 for a topic that came
    /// into being after the pipeline was started.
    pub topics: Topics,
}

/// What happens to a reader.
#[derive(Debug)]
pub enum Event {
    /// The group gives these partitions to this member.
    Assigned(Vec<TopicPartition>),
    /// The group wants these partitions back; `lost`: it has given them to others already.
    Revoked {
        /// Which.
        partitions: Vec<TopicPartition>,
        /// Whether they are gone already.
        lost: bool,
    },
    /// A sink has answered a [`Question`].
    Answered {
        /// The sink's number.
        sink: usize,
        /// The question's id.
        id: u64,
        /// What the sink has stored.
        stored: Stored,
    },
    /// A sink is durable up to these positions.
    Acknowledged {
        /// The sink's number.
        sink: usize,
        /// The next offset of each partition.
        positions: Positions,
    },
    /// The brokers have answered [`Action::AskBrokers`].
    BrokersAnswered(Result<BrokerFacts>),
    /// The ids of topics that are read, as they were found later.
    TopicsSeen(Topics),
    /// What [`Action::HandOver`] asked for was done.
    HandedOver,
    /// The outcome of [`Action::CommitOffsets`].
    OffsetsCommitted(Result<()>),
    /// A batch waits for memory or for room in the queue of the next stage, or no longer does.
    Blocked(bool),
    /// Messages are held back that the decoder cannot take yet, or no longer are.
    Holding(bool),
    /// The input was read to its end, where the run is to stop.
    InputEnded,
    /// A stop was requested.
    StopRequested,
    /// A later stage or a sink has ended, so nothing more becomes durable; it reports its failure itself.
    OutputClosed,
    /// [`Reader::deadline`](super::Reader::deadline) has come.
    Tick,
}

/// What a reader wants done.
#[derive(Debug)]
pub enum Action {
    /// Put the question to every sink.
    AskSinks(Question),
    /// Find out what the brokers say about these partitions.
    AskBrokers(Vec<TopicPartition>),
    /// Read these partitions from these offsets on.
    Assign(Positions),
    /// Give these partitions up.
    Unassign(Vec<TopicPartition>),
    /// Hand over what was collected, as a batch that closes the epoch of every sink; report it when that is done,
    /// also when nothing was collected.
    HandOver,
    /// Fetch nothing more of the assigned partitions, but go on polling.
    Pause,
    /// Fetch again.
    Resume,
    /// Commit the group's offsets, without waiting for the outcome.
    CommitOffsets(Stored),
    /// Something for the log.
    Notice(Notice),
    /// The reader ends.
    End(Result<()>),
}

/// What the log should say.
#[derive(Debug)]
pub enum Notice {
    /// Partitions are read from these positions on.
    Assigned(Positions),
    /// Partitions were given up; `drained`: the sinks have all that was read of them.
    Revoked {
        /// Which.
        partitions: Vec<TopicPartition>,
        /// Whether the sinks have everything.
        drained: bool,
    },
    /// The source has deleted offsets before they were read.
    Deleted {
        /// The partition.
        partition: TopicPartition,
        /// Where the sinks stand.
        position: i64,
        /// The oldest offset that is still there.
        oldest: i64,
    },
    /// A position of an earlier release names no topic id: it is taken for the topic that is there today.
    Adopted {
        /// The topic.
        topic: Arc<str>,
        /// Its id.
        id: String,
    },
    /// Brokers did not answer; they are asked again.
    Retrying {
        /// Why.
        error: Error,
    },
}
