//! Reads what a source writes for a language.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::super::scripts::Script;
use super::tables::{ABSENT, LANGUAGES};

/// A language: its code and the scripts that it is written in, none if that is not known.
#[derive(Debug, Clone, Copy)]
pub(super) struct Language {
    pub(super) code: &'static str,
    pub(super) scripts: &'static [Script],
}

/// What a spelling means.
pub(super) enum Spelling {
    /// It says that the language is not known, or that there is none, or several.
    Absent,
    Known(Language),
    Unknown,
}

/// Longer declarations are cut, so that a field that holds something else costs nothing.
const LONGEST: usize = 64;

/// Every spelling, in lower case.
static SPELLINGS: LazyLock<HashMap<&'static str, Language>> = LazyLock::new(|| {
    let groups = LANGUAGES.iter().flat_map(|(scripts, rows)| rows.iter().map(|row| (*scripts, *row)));
    groups.flat_map(|(scripts, row)| spellings_of(scripts, row)).collect()
});

/// The spellings in a row of the table, of which the first is the code.
pub(super) fn spellings_of(
    scripts: &'static [Script],
    row: &'static str,
) -> impl Iterator<Item = (&'static str, Language)> {
    let code = row.split(',').next().unwrap_or(row);
    row.split(',').map(move |spelling| (spelling, Language { code, scripts }))
}

/// Reads a declaration: as a whole, then up to the first sign that separates a code from what follows it
/// (`zh_CN.UTF-8`, `en-US,en;q=0.9`), then up to the first sign or space after a name (`Chinese (Simplified)`), and at
/// last its last word (`Simplified Chinese`).
pub(super) fn read(declared: &str) -> Spelling {
    let small: String = declared.trim().chars().take(LONGEST).flat_map(char::to_lowercase).collect();
    let whole = small.trim_matches(|character: char| !character.is_alphanumeric());
    if whole.is_empty() || ABSENT.contains(&whole) {
        return Spelling::Absent;
    }
    let code = before(whole, |character| "_-;,.".contains(character));
    let name = before(code, |character| !character.is_alphanumeric());
    let last_word = code.rsplit(' ').next().unwrap_or(code);
    let known = [whole, code, name, last_word].into_iter().find_map(|spelling| SPELLINGS.get(spelling));
    match known {
        Some(language) => Spelling::Known(*language),
        None if ABSENT.contains(&code) => Spelling::Absent,
        None => Spelling::Unknown,
    }
}

fn before(text: &str, is_end: impl Fn(char) -> bool) -> &str {
    text.split(is_end).next().unwrap_or(text).trim()
}
