//! The newest documents, for the page: a bounded store in memory.
//!
//! The stage that writes hands batches to a queue and never waits: if the queue is full, the page sees fewer documents, and is
//! told how many were left out. A thread of its own turns rows into stories. At most so many a second are taken, but documents
//! whose label is not trusted have a part of the store for themselves, so that the review queue does not starve when
//! thousands of documents a second flow.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::Instant;

use arrow::array::RecordBatch;
use fenliu_engine::metrics::Metrics;
use parking_lot::RwLock;
use tokio::sync::watch;

use super::dead_letters::{DeadLetter, letters};
use super::limits::NICENESS;
use super::shingles;
use super::story::{Rows, Story};
use crate::config::FeedConfig;
use crate::error::{Error, Result};
use crate::system;

/// Batches that wait for the feed's thread.
const QUEUE: usize = 4;

/// Dead letters that are kept.
const DEAD_LETTERS: usize = 200;

/// The share of the store that documents have whose label is not trusted.
const DOUBTFUL_SHARE: f64 = 0.3;

/// What the page may show.
pub(crate) struct Feed {
    sender: SyncSender<Offer>,
    store: Arc<RwLock<Store>>,
    metrics: Arc<Metrics>,
    /// The number of the newest story.
    newest: watch::Receiver<u64>,
}

struct Offer {
    labelled: RecordBatch,
    dead: Vec<RecordBatch>,
}

/// The stories, oldest first, in two parts.
#[derive(Default)]
struct Store {
    recent: Part,
    doubtful: Part,
    by_key: HashMap<String, Arc<Story>>,
    /// The stories by each of the lowest hashes of their texts: near duplicates mostly share one of these (Broder 1997).
    by_hash: HashMap<u32, Vec<Arc<Story>>>,
    dead: VecDeque<DeadLetter>,
    next: u64,
}

#[derive(Default)]
struct Part {
    stories: VecDeque<Arc<Story>>,
    bytes: usize,
}

/// Bounds of one part.
#[derive(Clone, Copy)]
struct Bounds {
    documents: usize,
    bytes: usize,
}

impl Feed {
    /// Starts the thread of the feed, which ends with it.
    ///
    /// # Errors
    /// The system cannot start a thread.
    pub(super) fn start(config: &FeedConfig, metrics: &Arc<Metrics>) -> Result<Self> {
        let (sender, offers) = sync_channel::<Offer>(QUEUE);
        let store = Arc::new(RwLock::new(Store::default()));
        let (told, newest) = watch::channel(0);
        let mut taker = Taker {
            store: Arc::clone(&store),
            metrics: Arc::clone(metrics),
            told,
            rate: Rate::new(config.per_second),
            doubtful_rate: Rate::new(config.per_second),
            bounds: bounds(config),
        };
        let body = move || {
            system::step_back(NICENESS);
            offers.iter().for_each(|offer| taker.take(&offer));
        };
        std::thread::Builder::new()
            .name("feed".into())
            .spawn(body)
            .map_err(|error| Error::internal("cannot start the thread of the feed").with_source(error))?;
        Ok(Feed { sender, store, metrics: Arc::clone(metrics), newest })
    }

    /// Offers rows to the page. Never waits.
    pub(crate) fn offer(&self, labelled: &RecordBatch, dead: &[RecordBatch]) {
        let offer = Offer { labelled: labelled.clone(), dead: dead.to_vec() };
        let rows = labelled.num_rows() as u64;
        if self.sender.try_send(offer).is_err() {
            self.metrics.http_skipped.add(rows);
        }
    }

    /// Tells when there is something new.
    pub(super) fn newest(&self) -> watch::Receiver<u64> {
        self.newest.clone()
    }

    /// Documents that were not taken since the process began.
    pub(super) fn skipped(&self) -> u64 {
        self.metrics.http_skipped.get()
    }

    /// All stories after number `seq`, oldest first; both parts in one order.
    pub(super) fn after(&self, seq: u64) -> Vec<Arc<Story>> {
        let store = self.store.read();
        let of_part = |part: &Part| {
            let first = part.stories.partition_point(|story| story.seq <= seq);
            part.stories.range(first..).cloned().collect::<Vec<_>>()
        };
        let mut stories = of_part(&store.recent);
        stories.extend(of_part(&store.doubtful));
        stories.sort_unstable_by_key(|story| story.seq);
        stories
    }

    /// The story `topic/partition/offset`, if it is still there.
    pub(super) fn get(&self, key: &str) -> Option<Arc<Story>> {
        self.store.read().by_key.get(key).cloned()
    }

    /// The stories that are nearly the same as one, with their similarity, the most similar first.
    pub(super) fn near(&self, story: &Story) -> Vec<(f64, Arc<Story>)> {
        let store = self.store.read();
        let candidates = lowest(story).iter().filter_map(|hash| store.by_hash.get(hash)).flatten();
        let mut seen = BTreeSet::from([story.seq]);
        let others = candidates.filter(|other| seen.insert(other.seq) && other.key != story.key);
        let scored =
            others.map(|other| (shingles::similarity(&story.shingles, &other.shingles), Arc::clone(other)));
        let mut near: Vec<_> = scored.filter(|(similarity, _)| *similarity >= shingles::NEAR).collect();
        near.sort_by(|(a, _), (b, _)| b.total_cmp(a));
        near
    }

    /// The newest dead letters, newest first.
    pub(super) fn dead_letters(&self) -> Vec<DeadLetter> {
        self.store.read().dead.iter().rev().cloned().collect()
    }
}

/// How many of the lowest hashes of a text it is found by. Two texts that share 60 % of their sequences share one of their
/// eight lowest with a probability above 0.999.
const FOUND_BY: usize = 8;

fn lowest(story: &Story) -> &[u32] {
    &story.shingles[..story.shingles.len().min(FOUND_BY)]
}

fn bounds(config: &FeedConfig) -> [Bounds; 2] {
    let bytes = usize::try_from(config.memory.as_u64()).unwrap_or(usize::MAX);
    let of = |share: f64| Bounds {
        documents: (config.documents as f64 * share).ceil() as usize,
        bytes: (bytes as f64 * share) as usize,
    };
    [of(1.0 - DOUBTFUL_SHARE), of(DOUBTFUL_SHARE)]
}

/// The thread's state.
struct Taker {
    store: Arc<RwLock<Store>>,
    metrics: Arc<Metrics>,
    told: watch::Sender<u64>,
    rate: Rate,
    doubtful_rate: Rate,
    bounds: [Bounds; 2],
}

impl Taker {
    fn take(&mut self, offer: &Offer) {
        let rows = Rows::new(&offer.labelled);
        let mut taken = vec![];
        for row in 0..offer.labelled.num_rows() {
            let is_doubtful = rows.abstained(row);
            let rate = if is_doubtful { &mut self.doubtful_rate } else { &mut self.rate };
            if !rate.allows() {
                self.metrics.http_skipped.add(1);
                continue;
            }
            // Made outside the lock; the number is given below.
            taken.extend(rows.story(row, 0));
        }
        let dead: Vec<DeadLetter> = offer.dead.iter().flat_map(letters).collect();
        let newest = self.store.write().add(taken, dead, self.bounds);
        // Without a listener there is no one to tell.
        let _ = self.told.send(newest);
    }
}

impl Store {
    fn add(&mut self, stories: Vec<Story>, dead: Vec<DeadLetter>, [recent, doubtful]: [Bounds; 2]) -> u64 {
        for mut story in stories {
            self.next += 1;
            story.seq = self.next;
            let story = Arc::new(story);
            self.by_key.insert(story.key.clone(), Arc::clone(&story));
            for hash in lowest(&story) {
                self.by_hash.entry(*hash).or_default().push(Arc::clone(&story));
            }
            let part = if story.abstained { &mut self.doubtful } else { &mut self.recent };
            part.bytes += story.bytes();
            part.stories.push_back(story);
        }
        for (part, bounds) in [(&mut self.recent, recent), (&mut self.doubtful, doubtful)] {
            for old in part.shrink(bounds) {
                for hash in lowest(&old) {
                    if let Entry::Occupied(mut of_hash) = self.by_hash.entry(*hash) {
                        of_hash.get_mut().retain(|story| story.seq != old.seq);
                        if of_hash.get().is_empty() {
                            of_hash.remove();
                        }
                    }
                }
                // A document that was read again is there twice; its key belongs to the newer one.
                if self.by_key.get(&old.key).is_some_and(|story| story.seq == old.seq) {
                    self.by_key.remove(&old.key);
                }
            }
        }
        self.dead.extend(dead);
        self.dead.drain(..self.dead.len().saturating_sub(DEAD_LETTERS));
        self.next
    }
}

impl Part {
    /// Removes the oldest stories until the part is within its bounds.
    fn shrink(&mut self, bounds: Bounds) -> Vec<Arc<Story>> {
        let mut removed = vec![];
        while self.stories.len() > bounds.documents || self.bytes > bounds.bytes {
            let Some(old) = self.stories.pop_front() else { break };
            self.bytes = self.bytes.saturating_sub(old.bytes());
            removed.push(old);
        }
        removed
    }
}

/// So many a second on average; what was not used is saved for bursts.
struct Rate {
    per_second: f64,
    saved: f64,
    since: Instant,
}

/// For how many seconds what was not used is saved.
const BURST: f64 = 10.0;

impl Rate {
    fn new(per_second: u32) -> Self {
        let per_second = f64::from(per_second);
        Rate { per_second, saved: BURST * per_second, since: Instant::now() }
    }

    fn allows(&mut self) -> bool {
        let earned = self.since.elapsed().as_secs_f64() * self.per_second;
        self.since = Instant::now();
        self.saved = (self.saved + earned).min(BURST * self.per_second);
        let is_allowed = self.saved >= 1.0;
        if is_allowed {
            self.saved -= 1.0;
        }
        is_allowed
    }
}

/// What a list of documents may be limited to; every part is optional.
#[derive(Clone, Debug, Default, serde::Deserialize)]
#[serde(default)]
pub(super) struct Filter {
    label: Option<String>,
    source: Option<String>,
    language: Option<String>,
    /// A part of headline, excerpt or source, whatever its case.
    q: Option<String>,
    max_score: Option<f32>,
    abstained: Option<bool>,
}

impl Filter {
    /// Whether a story is wanted. `corrected` are the labels that people gave to stories, by key.
    pub(super) fn wants(&self, story: &Story, corrected: &BTreeMap<String, String>) -> bool {
        let label = corrected.get(&story.key).unwrap_or(&story.label);
        let is = |wanted: &Option<String>, value: Option<&str>| {
            wanted.as_deref().is_none_or(|wanted| wanted.is_empty() || value == Some(wanted))
        };
        is(&self.label, Some(label))
            && is(&self.source, story.source.as_deref())
            && is(&self.language, story.language.as_deref())
            && self.max_score.is_none_or(|most| story.score <= most)
            && self.abstained.is_none_or(|wanted| story.abstained == wanted)
            && self.q.as_deref().is_none_or(|text| story.contains(&text.to_lowercase()))
    }
}

#[cfg(test)]
mod tests;
