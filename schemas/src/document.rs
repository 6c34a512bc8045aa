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
    /// What of the message was not read as it was sent.
    pub warnings: Warnings,
}

impl Document<'_> {
    /// The same, independent of the message.
    #[must_use]
    pub fn into_owned(self) -> Document<'static> {
        let owned = |text: Option<Cow<'_, str>>| text.map(|text| Cow::Owned(text.into_owned()));
        Document {
            id: owned(self.id),
            title: owned(self.title),
            body: owned(self.body),
            url: owned(self.url),
            source: owned(self.source),
            lang: owned(self.lang),
            published_at: self.published_at,
            label: owned(self.label),
            warnings: self.warnings,
        }
    }
}

/// What decoding left out or mended in one document: texts such as `published_at:unreadable`, each a part of the document
/// and the reason.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Warnings(Vec<Warning>);

/// One warning: the part of the document, or of the message, and the reason.
pub type Warning = (&'static str, &'static str);

/// The most warnings that one document keeps.
const MOST_WARNINGS: usize = 8;

impl Warnings {
    /// Adds a warning, unless it is there already or there are eight.
    pub fn add(&mut self, part: &'static str, reason: &'static str) {
        if self.0.len() < MOST_WARNINGS && !self.0.contains(&(part, reason)) {
            self.0.push((part, reason));
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The warnings, in the order in which they were added.
    pub fn iter(&self) -> impl Iterator<Item = Warning> {
        self.0.iter().copied()
    }
}
