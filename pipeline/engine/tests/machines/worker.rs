//! One worker, with a sink that answers as the test says.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::{Duration, Instant};

use fenliu_engine::batch::Budget;
use fenliu_engine::epoch::{Age, Delivery, EpochBounds};
use fenliu_engine::position::Stored;
use fenliu_engine::worker::{Action, Event, Question, Worker};
use fenliu_engine::{Error, Kind, Result};
use fenliu_schemas::{Offsets, Positions, Topics};
use rand::SeedableRng;
use rand::rngs::SmallRng;

use crate::fixtures::{at, away, identity, keys, kind, named, shown, stored, topic};

/// The first offset of a batch and the one after its last.
type Rows = (i64, i64);

const BOUNDS: EpochBounds = EpochBounds { max_age: Duration::from_secs(60), max_rows: 4, max_bytes: 1_000 };
/// How long a sink is tried after a stop.
const GRACE: Duration = Duration::from_secs(5);

struct Script {
    worker: Worker<Rows>,
    now: Instant,
    budget: Budget,
}

impl Script {
    fn new() -> Self {
        let worker = Worker::new(BOUNDS, SmallRng::seed_from_u64(1));
        Script { worker, now: Instant::now(), budget: Budget::new(10_000) }
    }

    /// A worker whose sink has failed to commit rows 0 to 3, and which waits before the next try.
    fn pausing() -> Self {
        let mut script = Script::new();
        script.deliver(0, 4);
        script.positions(Ok(Stored::default()));
        script.event(Event::Committed(Err(away())));
        assert_eq!(script.said(), ["read news/0", "commit 0..4 to news/0@4", "retrying"]);
        script
    }

    fn event(&mut self, event: Event<Rows>) {
        self.worker.handle(self.now, event);
    }

    fn wait(&mut self, pause: Duration) {
        self.now += pause;
        self.event(Event::Tick);
    }

    /// Lets the time come for which the worker waits.
    fn wait_for_deadline(&mut self) {
        let deadline = self.worker.deadline().unwrap();
        self.wait(deadline - self.now);
    }

    fn deliver(&mut self, first: i64, next: i64) {
        self.deliver_of(first, next, 1, false);
    }

    fn deliver_of(&mut self, first: i64, next: i64, bytes: u64, closes_epoch: bool) {
        let mut offsets = Offsets::default();
        if first < next {
            offsets.add(&topic(), 0, first, next - 1);
        }
        let permit = self.budget.try_acquire(bytes).unwrap();
        let documents = (next - first) as usize;
        let rows = Arc::new((first, next));
        self.event(Event::Deliver(Arc::new(Delivery {
            rows,
            offsets,
            documents,
            permit,
            closes_epoch,
            age: Age { received_at: self.now, timestamp_ms: None },
            open_sinks: AtomicUsize::new(1),
        })));
    }

    fn ask(&mut self, id: u64, starts: Positions, topics: Topics) {
        self.event(Event::Ask(Question { id, partitions: keys(&[0]), starts, topics }));
    }

    /// The sink says where it stands.
    fn positions(&mut self, outcome: Result<Stored>) {
        self.event(Event::PositionsRead(outcome));
    }

    /// What the worker wants done, in words.
    fn said(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.worker.next_action()).map(|action| words(&action)).collect()
    }

    /// The error with which the worker ends.
    fn failure(&mut self) -> Error {
        let actions = std::iter::from_fn(|| self.worker.next_action());
        match actions.last() {
            Some(Action::End(Err(error))) => error,
            other => panic!("{other:?}"),
        }
    }
}

fn words(action: &Action<Rows>) -> String {
    match action {
        Action::ReadPositions(partitions) => format!("read {}", named(partitions)).trim_end().to_owned(),
        Action::Commit { rows, moves } => {
            let rows: Vec<String> = rows.iter().map(|rows| format!("{}..{}", rows.0, rows.1)).collect();
            format!("commit {} to {}", rows.join(" "), shown(&moves.ends()))
        }
        Action::Answer { id, stored } => {
            format!("answer {id} {}", shown(&stored.positions)).trim_end().to_owned()
        }
        Action::Acknowledge { positions, documents, .. } => {
            format!("acknowledge {documents} {}", shown(positions)).trim_end().to_owned()
        }
        Action::Retrying { .. } => "retrying".to_owned(),
        Action::End(outcome) => format!("end {}", kind(outcome)),
    }
}

#[test]
fn an_epoch_closes_at_its_bound_of_rows_and_gives_its_memory_back() {
    let mut script = Script::new();
    script.deliver(0, 2);
    assert!(script.said().is_empty());
    script.deliver(2, 4);
    script.positions(Ok(Stored::default()));
    assert_eq!(script.said(), ["read news/0", "commit 0..2 2..4 to news/0@4"]);
    assert_eq!(script.budget.used(), 2);
    script.event(Event::Committed(Ok(())));
    assert_eq!(script.budget.used(), 0);
    assert_eq!(script.said(), ["acknowledge 4 news/0@4"]);
}

#[test]
fn an_epoch_closes_at_its_bound_of_bytes() {
    let mut script = Script::new();
    script.deliver_of(0, 1, BOUNDS.max_bytes, false);
    assert_eq!(script.said(), ["read news/0"]);
}

#[test]
fn an_epoch_closes_at_its_age_counted_from_its_first_batch() {
    let mut script = Script::new();
    assert_eq!(script.worker.deadline(), None);
    script.deliver(0, 1);
    script.wait(BOUNDS.max_age / 2);
    script.deliver(1, 2);
    script.wait(BOUNDS.max_age / 2 - Duration::from_millis(1));
    assert!(script.said().is_empty());
    script.wait_for_deadline();
    assert_eq!(script.said(), ["read news/0"]);
}

#[test]
fn a_batch_that_closes_the_epoch_does_so_without_rows() {
    let mut script = Script::new();
    script.deliver_of(0, 0, 0, true);
    script.positions(Ok(Stored::default()));
    assert_eq!(script.said(), ["read", "acknowledge 0"]);
}

#[test]
fn rows_that_the_sink_has_are_trimmed() {
    let mut script = Script::new();
    script.deliver(0, 4);
    script.positions(Ok(at(&[(0, 3)]).into()));
    let _ = script.worker.next_action();
    let Some(Action::Commit { moves, .. }) = script.worker.next_action() else { panic!("no commit") };
    let taken: Vec<i64> = (0..4).filter(|offset| moves.takes("news", 0, *offset)).collect();
    assert_eq!((taken, moves.iter().next().unwrap().from), (vec![3], Some(3)));
}

#[test]
fn an_epoch_that_the_sink_has_is_acknowledged_without_a_commit() {
    let mut script = Script::new();
    script.deliver(0, 4);
    script.positions(Ok(at(&[(0, 4)]).into()));
    assert_eq!(script.said(), ["read news/0", "acknowledge 4 news/0@4"]);
}

#[test]
fn a_gap_before_the_rows_ends_the_worker_for_good() {
    let mut script = Script::new();
    script.deliver(2, 6);
    script.positions(Ok(at(&[(0, 1)]).into()));
    let error = script.failure();
    assert_eq!((error.kind(), error.is_retryable()), (Kind::Gap, false));
    assert!(error.to_string().contains("before offset 1"), "{error}");
    script.deliver(6, 10);
    script.event(Event::InputClosed);
    assert_eq!((script.said(), script.worker.deadline()), (vec![], None));
}

#[test]
fn a_sink_that_knows_another_topic_of_that_name_is_not_moved() {
    let mut script = Script::new();
    script.ask(1, at(&[(0, 5)]), identity("new", None));
    script.positions(Ok(stored(&[(0, 2)], "old")));
    let error = script.failure();
    assert_eq!(error.kind(), Kind::Recreated);
    let message = error.to_string();
    assert!(message.contains("id old") && message.contains("id new"), "{message}");
}

#[test]
fn an_epoch_is_not_committed_either_once_the_sink_names_another_topic() {
    let mut script = Script::new();
    script.ask(1, at(&[]), identity("new", None));
    script.positions(Ok(Stored::default()));
    assert_eq!(script.said(), ["read news/0", "answer 1"]);
    script.deliver(0, 4);
    script.positions(Ok(stored(&[(0, 0)], "old")));
    assert_eq!(script.said(), ["read news/0", "end Recreated"]);
}

#[test]
fn a_sink_without_a_position_is_given_the_start_with_the_topics_id() {
    let mut script = Script::new();
    script.ask(7, at(&[(0, 5)]), identity("a", Some(1)));
    script.positions(Ok(Stored::default()));
    let _ = script.worker.next_action();
    let Some(Action::Commit { rows, moves }) = script.worker.next_action() else { panic!("no commit") };
    assert_eq!((rows.len(), moves.ends(), moves.topics()), (0, at(&[(0, 5)]), &identity("a", Some(1))));
    script.event(Event::Committed(Ok(())));
    assert_eq!(script.said(), ["answer 7 news/0@5"]);
}

#[test]
fn a_position_is_not_replaced_by_the_start() {
    let mut script = Script::new();
    script.ask(7, at(&[(0, 5)]), Topics::new());
    script.positions(Ok(at(&[(0, 9)]).into()));
    assert_eq!(script.said(), ["read news/0", "answer 7 news/0@9"]);
}

#[test]
fn a_start_before_the_first_offset_is_a_defect_that_is_not_committed() {
    let mut script = Script::new();
    script.ask(7, at(&[(0, -1)]), Topics::new());
    script.positions(Ok(Stored::default()));
    assert_eq!(script.said(), ["read news/0", "end Internal"]);
}

#[test]
fn questions_and_batches_wait_while_the_sink_commits_and_questions_go_first() {
    let mut script = Script::new();
    script.deliver(0, 4);
    script.positions(Ok(Stored::default()));
    script.deliver(4, 8);
    script.ask(3, at(&[]), Topics::new());
    assert_eq!(script.said(), ["read news/0", "commit 0..4 to news/0@4"]);
    script.event(Event::Committed(Ok(())));
    script.positions(Ok(at(&[(0, 4)]).into()));
    assert_eq!(script.said(), ["acknowledge 4 news/0@4", "read news/0", "answer 3 news/0@4", "read news/0"]);
}

#[test]
fn a_conflict_reads_the_positions_again_at_once() {
    let mut script = Script::new();
    script.deliver(0, 4);
    script.positions(Ok(Stored::default()));
    script.event(Event::Committed(Err(Error::conflict("another process"))));
    script.positions(Ok(at(&[(0, 4)]).into()));
    let expected = ["read news/0", "commit 0..4 to news/0@4", "read news/0", "acknowledge 4 news/0@4"];
    assert_eq!(script.said(), expected);
}

#[test]
fn a_failed_commit_is_tried_again_after_a_pause_when_it_had_no_effect() {
    let mut script = Script::pausing();
    script.wait(Duration::from_millis(1));
    assert!(script.said().is_empty());
    script.wait_for_deadline();
    script.positions(Ok(Stored::default()));
    assert_eq!(script.said(), ["read news/0", "commit 0..4 to news/0@4"]);
}

#[test]
fn a_failed_commit_is_not_repeated_when_it_had_its_effect() {
    let mut script = Script::pausing();
    script.wait_for_deadline();
    script.positions(Ok(at(&[(0, 4)]).into()));
    assert_eq!(script.said(), ["read news/0", "acknowledge 4 news/0@4"]);
}

#[test]
fn nothing_is_begun_during_a_pause() {
    let mut script = Script::pausing();
    script.deliver(4, 8);
    script.ask(1, at(&[]), Topics::new());
    script.event(Event::InputClosed);
    assert!(script.said().is_empty());
}

#[test]
fn positions_that_cannot_be_read_are_asked_for_again() {
    let mut script = Script::new();
    script.deliver(0, 4);
    script.positions(Err(away()));
    script.wait_for_deadline();
    assert_eq!(script.said(), ["read news/0", "retrying", "read news/0"]);
}

#[test]
fn what_trying_again_does_not_mend_ends_the_worker() {
    let mut script = Script::new();
    script.deliver(0, 4);
    script.positions(Ok(Stored::default()));
    script.event(Event::Committed(Err(Error::new(Kind::Denied, "no right to write"))));
    assert_eq!(script.said(), ["read news/0", "commit 0..4 to news/0@4", "end Denied"]);
}

#[test]
fn a_stop_cuts_a_pause_short() {
    let mut script = Script::pausing();
    script.event(Event::StopRequested);
    assert_eq!(script.said(), ["read news/0"]);
}

#[test]
fn after_a_stop_a_sink_is_tried_for_the_grace_period_only() {
    let mut script = Script::pausing();
    script.event(Event::StopRequested);
    script.now += GRACE / 2;
    script.positions(Err(away()));
    assert_eq!(script.said(), ["read news/0", "retrying"]);
    script.wait_for_deadline();
    script.now += GRACE;
    script.positions(Err(away()));
    assert_eq!(script.said(), ["read news/0", "end Unavailable"]);
}

#[test]
fn a_stop_leaves_a_commit_that_is_under_way_alone() {
    let mut script = Script::new();
    script.deliver(0, 4);
    script.positions(Ok(Stored::default()));
    script.event(Event::StopRequested);
    script.now += GRACE * 2;
    script.event(Event::Committed(Ok(())));
    assert_eq!(script.said(), ["read news/0", "commit 0..4 to news/0@4", "acknowledge 4 news/0@4"]);
}

#[test]
fn the_end_of_the_input_commits_what_is_there_and_ends() {
    let mut script = Script::new();
    script.deliver(0, 1);
    script.event(Event::InputClosed);
    script.positions(Ok(Stored::default()));
    script.event(Event::Committed(Ok(())));
    let expected = ["read news/0", "commit 0..1 to news/0@1", "acknowledge 1 news/0@1", "end ok"];
    assert_eq!(script.said(), expected);
}

#[test]
fn the_end_of_an_empty_input_ends_at_once() {
    let mut script = Script::new();
    script.event(Event::InputClosed);
    assert_eq!(script.said(), ["end ok"]);
}
