//! Stages: named threads that are connected by short bounded queues.
//!
//! Stages work at the same time: while the model labels one batch, the next one is cleaned and the previous one is
//! written. Each stage processes its batches one by one in the order of their arrival, so the order of rows within a
//! partition is kept from the source to the sinks.
//!
//! A stage that fails requests a stop at once. The stages before it then end, and the stages after it finish the batches
//! that they have. [`Stages::join`] returns the failure.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use fenliu_connectors::{Meter, Shutdown};
use fenliu_engine::batch::Batch;

use crate::classify::EncodedBatch;
use crate::error::{Error, Result};
use crate::telemetry::{QUEUED_BATCHES, Telemetry};

/// What travels between stages: so many documents.
pub(crate) trait Documents {
    /// Their number, rejected ones included.
    fn documents(&self) -> usize;
}

impl Documents for Batch {
    fn documents(&self) -> usize {
        Batch::documents(self)
    }
}

impl Documents for EncodedBatch {
    fn documents(&self) -> usize {
        self.batch.documents()
    }
}

/// The threads of one running pipeline.
#[derive(Debug)]
pub(crate) struct Stages {
    shutdown: Shutdown,
    threads: Vec<(String, JoinHandle<Result<()>>)>,
    telemetry: Arc<Telemetry>,
}

/// Requests a stop when a stage fails or panics. A source that waits for messages, or for the sinks to commit, would not
/// notice the failure by itself. The request is made on drop, because a panic skips all other code.
struct StopOnFailure {
    shutdown: Shutdown,
    ended_well: bool,
}

impl Drop for StopOnFailure {
    fn drop(&mut self) {
        if !self.ended_well {
            self.shutdown.fail();
        }
    }
}

impl Stages {
    /// No stages yet. `shutdown` is requested when a stage fails; `telemetry` forgets the stages of an earlier attempt.
    pub(crate) fn new(shutdown: Shutdown, telemetry: Arc<Telemetry>) -> Self {
        telemetry.begin();
        Stages { shutdown, threads: vec![], telemetry }
    }

    /// Starts a stage that produces batches.
    ///
    /// # Errors
    /// The system cannot start a thread.
    pub(crate) fn source<T: Send + 'static>(
        &mut self,
        name: &str,
        body: impl FnOnce(&SyncSender<T>, &Meter) -> Result<()> + Send + 'static,
    ) -> Result<Receiver<T>> {
        let (sender, receiver) = sync_channel(QUEUED_BATCHES);
        self.spawn(name, move |meter| body(&sender, meter))?;
        Ok(receiver)
    }

    /// Starts a stage that turns each `I` into an `O`.
    ///
    /// # Errors
    /// The system cannot start a thread.
    pub(crate) fn map<I: Send + 'static, O: Documents + Send + 'static>(
        &mut self,
        name: &str,
        input: Receiver<I>,
        mut step: impl FnMut(I) -> Result<O> + Send + 'static,
    ) -> Result<Receiver<O>> {
        let (sender, receiver) = sync_channel(QUEUED_BATCHES);
        self.spawn(name, move |meter| {
            for item in input {
                let output = meter.batch(|| step(item))?;
                // The next stage has ended. Its failure is reported there, so this one ends without an error.
                if !meter.hand_on(output.documents(), || sender.send(output).is_ok()) {
                    break;
                }
            }
            Ok(())
        })?;
        Ok(receiver)
    }

    /// Starts a stage without an output, or another thread that is to be supervised like a stage. It appears among the
    /// meters under `name`.
    ///
    /// # Errors
    /// The system cannot start a thread.
    pub(crate) fn spawn(
        &mut self,
        name: &str,
        body: impl FnOnce(&Meter) -> Result<()> + Send + 'static,
    ) -> Result<()> {
        let meter = self.telemetry.stage(name);
        let shutdown = self.shutdown.clone();
        let stage = name.to_owned();
        let supervised = move || {
            let mut guard = StopOnFailure { shutdown, ended_well: false };
            let outcome = body(&meter);
            if let Err(error) = &outcome {
                tracing::error!(event = "stage_failed", %stage, %error, "stage failed");
            }
            guard.ended_well = outcome.is_ok();
            outcome
        };
        let thread = std::thread::Builder::new()
            .name(name.into())
            .spawn(supervised)
            .map_err(|error| Error::internal(format!("stage `{name}`: {error}")))?;
        self.threads.push((name.into(), thread));
        Ok(())
    }

    /// Waits until all stages have ended.
    ///
    /// # Errors
    /// The error of the stage that failed. The other stages end without an error when they are stopped.
    pub(crate) fn join(self) -> Result<()> {
        let mut outcome = Ok(());
        for (name, thread) in self.threads {
            let joined = thread.join();
            let ended = joined.unwrap_or_else(|panic| Err(panicked(&name, panic.as_ref())));
            // All threads are joined, also after an error: none may use a connection that the caller closes.
            outcome = outcome.and(ended);
        }
        outcome
    }
}

fn panicked(stage: &str, panic: &(dyn std::any::Any + Send)) -> Error {
    let text =
        panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    Error::internal(format!("stage `{stage}`: panicked: {}", text.unwrap_or("no message")))
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Documents for u32 {
        fn documents(&self) -> usize {
            1
        }
    }

    fn count_to(limit: u32) -> impl FnOnce(&SyncSender<u32>, &Meter) -> Result<()> + Send + 'static {
        move |out, _| {
            (0..limit).take_while(|&n| out.send(n).is_ok()).for_each(drop);
            Ok(())
        }
    }

    #[test]
    fn the_order_of_items_is_kept_from_the_first_stage_to_the_last() {
        let shutdown = Shutdown::default();
        let mut stages = Stages::new(shutdown.clone(), Arc::default());
        let numbers = stages.source("count", count_to(1000)).unwrap();
        let doubled = stages.map("double", numbers, |n| Ok(n * 2)).unwrap();
        let collected: Vec<u32> = doubled.iter().collect();
        stages.join().unwrap();
        assert!(!shutdown.is_requested());
        assert_eq!(collected, (0..1000).map(|n| n * 2).collect::<Vec<_>>());
    }

    #[test]
    fn a_stage_that_fails_or_panics_ends_the_pipeline_with_its_own_message() {
        for panics in [false, true] {
            let shutdown = Shutdown::default();
            let mut stages = Stages::new(shutdown.clone(), Arc::default());
            let numbers = stages.source("count", count_to(u32::MAX)).unwrap();
            let failing = stages.map("fail", numbers, move |n| match n {
                5 if panics => panic!("five"),
                5 => Err(Error::input("five")),
                n => Ok(n),
            });
            let seen: Vec<u32> = failing.unwrap().iter().collect();
            assert_eq!(seen, [0, 1, 2, 3, 4]);
            assert!(stages.join().unwrap_err().to_string().contains("five"));
            assert!(shutdown.is_requested(), "the source must be told to stop");
        }
    }
}
