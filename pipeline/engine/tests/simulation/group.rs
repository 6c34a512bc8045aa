//! A consumer group with cooperative rebalances: a partition goes to its next owner when the one before has given it
//! up, or when that one was silent for too long.

use std::collections::{BTreeMap, BTreeSet};

use fenliu_engine::position::{Moves, Stored};
use fenliu_engine::{Error, Kind, Result};

/// A member as it wrote itself down when it began to commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Membership {
    pub(crate) member: u64,
    pub(crate) generation: u64,
}

/// What the group tells a member.
#[derive(Clone, Debug)]
pub(crate) enum Notification {
    Assigned(Vec<i32>),
    Revoked { partitions: Vec<i32>, lost: bool },
}

/// The coordinator's view.
#[derive(Debug, Default)]
pub(crate) struct Group {
    pub(crate) committed: Stored,
    pub(crate) generation: u64,
    members: BTreeSet<u64>,
    /// Who may read and commit a partition.
    owners: BTreeMap<i32, u64>,
    /// Partitions whose owner was asked to give them up.
    revoking: BTreeSet<i32>,
    partitions: i32,
    outbox: Vec<(u64, Notification)>,
}

impl Group {
    pub(crate) fn new(partitions: i32) -> Self {
        Group { partitions, ..Group::default() }
    }

    pub(crate) fn take_notifications(&mut self) -> Vec<(u64, Notification)> {
        std::mem::take(&mut self.outbox)
    }

    pub(crate) fn membership(&self, member: u64) -> Membership {
        Membership { member, generation: self.generation }
    }

    pub(crate) fn partitions(&self) -> i32 {
        self.partitions
    }

    pub(crate) fn grow(&mut self) {
        self.partitions += 1;
        self.rebalance();
    }

    pub(crate) fn join(&mut self, member: u64) {
        self.members.insert(member);
        self.rebalance();
    }

    /// A member leaves by itself, or is taken for dead: `told` is whether it can hear of it.
    pub(crate) fn remove(&mut self, member: u64, told: bool) {
        if !self.members.remove(&member) {
            return;
        }
        let lost: Vec<i32> = self.owned_by(member);
        for partition in &lost {
            self.owners.remove(partition);
            self.revoking.remove(partition);
        }
        if told {
            self.outbox.push((member, Notification::Revoked { partitions: lost, lost: true }));
        }
        self.rebalance();
    }

    /// The member has given partitions up.
    pub(crate) fn release(&mut self, member: u64, partitions: impl Iterator<Item = i32>) {
        for partition in partitions {
            if self.owners.get(&partition) == Some(&member) {
                self.owners.remove(&partition);
                self.revoking.remove(&partition);
            }
        }
        self.rebalance();
    }

    pub(crate) fn owns(&self, member: u64, partition: i32) -> bool {
        self.owners.get(&partition) == Some(&member)
    }

    fn owned_by(&self, member: u64) -> Vec<i32> {
        self.owners.iter().filter(|(_, owner)| **owner == member).map(|(partition, _)| *partition).collect()
    }

    /// Gives free partitions to members with few, and asks members with too many for one.
    fn rebalance(&mut self) {
        self.generation += 1;
        let members: Vec<u64> = self.members.iter().copied().collect();
        if members.is_empty() {
            return;
        }
        let target = |partition: i32| members[partition as usize % members.len()];
        let mut given: BTreeMap<u64, Vec<i32>> = BTreeMap::new();
        let mut wanted: BTreeMap<u64, Vec<i32>> = BTreeMap::new();
        for partition in 0..self.partitions {
            match self.owners.get(&partition) {
                None => {
                    self.owners.insert(partition, target(partition));
                    given.entry(target(partition)).or_default().push(partition);
                }
                Some(owner) if *owner != target(partition) && !self.revoking.contains(&partition) => {
                    self.revoking.insert(partition);
                    wanted.entry(*owner).or_default().push(partition);
                }
                Some(_) => {}
            }
        }
        for (member, partitions) in wanted {
            self.outbox.push((member, Notification::Revoked { partitions, lost: false }));
        }
        for (member, partitions) in given {
            self.outbox.push((member, Notification::Assigned(partitions)));
        }
    }

    /// What the coordinator checks before it ends a transaction with offsets.
    ///
    /// # Errors
    /// The member is no longer in the group, or not in this generation, or does not own a partition.
    pub(crate) fn check(&self, writer: Membership, moves: &Moves) -> Result<()> {
        if !self.members.contains(&writer.member) {
            return Err(Error::new(Kind::Lost, "unknown member id"));
        }
        if writer.generation != self.generation
            || moves.iter().any(|m| !self.owns(writer.member, m.partition))
        {
            return Err(Error::new(Kind::Unavailable, "illegal generation").retryable());
        }
        Ok(())
    }
}
