//! What the sinks have acknowledged: the group's offsets, and the end of a run.

use std::sync::Arc;
use std::time::{Duration, Instant};

use fenliu_schemas::Positions;

use super::{Action, Notice, PAUSE_AFTER, Reader, State};
use crate::error::Result;
use crate::position::Stored;

/// The pause after a failed commit of offsets: the group may be in the middle of a rebalance, which takes a few
/// seconds.
const COMMIT_PAUSE: Duration = Duration::from_millis(500);

impl Reader {
    pub(super) fn acknowledged(&mut self, sink: usize, positions: &Positions) {
        // An acknowledgement can come after its partition was given up. It must not count: the next owner may be
        // further on.
        let owned =
            positions.iter().filter(|(topic, partition, _)| self.reading.get(topic, *partition).is_some());
        let owned: Positions = owned.map(|(topic, id, next)| ((Arc::clone(topic), id), next)).collect();
        self.ledger.acknowledge(sink, &owned);
        self.uncommitted.update(&self.ledger.lowest(&owned.partitions()));
    }

    pub(super) fn commit_offsets(&mut self, now: Instant) {
        // One commit at a time: of two that are under way, the older one could take effect last.
        let waits = self.committing.is_some() || self.commit_at.is_some_and(|at| now < at);
        let has_ended = matches!(self.state, State::Ended);
        if !self.options.commits_offsets || has_ended || waits || self.uncommitted.is_empty() {
            return;
        }
        self.commit_at = None;
        let positions = std::mem::take(&mut self.uncommitted);
        let of = |topic: &Arc<str>| Some((Arc::clone(topic), self.topics.get(topic)?.clone()));
        let topics = positions.iter().filter_map(|(topic, ..)| of(topic)).collect();
        self.committing = Some(positions.clone());
        self.actions.push_back(Action::CommitOffsets(Stored { positions, topics }));
    }

    /// Offsets that could not be committed are committed with the next ones. Until then the group's lag is overstated,
    /// and nothing is lost.
    pub(super) fn offsets_committed(&mut self, now: Instant, outcome: Result<()>) {
        let Some(positions) = self.committing.take() else { return };
        let Err(error) = outcome else { return };
        self.notice(Notice::Retrying { error });
        self.commit_at = Some(now + COMMIT_PAUSE);
        for (topic, partition, next) in positions.iter() {
            // Not over a newer position that was acknowledged meanwhile: the group's offsets do not go back.
            if self.reading.get(topic, partition).is_some()
                && self.uncommitted.get(topic, partition).is_none()
            {
                self.uncommitted.set(topic, partition, next);
            }
        }
    }

    /// Ends a leaving reader when its last offsets are committed.
    pub(super) fn finish(&mut self) {
        let is_done =
            self.committing.is_none() && (self.uncommitted.is_empty() || !self.options.commits_offsets);
        if matches!(self.state, State::Leaving { .. }) && is_done {
            self.end(Ok(()));
        }
    }

    /// Stops taking messages and waits until the sinks have all that was read. At the end of the input this does not
    /// interrupt a rebalance; a stop does.
    pub(super) fn settle(&mut self, stopping: bool) {
        if matches!(self.state, State::Reading) || stopping {
            self.state = State::Settling { handed_over: false, stopping };
            self.actions.push_back(Action::HandOver);
        }
    }

    /// Begins to stop, whatever else is under way. A rebalance is not answered any more, so this member owns its
    /// partitions while the sinks commit what was read of them.
    pub(super) fn stop(&mut self, now: Instant) {
        self.retry.stop(now);
        match self.state {
            State::Settling { stopping: true, .. } | State::Leaving { .. } | State::Ended => {}
            State::Settling { handed_over, .. } => {
                self.state = State::Settling { handed_over, stopping: true }
            }
            _ => self.settle(true),
        }
    }

    pub(super) fn pause_or_resume(&mut self, now: Instant) {
        let is_blocked = self.blocked_since.is_some_and(|since| now >= since + PAUSE_AFTER);
        let waits =
            matches!(self.state, State::GivingUp { .. } | State::Settling { .. } | State::Leaving { .. });
        let pause = is_blocked || self.holding || waits;
        if pause != self.paused && !matches!(self.state, State::Ended) {
            self.paused = pause;
            self.actions.push_back(if pause { Action::Pause } else { Action::Resume });
        }
    }
}
