//! Turns corrections into labelled texts: looks up the texts of documents that are only named by id, cleans all texts as
//! the model's training documents were cleaned, and settles contradictions.
//!
//! Contract: every correction becomes a labelled text, or is among the skipped ones with a reason.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use arrow::array::RecordBatch;
use arrow::datatypes::Int64Type;
use fenliu_connectors::files::{Documents, files_in};
use fenliu_decode::Decoder;
use fenliu_decode::{DocumentsConfig, FieldNames};
use fenliu_model::Labels;
use fenliu_operators::Plan;
use fenliu_schemas::{Document, Feedback, Origin, RawBuilder, primitive_column, split_rejected, text_column};

use super::feedback::{Correction, Skipped};
use super::resolve::keep_latest;
use super::rows::{ExampleOrigin, Row, fingerprint};
use crate::corpus::{CleanDocument, clean_documents};
use crate::error::{Converted, Error, Result};

/// How many corrections are cleaned at once.
const BATCH_ROWS: usize = 1024;

/// The detail for a correction without a text that can be found.
const NO_TEXT: &str = "there is no document of this id with a title or a body (labelled rows have a body only \
                       with `output.body = true`)";

/// The parts of a stored document that complete a correction.
#[derive(Debug, Default)]
struct Stored {
    title: Option<String>,
    body: Option<String>,
    lang: Option<String>,
    source: Option<String>,
    published_at: Option<i64>,
}

/// The labelled texts that result from `corrections`, one per document.
///
/// Documents that are named by id only are looked up in the files in `texts`. Corrections that cannot be used are added
/// to `skipped`. If labels are `known`, a document whose latest correction has another label is skipped, too.
///
/// # Errors
/// A file cannot be read, or the cleaning plan cannot run at all.
pub(super) fn labelled_texts(
    corrections: Vec<Correction>,
    texts: &[PathBuf],
    documents: &DocumentsConfig,
    plan: &Plan,
    known: Option<&Labels>,
    skipped: &mut Vec<Skipped>,
) -> Result<Vec<Row>> {
    // By id first: a superseded correction needs no text. Corrections of one text under different ids can be
    // recognised only after cleaning.
    let by_id = keep_latest(corrections, |_, c| c.feedback.id.clone(), skipped);
    let (withdrawn, corrections): (Vec<_>, Vec<_>) =
        by_id.into_iter().map(|(_, correction)| correction).partition(|c| c.feedback.withdrawn);
    skipped.extend(withdrawn.into_iter().map(|correction| correction.skip("withdrawn", None)));
    let stored = look_up(&corrections, texts, documents)?;
    let mut found = Vec::with_capacity(corrections.len());
    for correction in corrections {
        let stored = correction.feedback.id.as_ref().and_then(|id| stored.get(id));
        if stored.is_some() || correction.feedback.has_text() {
            found.push((correction, stored));
        } else {
            skipped.push(correction.skip("missing_text", Some(NO_TEXT.into())));
        }
    }
    let mut cleaned = vec![];
    for chunk in found.chunks(BATCH_ROWS) {
        cleaned.extend(clean(chunk, plan, skipped)?);
    }
    Ok(one_a_text(cleaned, known, skipped))
}

/// The stored documents that `corrections` name without containing their text, by id. If a document is stored several
/// times, the one that is read last is used.
fn look_up(
    corrections: &[Correction],
    texts: &[PathBuf],
    documents: &DocumentsConfig,
) -> Result<HashMap<String, Stored>> {
    let unseen = |feedback: &&Feedback| !feedback.has_text();
    let ids = corrections.iter().map(|c| &c.feedback).filter(unseen).filter_map(|f| f.id.clone());
    let mut wanted: HashMap<String, Option<Stored>> = ids.map(|id| (id, None)).collect();
    if wanted.is_empty() {
        return Ok(HashMap::new());
    }
    // Stored documents are JSON or tables, whatever format the source has.
    let mut decoder = Decoder::json(&stored(documents));
    for path in files_of(texts)? {
        for row in Documents::open(&path)? {
            let row = row?;
            if let Ok(document) = decoder.decode_row(&row.content)
                && let Some(place) = document.id.as_deref().and_then(|id| wanted.get_mut(id))
            {
                *place = Some(Stored::of(document));
            }
        }
    }
    Ok(wanted.into_iter().filter_map(|(id, stored)| Some((id, stored?))).collect())
}

/// The configuration for reading stored documents: with the field names of the source, and also with those of labelled
/// rows, which are always the same.
fn stored(documents: &DocumentsConfig) -> DocumentsConfig {
    DocumentsConfig { fields: documents.fields.clone().or(FieldNames::default()), ..documents.clone() }
}

/// The files in `texts`. A directory is searched together with the subdirectories that `partition_by` creates.
fn files_of(texts: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut files = vec![];
    for path in texts {
        let mut found = vec![];
        if path.exists() {
            found = files_in(&std::iter::once(path.clone()).chain(partitions(path)?).collect::<Vec<_>>())?;
        }
        if found.is_empty() {
            tracing::warn!(event = "no_stored_texts", path = %path.display(), "no stored texts there yet");
        }
        files.append(&mut found);
    }
    Ok(files)
}

/// All directories `column=value` below `path`, ordered by name.
fn partitions(path: &Path) -> Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![]);
    }
    let entries = std::fs::read_dir(path).map_err(Error::file("read", path))?;
    let paths = entries.filter_map(|entry| entry.ok().map(|entry| entry.path()));
    let is_partition = |path: &PathBuf| {
        path.is_dir() && path.file_name().is_some_and(|name| name.as_encoded_bytes().contains(&b'='))
    };
    let mut found: Vec<PathBuf> = paths.filter(is_partition).collect();
    found.sort();
    let below = found.iter().map(|path| partitions(path)).collect::<Result<Vec<_>>>()?;
    Ok(found.into_iter().zip(below).flat_map(|(path, below)| std::iter::once(path).chain(below)).collect())
}

impl Stored {
    fn of(document: Document<'_>) -> Self {
        Stored {
            title: document.title.map(Into::into),
            body: document.body.map(Into::into),
            lang: document.lang.map(Into::into),
            source: document.source.map(Into::into),
            published_at: document.published_at,
        }
    }
}

/// Cleans the documents of corrections. Documents that cleaning rejects are added to `skipped` with its reason.
fn clean(
    found: &[(Correction, Option<&Stored>)],
    plan: &Plan,
    skipped: &mut Vec<Skipped>,
) -> Result<Vec<(Correction, CleanDocument)>> {
    let mut builder = RawBuilder::default();
    for (row, (correction, stored)) in (0..).zip(found) {
        let origin = Origin { topic: "feedback", partition: 0, offset: row, timestamp_ms: None };
        builder.append(origin, &[], &Ok(document(&correction.feedback, *stored)));
    }
    let (kept, rejected) = split_rejected(&plan.run(&builder.finish()?).converted()?)?;
    let reasons = text_column(&rejected, "reject_reason")?;
    for (row, reason) in numbers(&rejected)?.into_iter().zip(reasons) {
        if let Some((correction, _)) = found.get(row) {
            skipped.push(correction.clone().skip(reason.unwrap_or("rejected"), Some("by cleaning".into())));
        }
    }
    let documents = numbers(&kept)?.into_iter().zip(clean_documents(&kept)?);
    Ok(documents.filter_map(|(row, document)| Some((found.get(row)?.0.clone(), document))).collect())
}

/// The document of a correction. Its own text takes precedence; the stored document supplies what is missing.
fn document<'a>(feedback: &'a Feedback, stored: Option<&'a Stored>) -> Document<'a> {
    let (title, body) = match stored {
        Some(stored) if !feedback.has_text() => (stored.title.as_deref(), stored.body.as_deref()),
        _ => (feedback.title.as_deref(), feedback.body.as_deref()),
    };
    Document {
        id: feedback.id.as_deref().map(Into::into),
        title: title.map(Into::into),
        body: body.map(Into::into),
        source: stored.and_then(|stored| stored.source.as_deref()).map(Into::into),
        lang: stored.and_then(|stored| stored.lang.as_deref()).map(Into::into),
        published_at: stored.and_then(|stored| stored.published_at),
        label: Some(feedback.label.as_str().into()),
        ..Document::default()
    }
}

/// The index that each row had before cleaning, which [`clean`] stored as its offset.
fn numbers(rows: &RecordBatch) -> Result<Vec<usize>> {
    let column = primitive_column::<Int64Type>(rows, "offset", "Int64")?;
    Ok(column.values().iter().map(|&row| usize::try_from(row).unwrap_or(usize::MAX)).collect())
}

/// Keeps one correction per text: the same text under two ids, or with and without an id, is one document.
fn one_a_text(
    cleaned: Vec<(Correction, CleanDocument)>,
    known: Option<&Labels>,
    skipped: &mut Vec<Skipped>,
) -> Vec<Row> {
    let (corrections, documents): (Vec<_>, Vec<_>) = cleaned.into_iter().unzip();
    let key = |row: usize, _: &Correction| {
        documents.get(row).map(|document: &CleanDocument| fingerprint(&document.text))
    };
    let kept = keep_latest(corrections, key, skipped);
    // Unknown labels are removed last, because such a correction still supersedes an earlier one of the same document.
    let is_known = |label: &str| known.is_none_or(|known| known.index_of(label).is_some());
    let (kept, unknown): (Vec<_>, Vec<_>) =
        kept.into_iter().partition(|(_, correction)| is_known(&correction.feedback.label));
    skipped.extend(unknown.into_iter().map(|(_, correction)| {
        let label = correction.feedback.label.clone();
        correction.skip("unknown_label", Some(label))
    }));
    let row = |(row, Correction { feedback, .. }): (usize, Correction)| {
        let document = documents.get(row)?.clone();
        let time = document.published_at.or(feedback.at);
        let Feedback { label, by, .. } = feedback;
        Some(Row { label, time, by, ..Row::of(document, ExampleOrigin::Feedback)? })
    };
    kept.into_iter().filter_map(row).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::clean::compile;
    use crate::finetune::feedback::{Collected, read_files};

    #[test]
    fn every_correction_becomes_a_text_or_is_skipped_with_a_reason() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        let feedback = [
            r#"{"id":"a","label":"stock","at":1700000001}"#,
            r#"{"id":"a","label":"sports","at":1700000000}"#,
            r#"{"text":"Ａ股 大涨!","label":"finance","at":1700000000}"#,
            r#"{"id":"nowhere","label":"stock"}"#,
            r#"{"text":"<p></p>","label":"stock"}"#,
            r#"{"id":"b","title":"own","text":"text","label":"tech"}"#,
            r#"{"#,
        ];
        std::fs::write(path("feedback.jsonl"), feedback.join("\n")).unwrap();
        let texts = [
            r#"{"id":"a","body":"old"}"#,
            r#"{"id":"a","title":"<b>A股</b>","body":"大涨","published_at":1600000000,"lang":"zh"}"#,
            r#"{"id":"b","body":"stored"}"#,
        ];
        let day = path("texts/day=2026-11-25/label=stock");
        std::fs::create_dir_all(&day).unwrap();
        std::fs::write(day.join("rows.jsonl"), texts.join("\n")).unwrap();
        let mut collected = Collected::default();
        read_files(&[path("feedback.jsonl")], &mut collected).unwrap();
        let mut skipped = collected.skipped;
        let plan = compile(&Default::default()).unwrap();
        let stores = [path("texts"), path("not yet")];
        // The field names of the source differ from those of labelled rows.
        let mut documents = DocumentsConfig::default();
        documents.fields.body = vec!["content".into()];
        documents.fields.published_at = vec!["ts".into()];
        let rows =
            labelled_texts(collected.corrections, &stores, &documents, &plan, None, &mut skipped).unwrap();

        let found: Vec<_> =
            rows.iter().map(|row| (row.text.as_str(), row.label.as_str(), row.time)).collect();
        assert_eq!(
            found,
            [("A股\n大涨", "stock", Some(1_600_000_000_000)), ("own\ntext", "tech", None)],
            "the text of `a` was also corrected to `finance`, but earlier"
        );
        let reasons: BTreeMap<i64, &str> =
            skipped.iter().map(|s| (s.place.offset, s.reason.as_str())).collect();
        let expected = [
            (1, "superseded"),
            (2, "superseded"),
            (3, "missing_text"),
            (4, "empty_text"),
            (6, "invalid_json"),
        ];
        assert_eq!(reasons, BTreeMap::from(expected));
    }
}
