//! What a member of a consumer group reads, where it begins, and how it gives partitions up.
//!
//! A partition that is assigned is read from where the sinks stand, not from where the group's offsets are. A
//! partition that is revoked is given up once every sink is durable up to what was read of it. If that takes too long,
//! everything in flight is dropped and the run starts again from the sinks' positions.
//!
//! The reader never waits: it asks sinks and brokers through [`Action`]s, and the source goes on polling its consumer
//! until the answers come as [`Event`]s, so that a commit of minutes costs no membership in the group. It handles one
//! rebalance at a time, in the order in which they came.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use fenliu_schemas::{Positions, TopicIdentity, TopicPartition, Topics};
use rand::rngs::SmallRng;

use crate::error::{Error, Kind, Result};
use crate::position::{Ledger, Stored, lowest_known};
use crate::retry::Retry;
use crate::worker::{Question, recreated};

/// How long the stages behind may be busy before the partitions are paused. Shorter waits are everyday backpressure,
/// and pausing throws away what the client has prefetched.
const PAUSE_AFTER: Duration = Duration::from_secs(2);

/// When a commit of offsets that failed is tried again: the group may be in the middle of a rebalance, which takes a
/// few seconds.
const COMMIT_PAUSE: Duration = Duration::from_millis(500);

/// For how long the last commit of offsets is tried again.
const LAST_COMMIT_LIMIT: Duration = Duration::from_secs(10);

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
    /// The topics as a later look at the cluster shows them.
    TopicsSeen(Topics),
    /// What [`Action::HandOver`] asked for was done.
    HandedOver,
    /// The outcome of [`Action::CommitOffsets`].
    OffsetsCommitted(Result<()>),
    /// A batch waits for memory or for room in the queue of the next stage; or no longer does.
    Blocked(bool),
    /// Messages wait that the decoder cannot take yet; or no longer do.
    Holding(bool),
    /// The input was read to its end, where the run is to stop.
    InputEnded,
    /// A stop was requested.
    StopRequested,
    /// A later stage or a sink has ended, so nothing more becomes durable; it reports its failure itself.
    OutputClosed,
    /// [`Reader::deadline`] has come.
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

#[derive(Debug)]
enum Rebalance {
    Assign(Vec<TopicPartition>),
    Revoke { partitions: Vec<TopicPartition>, lost: bool },
}

/// Partitions on their way to being read.
#[derive(Debug)]
struct Taking {
    partitions: Vec<TopicPartition>,
    step: Step,
    answers: BTreeMap<usize, Stored>,
    facts: BrokerFacts,
}

#[derive(Debug)]
enum Step {
    /// Where do the sinks stand? Before the brokers are asked: a sink may have to end the transaction of a process
    /// that died, until which the brokers do not tell the group's offsets.
    Sinks(u64),
    Brokers,
    BrokersLater(Instant),
    /// Sinks without a position are given one.
    Claims(u64),
}

#[derive(Debug)]
enum State {
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

/// Follows the group: see the module's text.
#[derive(Debug)]
pub struct Reader {
    options: Options,
    ledger: Ledger,
    /// The next offset to be read of each partition that is read.
    reading: Positions,
    /// Partitions of which nothing more is taken, since they are about to be given up.
    leaving: BTreeSet<TopicPartition>,
    topics: Topics,
    rebalances: VecDeque<(Rebalance, Instant)>,
    state: State,
    actions: VecDeque<Action>,
    next_question: u64,
    retry: Retry,
    blocked_since: Option<Instant>,
    holding: bool,
    paused: bool,
    /// Offsets that are to be committed to the group, and whether a commit is under way.
    uncommitted: Positions,
    committing: Option<Positions>,
    /// No commit is tried before, since the last one failed.
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
        // What is not taken here is covered by no batch: its partition is read again from the sinks' positions before
        // anything else is read of it.
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

/// Taking partitions.
impl Reader {
    fn question(&mut self, partitions: &[TopicPartition], starts: Positions, topics: Topics) -> u64 {
        self.next_question += 1;
        let id = self.next_question;
        let partitions = partitions.to_vec();
        self.actions.push_back(Action::AskSinks(Question { id, partitions, starts, topics }));
        id
    }

    fn ask_sinks(&mut self, partitions: Vec<TopicPartition>) {
        if partitions.is_empty() {
            // A rebalance that brings nothing still wants to be acknowledged.
            self.state = State::Reading;
            return self.actions.push_back(Action::Assign(Positions::default()));
        }
        let id = self.question(&partitions, Positions::default(), Topics::new());
        self.state = State::Taking(Taking {
            partitions,
            step: Step::Sinks(id),
            answers: BTreeMap::new(),
            facts: BrokerFacts::default(),
        });
        self.answered_by_all();
    }

    fn answered(&mut self, sink: usize, id: u64, stored: Stored) {
        let State::Taking(taking) = &mut self.state else { return };
        let (Step::Sinks(expected) | Step::Claims(expected)) = taking.step else { return };
        if expected == id {
            taking.answers.insert(sink, stored);
            self.answered_by_all();
        }
    }

    /// The next step, once every sink has answered.
    fn answered_by_all(&mut self) {
        let State::Taking(taking) = &self.state else { return };
        if taking.answers.len() < self.options.sinks {
            return;
        }
        match taking.step {
            Step::Sinks(_) => self.ask_brokers(),
            Step::Claims(_) => self.assign(),
            Step::Brokers | Step::BrokersLater(_) => {}
        }
    }

    fn ask_brokers(&mut self) {
        let State::Taking(taking) = &mut self.state else { return };
        taking.step = Step::Brokers;
        self.actions.push_back(Action::AskBrokers(taking.partitions.clone()));
    }

    fn brokers_answered(&mut self, now: Instant, outcome: Result<BrokerFacts>) {
        let State::Taking(taking) = &mut self.state else { return };
        match outcome {
            Ok(facts) => {
                taking.facts = facts;
                self.retry.succeeded();
                self.claim();
            }
            Err(error) if error.is_retryable() => match self.retry.after_failure(now) {
                Some(at) => {
                    taking.step = Step::BrokersLater(at);
                    self.notice(Notice::Retrying { error });
                }
                None => self.end(Err(error)),
            },
            Err(error) => self.end(Err(error)),
        }
    }

    /// Finds where the partitions begin, and gives sinks without a position that one.
    fn claim(&mut self) {
        let State::Taking(taking) = &mut self.state else { return };
        let topics = match identities(&taking.facts, taking.answers.values()) {
            Ok(topics) => topics,
            Err(error) => return self.end(Err(error)),
        };
        let starts = starts(taking, &topics, self.options.start);
        let partitions = taking.partitions.clone();
        // Against what was stored before the brokers were asked: a sink may have moved on since, and the partition too.
        let known = lowest_known(taking.answers.values().map(|stored| &stored.positions));
        let bounds = std::mem::take(&mut taking.facts.bounds);
        let deleted = match check_bounds(&known, &bounds) {
            Ok(deleted) => deleted,
            Err(error) => return self.end(Err(error)),
        };
        let adopted = adopted(&taking.facts, taking.answers.values(), &topics);
        taking.answers.clear();
        self.topics.extend(topics.clone());
        deleted.into_iter().chain(adopted).for_each(|notice| self.notice(notice));
        let starts_claimed = if self.options.claims { starts.clone() } else { Positions::default() };
        let id = self.question(&partitions, starts_claimed, topics);
        if let State::Taking(taking) = &mut self.state {
            taking.step = Step::Claims(id);
            taking.facts.committed.positions = starts;
        }
        self.answered_by_all();
    }

    /// Reads the partitions from the lowest position over the sinks on.
    fn assign(&mut self) {
        let State::Taking(taking) = std::mem::replace(&mut self.state, State::Reading) else { return };
        let starts = &taking.facts.committed.positions;
        let mut lowest = starts.clone();
        for (sink, stored) in &taking.answers {
            let mut positions = starts.clone();
            positions.update(&stored.positions);
            let own =
                taking.partitions.iter().filter_map(|key| Some((key.clone(), positions.get(&key.0, key.1)?)));
            let own: Positions = own.collect();
            self.ledger.acknowledge(*sink, &own);
            // Not the start where every sink has a later position: nothing before that is wanted.
            lowest = if *sink == 0 { own } else { lowest_known([&lowest, &own]) };
        }
        self.reading.update(&lowest);
        self.leaving.retain(|key| !taking.partitions.contains(key));
        self.uncommitted.update(&lowest);
        self.actions.push_back(Action::Assign(lowest.clone()));
        self.notice(Notice::Assigned(lowest));
        // What is assigned anew is fetched, also while everything else is paused.
        self.paused = false;
    }

    fn check_topics(&mut self, seen: &Topics) {
        let other = self.topics.iter().find_map(|(topic, known)| {
            let seen = seen.get(topic).filter(|seen| known.contradicts(seen))?;
            Some(recreated(topic, known.id.as_deref(), seen.id.as_deref()))
        });
        if let Some(error) = other {
            self.end(Err(error));
        }
    }
}

/// What is known of each topic: by the sinks, by the group, and for the rest as it is today.
fn identities<'a>(facts: &'a BrokerFacts, sinks: impl Iterator<Item = &'a Stored> + Clone) -> Result<Topics> {
    let mut topics = facts.topics.clone();
    for (topic, identity) in &mut topics {
        let mut known = TopicIdentity { id: identity.id.clone(), latest_below: None };
        for stored in sinks.clone().chain([&facts.committed]).filter_map(|stored| stored.topics.get(topic)) {
            if stored.contradicts(&known) {
                return Err(recreated(topic, stored.id.as_deref(), known.id.as_deref()));
            }
            known.fill_from(stored);
        }
        known.fill_from(identity);
        *identity = known;
    }
    Ok(topics)
}

/// Topics of which sinks have positions that do not say to which topic they belong.
fn adopted<'a>(
    facts: &'a BrokerFacts,
    sinks: impl Iterator<Item = &'a Stored> + Clone,
    topics: &Topics,
) -> Vec<Notice> {
    let is_unnamed = |topic: &Arc<str>, stored: &Stored| {
        let has_position = stored.positions.iter().any(|(of, ..)| of == topic);
        has_position && stored.topics.get(topic).is_none_or(|identity| identity.id.is_none())
    };
    let all = || sinks.clone().chain([&facts.committed]);
    let unnamed = topics.iter().filter(|(topic, _)| all().any(|stored| is_unnamed(topic, stored)));
    unnamed
        .filter_map(|(topic, identity)| {
            Some(Notice::Adopted { topic: Arc::clone(topic), id: identity.id.clone()? })
        })
        .collect()
}

/// Where sinks begin that have no position in a partition: where the group is; where the sink is that is furthest
/// behind, since brokers forget a group that was away for long (`offsets.retention.minutes`); else as configured.
fn starts(taking: &Taking, topics: &Topics, start: Start) -> Positions {
    let Taking { partitions, answers, facts, .. } = taking;
    let stored = lowest_known(answers.values().map(|stored| &stored.positions));
    let start_of = |key: &TopicPartition| {
        let (topic, partition) = (&key.0, key.1);
        let known = facts.committed.positions.get(topic, partition).or_else(|| stored.get(topic, partition));
        known.or_else(|| {
            let (oldest, newest) = *facts.bounds.get(key)?;
            let latest_below = topics.get(topic).and_then(|identity| identity.latest_below);
            let is_latest = start == Start::Latest && latest_below.is_none_or(|below| partition < below);
            Some(if is_latest { newest } else { oldest })
        })
    };
    partitions.iter().filter_map(|key| Some((key.clone(), start_of(key)?))).collect()
}

/// A position behind the end of its partition means that the topic was created again. One before its oldest offset
/// means that offsets were deleted before they were read, which is reported.
fn check_bounds(positions: &Positions, bounds: &BTreeMap<TopicPartition, (i64, i64)>) -> Result<Vec<Notice>> {
    let mut deleted = vec![];
    for (partition, &(oldest, newest)) in bounds {
        match positions.get(&partition.0, partition.1) {
            Some(next) if next > newest => return Err(shrunk(&partition.0, partition.1, next, newest)),
            Some(position) if position < oldest => {
                deleted.push(Notice::Deleted { partition: partition.clone(), position, oldest });
            }
            _ => {}
        }
    }
    Ok(deleted)
}

fn shrunk(topic: &str, partition: i32, next: i64, newest: i64) -> Error {
    Error::new(
        Kind::Recreated,
        format!(
            "{topic}/{partition}: the sinks have everything before offset {next}, but the partition ends at {newest}: the \
             topic was deleted and created again"
        ),
    )
    .remedy("another `name` reads the new topic from its beginning")
}

/// Giving partitions up.
impl Reader {
    fn give_up(&mut self, partitions: Vec<TopicPartition>, since: Instant) {
        let of_key = |key: &TopicPartition| Some((key.clone(), self.reading.get(&key.0, key.1)?));
        let ends: Positions = partitions.iter().filter_map(of_key).collect();
        self.leaving.extend(partitions.iter().cloned());
        self.state = State::GivingUp { partitions, ends, handed_over: false, since };
        self.actions.push_back(Action::HandOver);
    }

    fn handed_over(&mut self) {
        match &mut self.state {
            State::GivingUp { handed_over, .. } | State::Settling { handed_over, .. } => *handed_over = true,
            _ => {}
        }
    }

    /// When giving up the oldest revoked partitions has taken too long.
    fn overdue_at(&self) -> Option<Instant> {
        let waiting = self
            .rebalances
            .iter()
            .filter_map(|(rebalance, since)| matches!(rebalance, Rebalance::Revoke { .. }).then_some(*since));
        let now = match &self.state {
            State::GivingUp { since, .. } => Some(*since),
            State::Settling { stopping: true, .. } | State::Leaving { .. } | State::Ended => return None,
            _ => None,
        };
        waiting.chain(now).min().map(|since| since + self.options.drain_limit)
    }

    /// The partitions go, though the sinks have not got what was read of them.
    fn give_up_late(&mut self) {
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

    fn unassign(&mut self, drained: bool) {
        let State::GivingUp { partitions, .. } = std::mem::replace(&mut self.state, State::Reading) else {
            return;
        };
        self.forget(&partitions);
        self.actions.push_back(Action::Unassign(partitions.clone()));
        self.notice(Notice::Revoked { partitions, drained });
    }

    fn is_stopping(&self) -> bool {
        matches!(self.state, State::Settling { stopping: true, .. } | State::Leaving { .. })
    }

    /// Partitions that are gone: their next owner reads what this member does not commit any more.
    fn drop_lost(&mut self, partitions: Vec<TopicPartition>) {
        self.forget(&partitions);
        self.actions.push_back(Action::Unassign(partitions));
    }

    fn lose(&mut self, partitions: Vec<TopicPartition>) {
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

/// Acknowledgements, the group's offsets, the end.
impl Reader {
    fn acknowledged(&mut self, sink: usize, positions: &Positions) {
        // Acknowledgements of partitions that are gone may come late.
        let owned =
            positions.iter().filter(|(topic, partition, _)| self.reading.get(topic, *partition).is_some());
        let owned: Positions = owned.map(|(topic, id, next)| ((Arc::clone(topic), id), next)).collect();
        self.ledger.acknowledge(sink, &owned);
        self.uncommitted.update(&self.ledger.lowest(&owned.partitions()));
    }

    fn commit_offsets(&mut self, now: Instant) {
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
    fn offsets_committed(&mut self, now: Instant, outcome: Result<()>) {
        let Some(positions) = self.committing.take() else { return };
        if outcome.is_ok() {
            return;
        }
        self.commit_at = Some(now + COMMIT_PAUSE);
        for (topic, partition, next) in positions.iter() {
            if self.reading.get(topic, partition).is_some()
                && self.uncommitted.get(topic, partition).is_none()
            {
                self.uncommitted.set(topic, partition, next);
            }
        }
    }

    /// Ends when the last offsets are committed, too.
    fn finish(&mut self) {
        let is_done =
            self.committing.is_none() && (self.uncommitted.is_empty() || !self.options.commits_offsets);
        if matches!(self.state, State::Leaving { .. }) && is_done {
            self.end(Ok(()));
        }
    }

    fn settle(&mut self, stopping: bool) {
        if matches!(self.state, State::Reading) || stopping {
            self.state = State::Settling { handed_over: false, stopping };
            self.actions.push_back(Action::HandOver);
        }
    }

    /// A stop ends whatever goes on: the sinks commit what was read, as the owners of the partitions that they still are.
    fn stop(&mut self, now: Instant) {
        self.retry.stop(now);
        match self.state {
            State::Settling { stopping: true, .. } | State::Leaving { .. } | State::Ended => {}
            State::Settling { handed_over, .. } => {
                self.state = State::Settling { handed_over, stopping: true }
            }
            _ => self.settle(true),
        }
    }

    fn pause_or_resume(&mut self, now: Instant) {
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
