//! The thread of a sink: it hands events to the engine's [`Worker`], which is a state machine, and carries out the
//! actions that the worker returns.
//!
//! The thread may block in its sink for as long as a commit takes. Meanwhile, questions of the source about positions wait
//! in the queue of the thread. The source goes on without waiting for the answers.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::TimestampMillisecondType;
use fenliu_connectors::outputs::NamedSink;
use fenliu_connectors::{Meter, Shutdown};
use fenliu_engine::batch::Batch;
use fenliu_engine::epoch::{Age, Delivery, EpochBounds};
use fenliu_engine::worker::{Action, Event, Worker};
use fenliu_engine::{Rows, reader};
use rand::SeedableRng;
use rand::rngs::SmallRng;

use crate::config::EpochConfig;
use crate::error::Result;
use crate::metrics::Counters;

/// How often a thread that waits before a retry checks whether a stop was requested.
const LOOK: Duration = Duration::from_millis(50);

/// A batch in the form in which it is shared by all `sinks`.
pub(crate) fn delivery(batch: Batch, sinks: usize) -> Arc<Delivery<Rows>> {
    let timestamp_ms = first_timestamp(&batch.records);
    Arc::new(Delivery {
        documents: batch.documents(),
        rows: Arc::new(Rows { labelled: batch.records, dead_letters: batch.dead_letters }),
        offsets: batch.offsets,
        closes_epoch: batch.closes_epoch,
        permit: batch.permit,
        age: Age { received_at: batch.received_at, timestamp_ms },
        open_sinks: AtomicUsize::new(sinks),
    })
}

/// The Kafka timestamp of the first row that has one, milliseconds since the Unix epoch.
fn first_timestamp(rows: &RecordBatch) -> Option<i64> {
    let times = rows.column_by_name("kafka_timestamp")?.as_primitive_opt::<TimestampMillisecondType>()?;
    times.iter().flatten().next()
}

/// The queues that connect the thread with the source and with the stage that writes.
pub(crate) struct SinkQueues {
    /// The number of the sink.
    pub(crate) number: usize,
    /// Batches to write, and questions of the source.
    pub(crate) input: Receiver<Event<Rows>>,
    /// Answers to questions, and acknowledgements of commits.
    pub(crate) reports: Sender<reader::Event>,
}

/// Runs the worker of one sink on the calling thread.
pub(crate) struct SinkThread {
    sink: NamedSink,
    worker: Worker<Rows>,
    queues: SinkQueues,
    counters: Counters,
    shutdown: Shutdown,
    is_closed: bool,
    is_stopping: bool,
}

impl SinkThread {
    /// Prepares the thread of `sink`. Its epochs close by the bounds of `epoch`; a `max_age` of the sink itself takes
    /// precedence.
    pub(crate) fn new(
        sink: NamedSink,
        epoch: &EpochConfig,
        queues: SinkQueues,
        counters: Counters,
        shutdown: Shutdown,
    ) -> Self {
        let bounds = EpochBounds {
            max_age: sink.max_age.unwrap_or(epoch.max_age),
            max_rows: epoch.max_rows,
            max_bytes: epoch.max_bytes.as_u64(),
        };
        let worker = Worker::new(bounds, SmallRng::from_rng(&mut rand::rng()));
        SinkThread { sink, worker, queues, counters, shutdown, is_closed: false, is_stopping: false }
    }

    /// Runs until the input closes. The last epoch is committed, too.
    ///
    /// # Errors
    /// The sink failed permanently, or a temporary failure did not end within some time after a stop was requested. The
    /// documents of the open epoch are read again by the next run.
    pub(crate) fn run(mut self, meter: &Meter) -> Result<()> {
        loop {
            // All actions first: the worker may have several, and only then waits for an event.
            while let Some(action) = self.worker.next_action() {
                if let Action::End(outcome) = action {
                    // The source would otherwise wait for the acknowledgements and answers of a sink that has
                    // ended.
                    if outcome.is_err() {
                        self.report(reader::Event::OutputClosed);
                    }
                    return outcome;
                }
                self.act(action, meter);
            }
            let event = self.next_event();
            self.worker.handle(Instant::now(), event);
        }
    }

    fn act(&mut self, action: Action<Rows>, meter: &Meter) {
        let sink = self.queues.number;
        match action {
            Action::ReadPositions(partitions) => {
                let stored = meter.measure(|| self.sink.sink.positions(&partitions));
                self.worker.handle(Instant::now(), Event::PositionsRead(stored));
            }
            Action::Commit { rows, moves } => {
                let began = Instant::now();
                let outcome = meter.batch(|| self.sink.sink.commit(&rows, &moves));
                self.counters.time_commit(&self.sink.name, began.elapsed());
                self.worker.handle(Instant::now(), Event::Committed(outcome));
            }
            Action::Answer { id, stored } => self.report(reader::Event::Answered { sink, id, stored }),
            Action::Acknowledge { positions, documents, bytes, settled } => {
                meter.handed(documents);
                self.counters.count_epoch(&self.sink.name, documents, bytes, &settled);
                tracing::debug!(
                    event = "epoch_committed",
                    sink = %self.sink.name,
                    rows = documents,
                    "epoch committed"
                );
                self.report(reader::Event::Acknowledged { sink, positions });
            }
            Action::Retrying { error, at } => {
                self.counters.count_failure(&self.sink.name, &error);
                let pause = at.saturating_duration_since(Instant::now());
                tracing::warn!(
                    event = "retrying",
                    at = %self.sink.name,
                    ?pause,
                    %error,
                    "commit failed, retrying"
                );
            }
            // Handled in `run`, which returns.
            Action::End(_) => {}
        }
    }

    /// Sends a report to the source. An error means that the source has ended, and then no one needs the report.
    fn report(&self, report: reader::Event) {
        let _ = self.queues.reports.send(report);
    }

    fn next_event(&mut self) -> Event<Rows> {
        loop {
            // Told once; the worker begins the grace period of a stop then.
            if self.shutdown.is_requested() && !self.is_stopping {
                self.is_stopping = true;
                return Event::StopRequested;
            }
            let deadline = self.worker.deadline();
            if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
                return Event::Tick;
            }
            if let Some(event) = self.receive(deadline) {
                return event;
            }
        }
    }

    /// The next event of the queue; `None` if `deadline` has passed, or if it is time to check for a stop.
    fn receive(&mut self, deadline: Option<Instant>) -> Option<Event<Rows>> {
        let pause =
            deadline.map_or(LOOK, |deadline| deadline.saturating_duration_since(Instant::now()).min(LOOK));
        // A closed channel returns at once, so the rest of a pause before a retry has to be waited for here.
        if self.is_closed {
            std::thread::sleep(pause);
            return None;
        }
        // Without a deadline the worker has neither rows nor a failed commit, so a stop changes nothing for it; the
        // input closes when the stages before have ended.
        let received = match deadline {
            None => self.queues.input.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some(_) => self.queues.input.recv_timeout(pause),
        };
        match received {
            Ok(event) => Some(event),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => {
                self.is_closed = true;
                Some(Event::InputClosed)
            }
        }
    }
}
