//! Dead letters in Parquet, Arrow IPC and JSON Lines files.
//!
//! Files whose name, or that of a directory above them, begins with `.` or `_` are not finished or no data,
//! and are left alone. Where a directory has manifests they say which files there are: earlier releases could
//! replace files by merged ones.

use std::collections::BTreeSet;
use std::fs::File;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Int32Type, Int64Type, Schema, SchemaRef, TimestampMillisecondType};
use arrow::error::ArrowError;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use fenliu_config::{Properties, is_bucket};
use fenliu_engine::{Error, Result};
use fenliu_schemas::{Headers, KAFKA_HEADERS, KAFKA_KEY, dead_letter_schema};

use super::config::FileFormat;
use super::contents::Contents;
use super::datafile::{self, Batches, Wanted};
use super::directory::{Directory, data_files};
use super::names::hidden;
use super::open::open as open_directory;
use super::partition::fill_in;
use crate::dead_letter::{DeadLetter, OwnedHeader};
use crate::reader::VisitLetter;

/// Letters that are decoded at once: each may be tens of megabytes.
const BATCH_ROWS: usize = 16;

/// Letters that are decoded at once without the bytes of their messages.
const LIGHT_BATCH_ROWS: usize = 1024;

/// Shows `visit` the letters of a file, or of all files below a directory, in order of name.
///
/// # Errors
/// A path that cannot be read, a file that holds no dead letters, the error of `visit`.
pub(super) fn read(
    path: &Path,
    storage: &Properties,
    payload: bool,
    visit: &mut VisitLetter<'_>,
) -> Result<()> {
    if !path.is_dir() && !path.to_str().is_some_and(is_bucket) {
        let file = File::open(path).map_err(Error::file("open", path))?;
        return read_file(file, path, "", payload, visit).map(|_| ());
    }
    let directory = open_directory(path, storage)?;
    // In this order: a file that gets its name after the listing is in the manifests, and one that is removed after it
    // is not reported as missing.
    let mut present = data_files(&*directory)?;
    let contents = Contents::read(&directory)?;
    present.retain(|name| !contents.has_removed(name));
    for name in present.into_iter().chain(contents.files().keys().cloned()).collect::<BTreeSet<_>>() {
        let Some(file) = content(&*directory, &name)? else { continue };
        if read_file(file, &directory.path(&name), &name, payload, visit)?.is_break() {
            break;
        }
    }
    Ok(())
}

/// The content of a data file: a commit may not have named it yet. `None` where it was removed by somebody.
fn content(directory: &dyn Directory, name: &str) -> Result<Option<File>> {
    for name in [name, &hidden(name)] {
        if let Some(file) = directory.read(name)? {
            return Ok(Some(file));
        }
    }
    tracing::warn!(event = "letters_missing", file = %directory.path(name).display(), "a file of dead letters is missing");
    Ok(None)
}

/// Shows `visit` the letters of the file `name` of a directory, whose whole path is `path`.
fn read_file(
    file: File,
    path: &Path,
    name: &str,
    payload: bool,
    visit: &mut VisitLetter<'_>,
) -> Result<ControlFlow<()>> {
    let unreadable = |error: ArrowError| Error::input(format!("{}: {error}", path.display()));
    for rows in open(file, path, payload)? {
        let rows = rows.and_then(|rows| fill_in(rows, name)).map_err(unreadable)?;
        let columns = Columns::of(&rows).map_err(unreadable)?;
        for row in 0..columns.rows {
            let letter = columns.letter(row, payload).ok_or_else(|| incomplete(path))?;
            if visit(letter)?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
    }
    Ok(ControlFlow::Continue(()))
}

fn incomplete(path: &Path) -> Error {
    Error::input(format!(
        "{}: holds no dead letters: it needs columns `topic`, `partition`, `offset`, `stage`, `reason` without nulls, and base64 in the columns `payload`, `kafka_key` and `kafka_headers` of JSON Lines",
        path.display()
    ))
}

/// The rows of a file; columns may lack or be of a type that can be cast.
fn open(file: File, path: &Path, payload: bool) -> Result<Batches> {
    let schema = dead_letter_schema();
    let columns: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
    let is_light = |name: &&str| !["payload", KAFKA_KEY, KAFKA_HEADERS].contains(name);
    let light: Vec<&str> = columns.iter().copied().filter(is_light).collect();
    let (columns, batch_rows) = if payload { (&columns, BATCH_ROWS) } else { (&light, LIGHT_BATCH_ROWS) };
    let json = json_schema();
    let unnamed =
        || Error::input(format!("{}: the name must end in .parquet, .arrow or .jsonl", path.display()));
    let format = FileFormat::of_name(&path.to_string_lossy()).ok_or_else(unnamed)?;
    // Only Parquet can leave the payloads unread. The other formats decode them in any case, so their batches stay
    // small.
    let batch_rows = if format == FileFormat::Parquet { batch_rows } else { BATCH_ROWS };
    let wanted = Wanted { columns: Some(columns), batch_rows, json: &json };
    datafile::open(file, format, wanted).map_err(|error| Error::input(format!("{}: {error}", path.display())))
}

/// Lines leave null columns out, and hold bytes as base64.
fn json_schema() -> SchemaRef {
    let schema = dead_letter_schema();
    let nullable = schema.fields().iter().map(|field| as_json(field));
    Arc::new(Schema::new(nullable.collect::<Vec<_>>()))
}

/// The column, nullable, with text where it has bytes.
fn as_json(field: &Field) -> Field {
    let data_type = match field.data_type() {
        DataType::Binary => DataType::Utf8,
        DataType::List(item) => DataType::List(Arc::new(as_json(item))),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(|field| as_json(field)).collect()),
        other => other.clone(),
    };
    Field::new(field.name(), data_type, true)
}

/// The columns of one batch, each of its type in the dead-letter schema where it is there.
struct Columns {
    rows: usize,
    /// In the order of the dead-letter schema.
    columns: Vec<Option<ArrayRef>>,
    /// Those whose bytes are base64.
    base64: Vec<&'static str>,
}

/// Whether a column, or the last field of what it lists, is text.
fn is_text(data_type: &DataType) -> bool {
    match data_type {
        DataType::List(item) => is_text(item.data_type()),
        DataType::Struct(fields) => fields.last().is_some_and(|field| is_text(field.data_type())),
        other => *other == DataType::Utf8,
    }
}

impl Columns {
    fn of(rows: &RecordBatch) -> std::result::Result<Self, ArrowError> {
        let schema = dead_letter_schema();
        let column = |field: &Arc<Field>| {
            rows.column_by_name(field.name()).map(|column| cast(column, field.data_type())).transpose()
        };
        let columns = schema.fields().iter().map(column).collect::<std::result::Result<_, _>>()?;
        let is_text =
            |name: &str| rows.column_by_name(name).is_some_and(|column| is_text(column.data_type()));
        let base64 = ["payload", KAFKA_KEY, KAFKA_HEADERS].into_iter().filter(|name| is_text(name)).collect();
        Ok(Columns { rows: rows.num_rows(), columns, base64 })
    }

    fn column(&self, name: &str, row: usize) -> Option<&ArrayRef> {
        let index = dead_letter_schema().index_of(name).ok()?;
        self.columns.get(index)?.as_ref().filter(|column| column.is_valid(row))
    }

    fn text(&self, name: &str, row: usize) -> Option<String> {
        self.column(name, row)?.as_string_opt::<i32>().map(|column| column.value(row).to_string())
    }

    fn time(&self, name: &str, row: usize) -> Option<i64> {
        let column = self.column(name, row)?;
        column.as_primitive_opt::<TimestampMillisecondType>().map(|column| column.value(row))
    }

    /// `None` where the column should hold base64 and does not.
    fn bytes(&self, name: &str, row: usize) -> Option<Option<Vec<u8>>> {
        let Some(column) = self.column(name, row) else { return Some(None) };
        self.decoded(name, column.as_binary_opt::<i32>()?.value(row)).map(Some)
    }

    /// `None` where values should hold base64 and do not.
    fn headers(&self, row: usize) -> Option<Vec<OwnedHeader>> {
        let Some(column) = self.column(KAFKA_HEADERS, row) else { return Some(vec![]) };
        let headers = Headers::of(column).ok()?.row(row);
        let decoded = headers.map(|(name, value)| match value {
            Some(value) => Some((name.to_string(), Some(self.decoded(KAFKA_HEADERS, value)?))),
            None => Some((name.to_string(), None)),
        });
        decoded.collect()
    }

    fn decoded(&self, name: &str, bytes: &[u8]) -> Option<Vec<u8>> {
        if self.base64.contains(&name) { STANDARD.decode(bytes).ok() } else { Some(bytes.to_vec()) }
    }

    fn letter(&self, row: usize, payload: bool) -> Option<DeadLetter> {
        Some(DeadLetter {
            topic: self.text("topic", row)?,
            partition: self.column("partition", row)?.as_primitive_opt::<Int32Type>()?.value(row),
            offset: self.column("offset", row)?.as_primitive_opt::<Int64Type>()?.value(row),
            timestamp_ms: self.time("kafka_timestamp", row),
            id: self.text("id", row),
            stage: self.text("stage", row)?,
            reason: self.text("reason", row)?,
            detail: self.text("detail", row),
            model_version: self.text("model_version", row),
            rejected_at_ms: self.time("rejected_at", row),
            payload: if payload { self.bytes("payload", row)? } else { None },
            cut_from: None,
            key: if payload { self.bytes(KAFKA_KEY, row)? } else { None },
            headers: if payload { self.headers(row)? } else { vec![] },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fenliu_schemas::{Document, KeyAndHeaders, Origin, RawBuilder, Reject, Stage, model_dead_letters};

    use crate::files::appender::FileAppender;

    /// Two letters as the pipeline makes them.
    fn letters() -> RecordBatch {
        let mut builder = RawBuilder::default();
        for offset in [4, 9] {
            let origin =
                Origin { topic: "news", partition: 3, offset, timestamp_ms: (offset == 4).then_some(77) };
            let document = Document { id: (offset == 9).then(|| "doc".into()), ..Document::default() };
            let headers = [
                ("a".into(), Some(b"\xfe".as_slice())),
                ("a".into(), None),
                ("b".into(), Some(b"".as_slice())),
            ];
            let message = match offset {
                4 => KeyAndHeaders { key: Some(b"\xff\x00key"), headers: &headers },
                _ => KeyAndHeaders::default(),
            };
            builder.append_message(
                origin,
                message,
                Some(if offset == 4 { b"\xff\x00" } else { b"{}" }),
                &Ok(document),
            );
        }
        let reject = |detail: Option<&str>| Reject::new(Stage::Infer, "not_finite", detail.map(Into::into));
        model_dead_letters(&builder.finish().unwrap(), &[reject(Some("NaN")), reject(None)], "01K", 1000)
            .unwrap()
    }

    fn expected() -> Vec<DeadLetter> {
        let common = DeadLetter {
            topic: "news".into(),
            partition: 3,
            stage: "infer".into(),
            reason: "not_finite".into(),
            model_version: Some("01K".into()),
            rejected_at_ms: Some(1000),
            ..DeadLetter::default()
        };
        let first = DeadLetter {
            offset: 4,
            timestamp_ms: Some(77),
            detail: Some("NaN".into()),
            payload: Some(b"\xff\x00".to_vec()),
            key: Some(b"\xff\x00key".to_vec()),
            headers: vec![
                ("a".into(), Some(b"\xfe".to_vec())),
                ("a".into(), None),
                ("b".into(), Some(vec![])),
            ],
            ..common.clone()
        };
        let second =
            DeadLetter { offset: 9, id: Some("doc".into()), payload: Some(b"{}".to_vec()), ..common };
        vec![first, second]
    }

    fn read_all(path: &Path, payload: bool) -> Result<Vec<DeadLetter>> {
        let mut letters = vec![];
        read(path, &Properties::new(), payload, &mut |letter| {
            letters.push(letter);
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(letters)
    }

    #[test]
    fn letters_come_back_as_they_were_written_from_every_format() {
        for format in [FileFormat::Parquet, FileFormat::Arrow, FileFormat::Jsonl] {
            let directory = tempfile::tempdir().unwrap();
            let mut sink =
                FileAppender::try_new(directory.path(), format, "dead-letters", &dead_letter_schema())
                    .unwrap();
            sink.write(&letters()).unwrap();
            assert!(read_all(directory.path(), true).unwrap().is_empty(), "not finished");
            sink.flush().unwrap();
            assert_eq!(read_all(directory.path(), true).unwrap(), expected(), "{format:?}");
            let without: Vec<_> = expected()
                .into_iter()
                .map(|letter| DeadLetter { payload: None, key: None, headers: vec![], ..letter })
                .collect();
            assert_eq!(read_all(directory.path(), false).unwrap(), without, "{format:?}");
        }
    }

    #[test]
    fn hidden_files_and_other_files_are_left_alone_and_directories_are_entered() {
        let directory = tempfile::tempdir().unwrap();
        let line = r#"{"topic":"t","partition":0,"offset":1,"stage":"decode","reason":"x","payload":"e30="}"#;
        for name in [".a.jsonl", "_log/0.jsonl", "notes.txt", "stage=decode/b.jsonl", ".staged/c.jsonl"] {
            let path = directory.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, format!("{line}\n")).unwrap();
        }
        let letters = read_all(directory.path(), true).unwrap();
        assert_eq!(letters.len(), 1);
        assert_eq!(letters[0].payload.as_deref(), Some(b"{}".as_slice()));
    }

    #[test]
    fn what_directories_say_belongs_to_the_letter() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("reason=bad%3Ajson/partition=3");
        std::fs::create_dir_all(&path).unwrap();
        let line = r#"{"topic":"t","offset":1,"stage":"decode","payload":"e30="}"#;
        std::fs::write(path.join("a.jsonl"), line).unwrap();
        let letters = read_all(directory.path(), true).unwrap();
        assert_eq!((letters[0].reason.as_str(), letters[0].partition), ("bad:json", 3));
    }

    #[test]
    fn what_holds_no_letters_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("rows.jsonl");
        for (content, message) in [
            (r#"{"topic":"t","partition":0,"offset":1,"stage":"decode"}"#, "needs columns"),
            (r#"{"topic":"t","partition":0,"offset":1,"stage":"d","reason":"r","payload":"%"}"#, "base64"),
            ("not json", "rows.jsonl"),
        ] {
            std::fs::write(&path, content).unwrap();
            let error = read_all(&path, true).unwrap_err().to_string();
            assert!(error.contains("rows.jsonl") && error.contains(message), "{error}");
        }
        assert!(read_all(&directory.path().join("none"), true).unwrap_err().to_string().contains("none"));
    }
}
