//! User dictionaries: words that segmentation must know beside those of jieba's own dictionary.
//!
//! A dictionary is UTF-8 text with one entry a line, `word [frequency] [tag]`, as `load_userdict` of jieba 0.42 reads
//! it: the frequency and the tag are what stands at the end of the line, so a word may contain spaces. An entry without
//! a frequency gets one that makes the word win over its parts; with the frequency 0 it is never a word.
//!
//! Where jieba takes white space for a part of the word, this reader is more lenient: fields may be separated by tabs and
//! by several spaces. Lines that start with `#` are comments, which jieba does not have.

mod file;
mod line;

pub use file::{InvalidLines, all_entries, dictionary_text};

/// One entry of a user dictionary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// The line that it stands on, counted from 1.
    pub line: usize,
    /// The word, which may contain spaces.
    pub word: &'a str,
    /// How often the word occurs in the corpus that jieba's dictionary was counted in; 0 if text that is the word must
    /// be split; `None` if the line has no frequency.
    pub frequency: Option<usize>,
    /// The part of speech, which segmentation does not use.
    pub tag: Option<&'a str>,
}

/// A line of a user dictionary that is invalid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct InvalidLine {
    /// The line, counted from 1.
    pub line: usize,
    /// Why it is invalid.
    pub problem: String,
}

/// The entries of a user dictionary, in order; comments and empty lines are left out.
pub fn entries(dictionary: &str) -> impl Iterator<Item = Result<Entry<'_>, InvalidLine>> {
    (1..).zip(dictionary.lines()).filter_map(|(line, text)| {
        line::parse(line, text).map_err(|problem| InvalidLine { line, problem }).transpose()
    })
}

impl Entry<'_> {
    /// Passes the entry on if segmentation can find its word.
    ///
    /// # Errors
    /// The word contains a character at which jieba always splits a text, such as a space, so that the word would never
    /// be found. jieba reads such an entry, too, and it has no effect.
    pub fn require_findable(self) -> Result<Self, InvalidLine> {
        let Some(character) = self.word.chars().find(|&character| !is_word_character(character)) else {
            return Ok(self);
        };
        let word = line::shown(self.word);
        // White space in a message would be read over.
        let place = if character.is_whitespace() { "white space".into() } else { format!("`{character}`") };
        let problem = format!("the word `{word}` would never be found: text is always split at {place}");
        Err(InvalidLine { line: self.line, problem })
    }
}

/// Whether jieba may take the character for part of a word.
///
/// This is `is_han_default` of jieba-rs 0.11, which is private there, and so is not
/// [`is_han`](super::is_han).
fn is_word_character(character: char) -> bool {
    match character {
        '+' | '#' | '&' | '.' | '_' | '%' | '-' => true,
        '\u{3400}'..='\u{4DBF}' | '\u{4E00}'..='\u{9FFF}' | '\u{F900}'..='\u{FAFF}' => true,
        '\u{20000}'..='\u{2EBEF}' | '\u{2F800}'..='\u{2FA1F}' => true,
        _ => character.is_ascii_alphanumeric(),
    }
}

#[cfg(test)]
mod tests;
