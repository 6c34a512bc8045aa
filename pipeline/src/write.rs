//! The last stage before the sinks: counts what comes and gives it to every sink's worker.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender};

use fenliu_connectors::Meter;
use fenliu_connectors::kind::Stream;
use fenliu_engine::Rows;
use fenliu_engine::batch::Batch;
use fenliu_engine::epoch::Delivery;
use fenliu_engine::worker::Event;

use crate::breaker::Breaker;
use crate::deliver::delivery;
use crate::error::Result;
use crate::metrics::Counters;

/// Hands batches to the workers. Their queues have no bound of their own: the memory budget, which a
/// batch holds its share of until the last sink has it, bounds them all together.
pub(crate) struct Dispatcher {
    streams: Vec<Box<dyn Stream>>,
    workers: Vec<Sender<Event<Rows>>>,
    breaker: Breaker,
    counters: Counters,
}

impl Dispatcher {
    /// Sends to `workers`; to `streams` before, since they keep no position.
    pub(crate) fn new(
        streams: Vec<Box<dyn Stream>>,
        workers: Vec<Sender<Event<Rows>>>,
        breaker: Breaker,
        counters: Counters,
    ) -> Self {
        Dispatcher { streams, workers, breaker, counters }
    }

    /// Consumes `input` until it closes, or until a worker has ended.
    ///
    /// # Errors
    /// When a stream cannot be written, or the breaker trips.
    pub(crate) fn run(mut self, input: &Receiver<Batch>, meter: &Meter) -> Result<()> {
        for batch in input {
            let delivery = meter.measure(|| self.prepare(batch))?;
            if self.workers.iter().any(|worker| worker.send(Event::Deliver(Arc::clone(&delivery))).is_err()) {
                break;
            }
        }
        Ok(())
    }

    fn prepare(&mut self, batch: Batch) -> Result<Arc<Delivery<Rows>>> {
        self.breaker.observe(&batch)?;
        self.streams.iter_mut().try_for_each(|stream| stream.write(&batch.records))?;
        self.counters.count(&batch);
        Ok(delivery(batch))
    }
}
