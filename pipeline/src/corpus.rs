//! Documents from files, cleaned as the pipeline cleans them: for training, evaluation and prediction.

use std::path::PathBuf;

use arrow::array::{Array, AsArray, RecordBatch, StringArray, TimestampMillisecondArray};
use fenliu_operators::Plan;
use fenliu_schemas::{Origin, RawBuilder, SchemaError, split_rejected};
use serde::{Deserialize, Serialize};

use crate::classify::{text_column, texts};
use crate::config::DocumentsConfig;
use crate::error::{PipelineError, Result};
use crate::source::{Decoder, Documents, Undecoded, data_files};

/// Rows that are cleaned at once.
const BATCH_ROWS: usize = 1024;

/// A document as the model sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct CleanDocument {
    /// The document's id, where it has one.
    pub id: Option<String>,
    /// Cleaned headline and body.
    pub text: String,
    /// The label it came with, where it has one.
    pub label: Option<String>,
    /// Its language (ISO 639-1), where cleaning or the source tells.
    pub lang: Option<String>,
    /// Publisher or feed, where it has one.
    pub source: Option<String>,
    /// When it was published, milliseconds since the Unix epoch, where it says so.
    pub published_at: Option<i64>,
}

/// Cleaned documents, and how many were rejected on the way.
#[derive(Clone, Debug, Default)]
pub struct Corpus {
    /// The documents, in the order of files and rows.
    pub documents: Vec<CleanDocument>,
    /// Documents that decoding or cleaning rejected.
    pub rejected: usize,
}

/// Keeps rows whose JSON field has a given text; written `FIELD=VALUE`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Selection {
    /// The field.
    pub field: String,
    /// The text that it must have.
    pub value: String,
}

impl std::str::FromStr for Selection {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        match text.split_once('=') {
            Some((field, value)) if !field.is_empty() => {
                Ok(Selection { field: field.into(), value: value.into() })
            }
            _ => Err(format!("`{text}` must have the form FIELD=VALUE")),
        }
    }
}

impl TryFrom<String> for Selection {
    type Error = String;

    fn try_from(text: String) -> std::result::Result<Self, String> {
        text.parse()
    }
}

impl From<Selection> for String {
    fn from(Selection { field, value }: Selection) -> String {
        format!("{field}={value}")
    }
}

impl Selection {
    fn keeps(&self, payload: &[u8]) -> bool {
        let value: Option<serde_json::Value> = serde_json::from_slice(payload).ok();
        match value.as_ref().and_then(|object| object.get(&self.field)) {
            Some(serde_json::Value::String(text)) => *text == self.value,
            other => other.is_some_and(|number_or_flag| format!("{number_or_flag}") == self.value),
        }
    }
}

/// Reads and cleans the documents in `paths`; with `selection`, only those that it keeps.
///
/// # Errors
/// Unreadable files; no document at all.
pub fn read(
    paths: &[PathBuf],
    selection: Option<&Selection>,
    documents: &DocumentsConfig,
    plan: &Plan,
) -> Result<Corpus> {
    let mut decoder = Decoder::for_files(documents);
    let mut corpus = Corpus::default();
    let mut builder = RawBuilder::default();
    for path in data_files(paths)? {
        let topic = path.display().to_string();
        for document in Documents::open(&path)? {
            let (offset, payload) = document?;
            if selection.is_some_and(|selection| !selection.keeps(&payload)) {
                continue;
            }
            let origin = Origin { topic: &topic, partition: 0, offset, timestamp_ms: None };
            let document = decoder.decode(&payload).map_err(Undecoded::into_reject);
            builder.append(origin, &payload, &document);
            if builder.len() >= BATCH_ROWS {
                corpus.add(&mut builder, plan)?;
            }
        }
    }
    corpus.add(&mut builder, plan)?;
    if corpus.documents.is_empty() {
        return Err(PipelineError::Data(no_documents(paths, selection, corpus.rejected)));
    }
    Ok(corpus)
}

fn no_documents(paths: &[PathBuf], selection: Option<&Selection>, rejected: usize) -> String {
    let shown: Vec<_> = paths.iter().map(|path| path.display().to_string()).collect();
    let selected = selection.map_or(String::new(), |s| format!(" with {}={}", s.field, s.value));
    format!("no usable document{selected} in {} ({rejected} rejected)", shown.join(", "))
}

impl Corpus {
    fn add(&mut self, builder: &mut RawBuilder, plan: &Plan) -> Result<()> {
        let (kept, rejected) = split_rejected(&plan.run(&builder.finish()?)?)?;
        self.rejected += rejected.num_rows();
        self.documents.append(&mut clean_documents(&kept)?);
        Ok(())
    }
}

/// The rows that cleaning kept, as the model sees them.
///
/// # Errors
/// Rows of another shape than cleaning gives.
pub fn clean_documents(kept: &RecordBatch) -> Result<Vec<CleanDocument>> {
    let columns = ["id", "label", "lang", "source"].map(|name| text_column(kept, name));
    let [ids, labels, langs, sources] = columns;
    let (ids, labels, langs, sources) = (ids?, labels?, langs?, sources?);
    let times = kept.column_by_name("published_at").and_then(|c| c.as_primitive_opt());
    let times: &TimestampMillisecondArray =
        times.ok_or(SchemaError::Column { column: "published_at", expected: "Timestamp(ms, UTC)" })?;
    let value =
        |column: &StringArray, row: usize| column.is_valid(row).then(|| column.value(row).to_string());
    let document = |(row, text)| CleanDocument {
        id: value(ids, row),
        text,
        label: value(labels, row),
        lang: value(langs, row),
        source: value(sources, row),
        published_at: times.is_valid(row).then(|| times.value(row)),
    };
    Ok(texts(kept)?.into_iter().enumerate().map(document).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clean::compile;

    #[test]
    fn rows_are_selected_cleaned_and_counted() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.jsonl");
        let lines = [
            r#"{"id":1,"title":"<b>Ａ股</b>","label":"stock","split":"train","source":"sina","published_at":1700000000}"#,
            r#"{"id":2,"title":"B","label":"stock","split":"valid"}"#,
            r#"{"id":3,"title":"","split":"train"}"#,
            r#"{"id":4,"split":"train"}"#,
        ];
        std::fs::write(&path, lines.join("\n")).unwrap();
        let plan = compile(&Default::default()).unwrap();
        let selection: Selection = "split=train".parse().unwrap();
        let corpus = read(&[path], Some(&selection), &DocumentsConfig::default(), &plan).unwrap();
        assert_eq!(corpus.rejected, 2);
        let expected = CleanDocument {
            id: Some("1".into()),
            text: "A股".into(),
            label: Some("stock".into()),
            lang: Some("zh".into()),
            source: Some("sina".into()),
            published_at: Some(1_700_000_000_000),
        };
        assert_eq!(corpus.documents, [expected]);
        assert!("split".parse::<Selection>().is_err());
    }
}
