//! Selects dead letters.

use fenliu_connectors::DeadLetter;

/// Criteria for dead letters. A criterion that is `None` matches every dead letter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Filter {
    /// Reason of the rejection.
    pub reason: Option<String>,
    /// Stage that rejected the document.
    pub stage: Option<String>,
    /// Topic of the original message, or path of the file.
    pub topic: Option<String>,
    /// Partition of the original message.
    pub partition: Option<i32>,
    /// Offset of the original message.
    pub offset: Option<i64>,
}

impl Filter {
    /// Whether `letter` matches all criteria.
    pub(crate) fn matches(&self, letter: &DeadLetter) -> bool {
        let is =
            |wanted: &Option<String>, found: &str| wanted.as_deref().is_none_or(|wanted| wanted == found);
        is(&self.reason, &letter.reason)
            && is(&self.stage, &letter.stage)
            && is(&self.topic, &letter.topic)
            && self.partition.is_none_or(|partition| partition == letter.partition)
            && self.offset.is_none_or(|offset| offset == letter.offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dead_letter_must_match_all_criteria() {
        let letter = DeadLetter {
            topic: "news".into(),
            partition: 1,
            offset: 2,
            stage: "decode".into(),
            reason: "invalid_json".into(),
            ..DeadLetter::default()
        };
        let text = |text: &str| Some(text.to_string());
        let table = [
            (Filter::default(), true),
            (Filter { reason: text("invalid_json"), offset: Some(2), ..Filter::default() }, true),
            (Filter { reason: text("too_large"), ..Filter::default() }, false),
            (Filter { stage: text("infer"), ..Filter::default() }, false),
            (Filter { topic: text("other"), ..Filter::default() }, false),
            (Filter { partition: Some(0), ..Filter::default() }, false),
            (Filter { topic: text("news"), partition: Some(1), offset: Some(3), ..Filter::default() }, false),
        ];
        for (filter, expected) in table {
            assert_eq!(filter.matches(&letter), expected, "{filter:?}");
        }
    }
}
