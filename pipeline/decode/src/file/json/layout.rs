//! How the documents of a JSON file are laid out.

use fenliu_engine::Result;

use super::values::Scanner;
use crate::file::kind::FileKind;
use crate::file::rules::{FileRules, failed};
use crate::file::source::Input;
use crate::file::text::{MAX_ROW_BYTES, Text};

/// Where news APIs and feeds put the array of stories, if the configuration does not say.
const USUAL_RECORDS: [&str; 16] = [
    "articles",
    "articles.results",
    "items",
    "entries",
    "results",
    "response.results",
    "response.docs",
    "posts",
    "hits.hits",
    "news",
    "stories",
    "documents",
    "data",
    "list",
    "result.data",
    "value",
];

/// How the objects of a file are laid out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Layout {
    Lines,
    /// Objects one after the other, each over several lines.
    Values,
    Array,
    /// Objects that have the array of documents at this path.
    Wrapped(String),
}

/// The layout of a file, by its first value.
///
/// # Errors
/// The file cannot be read.
pub(super) fn layout(input: &dyn Input, kind: &FileKind, rules: &FileRules) -> Result<Layout> {
    let mut text = Text::open(input, kind)?;
    let mut head = vec![];
    let mut scanner = Scanner::default();
    let mut scanned = 0;
    let end = loop {
        let is_more = text.read_more(&mut head)?;
        let begin = head.iter().position(|byte| !byte.is_ascii_whitespace()).unwrap_or(head.len());
        if head.get(begin) == Some(&b'[') {
            return Ok(Layout::Array);
        }
        let from = begin.max(scanned);
        if let Some(length) = scanner.end(&head[from..]) {
            break from + length;
        }
        scanned = head.len();
        if is_lines(&head[begin..]) || !is_more {
            return Ok(Layout::Lines);
        }
        if head.len() > MAX_ROW_BYTES {
            return Err(failed(input, &"the first object is longer than 1 GiB"));
        }
    };
    let value = &head[..end];
    if let Some(path) = records_path(value, rules) {
        return Ok(Layout::Wrapped(path));
    }
    let is_one_line = !value.trim_ascii().contains(&b'\n');
    Ok(if is_one_line { Layout::Lines } else { Layout::Values })
}

/// Whether a first line that is not a whole object is followed by a line that begins with one: then the first line is
/// broken, and the file one of lines.
fn is_lines(head: &[u8]) -> bool {
    let mut lines = head.split(|byte| *byte == b'\n');
    let (_, second) = (lines.next(), lines.next());
    second.is_some_and(|line| line.starts_with(b"{"))
}

/// The path to the documents inside the first object of a file, if it is not a document itself.
fn records_path(value: &[u8], rules: &FileRules) -> Option<String> {
    let text = std::str::from_utf8(value).ok()?;
    let object: serde_json::Value = serde_json::from_str(text).ok()?;
    if let Some(path) = &rules.records {
        return at_path(&object, path).is_some_and(serde_json::Value::is_array).then(|| path.clone());
    }
    let has_text = object.as_object()?.iter().any(|(name, value)| {
        value.is_string() && rules.wanted.as_ref().is_some_and(|fields| fields.is_text(name))
    });
    if has_text {
        return None;
    }
    let is_records = |path: &&&str| {
        let array = at_path(&object, path).and_then(serde_json::Value::as_array);
        array.is_some_and(|array| array.first().is_some_and(serde_json::Value::is_object))
    };
    USUAL_RECORDS.iter().find(is_records).map(|path| (*path).to_owned())
}

fn at_path<'a>(value: &'a serde_json::Value, path: &str) -> Option<&'a serde_json::Value> {
    path.split('.').try_fold(value, |value, name| value.get(name))
}
