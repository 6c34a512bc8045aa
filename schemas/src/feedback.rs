//! Corrections: labels that people gave to documents that the model had labelled.

use serde::{Deserialize, Serialize};

use crate::document_text;

/// A correction: the right label of one document.
///
/// A correction names its document by `id`, contains its text, or both. In a Kafka topic or in JSON Lines it is an object
/// with these fields; `text` is accepted as another name of `body`, and `at` may be in any notation that the time of a
/// document may have.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Feedback {
    /// The document's identifier, by which its text can be found; `None` if the document has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Headline; `None` if the document has none, or if the correction only names it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Main text; `None` if the document has none, or if the correction only names it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// The id of the right label; never empty.
    pub label: String,
    /// Who made the correction; `None` if unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// When the correction was made, milliseconds since the Unix epoch, UTC; `None` if unknown. Of several corrections of
    /// one document the latest is used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<i64>,
    /// Whether this takes an earlier correction of the document back: then none of them counts.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub withdrawn: bool,
}

impl Feedback {
    /// Whether the correction contains the document's text.
    pub fn has_text(&self) -> bool {
        !document_text(self.title.as_deref(), self.body.as_deref()).trim().is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn white_space_does_not_count_as_text() {
        let text = |body: &str| Feedback { body: Some(body.into()), ..Feedback::default() }.has_text();
        assert!(text("股市") && !text(" \u{3000}\n") && !Feedback::default().has_text());
    }
}
