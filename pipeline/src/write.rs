//! The stage `write`: counts each batch and hands it to the thread of every sink.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender};

use chrono::Utc;
use fenliu_connectors::Meter;
use fenliu_connectors::kafka::RowLimit;
use fenliu_connectors::kind::Stream;
use fenliu_engine::Rows;
use fenliu_engine::batch::Batch;
use fenliu_engine::epoch::Delivery;
use fenliu_engine::worker::Event;
use fenliu_schemas::{Reject, Stage, set_aside};

use crate::breaker::Breaker;
use crate::deliver::delivery;
use crate::error::Result;
use crate::http::feed::Feed;
use crate::metrics::Counters;

/// Hands batches to the threads of the sinks.
///
/// The queues to these threads are unbounded, so that a slow sink does not hold up the others. Together they are bounded
/// by the memory budget, because a batch keeps its part of the budget until the last sink has committed it.
pub(crate) struct Dispatcher {
    streams: Vec<Box<dyn Stream>>,
    workers: Vec<Sender<Event<Rows>>>,
    /// The names of the sinks, in the order of their workers.
    sinks: Vec<String>,
    limits: Vec<RowLimit>,
    breaker: Breaker,
    counters: Counters,
    /// What shows the batches on the page.
    feed: Option<Arc<Feed>>,
}

impl Dispatcher {
    /// Batches go to `streams` first and then to `workers`, each of which has the name of its sink, without rows that are
    /// above one of `limits`.
    pub(crate) fn new(
        streams: Vec<Box<dyn Stream>>,
        workers: Vec<(String, Sender<Event<Rows>>)>,
        limits: Vec<RowLimit>,
        breaker: Breaker,
        counters: Counters,
        feed: Option<Arc<Feed>>,
    ) -> Self {
        let (sinks, workers) = workers.into_iter().unzip();
        Dispatcher { streams, workers, sinks, limits, breaker, counters, feed }
    }

    /// Runs until `input` closes or a worker has ended.
    ///
    /// # Errors
    /// A stream cannot be written, or the breaker trips.
    pub(crate) fn run(mut self, input: &Receiver<Batch>, meter: &Meter) -> Result<()> {
        for batch in input {
            let delivery = meter.batch(|| self.prepare(batch))?;
            meter.handed(delivery.documents);
            // A worker that has ended has failed or was stopped; the stages before it must then end, too.
            if self.workers.iter().any(|worker| worker.send(Event::Deliver(Arc::clone(&delivery))).is_err()) {
                break;
            }
        }
        Ok(())
    }

    /// Counts a batch and writes it to the streams, which have no thread and store no positions. The breaker comes first,
    /// so that a batch that trips it is written nowhere.
    fn prepare(&mut self, mut batch: Batch) -> Result<Arc<Delivery<Rows>>> {
        self.set_aside(&mut batch)?;
        self.breaker.observe(&batch)?;
        self.streams.iter_mut().try_for_each(|stream| stream.write(&batch.records))?;
        self.counters.count(&batch);
        if let Some(feed) = &self.feed {
            feed.offer(&batch.records, &batch.dead_letters);
        }
        for sink in &self.sinks {
            self.counters.count_pending(sink, batch.documents());
        }
        Ok(delivery(batch, self.workers.len()))
    }

    /// Makes rows that an output would refuse for their size dead letters. One document never stops a pipeline.
    fn set_aside(&self, batch: &mut Batch) -> Result<()> {
        let mut details: BTreeMap<usize, String> = BTreeMap::new();
        for limit in &self.limits {
            details.extend(limit.too_large(&batch.records)?);
        }
        if details.is_empty() {
            return Ok(());
        }
        let reject = |detail| Reject::new(Stage::Write, "too_large", Some(detail));
        let rejects = details.into_iter().map(|(row, detail)| (row, reject(detail))).collect();
        let (kept, letters) = set_aside(&batch.records, &rejects, Utc::now().timestamp_millis())?;
        batch.records = kept;
        batch.dead_letters.push(letters);
        Ok(())
    }
}
