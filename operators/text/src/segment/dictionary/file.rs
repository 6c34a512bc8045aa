//! The file of a user dictionary: its encoding, and all of its invalid lines at once.

use std::fmt;

use encoding_rs::GB18030;

use super::{Entry, InvalidLine};

/// Most lines that are named.
const NAMED: usize = 20;

/// The invalid lines of a user dictionary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidLines {
    /// The first of them, at most 20.
    pub first: Vec<InvalidLine>,
    /// How many there are, at least one.
    pub count: usize,
}

impl InvalidLines {
    /// The invalid lines among `lines`; `None` if there are none.
    pub fn of(lines: impl IntoIterator<Item = InvalidLine>) -> Option<Self> {
        let mut invalid = InvalidLines { first: Vec::new(), count: 0 };
        for line in lines {
            invalid.count += 1;
            if invalid.first.len() < NAMED {
                invalid.first.push(line);
            }
        }
        (invalid.count > 0).then_some(invalid)
    }
}

impl fmt::Display for InvalidLines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, line) in self.first.iter().enumerate() {
            write!(f, "{}{line}", if index == 0 { "" } else { "\n" })?;
        }
        match self.count - self.first.len().min(self.count) {
            0 => Ok(()),
            more => write!(f, "\nand {more} more"),
        }
    }
}

impl std::error::Error for InvalidLines {}

/// All entries, or all lines that are invalid.
///
/// # Errors
/// At least one line is invalid.
pub fn all_entries<'a>(
    entries: impl IntoIterator<Item = Result<Entry<'a>, InvalidLine>>,
) -> Result<Vec<Entry<'a>>, InvalidLines> {
    let mut valid = Vec::new();
    let invalid = entries.into_iter().filter_map(|entry| entry.map(|entry| valid.push(entry)).err());
    match InvalidLines::of(invalid) {
        Some(invalid) => Err(invalid),
        None => Ok(valid),
    }
}

/// The text of a dictionary file.
///
/// # Errors
/// The first line that is not UTF-8, with the encoding that the file seems to have. As in jieba, no other encoding is
/// read: a word that was guessed wrongly would never be found, without any message.
pub fn dictionary_text(file: &[u8]) -> Result<&str, InvalidLine> {
    if is_utf16(file) {
        return Err(invalid(1, "the file is UTF-16"));
    }
    std::str::from_utf8(file).map_err(|error| {
        let before = file.get(..error.valid_up_to()).unwrap_or_default();
        let line = before.iter().filter(|&&byte| byte == b'\n').count() + 1;
        let is_gbk = GB18030.decode_without_bom_handling_and_without_replacement(file).is_some();
        invalid(line, if is_gbk { "not UTF-8; the file seems to be GBK" } else { "not UTF-8" })
    })
}

fn invalid(line: usize, what: &str) -> InvalidLine {
    InvalidLine { line, problem: format!("{what}: save it as UTF-8") }
}

/// Whether the file begins with the mark of UTF-16, or with an ASCII character in UTF-16.
fn is_utf16(file: &[u8]) -> bool {
    file.starts_with(&[0xFF, 0xFE])
        || file.starts_with(&[0xFE, 0xFF])
        || file.iter().take(2).any(|&byte| byte == 0)
}
