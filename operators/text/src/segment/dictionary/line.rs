//! One line of a user dictionary.
//!
//! jieba reads it by the regular expression `^(.+?)( [0-9]+)?( [a-z]+)?$`, which this does from the end of the line.

use super::Entry;

/// The largest frequency. jieba adds up all of them, and the sum of some millions must fit 64 bits.
const MAX_FREQUENCY: usize = 1_000_000_000_000;

/// Most characters of a line that a message shows.
const SHOWN: usize = 40;

/// The entry on a line, `None` on a comment or an empty line; the error says what is wrong.
pub(super) fn parse(line: usize, text: &str) -> Result<Option<Entry<'_>>, String> {
    // As in jieba, a mark may stand on any line: dictionaries are made by joining files.
    let text = text.trim_matches(|c: char| c.is_whitespace() || c == '\u{FEFF}');
    if text.is_empty() || text.starts_with('#') {
        return Ok(None);
    }
    let (word, number, tag) = fields(text);
    if number.is_none() && has_frequency_and_tag(word) {
        return Err(format!(
            "`{}` has something after its frequency and tag: the form is `word [frequency] [tag]`",
            shown(text)
        ));
    }
    let frequency = number.map(|number| parse_frequency(word, number)).transpose()?;
    Ok(Some(Entry { line, word, frequency, tag }))
}

/// The word, the frequency and the tag of a line that has no white space at its ends.
fn fields(text: &str) -> (&str, Option<&str>, Option<&str>) {
    let Some((before, last)) = split_last(text) else {
        return (text, None, None);
    };
    match split_last(before) {
        Some((word, number)) if is_number(number) && is_tag_after_frequency(last) => {
            (word, Some(number), Some(last))
        }
        _ if is_number(last) => (before, Some(last), None),
        _ if is_tag(last) => (before, None, Some(last)),
        _ => (text, None, None),
    }
}

/// The last field of a text and what stands before it; `None` if there is only one field.
fn split_last(text: &str) -> Option<(&str, &str)> {
    text.rsplit_once(char::is_whitespace).map(|(before, last)| (before.trim_end(), last))
}

/// Whether a frequency and a tag stand within a word, as in `降准 5 v 备注`. jieba takes the line for one word.
fn has_frequency_and_tag(word: &str) -> bool {
    let fields: Vec<&str> = word.split_whitespace().skip(1).collect();
    fields.windows(2).any(|pair| is_number(pair[0]) && is_tag(pair[1]))
}

fn parse_frequency(word: &str, number: &str) -> Result<usize, String> {
    // The number consists of digits, so the only error is that it is too large.
    number
        .parse()
        .ok()
        .filter(|&frequency| frequency <= MAX_FREQUENCY)
        .ok_or_else(|| format!("the frequency of `{}` is too large: at most {MAX_FREQUENCY}", shown(word)))
}

fn is_number(field: &str) -> bool {
    field.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_tag(field: &str) -> bool {
    field.bytes().all(|byte| byte.is_ascii_lowercase())
}

/// Whether the field is a tag if a frequency stands before it: also those of other tag sets than jieba's, such as `Ng`
/// (Peking University) and `nr1` (ICTCLAS), but not `Pro` in `iPhone 15 Pro`.
fn is_tag_after_frequency(field: &str) -> bool {
    let numbered = field.strip_suffix(|c: char| c.is_ascii_digit()).filter(|rest| !rest.is_empty());
    let morpheme = matches!(field.as_bytes(), [b'A'..=b'Z', b'g']);
    morpheme || is_tag(numbered.unwrap_or(field))
}

/// The beginning of a text that a message shows.
pub(super) fn shown(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}
