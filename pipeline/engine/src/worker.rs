//! From batches to durable rows: one worker for each sink.
//!
//! A worker gathers batches to an *epoch* and commits it when it is large or old enough. Workers do not wait for each
//! other: a sink that is slow or unavailable delays only itself, until its uncommitted batches fill the memory budget.
//! A failed commit is tried again as long as the failure may be temporary, each time after the positions of the sink
//! were read. No batch is dropped or overtaken.
//!
//! The worker is a state machine. A thread (or a simulation) hands it an [`Event`] with the time and then does what
//! [`Worker::next_action`] says, one action after the other. It asks its sink for one thing at a time: after
//! [`Action::ReadPositions`] and [`Action::Commit`] it does nothing more for the sink until the answer comes as an
//! event. The reader's questions are answered between two commits.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use fenliu_schemas::{Positions, TopicPartition, Topics};
use rand::rngs::SmallRng;

use crate::epoch::{Delivery, Epoch, EpochBounds, Settled};
use crate::error::{Error, Kind, Result};
use crate::position::{Moves, Stored};
use crate::retry::Retry;

/// What the reader wants to know of a sink.
#[derive(Clone, Debug)]
pub struct Question {
    /// Comes back with the answer.
    pub id: u64,
    /// The partitions in question.
    pub partitions: Vec<TopicPartition>,
    /// First positions for those partitions of which the sink has none. They are committed before any row is read:
    /// otherwise a crash before the first rows could let the next run begin at a later offset. Empty: nothing is
    /// committed.
    pub starts: Positions,
    /// The topics as they are now; each later commit stores them beside the positions.
    pub topics: Topics,
}

/// What happens to a worker.
#[derive(Debug)]
pub enum Event<R> {
    /// A batch for the sink; batches come in the order in which they were read.
    Deliver(Arc<Delivery<R>>),
    /// The reader asks.
    Ask(Question),
    /// The sink has answered [`Action::ReadPositions`].
    PositionsRead(Result<Stored>),
    /// The sink has answered [`Action::Commit`].
    Committed(Result<()>),
    /// No more batches come: the open epoch is committed, then the worker ends.
    InputClosed,
    /// A stop was requested: a sink that fails is tried again for a grace period only.
    StopRequested,
    /// [`Worker::deadline`] has come.
    Tick,
}

/// What a worker wants done.
#[derive(Debug)]
pub enum Action<R> {
    /// Read the positions of the sink in these partitions.
    ReadPositions(Vec<TopicPartition>),
    /// Let the sink commit.
    Commit {
        /// The rows of the epoch's batches, in order; none where only positions are claimed.
        rows: Vec<Arc<R>>,
        /// The positions to move, and what to trim.
        moves: Moves,
    },
    /// Tell the reader what the sink has, the positions claimed for it included.
    Answer {
        /// That of the [`Question`].
        id: u64,
        /// What the sink has stored.
        stored: Stored,
    },
    /// Tell the reader that the sink is durable up to these positions.
    Acknowledge {
        /// The next offset of each partition.
        positions: Positions,
        /// Documents of the epoch.
        documents: usize,
        /// Its bytes, as counted by the memory budget.
        bytes: u64,
        /// The batches that all sinks have now.
        settled: Vec<Settled>,
    },
    /// The sink failed and is tried again: for the log.
    Retrying {
        /// Why it failed.
        error: Error,
        /// When it is tried again.
        at: Instant,
    },
    /// The worker ends: with an error when the sink fails for good, or still fails after the grace period of a stop.
    End(Result<()>),
}

/// What the sink works on, or will work on when its pause is over.
#[derive(Debug)]
enum Task<R> {
    Epoch(Epoch<R>),
    Question(Question),
}

#[derive(Debug)]
enum State<R> {
    /// The sink has nothing to do.
    Gathering,
    /// The positions of the sink are being read.
    Reading(Task<R>),
    /// The sink was told to commit; `Stored` is what it has after a success.
    Committing(Task<R>, Stored),
    /// The sink has failed; the task is tried again at this time.
    Pausing(Task<R>, Instant),
    Ended,
}

/// Commits batches to one sink, epoch by epoch.
#[derive(Debug)]
pub struct Worker<R> {
    bounds: EpochBounds,
    epoch: Epoch<R>,
    /// Batches that came while the sink was busy.
    queue: VecDeque<Arc<Delivery<R>>>,
    questions: VecDeque<Question>,
    state: State<R>,
    actions: VecDeque<Action<R>>,
    retry: Retry,
    /// Identities of the topics, from the questions of the reader; each commit stores those of the topics that it
    /// moves.
    topics: Topics,
    input_closed: bool,
}

impl<R> Worker<R> {
    /// A worker with an empty epoch; `random` shortens the pauses between tries.
    pub fn new(bounds: EpochBounds, random: SmallRng) -> Self {
        Worker {
            bounds,
            epoch: Epoch::default(),
            queue: VecDeque::new(),
            questions: VecDeque::new(),
            state: State::Gathering,
            actions: VecDeque::new(),
            retry: Retry::new(random),
            topics: Topics::new(),
            input_closed: false,
        }
    }

    /// When the worker wants an [`Event::Tick`]; `None`: not before something else happens.
    pub fn deadline(&self) -> Option<Instant> {
        match &self.state {
            State::Gathering => self.epoch.deadline(&self.bounds),
            State::Pausing(_, until) => Some(*until),
            State::Reading(_) | State::Committing(..) | State::Ended => None,
        }
    }

    /// The next thing to do; `None`: wait for the next event.
    pub fn next_action(&mut self) -> Option<Action<R>> {
        self.actions.pop_front()
    }

    /// Takes in what happened at `now`.
    pub fn handle(&mut self, now: Instant, event: Event<R>) {
        match event {
            Event::Deliver(delivery) => self.queue.push_back(delivery),
            Event::Ask(question) => self.questions.push_back(question),
            Event::PositionsRead(outcome) => self.positions_read(now, outcome),
            Event::Committed(outcome) => self.committed(now, outcome),
            Event::InputClosed => self.input_closed = true,
            Event::StopRequested => self.stop(now),
            Event::Tick => {}
        }
        self.advance(now);
    }

    /// A stop ends the current pause: the sink is tried once more at once, since it may have recovered.
    fn stop(&mut self, now: Instant) {
        self.retry.stop(now);
        if let State::Pausing(_, until) = &mut self.state {
            *until = now;
        }
    }

    /// Begins whatever the sink can do next.
    fn advance(&mut self, now: Instant) {
        match &self.state {
            State::Pausing(_, until) if *until <= now => self.try_again(),
            State::Gathering => self.begin(now),
            _ => {}
        }
    }

    fn try_again(&mut self) {
        if let State::Pausing(task, _) = std::mem::replace(&mut self.state, State::Gathering) {
            self.read_positions(task);
        }
    }

    fn begin(&mut self, now: Instant) {
        // Questions come before epochs: the source cannot take partitions before every sink has answered.
        if let Some(question) = self.questions.pop_front() {
            return self.read_positions(Task::Question(question));
        }
        // Batches beyond the bounds stay in the queue, for the epoch after this one.
        while !self.epoch.is_due(now, &self.bounds)
            && let Some(delivery) = self.queue.pop_front()
        {
            self.epoch.add(now, delivery);
        }
        if self.epoch.is_due(now, &self.bounds) || (self.input_closed && !self.epoch.is_empty()) {
            let epoch = std::mem::take(&mut self.epoch);
            self.read_positions(Task::Epoch(epoch));
        } else if self.input_closed {
            self.end(Ok(()));
        }
    }

    /// Each attempt begins by reading the positions: an earlier attempt may have taken effect although it failed.
    fn read_positions(&mut self, task: Task<R>) {
        let partitions = match &task {
            Task::Epoch(epoch) => epoch.offsets().partitions(),
            Task::Question(question) => question.partitions.clone(),
        };
        self.actions.push_back(Action::ReadPositions(partitions));
        self.state = State::Reading(task);
    }

    fn positions_read(&mut self, now: Instant, outcome: Result<Stored>) {
        let State::Reading(task) = std::mem::replace(&mut self.state, State::Gathering) else { return };
        let next = outcome.and_then(|stored| self.plan(&task, stored));
        match next {
            Err(error) => self.failed(now, task, error),
            // Nothing to move: the sink has these rows already, for example from an attempt whose answer was lost, or
            // its first positions.
            Ok((moves, after)) if moves.is_empty() => self.done(task, after),
            Ok((moves, after)) => {
                let rows = match &task {
                    Task::Epoch(epoch) => epoch.rows(),
                    Task::Question(_) => vec![],
                };
                self.actions.push_back(Action::Commit { rows, moves });
                self.state = State::Committing(task, after);
            }
        }
    }

    /// The moves of the sink, which has `stored`, for `task`, and what it has stored after them.
    fn plan(&mut self, task: &Task<R>, mut stored: Stored) -> Result<(Moves, Stored)> {
        if let Task::Question(question) = task {
            // Kept for all later commits, which store the identity of each topic that they move.
            self.topics.extend(question.topics.clone());
        }
        // Before offsets are compared: those of another topic under the same name mean nothing to the sink.
        check_identity(&self.topics, &stored.topics)?;
        let moves = match task {
            Task::Epoch(epoch) => Moves::plan(&stored.positions, epoch.offsets())?,
            Task::Question(question) => Moves::first(&missing(&question.starts, &stored.positions)),
        };
        check_moves(&moves, &stored.positions)?;
        // Topics without a known identity are left out, such as the paths of a files source.
        let of = |topic: &Arc<str>| Some((Arc::clone(topic), self.topics.get(topic)?.clone()));
        let topics = moves.iter().filter_map(|m| of(&m.topic)).collect();
        let moves = moves.with_topics(topics);
        stored.positions.update(&moves.ends());
        Ok((moves, stored))
    }

    fn committed(&mut self, now: Instant, outcome: Result<()>) {
        let State::Committing(task, after) = std::mem::replace(&mut self.state, State::Gathering) else {
            return;
        };
        match outcome {
            Ok(()) => self.done(task, after),
            Err(error) => self.failed(now, task, error),
        }
    }

    fn done(&mut self, task: Task<R>, stored: Stored) {
        self.retry.succeeded();
        let action = match task {
            Task::Question(question) => Action::Answer { id: question.id, stored },
            Task::Epoch(epoch) => {
                let (positions, documents, bytes) =
                    (epoch.offsets().ends(), epoch.documents(), epoch.bytes());
                let settled = epoch.settle();
                // Returns the memory of the epoch before the source is told: it may be waiting for this memory.
                drop(epoch);
                Action::Acknowledge { positions, documents, bytes, settled }
            }
        };
        self.actions.push_back(action);
    }

    fn failed(&mut self, now: Instant, task: Task<R>, error: Error) {
        if error.kind() == Kind::Conflict {
            // No pause: another process has committed, so the positions have changed. They tell what is left to do.
            return self.read_positions(task);
        }
        match self.retry.after_failure(now) {
            Some(at) if error.is_retryable() => {
                self.actions.push_back(Action::Retrying { error, at });
                self.state = State::Pausing(task, at);
            }
            _ => self.end(Err(error)),
        }
    }

    fn end(&mut self, outcome: Result<()>) {
        self.state = State::Ended;
        self.actions.push_back(Action::End(outcome));
    }
}

/// The positions of `starts` whose partitions are not in `stored`.
fn missing(starts: &Positions, stored: &Positions) -> Positions {
    let unknown = starts.iter().filter(|(topic, partition, _)| stored.get(topic, *partition).is_none());
    unknown.map(|(topic, partition, next)| ((Arc::clone(topic), partition), next)).collect()
}

/// Refuses to move a position whose topic was deleted and created again since: its offsets mean other messages.
fn check_identity(now: &Topics, stored: &Topics) -> Result<()> {
    for (topic, identity) in now {
        if let Some(known) = stored.get(topic).filter(|known| known.contradicts(identity)) {
            return Err(recreated(topic, known.id.as_deref(), identity.id.as_deref()));
        }
    }
    Ok(())
}

/// The error for a topic that is not the one whose offsets are stored.
pub(crate) fn recreated(topic: &str, stored: Option<&str>, found: Option<&str>) -> Error {
    let message = format!(
        "topic {topic} was deleted and created again: the sinks' offsets belong to the topic with id {}, the cluster has \
         id {}",
        stored.unwrap_or("unknown"),
        found.unwrap_or("unknown")
    );
    Error::new(Kind::Recreated, message)
        .with("topic", topic)
        .remedy("another `name` reads the new topic from its beginning")
}

/// The invariants of a commit, held in release builds too: it moves each partition forward, from where the sink says
/// that it stands. A violation is a defect of the engine, and stopping loses nothing.
fn check_moves(moves: &Moves, stored: &Positions) -> Result<()> {
    let broken = |m: &&crate::position::Move| m.to < 0 || m.from.is_some_and(|from| m.to <= from);
    match moves.iter().find(broken) {
        Some(m) => Err(Error::internal(format!(
            "a commit would move {}/{} from {:?} to {}",
            m.topic, m.partition, m.from, m.to
        ))),
        None if !moves.start_at(stored) => {
            Err(Error::internal(format!("a commit would begin elsewhere than at {stored:?}: {moves:?}")))
        }
        None => Ok(()),
    }
}
