//! The documents of JSON Lines, Parquet and Arrow IPC files.
//!
//! The payload of a Parquet or Arrow row is the row as a JSON object, so rows of all formats are decoded, and become
//! dead letters, in the same way.

use std::collections::{HashSet, VecDeque};
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Component, Path, PathBuf};

use arrow::array::RecordBatch;
use arrow::datatypes::Schema;
use arrow::error::ArrowError;
use arrow::json::LineDelimitedWriter;
use fenliu_engine::{Error, Result};

use super::config::FileFormat;
use super::datafile::{self, Batches, Wanted};

/// File name endings that hold documents.
const ENDINGS: &[&str] = &["jsonl", "ndjson", "json", "parquet", "arrow"];

/// A longer line is not a document but a file of another kind, such as one large JSON array.
const MAX_LINE_BYTES: u64 = 1 << 30;

/// Rows that are decoded at once.
const BATCH_ROWS: usize = 1024;

/// The document files among `paths`, each once; a directory stands for those directly in it, in order of name.
///
/// # Errors
/// A path that cannot be read, a file with another ending, or no file at all.
pub fn data_files(paths: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let files = files_in(paths)?;
    if files.is_empty() {
        let shown: Vec<_> = paths.iter().map(|path| path.display().to_string()).collect();
        return Err(Error::input(format!("no document files in {}", shown.join(", "))));
    }
    Ok(files)
}

/// As [`data_files`], but directories may be empty.
///
/// # Errors
/// A path that cannot be read, a file with another ending.
pub fn files_in(paths: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut files = vec![];
    for path in paths {
        if path.is_dir() {
            let entries = std::fs::read_dir(path).map_err(Error::file("read", path))?;
            let mut found: Vec<PathBuf> =
                entries.filter_map(|entry| entry.ok().map(|e| e.path())).filter(|p| has_ending(p)).collect();
            found.sort();
            files.append(&mut found);
        } else if has_ending(path) {
            files.push(path.clone());
        } else {
            return Err(Error::input(format!(
                "{}: the name must end in one of {}",
                path.display(),
                ENDINGS.join(", ")
            )));
        }
    }
    let mut seen = HashSet::new();
    // By the real path: a file that is named twice, perhaps through a link, is read once.
    files.retain(|path| seen.insert(path.canonicalize().unwrap_or_else(|_| path.clone())));
    Ok(files.iter().map(|path| without_dots(path)).collect())
}

/// `./a` is `a`: the path is the name by which sinks know the file.
fn without_dots(path: &Path) -> PathBuf {
    path.components().filter(|component| *component != Component::CurDir).collect()
}

fn has_ending(path: &Path) -> bool {
    path.extension()
        .and_then(|e| e.to_str())
        .is_some_and(|e| ENDINGS.contains(&e.to_ascii_lowercase().as_str()))
}

/// The rows of one file, in order: `(row number, payload)`. Blank lines count but are not returned.
pub struct Documents {
    path: PathBuf,
    reader: Reader,
    row: i64,
}

enum Reader {
    Lines(BufReader<File>),
    Rows { batches: Batches, ready: VecDeque<Vec<u8>> },
}

impl Documents {
    /// Opens a file. The ending of its name says whether it is Parquet or Arrow; all others are JSON Lines.
    ///
    /// # Errors
    /// When the file cannot be opened, or is not of the format that its name says.
    pub fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(Error::file("open", path))?;
        let ending = path.extension().and_then(|e| e.to_str()).unwrap_or_default().to_ascii_lowercase();
        let format = match ending.as_str() {
            "parquet" => FileFormat::Parquet,
            "arrow" => FileFormat::Arrow,
            _ => {
                let reader = Reader::Lines(BufReader::with_capacity(1 << 18, file));
                return Ok(Documents { path: path.to_path_buf(), reader, row: 0 });
            }
        };
        let wanted = Wanted { columns: None, batch_rows: BATCH_ROWS, json: &Schema::empty().into() };
        let batches = datafile::open(file, format, wanted).map_err(|error| unreadable(path, &error))?;
        let reader = Reader::Rows { batches, ready: VecDeque::new() };
        Ok(Documents { path: path.to_path_buf(), reader, row: 0 })
    }

    /// How many rows were read, blank lines included.
    pub(super) fn rows(&self) -> i64 {
        self.row
    }

    fn next_payload(&mut self) -> Result<Option<Vec<u8>>> {
        match &mut self.reader {
            Reader::Lines(lines) => {
                let mut line = vec![];
                let mut bounded = lines.take(MAX_LINE_BYTES);
                let read = bounded.read_until(b'\n', &mut line).map_err(Error::file("read", &self.path))?;
                if read as u64 == MAX_LINE_BYTES {
                    return Err(Error::input(format!(
                        "{}: row {} is longer than {MAX_LINE_BYTES} bytes: is this JSON Lines, one object a line?",
                        self.path.display(),
                        self.row
                    )));
                }
                while line.last().is_some_and(|byte| matches!(byte, b'\n' | b'\r')) {
                    line.pop();
                }
                Ok((read > 0).then_some(line))
            }
            Reader::Rows { batches, ready } => {
                while ready.is_empty() {
                    let Some(batch) = batches.next() else { return Ok(None) };
                    let rows = batch.map_err(|error| unreadable(&self.path, &error))?;
                    ready.extend(json_rows(&rows).map_err(|error| unreadable(&self.path, &error))?);
                }
                Ok(ready.pop_front())
            }
        }
    }
}

impl Iterator for Documents {
    type Item = Result<(i64, Vec<u8>)>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let payload = match self.next_payload().transpose()? {
                Ok(payload) => payload,
                Err(error) => return Some(Err(error)),
            };
            let row = self.row;
            self.row += 1;
            if !payload.trim_ascii().is_empty() {
                return Some(Ok((row, payload)));
            }
        }
    }
}

fn unreadable(path: &Path, error: &dyn std::error::Error) -> Error {
    Error::input(format!("{}: {error}", path.display()))
}

/// Each row of a batch as a JSON object.
fn json_rows(rows: &RecordBatch) -> std::result::Result<Vec<Vec<u8>>, ArrowError> {
    let mut writer = LineDelimitedWriter::new(Vec::new());
    writer.write(rows)?;
    writer.finish()?;
    let lines = writer.into_inner();
    Ok(lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).map(<[u8]>::to_vec).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    use arrow::array::{Int64Array, StringArray};
    use arrow::ipc::writer::FileWriter;
    use parquet::arrow::ArrowWriter;

    fn rows(path: &Path) -> Vec<(i64, String)> {
        Documents::open(path)
            .unwrap()
            .map(|row| row.map(|(n, payload)| (n, String::from_utf8(payload).unwrap())).unwrap())
            .collect()
    }

    #[test]
    fn lines_are_numbered_as_an_editor_would_from_zero() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.jsonl");
        std::fs::write(&path, "{\"id\":1}\r\n\n{\"id\":2}").unwrap();
        assert_eq!(rows(&path), [(0, "{\"id\":1}".to_string()), (2, "{\"id\":2}".to_string())]);
    }

    #[test]
    fn parquet_and_arrow_rows_become_json_objects() {
        let dir = tempfile::tempdir().unwrap();
        let batch = RecordBatch::try_from_iter([
            ("id", Arc::new(Int64Array::from(vec![1, 2])) as _),
            ("body", Arc::new(StringArray::from(vec![Some("新闻\n二"), None])) as _),
        ])
        .unwrap();
        let expected = [(0, r#"{"id":1,"body":"新闻\n二"}"#.to_string()), (1, r#"{"id":2}"#.to_string())];
        let parquet = dir.path().join("a.parquet");
        let mut writer = ArrowWriter::try_new(File::create(&parquet).unwrap(), batch.schema(), None).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
        assert_eq!(rows(&parquet), expected);
        let ipc = dir.path().join("a.arrow");
        let mut writer = FileWriter::try_new(File::create(&ipc).unwrap(), &batch.schema()).unwrap();
        writer.write(&batch).unwrap();
        writer.finish().unwrap();
        assert_eq!(rows(&ipc), expected);
    }

    #[test]
    fn a_file_is_read_once_however_often_and_in_whatever_way_it_is_named() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["a.jsonl", "b.jsonl"] {
            std::fs::write(dir.path().join(name), "").unwrap();
        }
        let [a, b] = ["a.jsonl", "b.jsonl"].map(|name| dir.path().join(name));
        let again = dir.path().join("./b.jsonl");
        let found = data_files(&[again, dir.path().to_path_buf(), a.clone()]).unwrap();
        let names =
            |paths: &[PathBuf]| paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>();
        assert_eq!(names(&found), names(&[b, a]));
        assert_eq!(without_dots(Path::new("./news/./a.jsonl")).display().to_string(), "news/a.jsonl");
    }

    #[test]
    fn a_file_of_another_kind_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let error = data_files(&[dir.path().join("a.csv")]).unwrap_err().to_string();
        assert!(error.contains("a.csv") && error.contains("parquet"), "{error}");
        assert!(
            data_files(&[dir.path().to_path_buf()]).unwrap_err().to_string().contains("no document files")
        );
    }
}
