//! One reader, with two sinks and brokers that answer as the test says.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use fenliu_engine::position::Stored;
use fenliu_engine::reader::{Action, BrokerFacts, Event, Notice, Options, Reader, Start};
use fenliu_engine::{Error, Kind};
use fenliu_schemas::Topics;
use rand::SeedableRng;
use rand::rngs::SmallRng;

use crate::fixtures::{at, away, identity, keys, kind, named, shown, stored, topic};

const OPTIONS: Options = Options {
    sinks: 2,
    start: Start::Earliest,
    drain_limit: Duration::from_secs(10),
    commits_offsets: true,
    claims: true,
};

struct Script {
    reader: Reader,
    now: Instant,
    /// The id of the last question.
    question: u64,
}

impl Script {
    fn new(options: Options) -> Self {
        let reader = Reader::new(options, SmallRng::seed_from_u64(1));
        Script { reader, now: Instant::now(), question: 0 }
    }

    /// A reader of one partition at offset 0, whose position the group knows.
    fn reading() -> Self {
        let mut script = Script::new(OPTIONS);
        script.assigned(&[0], nothing(), facts(&[(0, 0, 100)], "a"));
        script.said();
        script.event(Event::OffsetsCommitted(Ok(())));
        assert!(script.reader.is_reading());
        script
    }

    /// A reader that has read so many messages, and was asked to stop.
    fn stopping(read: i64) -> Self {
        let mut script = Script::reading();
        script.take(0..read);
        script.event(Event::StopRequested);
        script.event(Event::HandedOver);
        let said = script.said();
        assert_eq!(said[0], "hand over");
        script
    }

    fn event(&mut self, event: Event) {
        self.reader.handle(self.now, event);
    }

    fn wait(&mut self, pause: Duration) {
        self.now += pause;
        self.event(Event::Tick);
    }

    /// Lets the time come for which the reader waits.
    fn wait_for_deadline(&mut self) {
        let deadline = self.reader.deadline().unwrap();
        self.wait(deadline - self.now);
    }

    /// What the reader wants done, in words.
    fn said(&mut self) -> Vec<String> {
        let mut said = vec![];
        while let Some(action) = self.reader.next_action() {
            if let Action::AskSinks(question) = &action {
                self.question = question.id;
            }
            said.push(words(&action));
        }
        said
    }

    /// Both sinks answer the last question.
    fn answer(&mut self, stored: [Stored; 2]) {
        for (sink, stored) in stored.into_iter().enumerate() {
            self.event(Event::Answered { sink, id: self.question, stored });
        }
    }

    /// Partitions come, with sinks and brokers that know what is given, up to the question whether the sinks accept
    /// where they begin.
    fn assigning(&mut self, partitions: &[i32], sinks: [Stored; 2], facts: BrokerFacts) -> Vec<String> {
        self.event(Event::Assigned(keys(partitions)));
        self.said();
        self.answer(sinks);
        assert_eq!(self.said(), [format!("ask the brokers {}", named(&keys(partitions)))]);
        self.event(Event::BrokersAnswered(Ok(facts)));
        self.said()
    }

    /// As [`Script::assigning`], and the sinks accept: each has then what it had, or else where it begins.
    fn assigned(&mut self, partitions: &[i32], sinks: [Stored; 2], facts: BrokerFacts) {
        self.assigning(partitions, sinks.clone(), facts);
        self.answer(sinks);
    }

    /// Messages of partition 0 are taken.
    fn take(&mut self, offsets: std::ops::Range<i64>) {
        for offset in offsets {
            assert_eq!(self.reader.first_covered("news", 0, offset), Some(offset));
            self.reader.take(&topic(), 0, offset);
        }
    }

    /// Both sinks are durable up to `next` of partition 0, one after the other; what the reader wants done then. The
    /// commit of offsets after the first sink, which tells the group nothing new, succeeds and is left out.
    fn acknowledge(&mut self, next: i64) -> Vec<String> {
        self.event(Event::Acknowledged { sink: 0, positions: at(&[(0, next)]) });
        let (commits, mut said): (Vec<_>, Vec<_>) =
            self.said().into_iter().partition(|line| line.starts_with("commit"));
        if !commits.is_empty() {
            self.event(Event::OffsetsCommitted(Ok(())));
        }
        self.event(Event::Acknowledged { sink: 1, positions: at(&[(0, next)]) });
        said.extend(self.said());
        said
    }

    /// The error with which the reader ends.
    fn failure(&mut self) -> Error {
        let mut actions = std::iter::from_fn(|| self.reader.next_action());
        let end =
            actions.find_map(|action| if let Action::End(outcome) = action { outcome.err() } else { None });
        end.unwrap()
    }

    fn revoke(&mut self, partitions: &[i32], lost: bool) {
        self.event(Event::Revoked { partitions: keys(partitions), lost });
    }
}

/// The brokers know the topic by this id, nothing of the group, and these partitions: oldest offset and end.
fn facts(bounds: &[(i32, i64, i64)], id: &str) -> BrokerFacts {
    let bounds: BTreeMap<_, _> =
        bounds.iter().map(|(id, oldest, end)| ((topic(), *id), (*oldest, *end))).collect();
    BrokerFacts { committed: Stored::default(), topics: identity(id, Some(bounds.len() as i32)), bounds }
}

fn words(action: &Action) -> String {
    let line = match action {
        Action::AskSinks(question) => {
            format!("ask the sinks {} {}", named(&question.partitions), shown(&question.starts))
        }
        Action::AskBrokers(partitions) => format!("ask the brokers {}", named(partitions)),
        Action::Assign(positions) => format!("assign {}", shown(positions)),
        Action::Unassign(partitions) => format!("unassign {}", named(partitions)),
        Action::HandOver => "hand over".to_owned(),
        Action::Pause => "pause".to_owned(),
        Action::Resume => "resume".to_owned(),
        Action::CommitOffsets(stored) => format!("commit {}", shown(&stored.positions)),
        Action::Notice(notice) => noticed(notice),
        Action::End(outcome) => format!("end {}", kind(outcome)),
    };
    line.trim_end().to_owned()
}

fn noticed(notice: &Notice) -> String {
    match notice {
        Notice::Assigned(positions) => format!("(assigned {})", shown(positions)),
        Notice::Revoked { partitions, drained } => {
            format!("({} {})", if *drained { "drained" } else { "not drained" }, named(partitions))
        }
        Notice::Deleted { partition: (topic, partition), position, oldest } => {
            format!("(deleted {topic}/{partition} {position}..{oldest})")
        }
        Notice::Adopted { topic, id } => format!("(adopted {topic} {id})"),
        Notice::Retrying { .. } => "(retrying)".to_owned(),
    }
}

/// Sinks that have nothing.
fn nothing() -> [Stored; 2] {
    [Stored::default(), Stored::default()]
}

#[test]
fn a_new_partition_is_read_from_its_oldest_message() {
    let mut script = Script::new(OPTIONS);
    let said = script.assigning(&[0], nothing(), facts(&[(0, 3, 9)], "a"));
    assert_eq!(said, ["ask the sinks news/0 news/0@3"]);
    assert!(!script.reader.is_reading());
    script.answer([stored(&[(0, 3)], "a"), stored(&[(0, 3)], "a")]);
    assert_eq!(script.said(), ["assign news/0@3", "(assigned news/0@3)", "commit news/0@3"]);
}

#[test]
fn reading_begins_at_the_sink_that_is_furthest_behind_and_a_new_sink_at_the_groups_offset() {
    let mut script = Script::new(OPTIONS);
    let committed = stored(&[(0, 7)], "a");
    let facts = BrokerFacts { committed, ..facts(&[(0, 0, 9)], "a") };
    let said = script.assigning(&[0], [stored(&[(0, 5)], "a"), Stored::default()], facts);
    assert_eq!(said, ["ask the sinks news/0 news/0@7"]);
    script.answer([stored(&[(0, 5)], "a"), stored(&[(0, 7)], "a")]);
    assert_eq!(script.said()[0], "assign news/0@5");
}

#[test]
fn a_new_sink_begins_at_another_ones_position_where_the_brokers_have_forgotten_the_group() {
    let mut script = Script::new(OPTIONS);
    let said = script.assigning(&[0], [stored(&[(0, 5)], "a"), Stored::default()], facts(&[(0, 0, 9)], "a"));
    assert_eq!(said, ["ask the sinks news/0 news/0@5"]);
}

#[test]
fn no_start_is_claimed_where_sinks_are_not_given_one() {
    let mut script = Script::new(Options { claims: false, ..OPTIONS });
    let said = script.assigning(&[0], nothing(), facts(&[(0, 3, 9)], "a"));
    assert_eq!(said, ["ask the sinks news/0"]);
    script.answer(nothing());
    assert_eq!(script.said()[0], "assign news/0@3");
}

#[test]
fn start_at_the_latest_holds_for_the_partitions_that_were_there_at_first() {
    let mut script = Script::new(Options { start: Start::Latest, ..OPTIONS });
    // A sink has seen the topic with one partition; now it has two.
    let known = Stored { positions: at(&[]), topics: identity("a", Some(1)) };
    let said = script.assigning(&[0, 1], [known, Stored::default()], facts(&[(0, 0, 9), (1, 2, 9)], "a"));
    assert_eq!(said, ["ask the sinks news/0 news/1 news/0@9 news/1@2"]);
}

#[test]
fn offsets_that_were_deleted_before_they_were_read_are_told() {
    let mut script = Script::new(OPTIONS);
    let sinks = [stored(&[(0, 3)], "a"), stored(&[(0, 5)], "a")];
    let said = script.assigning(&[0], sinks, facts(&[(0, 10, 20)], "a"));
    assert_eq!(said[0], "(deleted news/0 3..10)");
}

#[test]
fn a_topic_created_again_is_noticed_by_its_id_before_anything_is_read() {
    let mut script = Script::new(OPTIONS);
    script.event(Event::Assigned(keys(&[0])));
    script.said();
    script.answer([stored(&[(0, 3)], "old"), Stored::default()]);
    script.event(Event::BrokersAnswered(Ok(facts(&[(0, 0, 9)], "new"))));
    let error = script.failure();
    assert_eq!((error.kind(), error.is_retryable()), (Kind::Recreated, false));
    assert!(error.to_string().contains("id old") && error.to_string().contains("id new"), "{error}");
}

#[test]
fn the_id_that_the_group_has_stored_counts_too() {
    let mut script = Script::new(OPTIONS);
    let facts = BrokerFacts { committed: stored(&[(0, 3)], "old"), ..facts(&[(0, 0, 9)], "new") };
    assert_eq!(script.assigning(&[0], nothing(), facts), ["end Recreated"]);
}

#[test]
fn a_position_behind_the_end_of_its_partition_means_another_topic_too() {
    let mut script = Script::new(OPTIONS);
    let unnamed = || Stored::from(at(&[(0, 30)]));
    script.event(Event::Assigned(keys(&[0])));
    script.said();
    script.answer([unnamed(), unnamed()]);
    script.event(Event::BrokersAnswered(Ok(facts(&[(0, 0, 20)], "a"))));
    let error = script.failure();
    assert_eq!(error.kind(), Kind::Recreated);
    assert!(error.to_string().contains("ends at 20"), "{error}");
}

#[test]
fn a_topic_created_again_is_noticed_while_it_is_read() {
    let mut script = Script::reading();
    script.event(Event::TopicsSeen(identity("a", None)));
    script.event(Event::TopicsSeen(Topics::new()));
    assert!(script.said().is_empty());
    script.event(Event::TopicsSeen(identity("b", None)));
    assert_eq!(script.said(), ["end Recreated"]);
}

#[test]
fn a_position_without_an_id_adopts_the_topic_of_today_and_says_so() {
    let mut script = Script::new(OPTIONS);
    let sinks = [Stored::from(at(&[(0, 3)])), stored(&[(0, 3)], "a")];
    let said = script.assigning(&[0], sinks, facts(&[(0, 0, 9)], "a"));
    assert_eq!(said[0], "(adopted news a)");
}

#[test]
fn brokers_that_do_not_answer_are_asked_again() {
    let mut script = Script::new(OPTIONS);
    script.event(Event::Assigned(keys(&[0])));
    script.said();
    script.answer(nothing());
    script.event(Event::BrokersAnswered(Err(away())));
    assert_eq!(script.said(), ["ask the brokers news/0", "(retrying)"]);
    script.wait_for_deadline();
    assert_eq!(script.said(), ["ask the brokers news/0"]);
    script.event(Event::BrokersAnswered(Ok(facts(&[(0, 3, 9)], "a"))));
    assert_eq!(script.said(), ["ask the sinks news/0 news/0@3"]);
}

#[test]
fn what_brokers_refuse_for_good_ends_the_reader() {
    let mut script = Script::new(OPTIONS);
    script.event(Event::Assigned(keys(&[0])));
    script.said();
    script.answer(nothing());
    script.event(Event::BrokersAnswered(Err(Error::new(Kind::Denied, "no right to read"))));
    assert_eq!(script.said(), ["ask the brokers news/0", "end Denied"]);
}

#[test]
fn an_answer_to_an_older_question_is_not_taken_for_one_to_the_last() {
    let mut script = Script::new(OPTIONS);
    script.event(Event::Assigned(keys(&[0])));
    script.said();
    script.event(Event::Answered { sink: 0, id: script.question, stored: Stored::default() });
    script.event(Event::Answered { sink: 1, id: script.question + 1, stored: Stored::default() });
    assert!(script.said().is_empty());
}

#[test]
fn a_rebalance_that_brings_nothing_is_acknowledged() {
    let mut script = Script::new(OPTIONS);
    script.event(Event::Assigned(vec![]));
    assert_eq!(script.said(), ["assign"]);
}

#[test]
fn a_message_is_taken_once_and_covers_the_hole_before_it() {
    let mut script = Script::reading();
    script.take(0..3);
    assert_eq!(script.reader.first_covered("news", 0, 2), None);
    assert_eq!(script.reader.first_covered("news", 0, 8), Some(3));
    assert_eq!(script.reader.first_covered("news", 1, 0), None);
    assert_eq!(script.reader.reading(), &at(&[(0, 3)]));
}

#[test]
fn a_revoked_partition_is_given_up_once_every_sink_has_what_was_read() {
    let mut script = Script::reading();
    script.take(0..5);
    script.revoke(&[0], false);
    assert_eq!(script.reader.first_covered("news", 0, 5), None);
    script.event(Event::HandedOver);
    script.event(Event::Acknowledged { sink: 0, positions: at(&[(0, 5)]) });
    assert_eq!(script.said(), ["hand over", "pause", "commit news/0@0"]);
    script.event(Event::Acknowledged { sink: 1, positions: at(&[(0, 5)]) });
    assert_eq!(script.said(), ["unassign news/0", "(drained news/0)", "resume"]);
    assert!(script.acknowledge(9).is_empty(), "what comes late is of no concern any more");
}

#[test]
fn a_partition_of_which_nothing_is_in_flight_is_given_up_after_the_hand_over() {
    let mut script = Script::reading();
    script.revoke(&[0], false);
    assert_eq!(script.said(), ["hand over", "pause"]);
    script.event(Event::HandedOver);
    assert_eq!(script.said()[0], "unassign news/0");
}

#[test]
fn a_drain_that_takes_too_long_drops_what_is_in_flight() {
    let mut script = Script::reading();
    script.take(0..5);
    script.revoke(&[0], false);
    script.event(Event::HandedOver);
    script.said();
    assert_eq!(script.reader.deadline(), Some(script.now + OPTIONS.drain_limit));
    script.wait_for_deadline();
    assert_eq!(script.said(), ["unassign news/0", "(not drained news/0)", "end Lost"]);
}

#[test]
fn a_revocation_that_waits_behind_sinks_that_do_not_answer_counts_too() {
    let mut script = Script::new(OPTIONS);
    script.event(Event::Assigned(keys(&[0])));
    script.revoke(&[0], false);
    script.wait_for_deadline();
    assert_eq!(script.said(), ["ask the sinks news/0", "end Lost"]);
}

#[test]
fn rebalances_are_handled_one_after_the_other() {
    let mut script = Script::reading();
    script.take(0..2);
    script.revoke(&[0], false);
    script.event(Event::Assigned(keys(&[1])));
    script.event(Event::HandedOver);
    script.said();
    let said = script.acknowledge(2);
    assert_eq!(said[..3], ["unassign news/0", "(drained news/0)", "ask the sinks news/1"]);
}

#[test]
fn partitions_that_the_group_has_given_away_end_the_run() {
    let mut script = Script::reading();
    script.take(0..5);
    script.revoke(&[0], true);
    assert_eq!(script.said(), ["unassign news/0", "end Lost"]);
}

#[test]
fn partitions_lost_while_stopping_are_let_go_and_the_run_ends_well() {
    let mut script = Script::stopping(5);
    script.revoke(&[0], true);
    assert_eq!(script.said(), ["unassign news/0", "end ok"]);
}

#[test]
fn a_stop_takes_nothing_more_and_ends_when_the_sinks_and_the_group_have_everything() {
    let mut script = Script::reading();
    script.take(0..5);
    script.event(Event::StopRequested);
    assert_eq!(script.said(), ["hand over", "pause"]);
    assert_eq!(script.reader.first_covered("news", 0, 5), None);
    script.event(Event::HandedOver);
    assert_eq!(script.acknowledge(5), ["commit news/0@5"]);
    script.event(Event::OffsetsCommitted(Ok(())));
    assert_eq!((script.said(), script.reader.deadline()), (vec!["end ok".to_owned()], None));
}

#[test]
fn a_stop_ends_without_offsets_where_a_sink_commits_them() {
    let mut script = Script::new(Options { commits_offsets: false, ..OPTIONS });
    script.assigned(&[0], nothing(), facts(&[(0, 0, 9)], "a"));
    script.take(0..5);
    script.event(Event::StopRequested);
    script.event(Event::HandedOver);
    script.said();
    assert_eq!(script.acknowledge(5), ["end ok"]);
}

#[test]
fn a_stop_before_anything_is_assigned_ends() {
    let mut script = Script::new(OPTIONS);
    script.event(Event::Assigned(keys(&[0])));
    script.said();
    script.event(Event::StopRequested);
    script.event(Event::HandedOver);
    assert_eq!(script.said(), ["hand over", "pause", "end ok"]);
    script.answer(nothing());
    script.event(Event::BrokersAnswered(Err(away())));
    assert!(script.said().is_empty());
}

#[test]
fn a_stop_while_a_partition_is_given_up_waits_for_the_sinks_without_a_limit() {
    let mut script = Script::reading();
    script.take(0..5);
    script.revoke(&[0], false);
    script.event(Event::StopRequested);
    script.event(Event::HandedOver);
    assert_eq!(script.reader.deadline(), None);
    script.wait(OPTIONS.drain_limit * 10);
    assert_eq!(script.said(), ["hand over", "pause", "hand over"]);
    assert_eq!(script.acknowledge(5), ["commit news/0@5"]);
}

#[test]
fn a_second_stop_changes_nothing() {
    let mut script = Script::stopping(5);
    script.event(Event::StopRequested);
    assert!(script.said().is_empty());
}

#[test]
fn the_last_commit_of_offsets_is_tried_again_for_a_while_and_then_fails_the_run() {
    let mut script = Script::stopping(5);
    let mut said = script.acknowledge(5);
    let end = script.now + Duration::from_secs(10);
    let mut commits = 0;
    while script.now < end {
        if said.iter().any(|said| said == "commit news/0@5") {
            commits += 1;
            script.event(Event::OffsetsCommitted(Err(away())));
        }
        script.wait_for_deadline();
        if script.now < end {
            said = script.said();
        }
    }
    let error = script.failure();
    assert_eq!((error.kind(), commits), (Kind::Unavailable, 20));
    assert!(error.to_string().contains("last commit of offsets"), "{error}");
}

#[test]
fn offsets_that_could_not_be_committed_are_committed_with_the_next_ones() {
    let mut script = Script::reading();
    script.take(0..9);
    assert_eq!(script.acknowledge(3), ["commit news/0@3"]);
    assert!(script.acknowledge(5).is_empty(), "one commit at a time");
    script.event(Event::OffsetsCommitted(Err(away())));
    assert_eq!(script.said(), ["(retrying)"]);
    script.wait_for_deadline();
    assert_eq!(script.said(), ["commit news/0@5"]);
    script.event(Event::OffsetsCommitted(Err(away())));
    script.wait_for_deadline();
    assert_eq!(script.said(), ["(retrying)", "commit news/0@5"]);
}

#[test]
fn an_outcome_of_no_commit_is_ignored() {
    let mut script = Script::reading();
    script.event(Event::OffsetsCommitted(Err(away())));
    assert_eq!((script.said(), script.reader.deadline()), (vec![], None));
}

#[test]
fn the_end_of_the_input_ends_the_run_once_the_sinks_have_everything() {
    let mut script = Script::reading();
    script.take(0..5);
    script.event(Event::InputEnded);
    script.event(Event::HandedOver);
    assert_eq!(script.said(), ["hand over", "pause"]);
    assert_eq!(script.acknowledge(5), ["commit news/0@5"]);
    script.event(Event::OffsetsCommitted(Ok(())));
    assert_eq!(script.said(), ["end ok"]);
}

#[test]
fn a_rebalance_interrupts_the_end_of_the_input_and_reading_goes_on() {
    let mut script = Script::reading();
    script.event(Event::InputEnded);
    script.event(Event::Assigned(keys(&[1])));
    assert_eq!(script.said(), ["hand over", "pause", "ask the sinks news/1", "resume"]);
    script.answer(nothing());
    script.event(Event::BrokersAnswered(Ok(facts(&[(1, 0, 9)], "a"))));
    script.said();
    script.answer(nothing());
    assert_eq!(script.said()[0], "assign news/1@0");
    assert!(script.reader.is_reading());
    script.event(Event::InputEnded);
    assert_eq!(script.said(), ["hand over", "pause"]);
}

#[test]
fn a_revocation_interrupts_the_end_of_the_input() {
    let mut script = Script::reading();
    script.take(0..5);
    script.event(Event::InputEnded);
    script.event(Event::HandedOver);
    script.said();
    script.revoke(&[0], false);
    script.event(Event::HandedOver);
    assert_eq!(script.acknowledge(5)[..2], ["hand over", "unassign news/0"]);
}

#[test]
fn a_stop_at_the_end_of_the_input_hands_over_only_once() {
    let mut script = Script::reading();
    script.take(0..5);
    script.event(Event::InputEnded);
    script.event(Event::HandedOver);
    script.event(Event::StopRequested);
    assert_eq!(script.said(), ["hand over", "pause"]);
    assert_eq!(script.acknowledge(5), ["commit news/0@5"]);
}

#[test]
fn the_input_does_not_end_while_a_partition_is_given_up() {
    let mut script = Script::reading();
    script.take(0..5);
    script.revoke(&[0], false);
    script.event(Event::InputEnded);
    assert_eq!(script.said(), ["hand over", "pause"]);
}

#[test]
fn stages_that_are_busy_for_long_pause_the_partitions() {
    let mut script = Script::reading();
    let began = script.now;
    script.event(Event::Blocked(true));
    script.wait(Duration::from_secs(1));
    // Still the same wait.
    script.event(Event::Blocked(true));
    assert_eq!((script.said(), script.reader.deadline()), (vec![], Some(began + Duration::from_secs(2))));
    script.wait_for_deadline();
    assert_eq!((script.said(), script.reader.deadline()), (vec!["pause".to_owned()], None));
    script.event(Event::Blocked(false));
    assert_eq!(script.said(), ["resume"]);
}

#[test]
fn messages_that_the_decoder_cannot_take_yet_pause_the_partitions_at_once() {
    let mut script = Script::reading();
    script.event(Event::Holding(true));
    script.event(Event::Holding(false));
    assert_eq!(script.said(), ["pause", "resume"]);
}

#[test]
fn the_end_of_a_later_stage_ends_the_reader_which_then_does_nothing_more() {
    let mut script = Script::reading();
    script.take(0..5);
    script.event(Event::OutputClosed);
    assert_eq!(script.said(), ["end ok"]);
    script.event(Event::Assigned(keys(&[1])));
    script.event(Event::StopRequested);
    script.event(Event::OutputClosed);
    script.wait(Duration::from_secs(100));
    assert_eq!((script.said(), script.reader.deadline()), (vec![], None));
}
