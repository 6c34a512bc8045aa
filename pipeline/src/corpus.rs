//! Reads documents from files and cleans them as the pipeline does, for training, evaluation and fine-tuning.

use std::borrow::Cow;
use std::path::PathBuf;

use arrow::array::{Array, RecordBatch, StringArray};
use arrow::datatypes::TimestampMillisecondType;
use fenliu_connectors::files::{Documents, data_files};
use fenliu_decode::file::FileRules;
use fenliu_decode::{Decoder, DocumentsConfig, Undecoded};
use fenliu_operators::Plan;
use fenliu_schemas::{Origin, RawBuilder, Texts, primitive_column, split_rejected, text_at, text_column};

use crate::config::RowFilter;
use crate::error::{Converted, Error, Result};

/// How many rows are cleaned at once.
const BATCH_ROWS: usize = 1024;

/// A cleaned document.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct CleanDocument {
    /// The document's id, if it has one.
    pub id: Option<String>,
    /// Cleaned headline and body, joined as the model reads them.
    pub text: String,
    /// The label that it came with, if any.
    pub label: Option<String>,
    /// Its language (ISO 639-1), if the source declares it or cleaning detects it.
    pub lang: Option<String>,
    /// Publisher or feed, if known.
    pub source: Option<String>,
    /// When it was published, milliseconds since the Unix epoch, if known.
    pub published_at: Option<i64>,
}

/// Cleaned documents, and the number of rejected ones.
#[derive(Clone, Debug, Default)]
pub(crate) struct Corpus {
    /// The documents, in the order of files and rows.
    pub documents: Vec<CleanDocument>,
    /// Number of documents that decoding or cleaning rejected.
    pub rejected: usize,
}

/// Reads and cleans the documents in `paths`. With a `selection`, only the documents that it keeps are read.
///
/// # Errors
/// A file cannot be read, or there is no usable document at all.
pub(crate) fn read(
    paths: &[PathBuf],
    selection: Option<&RowFilter>,
    documents: &DocumentsConfig,
    plan: &Plan,
) -> Result<Corpus> {
    let mut decoder = Decoder::for_files(documents);
    let mut corpus = Corpus::default();
    let mut builder = RawBuilder::default();
    // A selection can be by any column, so that all are read.
    let rules = if selection.is_some() { FileRules::default() } else { decoder.file_rules() }.complete();
    for path in data_files(paths)? {
        let topic = path.display().to_string();
        for row in Documents::open_at(&path, &rules, 0)? {
            let row = row?;
            let payload = row.content.payload();
            if selection.is_some_and(|selection| !selection.keeps(payload)) {
                continue;
            }
            let origin = Origin { topic: &topic, partition: 0, offset: row.number, timestamp_ms: None };
            let document = decoder.decode_row(&row.content).map_err(Undecoded::into_reject);
            builder.append(origin, payload, &document);
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

fn no_documents(paths: &[PathBuf], selection: Option<&RowFilter>, rejected: usize) -> String {
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

/// The cleaned documents in `kept`, the rows that cleaning did not reject.
///
/// # Errors
/// A column is missing or of another type than cleaning produces.
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
        let selection: RowFilter = "split=train".parse().unwrap();
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
        assert!("split".parse::<RowFilter>().is_err());
    }
}
