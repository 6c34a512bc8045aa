//! A decoded document, before it is appended to a batch as a row.

use std::borrow::Cow;

/// The fields of one news document as the source sent them.
///
/// All fields are optional here; decoding rejects a document that has neither `title` nor `body`. Texts are borrowed from
/// the message where that is possible.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Document<'a> {
    /// The source's own identifier.
    pub id: Option<Cow<'a, str>>,
    /// Headline.
    pub title: Option<Cow<'a, str>>,
    /// Main text, possibly HTML.
    pub body: Option<Cow<'a, str>>,
    /// Address of the story.
    pub url: Option<Cow<'a, str>>,
    /// Publisher or feed.
    pub source: Option<Cow<'a, str>>,
    /// Language as declared by the source (`zh`, `zh-Hant`, `en`, ...).
    pub lang: Option<Cow<'a, str>>,
    /// Time of publication, milliseconds since the Unix epoch, UTC.
    pub published_at: Option<i64>,
    /// Label that the document came with, for training and for measuring accuracy.
    pub label: Option<Cow<'a, str>>,
}
