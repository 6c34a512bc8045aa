//! A document as the page shows it.

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{Float32Type, Int32Type, Int64Type, TimestampMillisecondType};
use chrono::{DateTime, Utc};
use fenliu_schemas::text_column;
use serde::Serialize;

use super::shingles;

/// How many characters of the body a list shows.
const EXCERPT: usize = 200;

/// Longest body that is kept, in bytes: enough for the page and for a correction that carries its text.
const LONGEST: usize = 64 << 10;

/// A labelled document. Texts are as cleaning left them, which is what the model has read.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Story {
    /// `topic/partition/offset`.
    pub(super) key: String,
    pub(super) topic: String,
    pub(super) partition: i32,
    pub(super) offset: i64,
    /// Its number in the order in which documents were taken.
    pub(super) seq: u64,
    pub(super) id: Option<String>,
    pub(super) source: Option<String>,
    /// Only addresses of web pages are kept.
    pub(super) url: Option<String>,
    pub(super) language: Option<String>,
    pub(super) title: Option<String>,
    pub(super) excerpt: String,
    #[serde(skip)]
    pub(super) body: Option<String>,
    #[serde(serialize_with = "super::time::optional")]
    pub(super) published_at: Option<DateTime<Utc>>,
    #[serde(serialize_with = "super::time::rfc3339")]
    pub(super) received_at: DateTime<Utc>,
    pub(super) label: String,
    pub(super) score: f32,
    /// How much more probable the first label is than the second.
    pub(super) margin: f32,
    pub(super) labels: Vec<Scored>,
    pub(super) abstained: bool,
    pub(super) model_version: String,
    #[serde(skip)]
    pub(super) shingles: Vec<u32>,
}

/// A label and its probability.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Scored {
    pub(super) label: String,
    pub(super) score: f32,
}

impl Story {
    /// Its size in memory, about.
    pub(super) fn bytes(&self) -> usize {
        let texts = [&self.title, &self.body, &self.url, &self.id, &self.source];
        let texts: usize = texts.iter().map(|text| text.as_ref().map_or(0, String::len)).sum();
        size_of::<Self>() + texts + self.excerpt.len() + 4 * self.shingles.len() + 64 * self.labels.len()
    }

    /// Headline and body, each on its line, as an explanation counts characters.
    pub(super) fn text(&self) -> String {
        [self.title.as_deref(), self.body.as_deref()].into_iter().flatten().collect::<Vec<_>>().join("\n")
    }

    /// Whether it could be asked for by a reader of this text: a part of headline, excerpt or source.
    pub(super) fn contains(&self, lower: &str) -> bool {
        let texts = [self.title.as_deref(), Some(self.excerpt.as_str()), self.source.as_deref()];
        texts.into_iter().flatten().any(|text| text.to_lowercase().contains(lower))
    }
}

/// The columns of labelled rows.
pub(super) struct Rows<'a> {
    rows: &'a RecordBatch,
}

impl<'a> Rows<'a> {
    pub(super) fn new(rows: &'a RecordBatch) -> Self {
        Rows { rows }
    }

    fn text(&self, column: &'static str, row: usize) -> Option<String> {
        let column = text_column(self.rows, column).ok()?;
        column.is_valid(row).then(|| column.value(row).to_owned())
    }

    /// Whether the label of a row is not trusted.
    pub(super) fn abstained(&self, row: usize) -> bool {
        let column = self.rows.column_by_name("abstained").and_then(|column| column.as_boolean_opt());
        column.is_some_and(|column| column.value(row))
    }

    /// The document of a row; `None` if the rows are not labelled ones.
    pub(super) fn story(&self, row: usize, seq: u64) -> Option<Story> {
        let numbers = |name| self.rows.column_by_name(name);
        let topic = self.text("topic", row)?;
        let partition = numbers("partition")?.as_primitive_opt::<Int32Type>()?.value(row);
        let offset = numbers("offset")?.as_primitive_opt::<Int64Type>()?.value(row);
        let published = numbers("published_at")?.as_primitive_opt::<TimestampMillisecondType>()?;
        let published_at =
            published.is_valid(row).then(|| DateTime::from_timestamp_millis(published.value(row)));
        let labels = self.labels(row)?;
        let second = labels.get(1).map_or(0.0, |second| second.score);
        let first = labels.first()?.clone();
        let (title, body) = (self.text("title", row), self.text("body", row).map(|body| cut(body, LONGEST)));
        let body_text = body.as_deref().unwrap_or_default();
        let shingled = format!("{} {}", title.as_deref().unwrap_or_default(), head(body_text, 2 * EXCERPT));
        Some(Story {
            key: format!("{topic}/{partition}/{offset}"),
            partition,
            offset,
            seq,
            id: self.text("id", row),
            source: self.text("source", row),
            url: self
                .text("url", row)
                .filter(|url| url.starts_with("https://") || url.starts_with("http://")),
            language: self.text("lang", row),
            excerpt: head(body_text, EXCERPT).to_owned(),
            shingles: shingles::of(&shingled),
            title,
            body,
            published_at: published_at.flatten(),
            received_at: Utc::now(),
            label: first.label,
            score: first.score,
            margin: first.score - second,
            labels,
            abstained: self.abstained(row),
            model_version: self.text("model_version", row)?,
            topic,
        })
    }

    fn labels(&self, row: usize) -> Option<Vec<Scored>> {
        let all = self.rows.column_by_name("top_k")?.as_list_opt::<i32>()?.value(row);
        let all = all.as_struct_opt()?;
        let labels = all.column_by_name("label")?.as_string_opt::<i32>()?;
        let scores = all.column_by_name("score")?.as_primitive_opt::<Float32Type>()?;
        let scored =
            |(label, score): (Option<&str>, &f32)| Some(Scored { label: label?.to_owned(), score: *score });
        labels.iter().zip(scores.values()).map(scored).collect()
    }
}

/// The first `most` characters.
fn head(text: &str, most: usize) -> &str {
    text.char_indices().nth(most).map_or(text, |(end, _)| &text[..end])
}

/// At most `most` bytes, cut between two characters.
fn cut(mut text: String, most: usize) -> String {
    text.truncate(text.floor_char_boundary(most));
    text
}
