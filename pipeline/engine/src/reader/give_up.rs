//! Giving partitions up: drained first, or too late, or lost already.

use std::time::Instant;

use fenliu_schemas::{Positions, TopicPartition};

use super::{Action, Notice, Reader, Rebalance, State};
use crate::error::{Error, Kind};

impl Reader {
    pub(super) fn give_up(&mut self, partitions: Vec<TopicPartition>, since: Instant) {
        let of_key = |key: &TopicPartition| Some((key.clone(), self.reading.get(&key.0, key.1)?));
        let ends: Positions = partitions.iter().filter_map(of_key).collect();
        // From here on nothing more is taken of these partitions, so `ends` is where the sinks have to arrive.
        self.leaving.extend(partitions.iter().cloned());
        self.state = State::GivingUp { partitions, ends, handed_over: false, since };
        self.actions.push_back(Action::HandOver);
    }

    pub(super) fn handed_over(&mut self) {
        match &mut self.state {
            State::GivingUp { handed_over, .. } | State::Settling { handed_over, .. } => *handed_over = true,
            _ => {}
        }
    }

    /// When giving up the oldest revoked partitions has taken too long.
    pub(super) fn overdue_at(&self) -> Option<Instant> {
        let waiting = self
            .rebalances
            .iter()
            .filter_map(|(rebalance, since)| matches!(rebalance, Rebalance::Revoke { .. }).then_some(*since));
        let now = match &self.state {
            State::GivingUp { since, .. } => Some(*since),
            // A stop has limits of its own: the grace period of the sinks, and that of the last commit of offsets.
            State::Settling { stopping: true, .. } | State::Leaving { .. } | State::Ended => return None,
            _ => None,
        };
        waiting.chain(now).min().map(|since| since + self.options.drain_limit)
    }

    /// Gives the partitions up although the sinks do not have all that was read of them. The run begins again: what is
    /// in flight must not be committed by this member any more.
    pub(super) fn give_up_late(&mut self) {
        // A revocation that still waits behind another rebalance is not answered here: the consumer is closed after the
        // end, and that answers it.
        let partitions = match std::mem::replace(&mut self.state, State::Reading) {
            State::GivingUp { partitions, .. } => partitions,
            _ => vec![],
        };
        let named = names(&partitions);
        if !partitions.is_empty() {
            self.forget(&partitions);
            self.actions.push_back(Action::Unassign(partitions.clone()));
            self.notice(Notice::Revoked { partitions, drained: false });
        }
        self.end(Err(Error::new(
            Kind::Lost,
            format!("partitions had to be given up before the sinks had what was read of them: {named}"),
        )));
    }

    pub(super) fn unassign(&mut self, drained: bool) {
        let State::GivingUp { partitions, .. } = std::mem::replace(&mut self.state, State::Reading) else {
            return;
        };
        self.forget(&partitions);
        self.actions.push_back(Action::Unassign(partitions.clone()));
        self.notice(Notice::Revoked { partitions, drained });
    }

    pub(super) fn is_stopping(&self) -> bool {
        matches!(self.state, State::Settling { stopping: true, .. } | State::Leaving { .. })
    }

    /// Drops partitions that belong to other members already. Their next owner reads what this member has not
    /// committed.
    pub(super) fn drop_lost(&mut self, partitions: Vec<TopicPartition>) {
        self.forget(&partitions);
        self.actions.push_back(Action::Unassign(partitions));
    }

    pub(super) fn lose(&mut self, partitions: Vec<TopicPartition>) {
        let named = names(&partitions);
        self.drop_lost(partitions);
        self.end(Err(Error::new(
            Kind::Lost,
            format!("the group gave {named} to other members, since this one was silent for too long"),
        )));
    }

    fn forget(&mut self, partitions: &[TopicPartition]) {
        self.ledger.forget(partitions);
        for key in partitions {
            self.reading.remove(&key.0, key.1);
            self.uncommitted.remove(&key.0, key.1);
            self.leaving.remove(key);
        }
    }
}

fn names(partitions: &[TopicPartition]) -> String {
    let names: Vec<String> = partitions.iter().map(|(topic, id)| format!("{topic}/{id}")).collect();
    names.join(" ")
}
