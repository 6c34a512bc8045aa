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
    /// Waits until the sinks have everything, and then ends; `stopping`: rebalances do not matter any more.
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
    /// Where do the sinks stand? Before the brokers are asked: a sink may have to end the transaction of a process
    /// that died, until which the brokers do not tell the group's offsets.
    Sinks(u64),
    Brokers,
    BrokersLater(Instant),
    /// Sinks without a position are given one.
    Claims(u64),
}
