//! What a reader is busy with.

use std::collections::BTreeMap;
use std::time::Instant;

use fenliu_schemas::{Positions, TopicPartition};

use super::contract::BrokerFacts;
use crate::position::Stored;

#[derive(Debug)]
pub(super) enum Rebalance {
    Assign(Vec<TopicPartition>),
    Revoke { partitions: Vec<TopicPartition>, lost: bool },
}

#[derive(Debug)]
pub(super) enum State {
    Reading,
    Taking(Taking),
    /// Waits until the sinks have what was read of `partitions`.
    GivingUp {
        partitions: Vec<TopicPartition>,
        ends: Positions,
        handed_over: bool,
        since: Instant,
    },
    /// Waits until the sinks have everything, and then ends. With `stopping`, rebalances are not answered any more.
    Settling {
        handed_over: bool,
        stopping: bool,
    },
    /// Waits until the group's offsets are committed.
    Leaving {
        since: Instant,
    },
    Ended,
}

/// Partitions on their way to being read.
#[derive(Debug)]
pub(super) struct Taking {
    pub(super) partitions: Vec<TopicPartition>,
    pub(super) step: Step,
    pub(super) answers: BTreeMap<usize, Stored>,
    pub(super) facts: BrokerFacts,
}

#[derive(Debug)]
pub(super) enum Step {
    /// Waits for the positions of the sinks. They are asked before the brokers: a sink may have to end the transaction
    /// of a process that died, and until then the brokers do not tell the offsets of the group.
    Sinks(u64),
    Brokers,
    BrokersLater(Instant),
    /// Waits until sinks without a position have claimed one.
    Claims(u64),
}
