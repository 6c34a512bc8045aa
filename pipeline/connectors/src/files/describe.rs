//! What the files of a source are, and which of their fields serve which parts of a document.

use std::collections::BTreeMap;

use fenliu_decode::Decoder;
use fenliu_decode::file::{FileRules, kind_of};
use fenliu_engine::Result;

use super::config::FilesSourceConfig;
use super::documents::{Documents, readable};
use super::found::Found;

/// How many rows of a file are looked at.
const ROWS: usize = 100;

/// How many files are looked into.
const FILES: usize = 20;

/// A line for each of the first files of `source`.
///
/// # Errors
/// A path that cannot be read, a named file of an unknown kind.
pub(super) fn describe(source: &FilesSourceConfig, decoder: &Decoder) -> Result<Vec<String>> {
    let rules = source.rules(decoder.file_rules());
    let files = readable(&source.paths, &source.storage, &rules)?;
    let mut lines = vec![];
    for file in files.iter().take(FILES) {
        let kind = kind_of(&*file.open()?, &rules)?;
        lines.push(format!("{}: {kind}; {}", file.path.display(), fields(file, &rules, decoder)?));
    }
    if files.len() > FILES {
        lines.push(format!("and {} more files", files.len() - FILES));
    }
    Ok(lines)
}

/// Which field serves which part in the first rows: `title from headline (100), ...`.
fn fields(file: &Found, rules: &FileRules, decoder: &Decoder) -> Result<String> {
    let mut served: BTreeMap<(&str, String), usize> = BTreeMap::new();
    let mut rows = 0;
    for row in Documents::of(file, rules, 0)?.take(ROWS) {
        rows += 1;
        for part_and_field in decoder.served(&row?.content) {
            *served.entry(part_and_field).or_default() += 1;
        }
    }
    let shown: Vec<String> =
        served.into_iter().map(|((part, field), count)| format!("{part} from `{field}` ({count})")).collect();
    Ok(format!(
        "of the first {rows} rows: {}",
        if shown.is_empty() { "no field".into() } else { shown.join(", ") }
    ))
}
