//! Labelled texts: the rows that a job trains and tests on.

use fenliu_model::Example;
use fenliu_model::quality::text_key;
use serde::{Deserialize, Serialize};

use crate::corpus::CleanDocument;

/// Where a labelled text came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum ExampleOrigin {
    /// `finetune.data`: the documents that the model was trained on before.
    Data,
    /// A correction.
    Feedback,
    /// `finetune.test`: documents for testing only.
    Test,
    /// `finetune.far`: documents of another source, for testing only.
    Far,
}

impl ExampleOrigin {
    /// Whether nobody trains on such rows.
    pub(super) fn is_held_out(self) -> bool {
        matches!(self, ExampleOrigin::Test | ExampleOrigin::Far)
    }
}

/// One labelled text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Row {
    /// The document's id, if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) id: Option<String>,
    /// Cleaned headline and body.
    pub(super) text: String,
    /// The id of its label.
    pub(super) label: String,
    /// Language (ISO 639-1), if known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) lang: Option<String>,
    /// Publisher or feed, if known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) source: Option<String>,
    /// When it was published, or if that is unknown, when it was corrected; milliseconds since the Unix epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) time: Option<i64>,
    /// Who corrected it, if that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) by: Option<String>,
    /// Where it came from.
    pub(super) origin: ExampleOrigin,
}

impl Row {
    /// The row of a document; `None` if the document has no label.
    pub(super) fn of(document: CleanDocument, origin: ExampleOrigin) -> Option<Self> {
        let CleanDocument { id, text, label, lang, source, published_at } = document;
        Some(Row { id, text, label: label?, lang, source, time: published_at, by: None, origin })
    }

    /// The row as a training example. Texts with the same fingerprint form a group, which is never divided between
    /// training and held-out examples.
    pub(super) fn example(&self) -> Example {
        let group = format!("{:032x}", fingerprint(&self.text));
        Example { text: self.text.clone(), label: self.label.clone(), group: Some(group) }
    }
}

/// 128 bits of [`text_key`]: equal for texts that differ only in white space, punctuation or case.
pub(super) fn fingerprint(text: &str) -> u128 {
    text_key(text).iter().take(16).fold(0, |bits, byte| bits << 8 | u128::from(*byte))
}
