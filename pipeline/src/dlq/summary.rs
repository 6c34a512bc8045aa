//! Counts dead letters by topic, stage and reason.

use std::collections::BTreeMap;

use serde::Serialize;

use fenliu_connectors::DeadLetter;

/// The number of dead letters by topic, stage and reason.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct DeadLetterSummary {
    groups: BTreeMap<(String, String, String), GroupCounts>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct GroupCounts {
    count: u64,
    first_ms: Option<i64>,
    last_ms: Option<i64>,
}

/// The dead letters of one topic, stage and reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct DeadLetterGroup {
    /// Topic of the original messages, or path of the file.
    pub topic: String,
    /// The stage that rejected them.
    pub stage: String,
    /// The reason of the rejection.
    pub reason: String,
    /// How many there are, including copies.
    pub count: u64,
    /// When the first was rejected, milliseconds since the Unix epoch; `None` if no dead letter has the time.
    pub first_ms: Option<i64>,
    /// When the last was rejected, milliseconds since the Unix epoch; `None` if no dead letter has the time.
    pub last_ms: Option<i64>,
}

impl DeadLetterSummary {
    /// Counts one more dead letter.
    pub(crate) fn add(&mut self, letter: DeadLetter) {
        let counts = self.groups.entry((letter.topic, letter.stage, letter.reason)).or_default();
        counts.count += 1;
        if let Some(at) = letter.rejected_at_ms {
            counts.first_ms = Some(counts.first_ms.map_or(at, |first| first.min(at)));
            counts.last_ms = counts.last_ms.max(Some(at));
        }
    }

    /// The groups, ordered by topic, stage and reason.
    pub(crate) fn groups(&self) -> Vec<DeadLetterGroup> {
        let group =
            |((topic, stage, reason), counts): (&(String, String, String), &GroupCounts)| DeadLetterGroup {
                topic: topic.clone(),
                stage: stage.clone(),
                reason: reason.clone(),
                count: counts.count,
                first_ms: counts.first_ms,
                last_ms: counts.last_ms,
            };
        self.groups.iter().map(group).collect()
    }

    /// The number of all dead letters.
    pub(crate) fn total(&self) -> u64 {
        self.groups.values().map(|counts| counts.count).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dead_letters_are_counted_by_reason_with_the_first_and_the_last_time() {
        let mut summary = DeadLetterSummary::default();
        for (reason, at) in [("a", Some(5)), ("b", None), ("a", Some(2)), ("a", None)] {
            let reason = reason.to_string();
            summary.add(DeadLetter { reason, rejected_at_ms: at, ..DeadLetter::default() });
        }
        let groups: Vec<_> =
            summary.groups().into_iter().map(|g| (g.reason, g.count, g.first_ms, g.last_ms)).collect();
        assert_eq!(groups, [("a".into(), 3, Some(2), Some(5)), ("b".into(), 1, None, None)]);
        assert_eq!(summary.total(), 4);
    }
}
