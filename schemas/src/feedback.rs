//! A corrected label: what a person says of a document that was labelled.

use serde::{Deserialize, Serialize};

use crate::document_text;

/// One correction: this document has this label.
///
/// A correction names its document by `id`, brings its text along, or both. In a Kafka topic or in JSON Lines
/// it is an object with these fields; `text` is accepted for `body`, and `at` may be any of the forms of
/// time that documents may have.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Feedback {
    /// The document's own identifier, by which its text is found; none when the text is here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Headline; none when the document has none, or is only named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Main text; none when the document has none, or is only named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// Id of the right label; never empty.
    pub label: String,
    /// Who says so; none when nobody signed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// When it was said, milliseconds since the Unix epoch, UTC; none when unknown. Of several corrections
    /// of one document the latest counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<i64>,
}

impl Feedback {
    /// Whether the document's text is here.
    pub fn has_text(&self) -> bool {
        !document_text(self.title.as_deref(), self.body.as_deref()).trim().is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn white_space_is_no_text() {
        let text = |body: &str| Feedback { body: Some(body.into()), ..Feedback::default() }.has_text();
        assert!(text("股市") && !text(" \u{3000}\n") && !Feedback::default().has_text());
    }
}
