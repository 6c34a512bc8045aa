//! Stages: named threads joined by short bounded queues.
//!
//! Stages overlap: while the model works on one batch the next is cleaned and the one before written.
//! Each stage handles its batches one by one in the order they came, so row order within a partition
//! is kept from end to end.
//!
//! When a stage fails it requests a stop at once: the stages before it end, those after it finish what they hold.
//! [`Stages::join`] reports the failure.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use fenliu_connectors::{Meter, Shutdown};

use crate::error::{Error, Result};

/// Batches that may wait between two stages. One being worked on and one ready keep a stage busy;
/// the others absorb jitter. Bytes are bounded by the memory budget.
const QUEUED_BATCHES: usize = 4;

/// What each stage did, by its name, in data-flow order.
pub(crate) type Meters = Vec<(&'static str, Arc<Meter>)>;

/// The threads of one running pipeline.
#[derive(Debug)]
pub(crate) struct Stages {
    shutdown: Shutdown,
    threads: Vec<(&'static str, JoinHandle<Result<()>>)>,
    meters: Meters,
}

/// Tells the others when a stage fails or panics: a source that waits for messages, or for the sinks to have
/// everything, would not notice.
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
    /// No stage yet; `shutdown` is requested when one fails.
    pub(crate) fn new(shutdown: Shutdown) -> Self {
        Stages { shutdown, threads: vec![], meters: vec![] }
    }

    /// Starts a stage that makes batches.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(crate) fn source<T: Send + 'static>(
        &mut self,
        name: &'static str,
        body: impl FnOnce(&SyncSender<T>, &Meter) -> Result<()> + Send + 'static,
    ) -> Result<Receiver<T>> {
        let (sender, receiver) = sync_channel(QUEUED_BATCHES);
        self.spawn(name, move |meter| body(&sender, meter))?;
        Ok(receiver)
    }

    /// Starts a stage that turns each `I` into an `O`.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(crate) fn map<I: Send + 'static, O: Send + 'static>(
        &mut self,
        name: &'static str,
        input: Receiver<I>,
        mut step: impl FnMut(I) -> Result<O> + Send + 'static,
    ) -> Result<Receiver<O>> {
        let (sender, receiver) = sync_channel(QUEUED_BATCHES);
        self.spawn(name, move |meter| {
            for item in input {
                let output = meter.measure(|| step(item))?;
                if sender.send(output).is_err() {
                    break;
                }
            }
            Ok(())
        })?;
        Ok(receiver)
    }

    /// Starts a stage that hands nothing on, or another thread to be supervised as they are; it appears in the meters
    /// under `name`.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(crate) fn spawn(
        &mut self,
        name: &'static str,
        body: impl FnOnce(&Meter) -> Result<()> + Send + 'static,
    ) -> Result<()> {
        let meter = Arc::new(Meter::default());
        self.meters.push((name, Arc::clone(&meter)));
        let shutdown = self.shutdown.clone();
        let supervised = move || {
            let mut guard = StopOnFailure { shutdown, ended_well: false };
            let outcome = body(&meter);
            if let Err(error) = &outcome {
                tracing::error!(event = "stage_failed", stage = name, %error, "stage failed");
            }
            guard.ended_well = outcome.is_ok();
            outcome
        };
        let thread = std::thread::Builder::new()
            .name(name.into())
            .spawn(supervised)
            .map_err(|error| Error::internal(format!("stage `{name}`: {error}")))?;
        self.threads.push((name, thread));
        Ok(())
    }

    /// What each stage did so far, in data-flow order.
    pub(crate) fn meters(&self) -> Meters {
        self.meters.clone()
    }

    /// Waits for all stages to end.
    ///
    /// # Errors
    /// The failure of the stage that failed; the stages around it end without one.
    pub(crate) fn join(self) -> Result<()> {
        let mut outcome = Ok(());
        for (name, thread) in self.threads {
            let ended = thread.join().unwrap_or_else(|panic| Err(panicked(name, panic.as_ref())));
            outcome = outcome.and(ended);
        }
        outcome
    }
}

fn panicked(stage: &'static str, panic: &(dyn std::any::Any + Send)) -> Error {
    let text =
        panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    Error::internal(format!("stage `{stage}`: panicked: {}", text.unwrap_or("no message")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count_to(limit: u32) -> impl FnOnce(&SyncSender<u32>, &Meter) -> Result<()> + Send + 'static {
        move |out, _| {
            (0..limit).take_while(|&n| out.send(n).is_ok()).for_each(drop);
            Ok(())
        }
    }

    #[test]
    fn order_is_kept_from_end_to_end() {
        let shutdown = Shutdown::default();
        let mut stages = Stages::new(shutdown.clone());
        let numbers = stages.source("count", count_to(1000)).unwrap();
        let doubled = stages.map("double", numbers, |n| Ok(n * 2)).unwrap();
        let collected: Vec<u32> = doubled.iter().collect();
        stages.join().unwrap();
        assert!(!shutdown.is_requested());
        assert_eq!(collected, (0..1000).map(|n| n * 2).collect::<Vec<_>>());
    }

    #[test]
    fn a_failing_or_panicking_stage_ends_the_pipeline_with_its_own_message() {
        for panics in [false, true] {
            let shutdown = Shutdown::default();
            let mut stages = Stages::new(shutdown.clone());
            let numbers = stages.source("count", count_to(u32::MAX)).unwrap();
            let failing = stages.map("fail", numbers, move |n| match n {
                5 if panics => panic!("five"),
                5 => Err(Error::input("five")),
                n => Ok(n),
            });
            let seen: Vec<u32> = failing.unwrap().iter().collect();
            assert_eq!(seen, [0, 1, 2, 3, 4]);
            assert!(stages.join().unwrap_err().to_string().contains("five"));
            assert!(shutdown.is_requested(), "the source must learn of it");
        }
    }
}
