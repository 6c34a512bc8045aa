//! Documents from files, cleaned as the pipeline cleans them: for training, evaluation and prediction.

use std::borrow::Cow;
use std::path::PathBuf;

use arrow::array::{Array, RecordBatch, StringArray};
use arrow::datatypes::TimestampMillisecondType;
use fenliu_connectors::files::{Documents, data_files};
use fenliu_decode::DocumentsConfig;
use fenliu_decode::{Decoder, Undecoded};
use fenliu_operators::Plan;
use fenliu_schemas::{Origin, RawBuilder, Texts, primitive_column, split_rejected, text_at, text_column};

use crate::config::Selection;
use crate::error::{Converted, Error, Result};

/// Rows that are cleaned at once.
const BATCH_ROWS: usize = 1024;

/// A document as the model sees it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct CleanDocument {
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
pub(crate) struct Corpus {
    /// The documents, in the order of files and rows.
    pub documents: Vec<CleanDocument>,
    /// Documents that decoding or cleaning rejected.
    pub rejected: usize,
}

/// Reads and cleans the documents in `paths`; with `selection`, only those that it keeps.
///
/// # Errors
/// Unreadable files; no document at all.
pub(crate) fn read(
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
        return Err(Error::input(no_documents(paths, selection, corpus.rejected)));
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
        let (kept, rejected) = split_rejected(&plan.run(&builder.finish()?).converted()?)?;
        self.rejected += rejected.num_rows();
        self.documents.append(&mut clean_documents(&kept)?);
        Ok(())
    }
}

/// The rows that cleaning kept, as the model sees them.
///
/// # Errors
/// Rows of another shape than cleaning gives.
pub(crate) fn clean_documents(kept: &RecordBatch) -> Result<Vec<CleanDocument>> {
    let columns = ["id", "label", "lang", "source"].map(|name| text_column(kept, name));
    let [ids, labels, langs, sources] = columns;
    let (ids, labels, langs, sources) = (ids?, labels?, langs?, sources?);
    let times = primitive_column::<TimestampMillisecondType>(kept, "published_at", "Timestamp(ms, UTC)")?;
    let value = |column: &StringArray, row: usize| text_at(column, row).map(ToOwned::to_owned);
    let document = |(row, text): (usize, Cow<'_, str>)| CleanDocument {
        id: value(ids, row),
        text: text.into_owned(),
        label: value(labels, row),
        lang: value(langs, row),
        source: value(sources, row),
        published_at: times.is_valid(row).then(|| times.value(row)),
    };
    Ok(Texts::of(kept)?.iter().enumerate().map(document).collect())
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
