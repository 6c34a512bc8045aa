//! The event queue, the faults, and the judgement at the end.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use fenliu_engine::position::{Moves, Stored};
use fenliu_engine::reader::{self, BrokerFacts, Start};
use fenliu_engine::{Kind, worker};
use fenliu_schemas::{TopicIdentity, TopicPartition, Topics};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use crate::group::{Group, Membership, Notification};
use crate::member::{Member, SimRows, Tick};
use crate::store::{Guard, Store, failure};
use crate::{Sabotage, topic};

/// Messages of each partition.
const MESSAGES: usize = 100;
/// Messages that are there before a pipeline with `start = "latest"` is started.
const BACKLOG: usize = 10;
/// How long a silent member stays in the group.
const SESSION: Duration = Duration::from_secs(10);
/// Past this time a schedule that has not ended is stuck.
const TOO_LONG: Duration = Duration::from_secs(4 * 3600);
/// Past this number of events it runs in circles.
const TOO_MANY: u64 = 300_000;

/// What came of one schedule.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) problem: Option<String>,
    pub(crate) epochs: u64,
    pub(crate) faults: u64,
    pub(crate) instances: u64,
    /// A hash of all that happened, in order.
    pub(crate) trace: u64,
}

#[derive(Debug)]
enum Event {
    Start,
    Poll(u64),
    Pipe(u64),
    ReaderTick(u64),
    WorkerTick(u64, usize),
    ToReader(u64, reader::Event),
    ToWorker(u64, usize, worker::Event<SimRows>),
    /// An operation of a sink takes effect, or fails to.
    Read(u64, usize),
    Commit(u64, usize, Membership, Vec<Arc<SimRows>>, Moves),
    CommitOffsets(u64, Stored),
    Produce,
    Fault,
    Kick(u64),
    Stop(u64),
}

impl Event {
    fn number(&self) -> u64 {
        match self {
            Event::Start => 0,
            Event::Poll(id) => id << 4 | 1,
            Event::Pipe(id) => id << 4 | 2,
            Event::ReaderTick(id) => id << 4 | 3,
            Event::WorkerTick(id, _) => id << 4 | 4,
            Event::ToReader(id, _) => id << 4 | 5,
            Event::ToWorker(id, ..) => id << 4 | 6,
            Event::Read(id, _) => id << 4 | 7,
            Event::Commit(id, ..) => id << 4 | 8,
            Event::CommitOffsets(id, _) => id << 4 | 9,
            Event::Produce => 10,
            Event::Fault => 11,
            Event::Kick(id) => id << 4 | 12,
            Event::Stop(id) => id << 4 | 13,
        }
    }
}

struct Entry {
    at: Instant,
    number: u64,
    event: Event,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}
impl Eq for Entry {}
impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Entry {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}

pub(crate) struct World {
    random: SmallRng,
    began: Instant,
    now: Instant,
    queue: BinaryHeap<Reverse<Entry>>,
    numbers: u64,
    /// Offsets of the messages of each partition, with holes.
    log: Vec<Vec<i64>>,
    planned: Vec<Vec<i64>>,
    group: Group,
    stores: Vec<Store>,
    members: BTreeMap<u64, Member>,
    next_member: u64,
    /// Partitions that were there from the beginning.
    first_partitions: usize,
    starting: u32,
    start: Start,
    faults_left: u32,
    faults: u64,
    /// Until when operations of each sink fail, and how long the next commit takes.
    failing_until: Vec<Option<Instant>>,
    slow: Vec<Option<Duration>>,
    brokers_silent_until: Option<Instant>,
    stopping: bool,
    failed_at_stop: Option<String>,
    trace: u64,
    prints: bool,
}

/// One instant for the whole process, so that traces do not depend on when they were made.
fn base() -> Instant {
    static BASE: OnceLock<Instant> = OnceLock::new();
    *BASE.get_or_init(Instant::now)
}

impl World {
    pub(crate) fn new(seed: u64, sabotage: Sabotage) -> Self {
        let mut random = SmallRng::seed_from_u64(seed);
        let partitions = random.random_range(3..5);
        let second = if random.random_bool(0.5) { Guard::Generation } else { Guard::Compare };
        let mut planned = vec![];
        for _ in 0..partitions {
            let mut next = 0;
            let mut hole = || {
                next += if random.random_bool(0.15) { random.random_range(2..9) } else { 1 };
                next - 1
            };
            planned.push((0..MESSAGES).map(|_| hole()).collect());
        }
        let start = if random.random_bool(0.3) { Start::Latest } else { Start::Earliest };
        let mut world = World {
            began: base(),
            now: base(),
            queue: BinaryHeap::new(),
            numbers: 0,
            log: vec![vec![]; partitions],
            planned,
            group: Group::new(partitions as i32),
            stores: vec![Store::new(Guard::Compare, sabotage), Store::new(second, sabotage)],
            members: BTreeMap::new(),
            next_member: 0,
            first_partitions: partitions,
            starting: 0,
            start,
            faults_left: random.random_range(2..6),
            faults: 0,
            failing_until: vec![None; 2],
            slow: vec![None; 2],
            brokers_silent_until: None,
            stopping: false,
            failed_at_stop: None,
            trace: 0,
            prints: std::env::var_os("FENLIU_TRACE").is_some(),
            random,
        };
        world.set_up();
        world
    }

    fn set_up(&mut self) {
        if self.start == Start::Latest {
            for (log, planned) in self.log.iter_mut().zip(&mut self.planned) {
                log.extend(planned.drain(..BACKLOG));
            }
        }
        for _ in 0..self.random.random_range(2..4) {
            self.start_member_after(0..2_000);
        }
        self.after(1..50, Event::Produce);
        for _ in 0..self.faults_left {
            self.after(500..25_000, Event::Fault);
        }
    }

    pub(crate) fn run(mut self) -> Outcome {
        let mut events = 0;
        let problem = loop {
            let Some(Reverse(entry)) = self.queue.pop() else {
                break Some("nothing happens any more".into());
            };
            self.now = entry.at;
            events += 1;
            if events > TOO_MANY || self.now - self.began > TOO_LONG {
                break Some(format!("it does not end: {events} events, {:?}", self.now - self.began));
            }
            self.note(entry.number, &entry.event);
            self.handle(entry.event);
            if self.stopping && self.members.is_empty() {
                break self.judge();
            }
            if !self.stopping && self.is_complete() {
                self.stop_all();
            }
        };
        if self.prints && problem.is_some() {
            for (id, member) in &self.members {
                eprintln!("member {id}: {member:#?}");
            }
            eprintln!("{:#?}", self.group);
        }
        Outcome {
            problem,
            epochs: self.stores.iter().map(|store| store.commits).min().unwrap_or(0),
            faults: self.faults,
            instances: self.next_member,
            trace: self.trace,
        }
    }

    fn note(&mut self, number: u64, event: &Event) {
        let at = self.now - self.began;
        if self.prints {
            let text = format!("{event:?}");
            eprintln!("{at:?} {}", text.chars().take(400).collect::<String>());
        }
        let rows = self.stores.iter().map(|store| store.rows.len() as u64).sum::<u64>();
        for value in [number, at.as_nanos() as u64, event.number(), rows] {
            // The hash of Fowler, Noll and Vo, a word at a time.
            self.trace = (self.trace ^ value).wrapping_mul(0x0100_0000_01b3);
        }
    }

    fn after(&mut self, millis: std::ops::Range<u64>, event: Event) {
        let at = self.now + Duration::from_millis(self.random.random_range(millis));
        self.at(at, event);
    }

    fn at(&mut self, at: Instant, event: Event) {
        self.numbers += 1;
        self.queue.push(Reverse(Entry { at: at.max(self.now), number: self.numbers, event }));
    }

    fn start_member_after(&mut self, millis: std::ops::Range<u64>) {
        self.starting += 1;
        self.after(millis, Event::Start);
    }
}

/// Events.
impl World {
    fn handle(&mut self, event: Event) {
        let frozen_until = self.addressee(&event).and_then(|id| self.members.get(&id)?.frozen_until);
        if let Some(until) = frozen_until.filter(|until| *until > self.now) {
            return self.at(until, event);
        }
        match event {
            Event::Start => self.start_member(),
            Event::Poll(id) => self.poll(id),
            Event::Pipe(id) => self.deliver(id),
            Event::ReaderTick(id) => {
                self.members.entry(id).and_modify(|member| member.reader_tick = Tick::default());
                self.tell_reader(id, reader::Event::Tick);
            }
            Event::WorkerTick(id, sink) => {
                self.members.entry(id).and_modify(|member| member.worker_ticks[sink] = Tick::default());
                self.tell_worker(id, sink, worker::Event::Tick);
            }
            Event::ToReader(id, event) => self.tell_reader(id, event),
            Event::ToWorker(id, sink, event) => self.tell_worker(id, sink, event),
            Event::Read(id, sink) => {
                let fails = self.fails(sink);
                let stored = self.stores[sink].positions(&self.group);
                let outcome = if fails { Err(failure()) } else { Ok(stored) };
                self.after(0..5, Event::ToWorker(id, sink, worker::Event::PositionsRead(outcome)));
            }
            Event::Commit(id, sink, writer, rows, moves) => self.commit(id, sink, writer, &rows, &moves),
            Event::CommitOffsets(id, stored) => self.commit_offsets(id, stored),
            Event::Produce => self.produce(),
            Event::Fault => self.fault(),
            Event::Kick(id) => self.kick(id),
            Event::Stop(id) => self.tell_reader(id, reader::Event::StopRequested),
        }
        self.notify();
    }

    /// The member that must run for the event to happen. What was sent before takes effect without its sender.
    fn addressee(&self, event: &Event) -> Option<u64> {
        match event {
            Event::Poll(id)
            | Event::Pipe(id)
            | Event::ReaderTick(id)
            | Event::WorkerTick(id, _)
            | Event::ToReader(id, _)
            | Event::ToWorker(id, ..)
            | Event::Stop(id) => Some(*id),
            _ => None,
        }
    }

    fn start_member(&mut self) {
        self.starting -= 1;
        if self.stopping {
            return;
        }
        self.next_member += 1;
        let commits_offsets = self.stores.iter().all(|store| store.guard == Guard::Compare);
        let id = self.next_member;
        let member = Member::new(self.stores.len(), self.start, commits_offsets, &mut self.random);
        self.members.insert(id, member);
        self.group.join(id);
    }

    /// Passes on what the group has to say.
    fn notify(&mut self) {
        for (id, notification) in self.group.take_notifications() {
            let keys = |partitions: Vec<i32>| partitions.into_iter().map(|p| (topic(), p)).collect();
            let event = match notification {
                Notification::Assigned(partitions) => reader::Event::Assigned(keys(partitions)),
                Notification::Revoked { partitions, lost } => {
                    reader::Event::Revoked { partitions: keys(partitions), lost }
                }
            };
            // In order: a member gets one notification after the other.
            let at = self.now + Duration::from_millis(3);
            self.at(at, Event::ToReader(id, event));
        }
    }

    /// Whether every sink has a position in every partition.
    fn has_begun(&self) -> bool {
        self.stores.iter().all(|store| {
            let positions = store.positions(&self.group).positions;
            (0..self.log.len()).all(|p| positions.get(crate::TOPIC, p as i32).is_some())
        })
    }

    fn produce(&mut self) {
        // With `latest`, what is sent before the pipeline has begun may be left out, so nothing is.
        if self.start == Start::Earliest || self.has_begun() {
            for (log, planned) in self.log.iter_mut().zip(&mut self.planned) {
                let count = self.random.random_range(0..4).min(planned.len());
                log.extend(planned.drain(..count));
            }
            let ids: Vec<u64> = self.members.keys().copied().collect();
            ids.into_iter().for_each(|id| self.arm(id));
        }
        if self.planned.iter().any(|planned| !planned.is_empty()) {
            self.after(100..1_000, Event::Produce);
        }
    }

    /// Lets the member poll soon, unless it will anyway.
    fn arm(&mut self, id: u64) {
        let at = self.now + Duration::from_millis(self.random.random_range(1..10));
        if self.members.get_mut(&id).is_some_and(|member| !std::mem::replace(&mut member.polls, true)) {
            self.at(at, Event::Poll(id));
        }
    }

    fn poll(&mut self, id: u64) {
        let most = self.random.random_range(1..6);
        let Some(member) = self.members.get_mut(&id).filter(|member| !member.input_closed) else { return };
        member.polls = false;
        member.fetch(&self.log, most);
        if !member.is_due() {
            return;
        }
        let at = self.now + Duration::from_millis(self.random.random_range(1..80));
        let at = member.pipe.back().map_or(at, |(last, _)| at.max(*last));
        let wants_batch = member.wants_batch() || self.random.random_bool(0.5);
        let handed_over = wants_batch.then(|| member.hand_over(at));
        let flushed = handed_over == Some(true) && std::mem::take(&mut member.hand_over);
        if handed_over == Some(true) {
            self.at(at, Event::Pipe(id));
        }
        if let Some(done) = handed_over {
            self.tell_reader(id, reader::Event::Blocked(!done));
        }
        if flushed {
            self.tell_reader(id, reader::Event::HandedOver);
        }
        if handed_over != Some(false) {
            self.arm(id);
        }
    }

    fn deliver(&mut self, id: u64) {
        let Some(member) = self.members.get_mut(&id) else { return };
        let Some((_, delivery)) = member.pipe.pop_front() else { return };
        for sink in 0..self.stores.len() {
            self.tell_worker(id, sink, worker::Event::Deliver(Arc::clone(&delivery)));
        }
        self.close_input(id);
    }

    /// Tells the workers that no batch follows, once the reader has ended and the stages between are empty.
    fn close_input(&mut self, id: u64) {
        let is_over = |member: &Member| member.input_closed && member.pipe.is_empty();
        if self.members.get(&id).is_some_and(is_over) {
            for sink in 0..self.stores.len() {
                self.tell_worker(id, sink, worker::Event::InputClosed);
            }
        }
    }

    fn fails(&mut self, sink: usize) -> bool {
        let is_failing = self.failing_until[sink].is_some_and(|until| until > self.now);
        (is_failing && self.random.random_bool(0.8)) || (!self.stopping && self.random.random_bool(0.01))
    }

    fn commit(&mut self, id: u64, sink: usize, writer: Membership, rows: &[Arc<SimRows>], moves: &Moves) {
        // A message of a dead process may get there all the same, or be lost with it.
        if !self.members.contains_key(&id) && self.random.random_bool(0.5) {
            return;
        }
        let (fails, takes_effect) = (self.fails(sink), self.random.random_bool(0.5));
        let outcome = match (fails, takes_effect) {
            (false, _) => self.stores[sink].commit(&mut self.group, writer, rows, moves),
            (true, true) => {
                let _ = self.stores[sink].commit(&mut self.group, writer, rows, moves);
                Err(failure())
            }
            (true, false) => Err(failure()),
        };
        self.after(0..20, Event::ToWorker(id, sink, worker::Event::Committed(outcome)));
    }

    fn commit_offsets(&mut self, id: u64, stored: Stored) {
        let is_silent = self.brokers_silent_until.is_some_and(|until| until > self.now);
        let owns = stored.positions.iter().all(|(_, partition, _)| self.group.owns(id, partition));
        let outcome = if is_silent || !owns {
            Err(failure())
        } else {
            self.group.committed.positions.update(&stored.positions);
            self.group.committed.topics.extend(stored.topics);
            Ok(())
        };
        self.after(0..20, Event::ToReader(id, reader::Event::OffsetsCommitted(outcome)));
    }
}

/// Driving a member.
impl World {
    fn tell_worker(&mut self, id: u64, sink: usize, event: worker::Event<SimRows>) {
        let Some(member) = self.members.get_mut(&id) else { return };
        let worker = &mut member.workers[sink];
        worker.handle(self.now, event);
        let mut actions = vec![];
        while let Some(action) = worker.next_action() {
            actions.push(action);
        }
        let deadline = worker.deadline();
        let tick = deadline.and_then(|at| member.worker_ticks[sink].due(at));
        if let Some(at) = tick {
            self.at(at, Event::WorkerTick(id, sink));
        }
        actions.into_iter().for_each(|action| self.act_for_worker(id, sink, action));
    }

    fn act_for_worker(&mut self, id: u64, sink: usize, action: worker::Action<SimRows>) {
        match action {
            worker::Action::ReadPositions(_) => self.after(0..10, Event::Read(id, sink)),
            worker::Action::Commit { rows, moves } => {
                let writer = self.group.membership(id);
                let takes = self.slow[sink].take().map_or(40, |slow| slow.as_millis() as u64);
                self.after(takes / 2..takes, Event::Commit(id, sink, writer, rows, moves));
            }
            worker::Action::Answer { id: question, stored } => {
                self.report(id, reader::Event::Answered { sink, id: question, stored });
            }
            worker::Action::Acknowledge { positions, .. } => {
                self.report(id, reader::Event::Acknowledged { sink, positions });
                self.arm(id);
            }
            worker::Action::Retrying { .. } => {}
            worker::Action::End(outcome) => self.worker_ended(id, outcome),
        }
    }

    /// Workers report to the reader through a queue, so in order.
    fn report(&mut self, id: u64, event: reader::Event) {
        self.at(self.now + Duration::from_millis(2), Event::ToReader(id, event));
    }

    fn worker_ended(&mut self, id: u64, outcome: fenliu_engine::Result<()>) {
        let Some(member) = self.members.get_mut(&id) else { return };
        member.ended_workers += 1;
        let all_ended = member.ended_workers == member.workers.len();
        if let Err(error) = outcome {
            self.failed(&error);
            self.after(0..5, Event::ToReader(id, reader::Event::OutputClosed));
            self.stop_workers(id);
        }
        if all_ended {
            self.members.remove(&id);
            self.group.remove(id, false);
            self.start_member_after(500..2_000);
        }
    }

    fn failed(&mut self, error: &fenliu_engine::Error) {
        if self.prints {
            eprintln!("  failed: {error}");
        }
        if matches!(error.kind(), Kind::Gap | Kind::Internal | Kind::Recreated) {
            self.failed_at_stop = Some(error.to_string());
        }
    }

    fn stop_workers(&mut self, id: u64) {
        for sink in 0..self.stores.len() {
            self.after(0..5, Event::ToWorker(id, sink, worker::Event::StopRequested));
        }
    }

    fn tell_reader(&mut self, id: u64, event: reader::Event) {
        let Some(member) = self.members.get_mut(&id) else { return };
        member.reader.handle(self.now, event);
        let mut actions = vec![];
        while let Some(action) = member.reader.next_action() {
            actions.push(action);
        }
        let deadline = member.reader.deadline();
        let tick = deadline.and_then(|at| member.reader_tick.due(at));
        if let Some(at) = tick {
            self.at(at, Event::ReaderTick(id));
        }
        actions.into_iter().for_each(|action| self.act_for_reader(id, action));
    }

    fn act_for_reader(&mut self, id: u64, action: reader::Action) {
        match action {
            reader::Action::AskSinks(question) => {
                for sink in 0..self.stores.len() {
                    self.after(1..5, Event::ToWorker(id, sink, worker::Event::Ask(question.clone())));
                }
            }
            reader::Action::AskBrokers(partitions) => {
                let facts = self.broker_facts(&partitions);
                self.after(1..20, Event::ToReader(id, reader::Event::BrokersAnswered(facts)));
            }
            reader::Action::Assign(positions) => {
                if let Some(member) = self.members.get_mut(&id) {
                    member.assign(&positions, &self.log);
                }
                self.arm(id);
            }
            reader::Action::Unassign(partitions) => {
                if let Some(member) = self.members.get_mut(&id) {
                    member.unassign(&partitions);
                }
                self.group.release(id, partitions.iter().map(|(_, partition)| *partition));
            }
            reader::Action::HandOver => {
                self.members.entry(id).and_modify(|member| member.hand_over = true);
                self.arm(id);
            }
            reader::Action::Pause => drop(self.members.entry(id).and_modify(|member| member.paused = true)),
            reader::Action::Resume => {
                self.members.entry(id).and_modify(|member| member.paused = false);
                self.arm(id);
            }
            reader::Action::CommitOffsets(stored) => self.after(1..20, Event::CommitOffsets(id, stored)),
            reader::Action::Notice(notice) => {
                if self.prints {
                    eprintln!("  {notice:?}");
                }
            }
            reader::Action::End(outcome) => {
                if let Err(error) = &outcome {
                    self.failed(error);
                    self.stop_workers(id);
                }
                self.members.entry(id).and_modify(|member| member.input_closed = true);
                self.close_input(id);
            }
        }
    }

    fn broker_facts(&mut self, partitions: &[TopicPartition]) -> fenliu_engine::Result<BrokerFacts> {
        if self.brokers_silent_until.is_some_and(|until| until > self.now) {
            return Err(failure());
        }
        let bounds = partitions.iter().map(|key| {
            let newest = self.log[key.1 as usize].last().map_or(0, |last| last + 1);
            (key.clone(), (0, newest))
        });
        let identity = TopicIdentity { id: Some("id".into()), latest_below: Some(self.group.partitions()) };
        Ok(BrokerFacts {
            committed: self.group.committed.clone(),
            bounds: bounds.collect(),
            topics: Topics::from([(topic(), identity)]),
        })
    }
}

/// Faults.
impl World {
    fn any_member(&mut self) -> Option<u64> {
        let ids: Vec<u64> = self.members.keys().copied().collect();
        (!ids.is_empty()).then(|| ids[self.random.random_range(0..ids.len())])
    }

    fn fault(&mut self) {
        let sink = self.random.random_range(0..self.stores.len());
        let Some(id) = self.any_member() else { return self.after(500..5_000, Event::Fault) };
        self.faults += 1;
        self.faults_left -= 1;
        let span = Duration::from_millis(self.random.random_range(500..40_000));
        match self.random.random_range(0..8) {
            0 | 1 => {
                self.members.remove(&id);
                self.after(1_000..10_000, Event::Kick(id));
                self.start_member_after(100..5_000);
            }
            2 => {
                // Never earlier than before: what waits for the end of a freeze stays in its order.
                let until = Some(self.now + span);
                self.members
                    .entry(id)
                    .and_modify(|member| member.frozen_until = member.frozen_until.max(until));
                let at = self.now + SESSION;
                self.at(at, Event::Kick(id));
            }
            3 => self.after(0..5, Event::Stop(id)),
            4 => self.start_member_after(0..1_000),
            5 => self.failing_until[sink] = Some(self.now + span / 2),
            6 => self.slow[sink] = Some(span * 15),
            _ => self.another(span),
        }
    }

    fn another(&mut self, span: Duration) {
        if self.random.random_bool(0.5) && self.log.len() < 6 && self.has_begun() {
            // Messages are there before the group notices the partition.
            self.log.push((0..5).collect());
            self.planned.push((5..MESSAGES as i64).collect());
            self.group.grow();
            self.after(1..50, Event::Produce);
        } else {
            self.brokers_silent_until = Some(self.now + span / 3);
        }
    }

    /// The group takes a member for dead that was silent for the session's time.
    fn kick(&mut self, id: u64) {
        let is_silent = match self.members.get(&id) {
            None => true,
            Some(member) => member.frozen_until.is_some_and(|until| until > self.now),
        };
        if is_silent {
            self.group.remove(id, self.members.contains_key(&id));
        }
    }
}

/// The end.
impl World {
    /// The partitions' messages that every sink must have.
    fn expected(&self) -> impl Iterator<Item = (i32, i64)> {
        let skipped = |partition: usize| {
            let was_there = partition < self.first_partitions;
            if self.start == Start::Latest && was_there { BACKLOG } else { 0 }
        };
        self.log.iter().enumerate().flat_map(move |(partition, offsets)| {
            offsets.iter().skip(skipped(partition)).map(move |offset| (partition as i32, *offset))
        })
    }

    fn is_complete(&self) -> bool {
        let is_over = self.faults_left == 0 && self.starting == 0 && self.planned.iter().all(Vec::is_empty);
        let skipped = if self.start == Start::Latest { BACKLOG * self.first_partitions } else { 0 };
        let expected = || self.log.iter().map(Vec::len).sum::<usize>() - skipped;
        is_over && self.stores.iter().all(|store| store.rows.len() >= expected())
    }

    fn stop_all(&mut self) {
        self.stopping = true;
        let ids: Vec<u64> = self.members.keys().copied().collect();
        ids.into_iter().for_each(|id| self.after(0..1_000, Event::Stop(id)));
    }

    fn judge(&self) -> Option<String> {
        if let Some(error) = &self.failed_at_stop {
            return Some(error.clone());
        }
        for (number, store) in self.stores.iter().enumerate() {
            let expected: Vec<(i32, i64)> = self.expected().collect();
            let lost: Vec<_> = expected.iter().filter(|row| !store.rows.contains_key(row)).collect();
            let twice: Vec<_> = store.rows.iter().filter(|(_, count)| **count > 1).collect();
            let foreign = store.rows.len() + lost.len() - expected.len();
            if !lost.is_empty() || !twice.is_empty() || foreign > 0 {
                return Some(format!(
                    "sink {number}: lost {lost:?}, twice {twice:?}, not expected {foreign}"
                ));
            }
        }
        None
    }
}
