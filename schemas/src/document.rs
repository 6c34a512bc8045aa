//! A decoded document, before it becomes a row.

use std::borrow::Cow;

/// The fields of one news document, as its source has them.
///
/// All are optional here; a document with neither `title` nor `body` is rejected by the source.
/// Borrowed from the message where possible.
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
    /// Label that the source already gives, for training and for measuring accuracy.
    pub label: Option<Cow<'a, str>>,
}
