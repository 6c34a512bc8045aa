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
            // A rebalance that brings nothing still wants to be acknowledged.
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

    /// Gives sinks without a position the one where the partitions begin.
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
            let mut positions = starts.clone();
            positions.update(&stored.positions);
            let own =
                taking.partitions.iter().filter_map(|key| Some((key.clone(), positions.get(&key.0, key.1)?)));
            let own: Positions = own.collect();
            self.ledger.acknowledge(*sink, &own);
            // Not the start where every sink has a later position: nothing before that is wanted.
            lowest = if *sink == 0 { own } else { lowest_known([&lowest, &own]) };
        }
        self.reading.update(&lowest);
        self.leaving.retain(|key| !taking.partitions.contains(key));
        self.uncommitted.update(&lowest);
        self.actions.push_back(Action::Assign(lowest.clone()));
        self.notice(Notice::Assigned(lowest));
        // What is assigned anew is fetched, also while everything else is paused.
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
        // Against what was stored before the brokers were asked: a sink may have moved on since, and the partition too.
        let mut notices = check_bounds(&stored, &taking.facts.bounds)?;
        notices.extend(adopted(&taking.facts, &stored, &topics));
        Ok(Beginnings { starts: starts(taking, &topics, start), topics, notices })
    }
}

/// What is known of each topic: by the sinks, by the group, by this reader (`own`), and for the rest as it is today.
fn identities<'a>(facts: &'a BrokerFacts, sinks: &[&'a Stored], own: &'a Topics) -> Result<Topics> {
    let mut topics = facts.topics.clone();
    for (topic, identity) in &mut topics {
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

/// Topics of which sinks have positions that do not say to which topic they belong.
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

/// Where sinks begin that have no position in a partition: where the group is; where the sink is that is furthest
/// behind, since brokers forget a group that was away for long (`offsets.retention.minutes`); else as configured.
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

/// A position of any sink behind the end of its partition means that the topic was created again. A lowest position
/// before the oldest offset means that offsets were deleted before they were read, which is reported.
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
