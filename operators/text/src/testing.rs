//! Access to the real data, for the tests of several files.

use std::fs;
use std::path::PathBuf;

use fenliu_skip::{Part, skipped};
use serde_json::Value;

/// The path of a file of the real data, or `None` where the data is not installed: the test is then skipped, or fails
/// if `FENLIU_REQUIRE` lists `data`.
pub(crate) fn data_file(name: &str) -> Option<PathBuf> {
    let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data")).join(name);
    if path.exists() {
        return Some(path);
    }
    skipped(Part::Data, format_args!("{} does not exist", path.display()));
    None
}

/// The rows of a JSON Lines file of the real data.
pub(crate) fn json_lines(name: &str) -> Option<Vec<Value>> {
    let text = fs::read_to_string(data_file(name)?).unwrap();
    Some(text.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
}

/// A string field that every row has.
pub(crate) fn text_of<'a>(row: &'a Value, field: &str) -> &'a str {
    row[field].as_str().unwrap()
}
