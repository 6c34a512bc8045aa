//! One instance of the pipeline: the production reader and workers, driven by one event after the other.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::{Duration, Instant};

use fenliu_engine::batch::Budget;
use fenliu_engine::epoch::{Age, Delivery, EpochBounds};
use fenliu_engine::reader::{self, Reader, Start};
use fenliu_engine::worker::Worker;
use fenliu_schemas::{Offsets, Positions, TopicPartition};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use crate::{TOPIC, topic};

/// Rows a source would hand over as one batch.
const BATCH_ROWS: usize = 4;
/// Rows in flight at once.
const BUDGET: u64 = 60;

/// The rows of one batch.
#[derive(Debug)]
pub(crate) struct SimRows {
    pub(crate) rows: Vec<(i32, i64)>,
}

/// When something wants to be woken, so that it is woken once.
#[derive(Debug, Default)]
pub(crate) struct Tick {
    at: Option<Instant>,
}

impl Tick {
    /// The time to wake it at, unless it will be woken before.
    pub(crate) fn due(&mut self, at: Instant) -> Option<Instant> {
        let is_earlier = self.at.is_none_or(|known| at < known);
        is_earlier.then(|| *self.at.insert(at))
    }
}

/// One process.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) reader_tick: Tick,
    pub(crate) worker_ticks: Vec<Tick>,
    pub(crate) reader: Reader,
    pub(crate) workers: Vec<Worker<SimRows>>,
    /// Up to when the process does not run, as under SIGSTOP.
    pub(crate) frozen_until: Option<Instant>,
    pub(crate) ended_workers: usize,
    pub(crate) input_closed: bool,
    /// Index into the partition's log of the next message to fetch.
    pub(crate) fetching: BTreeMap<i32, usize>,
    pub(crate) paused: bool,
    /// Whether a poll is scheduled.
    pub(crate) polls: bool,
    collected: Vec<(i32, i64)>,
    offsets: Offsets,
    budget: Budget,
    pub(crate) hand_over: bool,
    /// Batches between the source and the sinks, with the time at which they get there.
    pub(crate) pipe: VecDeque<(Instant, Arc<Delivery<SimRows>>)>,
}

impl Member {
    pub(crate) fn new(sinks: usize, start: Start, commits_offsets: bool, random: &mut SmallRng) -> Self {
        let options = reader::Options {
            sinks,
            start,
            drain_limit: Duration::from_secs(random.random_range(5..60)),
            commits_offsets,
            claims: true,
        };
        let mut seed = || SmallRng::seed_from_u64(random.random());
        let reader = Reader::new(options, seed());
        let workers = (0..sinks).map(|sink| {
            let max_age = Duration::from_millis(if sink == 0 { 2_000 } else { 500 });
            Worker::new(EpochBounds { max_age, max_rows: 6, max_bytes: BUDGET / 2 }, seed())
        });
        let workers = workers.collect();
        Member {
            reader_tick: Tick::default(),
            worker_ticks: (0..sinks).map(|_| Tick::default()).collect(),
            reader,
            workers,
            frozen_until: None,
            ended_workers: 0,
            input_closed: false,
            fetching: BTreeMap::new(),
            paused: false,
            polls: false,
            collected: vec![],
            offsets: Offsets::default(),
            budget: Budget::new(BUDGET),
            hand_over: false,
            pipe: VecDeque::new(),
        }
    }

    /// Starts to fetch at these positions.
    pub(crate) fn assign(&mut self, positions: &Positions, log: &[Vec<i64>]) {
        for (_, partition, next) in positions.iter() {
            let index = log[partition as usize].partition_point(|offset| *offset < next);
            self.fetching.insert(partition, index);
        }
    }

    pub(crate) fn unassign(&mut self, partitions: &[TopicPartition]) {
        self.fetching.retain(|fetching, _| partitions.iter().all(|(_, partition)| partition != fetching));
    }

    /// Fetches some messages, as one poll does.
    pub(crate) fn fetch(&mut self, log: &[Vec<i64>], most: usize) {
        if self.paused {
            return;
        }
        for (partition, index) in &mut self.fetching {
            let room = BATCH_ROWS.saturating_sub(self.collected.len()).min(most);
            for offset in log[*partition as usize].iter().skip(*index).take(room) {
                *index += 1;
                if let Some(first) = self.reader.first_covered(TOPIC, *partition, *offset) {
                    self.reader.take(&topic(), *partition, *offset);
                    self.offsets.add(&topic(), *partition, first, *offset);
                    self.collected.push((*partition, *offset));
                }
            }
        }
    }

    /// Whether a batch should go on now.
    pub(crate) fn is_due(&self) -> bool {
        self.hand_over || !self.collected.is_empty()
    }

    /// Hands over what was collected if there is memory for it; whether there was.
    pub(crate) fn hand_over(&mut self, at: Instant) -> bool {
        let bytes = self.collected.len() as u64;
        let Some(permit) = self.budget.try_acquire(bytes) else { return false };
        let rows = std::mem::take(&mut self.collected);
        self.pipe.push_back((
            at,
            Arc::new(Delivery {
                documents: rows.len(),
                rows: Arc::new(SimRows { rows }),
                offsets: std::mem::take(&mut self.offsets),
                permit,
                closes_epoch: self.hand_over,
                age: Age { received_at: at, timestamp_ms: None },
                open_sinks: AtomicUsize::new(self.workers.len()),
            }),
        ));
        true
    }

    pub(crate) fn wants_batch(&self) -> bool {
        self.hand_over || self.collected.len() >= BATCH_ROWS
    }
}
