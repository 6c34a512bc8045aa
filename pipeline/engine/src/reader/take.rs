//! Taking partitions: where they begin, and which topic they belong to.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use fenliu_schemas::{Positions, TopicIdentity, TopicPartition, Topics};

use super::state::{State, Step, Taking};
use super::{Action, BrokerFacts, Notice, Reader, Start};
use crate::error::{Error, Kind, Result};
use crate::position::{Stored, lowest_known};
use crate::worker::{Question, recreated};

impl Reader {
    fn question(&mut self, partitions: &[TopicPartition], starts: Positions, topics: Topics) -> u64 {
        self.next_question += 1;
        let id = self.next_question;
        let partitions = partitions.to_vec();
        self.actions.push_back(Action::AskSinks(Question { id, partitions, starts, topics }));
        id
    }

    pub(super) fn ask_sinks(&mut self, partitions: Vec<TopicPartition>) {
        if partitions.is_empty() {
            // librdkafka waits for the answer to an empty assignment, too.
            self.state = State::Reading;
            return self.actions.push_back(Action::Assign(Positions::default()));
        }
        let id = self.question(&partitions, Positions::default(), Topics::new());
        self.state = State::Taking(Taking {
            partitions,
            step: Step::Sinks(id),
            answers: BTreeMap::new(),
            facts: BrokerFacts::default(),
        });
        // Without sinks that keep positions there is no answer to wait for.
        self.answered_by_all();
    }

    pub(super) fn answered(&mut self, sink: usize, id: u64, stored: Stored) {
        let State::Taking(taking) = &mut self.state else { return };
        let (Step::Sinks(expected) | Step::Claims(expected)) = taking.step else { return };
        if expected == id {
            taking.answers.insert(sink, stored);
            self.answered_by_all();
        }
    }

    /// The next step, once every sink has answered.
    fn answered_by_all(&mut self) {
        let State::Taking(taking) = &self.state else { return };
        if taking.answers.len() < self.options.sinks {
            return;
        }
        match taking.step {
            Step::Sinks(_) => self.ask_brokers(),
            Step::Claims(_) => self.assign(),
            Step::Brokers | Step::BrokersLater(_) => {}
        }
    }

    pub(super) fn ask_brokers(&mut self) {
        let State::Taking(taking) = &mut self.state else { return };
        taking.step = Step::Brokers;
        self.actions.push_back(Action::AskBrokers(taking.partitions.clone()));
    }

    pub(super) fn brokers_answered(&mut self, now: Instant, outcome: Result<BrokerFacts>) {
        let State::Taking(taking) = &mut self.state else { return };
        match outcome {
            Ok(facts) => {
                taking.facts = facts;
                self.retry.succeeded();
                self.claim();
            }
            Err(error) if error.is_retryable() => match self.retry.after_failure(now) {
                Some(at) => {
                    taking.step = Step::BrokersLater(at);
                    self.notice(Notice::Retrying { error });
                }
                None => self.end(Err(error)),
            },
            Err(error) => self.end(Err(error)),
        }
    }

    fn claim(&mut self) {
        let State::Taking(taking) = &self.state else { return };
        match Beginnings::find(taking, &self.topics, self.options.start) {
            Ok(found) => self.ask_to_claim(found),
            Err(error) => self.end(Err(error)),
        }
    }

    /// Asks the sinks to claim the positions where the partitions begin, where they have none.
    fn ask_to_claim(&mut self, found: Beginnings) {
        let State::Taking(taking) = &mut self.state else { return };
        taking.answers.clear();
        let partitions = taking.partitions.clone();
        self.topics.extend(found.topics.clone());
        found.notices.into_iter().for_each(|notice| self.notice(notice));
        let claimed = if self.options.claims { found.starts.clone() } else { Positions::default() };
        let id = self.question(&partitions, claimed, found.topics);
        if let State::Taking(taking) = &mut self.state {
            taking.step = Step::Claims(id);
            // From here on they are where sinks without a position begin: `assign` reads them.
            taking.facts.committed.positions = found.starts;
        }
        self.answered_by_all();
    }

    /// Reads the partitions from the lowest position over the sinks on.
    fn assign(&mut self) {
        let State::Taking(taking) = std::mem::replace(&mut self.state, State::Reading) else { return };
        let starts = &taking.facts.committed.positions;
        let mut lowest = starts.clone();
        for (sink, stored) in &taking.answers {
            // A sink that was not asked to claim a position begins at the start as well.
            let mut positions = starts.clone();
            positions.update(&stored.positions);
            let own =
                taking.partitions.iter().filter_map(|key| Some((key.clone(), positions.get(&key.0, key.1)?)));
            let own: Positions = own.collect();
            self.ledger.acknowledge(*sink, &own);
            // The starts count only without sinks. If every sink has a later position, nothing before the lowest of
            // these is read.
            lowest = if *sink == 0 { own } else { lowest_known([&lowest, &own]) };
        }
        self.reading.update(&lowest);
        self.leaving.retain(|key| !taking.partitions.contains(key));
        // Also committed to the group, before any message is read: a run that crashes before its first commit begins
        // here again, even with `start = "latest"`.
        self.uncommitted.update(&lowest);
        self.actions.push_back(Action::Assign(lowest.clone()));
        self.notice(Notice::Assigned(lowest));
        // librdkafka fetches newly assigned partitions, whatever was paused before. If the reader still has to wait, it
        // pauses all of them again.
        self.paused = false;
    }

    pub(super) fn check_topics(&mut self, seen: &Topics) {
        let other = self.topics.iter().find_map(|(topic, known)| {
            let seen = seen.get(topic).filter(|seen| known.contradicts(seen))?;
            Some(recreated(topic, known.id.as_deref(), seen.id.as_deref()))
        });
        if let Some(error) = other {
            self.end(Err(error));
        }
    }
}

/// What follows from the answers of sinks and brokers.
struct Beginnings {
    /// Where a sink begins that has no position.
    starts: Positions,
    topics: Topics,
    notices: Vec<Notice>,
}

impl Beginnings {
    /// `own` is what the reader knows of topics itself.
    fn find(taking: &Taking, own: &Topics, start: Start) -> Result<Self> {
        let stored: Vec<&Stored> = taking.answers.values().collect();
        let topics = identities(&taking.facts, &stored, own)?;
        // The answers of the sinks are older than those of the brokers. The other way round, a sink could have moved
        // past the end that the brokers reported, and look as if the topic were created again.
        let mut notices = check_bounds(&stored, &taking.facts.bounds)?;
        notices.extend(adopted(&taking.facts, &stored, &topics));
        Ok(Beginnings { starts: starts(taking, &topics, start), topics, notices })
    }
}

/// The identity of each topic: as the sinks have stored it, else the group, else this reader (`own`), else as the
/// brokers report it today.
fn identities<'a>(facts: &'a BrokerFacts, sinks: &[&'a Stored], own: &'a Topics) -> Result<Topics> {
    let mut topics = facts.topics.clone();
    for (topic, identity) in &mut topics {
        // `latest_below` is taken from the first that has stored it. Only a topic that is new to all of them gets the
        // number of its partitions today: else partitions that were added later would begin at their newest message.
        let mut known = TopicIdentity { id: identity.id.clone(), latest_below: None };
        let stored =
            sinks.iter().copied().chain([&facts.committed]).filter_map(|stored| stored.topics.get(topic));
        for stored in stored.chain(own.get(topic)) {
            if stored.contradicts(&known) {
                return Err(recreated(topic, stored.id.as_deref(), known.id.as_deref()));
            }
            known.fill_from(stored);
        }
        known.fill_from(identity);
        *identity = known;
    }
    Ok(topics)
}

/// Notices for topics whose stored positions name no topic id: an earlier release wrote them.
fn adopted<'a>(facts: &'a BrokerFacts, sinks: &[&'a Stored], topics: &Topics) -> Vec<Notice> {
    let is_unnamed = |topic: &Arc<str>, stored: &Stored| {
        let has_position = stored.positions.iter().any(|(of, ..)| of == topic);
        has_position && stored.topics.get(topic).is_none_or(|identity| identity.id.is_none())
    };
    let all = || sinks.iter().copied().chain([&facts.committed]);
    let unnamed = topics.iter().filter(|(topic, _)| all().any(|stored| is_unnamed(topic, stored)));
    unnamed
        .filter_map(|(topic, identity)| {
            Some(Notice::Adopted { topic: Arc::clone(topic), id: identity.id.clone()? })
        })
        .collect()
}

/// Where sinks begin in a partition of which they have no position, by the first of these that is known: the committed
/// offset of the group; the position of the sink that is furthest behind, since brokers forget the offsets of a group
/// that was away for long (`offsets.retention.minutes`); the configured start.
fn starts(taking: &Taking, topics: &Topics, start: Start) -> Positions {
    let Taking { partitions, answers, facts, .. } = taking;
    let stored = lowest_known(answers.values().map(|stored| &stored.positions));
    let start_of = |key: &TopicPartition| {
        let (topic, partition) = (&key.0, key.1);
        let known = facts.committed.positions.get(topic, partition).or_else(|| stored.get(topic, partition));
        known.or_else(|| {
            let (oldest, newest) = *facts.bounds.get(key)?;
            let latest_below = topics.get(topic).and_then(|identity| identity.latest_below);
            let is_latest = start == Start::Latest && latest_below.is_none_or(|below| partition < below);
            Some(if is_latest { newest } else { oldest })
        })
    };
    partitions.iter().filter_map(|key| Some((key.clone(), start_of(key)?))).collect()
}

/// Compares the positions of the sinks with the offsets that the brokers have. A position after the end of its
/// partition means that the topic was created again, which is an error. A lowest position before the oldest offset
/// means that offsets were deleted before they were read, which is reported.
fn check_bounds(sinks: &[&Stored], bounds: &BTreeMap<TopicPartition, (i64, i64)>) -> Result<Vec<Notice>> {
    let mut deleted = vec![];
    for (partition, &(oldest, newest)) in bounds {
        let positions = || sinks.iter().filter_map(|stored| stored.positions.get(&partition.0, partition.1));
        if let Some(next) = positions().max().filter(|next| *next > newest) {
            return Err(shrunk(&partition.0, partition.1, next, newest));
        }
        if let Some(position) = positions().min().filter(|position| *position < oldest) {
            deleted.push(Notice::Deleted { partition: partition.clone(), position, oldest });
        }
    }
    Ok(deleted)
}

fn shrunk(topic: &str, partition: i32, next: i64, newest: i64) -> Error {
    Error::new(
        Kind::Recreated,
        format!(
            "{topic}/{partition}: the sinks have everything before offset {next}, but the partition ends at {newest}: the \
             topic was deleted and created again"
        ),
    )
    .remedy("another `name` reads the new topic from its beginning")
}
