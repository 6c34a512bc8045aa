//! `repair_mojibake`: UTF-8 that some program before us has read in another charset.
//!
//! Reading UTF-8 as windows-1252 or Latin-1 gives `æ–°é—»` for 新闻. Nothing is lost by that, and the result hardly ever
//! arises otherwise: when the characters are turned back into bytes, they must be valid UTF-8. UTF-8 read as GBK
//! (`浣犲ソ` for 你好) is lossy, so it is only recognised.
//!
//! Text must be repaired before anything else changes it: some of its characters are white space or controls to
//! Unicode, and HTML or `normalize` would remove them.

mod gbk;

use encoding_rs::Encoding;

pub use gbk::looks_like_utf8_read_as_gbk;

/// Fewer characters than this may be what the author wrote.
const ENOUGH_CHARACTERS: usize = 4;

/// Repairs UTF-8 that was read as windows-1252 or Latin-1, once or several times; returns whether it did.
///
/// The whole text must be of that kind, and stand for at least four characters beyond ASCII.
/// [The crate's documentation](crate) describes the buffer `out`.
pub fn repair_mojibake(text: &str, out: &mut String) -> bool {
    let Some(mut repaired) = read_again(text) else { return false };
    // Each round at least halves the bytes beyond ASCII, so there are few.
    while let Some(better) = read_again(&repaired) {
        repaired = better;
    }
    out.push_str(&repaired);
    true
}

/// The text that was read in the wrong charset to give `text`.
fn read_again(text: &str) -> Option<String> {
    if !begins_like_utf8(text) {
        return None;
    }
    let bytes = text.chars().map(byte_of).collect::<Option<Vec<u8>>>()?;
    let repaired = String::from_utf8(bytes).ok()?;
    let enough = repaired.chars().filter(|character| !character.is_ascii()).nth(ENOUGH_CHARACTERS - 1);
    enough.is_some().then_some(repaired)
}

/// Whether the first characters beyond ASCII could be the bytes of a character in UTF-8.
///
/// Clean texts end here: a letter with an accent is hardly ever followed by one of the symbols that continuation bytes
/// are read as, and no East Asian character stands for a byte.
fn begins_like_utf8(text: &str) -> bool {
    let mut rest = text[ascii_length(text)..].chars();
    let mut next = || rest.next().and_then(byte_of);
    matches!((next(), next()), (Some(0xC2..=0xF4), Some(0x80..=0xBF)))
}

/// The number of ASCII bytes at the start of `text`.
fn ascii_length(text: &str) -> usize {
    Encoding::ascii_valid_up_to(text.as_bytes())
}

/// The byte that is read as this character in windows-1252 or in Latin-1.
fn byte_of(character: char) -> Option<u8> {
    let byte = match character {
        '€' => 0x80,
        '‚' => 0x82,
        'ƒ' => 0x83,
        '„' => 0x84,
        '…' => 0x85,
        '†' => 0x86,
        '‡' => 0x87,
        'ˆ' => 0x88,
        '‰' => 0x89,
        'Š' => 0x8A,
        '‹' => 0x8B,
        'Œ' => 0x8C,
        'Ž' => 0x8E,
        '‘' => 0x91,
        '’' => 0x92,
        '“' => 0x93,
        '”' => 0x94,
        '•' => 0x95,
        '–' => 0x96,
        '—' => 0x97,
        '˜' => 0x98,
        '™' => 0x99,
        'š' => 0x9A,
        '›' => 0x9B,
        'œ' => 0x9C,
        'ž' => 0x9E,
        'Ÿ' => 0x9F,
        // Latin-1, and the bytes that windows-1252 leaves as controls.
        other => return u8::try_from(other).ok(),
    };
    Some(byte)
}

#[cfg(test)]
mod tests;
