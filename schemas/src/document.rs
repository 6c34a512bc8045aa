//! A decoded document, before it becomes a row.

use std::borrow::Cow;

use serde::Serialize;

/// The fields of one news document, as its source has them.
///
/// All are optional here; a document with neither `title` nor `body` is rejected by the source.
/// Borrowed from the message where possible.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Document<'a> {
    /// The source's own identifier.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<Cow<'a, str>>,
    /// Headline.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<Cow<'a, str>>,
    /// Main text, possibly HTML.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<Cow<'a, str>>,
    /// Address of the story.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<Cow<'a, str>>,
    /// Publisher or feed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<Cow<'a, str>>,
    /// Language as declared by the source (`zh`, `zh-Hant`, `en`, ...).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lang: Option<Cow<'a, str>>,
    /// Time of publication, milliseconds since the Unix epoch, UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub published_at: Option<i64>,
    /// Label that the source already gives, for training and for measuring accuracy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<Cow<'a, str>>,
}
