//! Threads that work beside the stages, each until its owner drops it: progress, the model's alias, the challenger, the
//! schedule of fine-tuning.
//!
//! A failure there is no reason to end the pipeline: a panic is reported by the panic hook, and the documents go on.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::error::{Error, Result};

/// A running thread; dropping this asks it to stop and waits until it has.
#[derive(Debug)]
pub(crate) struct Background {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// Tells a thread when to stop.
#[derive(Debug)]
pub(crate) struct Stop(Receiver<()>);

impl Stop {
    /// Waits for `pause`, or until a stop is requested. Returns whether the thread should go on.
    pub(crate) fn pause(&self, pause: Duration) -> bool {
        self.0.recv_timeout(pause) == Err(RecvTimeoutError::Timeout)
    }
}

impl Background {
    /// Starts a thread. `body` must return soon after [`Stop::pause`] has returned false.
    ///
    /// # Errors
    /// The system cannot start a thread.
    pub(crate) fn spawn(name: &'static str, body: impl FnOnce(&Stop) + Send + 'static) -> Result<Self> {
        let (stop, stopped) = channel();
        let thread =
            std::thread::Builder::new().name(name.into()).spawn(move || body(&Stop(stopped))).map_err(
                |error| Error::internal(format!("cannot start the thread `{name}`")).with_source(error),
            )?;
        Ok(Background { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        // Nothing is ever sent: closing the channel wakes `Stop::pause`. It must happen before the join, which
        // waits for the thread.
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // An error is a panic, which the panic hook has reported.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[test]
    fn it_works_until_it_is_dropped_and_has_ended_then() {
        let (turns, ended) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
        let counted = (Arc::clone(&turns), Arc::clone(&ended));
        let thread = Background::spawn("count", move |stop| {
            while stop.pause(Duration::from_millis(1)) {
                counted.0.fetch_add(1, Ordering::Relaxed);
            }
            counted.1.fetch_add(1, Ordering::Relaxed);
        });
        while turns.load(Ordering::Relaxed) < 3 {
            std::thread::yield_now();
        }
        drop(thread);
        assert_eq!(ended.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn a_panic_in_it_does_not_reach_its_owner() {
        drop(Background::spawn("fail", |_| panic!("on purpose")).unwrap());
    }
}
