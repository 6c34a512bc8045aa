//! The labelled texts that a job works on.

use fenliu_model::Example;
use fenliu_model::quality::text_key;
use serde::{Deserialize, Serialize};

use crate::corpus::CleanDocument;

/// Where a labelled text came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum ExampleOrigin {
    /// The original training documents.
    Data,
    /// A correction.
    Feedback,
    /// Documents named for testing.
    Test,
}

/// One labelled text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Row {
    /// The document's id, where it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) id: Option<String>,
    /// Cleaned headline and body.
    pub(super) text: String,
    /// Id of its label.
    pub(super) label: String,
    /// ISO 639-1, where known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) lang: Option<String>,
    /// Publisher or feed, where known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) source: Option<String>,
    /// When it was published, else when it was corrected; milliseconds since the Unix epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) time: Option<i64>,
    /// Where it came from.
    pub(super) origin: ExampleOrigin,
}

impl Row {
    /// A row of a document; none without a label.
    pub(super) fn of(document: CleanDocument, origin: ExampleOrigin) -> Option<Self> {
        let CleanDocument { id, text, label, lang, source, published_at } = document;
        Some(Row { id, text, label: label?, lang, source, time: published_at, origin })
    }

    /// As training takes it: texts that read alike stay together.
    pub(super) fn example(&self) -> Example {
        let group = format!("{:032x}", fingerprint(&self.text));
        Example { text: self.text.clone(), label: self.label.clone(), group: Some(group) }
    }
}

/// 128 bits of [`text_key`]: the same for texts that differ only in white space, punctuation or case.
pub(super) fn fingerprint(text: &str) -> u128 {
    text_key(text).iter().take(16).fold(0, |bits, byte| bits << 8 | u128::from(*byte))
}
