//! What connects the source's thread with the threads of the sinks: questions go out, reports come in.

use std::sync::mpsc::{Receiver, Sender};
use std::time::Duration;

use fenliu_engine::position::Stored;
use fenliu_engine::worker::Question;
use fenliu_engine::{Rows, reader, worker};
use fenliu_schemas::{Positions, TopicPartition, Topics};

use crate::shutdown::Shutdown;

/// How often a waiting source looks whether a stage has failed.
const LOOK: Duration = Duration::from_millis(100);

/// The source's end.
pub struct SinkLinks {
    workers: Vec<Sender<worker::Event<Rows>>>,
    reports: Receiver<reader::Event>,
}

impl SinkLinks {
    /// The queue of each sink's worker, and the queue in which all of them report.
    pub fn new(workers: Vec<Sender<worker::Event<Rows>>>, reports: Receiver<reader::Event>) -> Self {
        SinkLinks { workers, reports }
    }

    /// How many sinks there are.
    pub fn sinks(&self) -> usize {
        self.workers.len()
    }

    /// Puts a question to every sink; whether all of them are still there.
    pub fn ask(&self, question: &Question) -> bool {
        self.workers.iter().all(|worker| worker.send(worker::Event::Ask(question.clone())).is_ok())
    }

    /// The stored positions of every sink in `partitions`. It waits for them, so it is for sources that have no group
    /// to stay a member of. `None` when a sink has ended, or when a stage has failed.
    pub fn stored(&self, partitions: &[TopicPartition], shutdown: &Shutdown) -> Option<Vec<Stored>> {
        self.answers(partitions, &Topics::new(), shutdown)
    }

    /// Tells every sink what identifies `topics`, which it stores with their positions. `false` when a sink has ended, or
    /// when a stage has failed.
    pub fn tell(&self, topics: &Topics, shutdown: &Shutdown) -> bool {
        self.answers(&[], topics, shutdown).is_some()
    }

    fn answers(
        &self,
        partitions: &[TopicPartition],
        topics: &Topics,
        shutdown: &Shutdown,
    ) -> Option<Vec<Stored>> {
        // One question at a time, so its answers need no id of their own.
        let question = Question {
            id: 0,
            partitions: partitions.to_vec(),
            starts: Positions::default(),
            topics: topics.clone(),
        };
        let mut answers = vec![];
        if !self.ask(&question) {
            return None;
        }
        while answers.len() < self.sinks() {
            match self.wait(LOOK) {
                Some(reader::Event::Answered { stored, .. }) => answers.push(stored),
                Some(reader::Event::OutputClosed) => return None,
                _ if shutdown.has_failed() => return None,
                _ => {}
            }
        }
        Some(answers)
    }

    /// The next report, if one has come.
    pub fn report(&self) -> Option<reader::Event> {
        self.reports.try_recv().ok()
    }

    /// The next report, for which this waits a while.
    pub fn wait(&self, patience: Duration) -> Option<reader::Event> {
        self.reports.recv_timeout(patience).ok()
    }
}
