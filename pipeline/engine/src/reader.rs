//! What a member of a consumer group reads, where it begins, and how it gives partitions up.
//!
//! An assigned partition is read from the positions of the sinks, not from the offsets of the group. A revoked
//! partition is given up once all sinks have what was read of it. If that takes too long, everything in flight is
//! dropped, and the run starts again from the positions of the sinks.
//!
//! The reader never waits: it asks sinks and brokers through [`Action`]s, and the source goes on polling its consumer
//! until the answers come as [`Event`]s, so that a commit of minutes costs no membership in the group. It handles one
//! rebalance at a time, in the order in which they came.

mod contract;
mod finish;
mod give_up;
mod state;
mod take;

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use fenliu_schemas::{Positions, TopicPartition, Topics};
use rand::rngs::SmallRng;

use crate::error::{Error, Result};
use crate::position::Ledger;
use crate::retry::Retry;
pub use contract::{Action, BrokerFacts, Event, Notice, Options, Start};
use state::{Rebalance, State, Step, Taking};

/// How long the later stages may be busy before the partitions are paused. Shorter waits are everyday backpressure, and
/// a pause makes librdkafka drop what it has prefetched.
const PAUSE_AFTER: Duration = Duration::from_secs(2);

/// For how long the last commit of offsets is tried again.
const LAST_COMMIT_LIMIT: Duration = Duration::from_secs(10);

/// Follows the group: see the module's text.
#[derive(Debug)]
pub struct Reader {
    options: Options,
    ledger: Ledger,
    /// The next offset to be read of each partition that is read.
    reading: Positions,
    /// Partitions of which nothing more is taken, since they are about to be given up.
    leaving: BTreeSet<TopicPartition>,
    /// Identities of the topics that were taken, for commits and for comparison with later look-ups.
    topics: Topics,
    /// Rebalances that are not handled yet, with the time when they came.
    rebalances: VecDeque<(Rebalance, Instant)>,
    state: State,
    actions: VecDeque<Action>,
    /// Id of the last question to the sinks. Answers to earlier questions are ignored.
    next_question: u64,
    retry: Retry,
    /// Since when a batch waits for memory or for room in the queue of the next stage.
    blocked_since: Option<Instant>,
    holding: bool,
    paused: bool,
    /// Offsets that are to be committed to the group, and those of the commit that is under way.
    uncommitted: Positions,
    committing: Option<Positions>,
    /// When the next commit may be sent, after one has failed.
    commit_at: Option<Instant>,
}

impl Reader {
    /// A reader without partitions; `random` shortens the pauses between tries.
    pub fn new(options: Options, random: SmallRng) -> Self {
        Reader {
            ledger: Ledger::new(options.sinks),
            options,
            reading: Positions::default(),
            leaving: BTreeSet::new(),
            topics: Topics::new(),
            rebalances: VecDeque::new(),
            state: State::Reading,
            actions: VecDeque::new(),
            next_question: 0,
            retry: Retry::new(random),
            blocked_since: None,
            holding: false,
            paused: false,
            uncommitted: Positions::default(),
            committing: None,
            commit_at: None,
        }
    }

    /// The next thing to do; `None`: wait for the next event.
    pub fn next_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// The first offset that a batch covers which takes the message at `offset` next; it lies before `offset` where the
    /// partition has a hole. `None`: the message is not to be taken, since its partition is not read (any more), or
    /// since it was taken before.
    pub fn first_covered(&self, topic: &str, partition: i32, offset: i64) -> Option<i64> {
        let first = self.reading.get(topic, partition).filter(|first| *first <= offset)?;
        let is_leaving = |key: &TopicPartition| key.1 == partition && *key.0 == *topic;
        // A message that is refused here is in no batch, so no position moves past it: its partition is read again from
        // the positions of the sinks before anything else is read of it.
        (!self.is_stopping() && !self.leaving.iter().any(is_leaving)).then_some(first)
    }

    /// The message at `offset` was taken.
    pub fn take(&mut self, topic: &Arc<str>, partition: i32, offset: i64) {
        self.reading.set(topic, partition, offset + 1);
    }

    /// The next offset of each partition that is read.
    pub fn reading(&self) -> &Positions {
        &self.reading
    }

    /// How far all sinks are in each partition that is read; partitions of which a sink has no position are missing.
    pub fn settled(&self) -> Positions {
        self.ledger.lowest(&self.reading.partitions())
    }

    /// Whether the partitions are read and nothing else is going on.
    pub fn is_reading(&self) -> bool {
        matches!(self.state, State::Reading) && self.rebalances.is_empty()
    }

    /// When the reader wants an [`Event::Tick`]; `None`: not before something else happens.
    pub fn deadline(&self) -> Option<Instant> {
        let of_state = match &self.state {
            State::Taking(Taking { step: Step::BrokersLater(at), .. }) => Some(*at),
            State::Leaving { since } => Some(*since + LAST_COMMIT_LIMIT),
            State::Ended => return None,
            _ => None,
        };
        let pause_at = self.blocked_since.filter(|_| !self.paused).map(|since| since + PAUSE_AFTER);
        let has_more = !self.uncommitted.is_empty() && self.committing.is_none();
        let commit_at = self.commit_at.filter(|_| has_more);
        [of_state, self.overdue_at(), pause_at, commit_at].into_iter().flatten().min()
    }

    /// Takes in what happened at `now`.
    pub fn handle(&mut self, now: Instant, event: Event) {
        match event {
            Event::Assigned(partitions) => self.rebalances.push_back((Rebalance::Assign(partitions), now)),
            // Partitions that are lost during a stop are no error: their next owner reads what this member has not
            // committed, and the others are still committed.
            Event::Revoked { partitions, lost: true } if self.is_stopping() => self.drop_lost(partitions),
            Event::Revoked { partitions, lost } => {
                self.rebalances.push_back((Rebalance::Revoke { partitions, lost }, now));
            }
            Event::Answered { sink, id, stored } => self.answered(sink, id, stored),
            Event::Acknowledged { sink, positions } => self.acknowledged(sink, &positions),
            Event::BrokersAnswered(outcome) => self.brokers_answered(now, outcome),
            Event::TopicsSeen(topics) => self.check_topics(&topics),
            Event::HandedOver => self.handed_over(),
            Event::OffsetsCommitted(outcome) => self.offsets_committed(now, outcome),
            Event::Blocked(blocked) => {
                self.blocked_since = blocked.then(|| self.blocked_since.unwrap_or(now))
            }
            Event::Holding(holding) => self.holding = holding,
            Event::InputEnded => self.settle(false),
            Event::StopRequested => self.stop(now),
            Event::OutputClosed => self.end(Ok(())),
            Event::Tick => {}
        }
        self.advance(now);
    }

    /// Goes on wherever that is possible now.
    fn advance(&mut self, now: Instant) {
        if matches!(self.state, State::Ended) {
            return;
        }
        // Before all else: soon after this limit the group removes the member, so waiting for the sinks is over.
        if self.overdue_at().is_some_and(|at| at <= now) {
            return self.give_up_late();
        }
        match &self.state {
            State::Reading => self.next_rebalance(now),
            State::Taking(Taking { step: Step::BrokersLater(at), .. }) if *at <= now => self.ask_brokers(),
            State::GivingUp { ends, handed_over: true, .. } if self.ledger.reaches(ends) => {
                self.unassign(true);
                self.next_rebalance(now);
            }
            // At the end of the input, a rebalance still counts: it may bring partitions with more input. The source
            // reports the end again when it has read these.
            State::Settling { stopping: false, .. } if !self.rebalances.is_empty() => {
                self.state = State::Reading;
                self.next_rebalance(now);
            }
            State::Settling { handed_over: true, .. } if self.ledger.reaches(&self.reading) => {
                self.state = State::Leaving { since: now };
            }
            State::Leaving { since } if now >= *since + LAST_COMMIT_LIMIT => {
                self.end(Err(Error::unavailable("the brokers do not accept the last commit of offsets")));
            }
            _ => {}
        }
        self.commit_offsets(now);
        self.finish();
        self.pause_or_resume(now);
    }

    fn next_rebalance(&mut self, now: Instant) {
        match self.rebalances.pop_front() {
            None => {}
            Some((Rebalance::Assign(partitions), _)) => self.ask_sinks(partitions),
            Some((Rebalance::Revoke { partitions, lost: true }, _)) => self.lose(partitions),
            Some((Rebalance::Revoke { partitions, lost: false }, since)) => {
                // The revocation may have waited behind another rebalance, and its limit counts from its arrival:
                // `advance` sees whether it is over.
                self.give_up(partitions, since);
                self.advance(now);
            }
        }
    }

    fn end(&mut self, outcome: Result<()>) {
        if !matches!(self.state, State::Ended) {
            self.state = State::Ended;
            self.actions.push_back(Action::End(outcome));
        }
    }

    fn notice(&mut self, notice: Notice) {
        self.actions.push_back(Action::Notice(notice));
    }
}
