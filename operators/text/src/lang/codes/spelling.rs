//! Reads what a source writes for a language.

use std::collections::HashMap;
use std::sync::LazyLock;

use foldhash::fast::RandomState;

use super::super::scripts::Script;
use super::tables::{ABSENT, LANGUAGES};

/// A language: its code and the scripts that it is written in, none if that is not known.
#[derive(Debug, Clone, Copy)]
pub(super) struct Language {
    pub(super) code: &'static str,
    pub(super) scripts: &'static [Script],
}

/// What a spelling means.
#[derive(Debug, Clone, Copy)]
pub(super) enum Spelling {
    /// It says that the language is not known, or that there is none, or several.
    Absent,
    Known(Language),
    Unknown,
}

/// Longer declarations are cut, so that a field that holds something else costs nothing.
const LONGEST: usize = 64;

/// Every spelling, in lower case.
static SPELLINGS: LazyLock<HashMap<&'static str, Spelling, RandomState>> = LazyLock::new(|| {
    let groups = LANGUAGES.iter().flat_map(|(scripts, rows)| rows.iter().map(|row| (*scripts, *row)));
    let known = groups.flat_map(|(scripts, row)| spellings_of(scripts, row));
    let known = known.map(|(spelling, language)| (spelling, Spelling::Known(language)));
    known.chain(ABSENT.map(|spelling| (spelling, Spelling::Absent))).collect()
});

/// The spellings in a row of the table, of which the first is the code.
pub(super) fn spellings_of(
    scripts: &'static [Script],
    row: &'static str,
) -> impl Iterator<Item = (&'static str, Language)> {
    let code = row.split(',').next().unwrap_or(row);
    row.split(',').map(move |spelling| (spelling, Language { code, scripts }))
}

/// Reads a declaration: up to the first sign that separates a code from what follows it
/// (`zh_CN.UTF-8`, `en-US,en;q=0.9`), then up to the first sign or space after a name (`Chinese (Simplified)`), and at
/// last its last word (`Simplified Chinese`).
pub(super) fn read(declared: &str) -> Spelling {
    // Most sources write a plain code, perhaps with a region or a script. No spelling has a separator inside.
    let plain = declared.find(is_separator).map_or(declared, |at| &declared[..at]);
    if let Some(meaning) = SPELLINGS.get(plain) {
        return *meaning;
    }
    let small = lower_case(declared.trim());
    let whole = small.trim_matches(|character: char| !character.is_alphanumeric());
    if whole.is_empty() {
        return Spelling::Absent;
    }
    let code = before(whole, is_separator);
    if let Some(meaning) = SPELLINGS.get(code) {
        return *meaning;
    }
    let name = before(code, |character| !character.is_alphanumeric());
    let last_word = code.rsplit(' ').next().unwrap_or(code);
    let mut words = [name, last_word].into_iter().filter_map(|word| SPELLINGS.get(word));
    words.find(|meaning| matches!(meaning, Spelling::Known(_))).copied().unwrap_or(Spelling::Unknown)
}

/// The first characters in lower case.
fn lower_case(text: &str) -> String {
    if text.len() <= LONGEST && text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    text.chars().take(LONGEST).flat_map(char::to_lowercase).collect()
}

/// Whether the sign separates a code from what follows it.
fn is_separator(character: char) -> bool {
    matches!(character, '_' | '-' | ';' | ',' | '.')
}

fn before(text: &str, is_end: impl Fn(char) -> bool) -> &str {
    text.split(is_end).next().unwrap_or(text).trim()
}
