//! `normalize`: one spelling for what looks the same.
//!
//! - Unicode Normalization Form C (UAX #15).
//! - Characters that text out of PDF files and old systems has in place of the usual ones become these: Kangxi radicals and
//!   the CJK Radicals Supplement (`⾦`, `⻓`), ligatures (`ﬁ`), mathematical letters (`𝐀`), half-width kana and Hangul.
//! - Full-width letters and digits become ASCII, and so do `％＄＃＆＠＋＝＜＞` beside an ASCII letter or digit and `．`
//!   between digits. The ideographic space becomes a space. Other Chinese punctuation stays full-width, because Chinese
//!   language models were trained on it.
//! - Control characters and all characters that Unicode calls ignorable are removed: zero-width characters,
//!   bidirectional marks, variation selectors, tags, byte-order marks; interlinear annotation marks too. (An emoji that
//!   consists of several, joined by zero-width joiners, falls apart into these.)
//! - The replacement character U+FFFD, which stands for damage, becomes a space: it has no meaning, but the characters
//!   beside it must not become one word or number.
//! - A run of spaces becomes one space, or one tab if the run has a tab. Lines and the whole text are
//!   trimmed. Several blank lines become one.
//!
//! This is not NFKC, which would also turn `，` into `,`, `①` into `1` and `㎏` into `kg`. Traditional and variant
//! characters are left to [`to_simplified`](crate::to_simplified).
//!
//! Normalisation is idempotent: NFC is applied to the folded text, and never produces a character that an earlier rule
//! would change. Signs are folded after it, by their final neighbours.

mod lines;
mod radicals;
mod signs;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use icu_normalizer::ComposingNormalizerBorrowed;

use crate::properties::is_ignorable;
use lines::LineWriter;
use signs::{fold_signs, is_sign};

/// Brings `text` to one spelling; returns whether that changed it.
///
/// [The crate's documentation](crate) describes the buffer `out`.
pub fn normalize(text: &str, out: &mut String) -> bool {
    let has_signs = fold_characters(text, out);
    compose(out);
    if let Some(folded) = has_signs.then(|| fold_signs(out)).flatten() {
        *out = folded;
        // `＜` with a stroke through it has no composed form, but `<` has.
        compose(out);
    }
    out != text
}

/// Writes `text` to `out` by the rules for single characters and blanks; returns whether it has signs to fold.
fn fold_characters(text: &str, out: &mut String) -> bool {
    let mut writer = LineWriter::new(out);
    let mut has_signs = false;
    // Most characters are plain: copying whole runs of them is faster than copying each.
    let mut run = 0;
    for (start, character) in text.char_indices() {
        let class = classify(character);
        match class {
            Class::Plain => continue,
            Class::Sign => {
                has_signs = true;
                continue;
            }
            // One space between words is part of the run.
            Class::Blank if character == ' ' && start > run && is_surely_plain(text, start + 1) => continue,
            _ => {}
        }
        writer.push_str(&text[run..start]);
        run = start + character.len_utf8();
        match class {
            Class::Folded => push_folded(&mut writer, character),
            Class::Blank => writer.push_blank(character),
            // The line feed that follows is the break.
            Class::LineBreak if character == '\r' && text[run..].starts_with('\n') => {}
            Class::LineBreak => writer.push_break(),
            Class::Removed | Class::Plain | Class::Sign => {}
        }
    }
    writer.push_str(&text[run..]);
    has_signs
}

/// Whether the character at this place of `text` is printable ASCII or one from U+4000 to U+9FFF, all of which are plain.
fn is_surely_plain(text: &str, at: usize) -> bool {
    matches!(text.as_bytes().get(at), Some(b'!'..=b'~' | 0xE4..=0xE9))
}

/// Applies Normalization Form C.
fn compose(text: &mut String) {
    if let Cow::Owned(composed) = ComposingNormalizerBorrowed::new_nfc().normalize(text) {
        *text = composed;
    }
}

/// The rule that applies to a character.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    /// It is copied.
    Plain,
    /// It is copied, and may be folded when its neighbours are known.
    Sign,
    /// It is replaced.
    Folded,
    /// It is a space or a tab.
    Blank,
    /// It ends a line.
    LineBreak,
    /// It is dropped.
    Removed,
}

fn classify(character: char) -> Class {
    match character {
        // Nearly all characters of English and Chinese text match one of the first arms. U+3164, a filler without ink, is
        // left out.
        '!'..='~' | '\u{3001}'..='\u{3163}' | '\u{3165}'..='\u{FAFF}' => Class::Plain,
        ' ' | '\t' | '\u{A0}' | '\u{3000}' => Class::Blank,
        '，' | '：' | '（' | '）' | '！' | '？' | '；' => Class::Plain,
        '０'..='９' | 'Ａ'..='Ｚ' | 'ａ'..='ｚ' => Class::Folded,
        '\n' | '\r' | '\u{B}' | '\u{C}' | '\u{85}' | '\u{2028}' | '\u{2029}' => Class::LineBreak,
        '\0'..='\u{1F}' | '\u{7F}'..='\u{9F}' => Class::Removed,
        // Letters from Latin to Georgian, dashes and quotation marks, without what is ignorable among them.
        '\u{A1}'..='\u{AC}' | '\u{AE}'..='\u{34E}' | '\u{350}'..='\u{61B}' | '\u{61D}'..='\u{115E}' => {
            Class::Plain
        }
        '\u{1E00}'..='\u{1FFF}' | '\u{2010}'..='\u{2027}' => Class::Plain,
        _ => classify_rare(character),
    }
}

/// The rule for the characters that few texts have.
fn classify_rare(character: char) -> Class {
    match character {
        _ if is_sign(character) => Class::Sign,
        'ﬀ'..='ﬆ' | '\u{1D400}'..='\u{1D7FF}' | '｡'..='ﾟ' | 'ﾡ'..='ￜ' => Class::Folded,
        '\u{2E80}'..='\u{2EF3}' | '\u{2F00}'..='\u{2FD5}' => Class::Folded,
        _ if is_mathematical_letter(character) => Class::Folded,
        '\u{FFF9}'..='\u{FFFB}' => Class::Removed,
        char::REPLACEMENT_CHARACTER => Class::Blank,
        _ if character.is_whitespace() => Class::Blank,
        _ if is_ignorable(character) => Class::Removed,
        _ => Class::Plain,
    }
}

/// Writes what a character is replaced by.
fn push_folded(writer: &mut LineWriter<'_>, character: char) {
    match character {
        '０'..='９' | 'Ａ'..='Ｚ' | 'ａ'..='ｚ' => writer.push(half_width(character)),
        'ﾞ' => writer.push_mark('\u{3099}', '゛'),
        'ﾟ' => writer.push_mark('\u{309A}', '゜'),
        'ﾡ'..='ￜ' => writer.push(full_width_hangul(character)),
        '\u{2E80}'..='\u{2EF3}' => writer.push(radicals::ideograph(character)),
        // The others have the right characters in Normalization Form KC.
        _ => {
            let nfkc = ComposingNormalizerBorrowed::new_nfkc();
            writer.push_str(&nfkc.normalize(character.encode_utf8(&mut [0; 4])));
        }
    }
}

/// Whether the character is one of the mathematical letters that are not in their block, because Unicode had them before:
/// `ℎ` among the italic letters, `ℝ` among those with double strokes.
fn is_mathematical_letter(character: char) -> bool {
    matches!(
        character,
        'ℂ' | 'ℊ'..='ℎ' | 'ℐ'..='ℒ' | 'ℕ' | 'ℙ'..='ℝ' | 'ℤ' | 'ℨ' | 'ℬ' | 'ℭ' | 'ℯ'..='ℱ' | 'ℳ' | 'ℴ'
    )
}

/// The ASCII character of a full-width form; in Unicode, their distance is constant.
fn half_width(character: char) -> char {
    char::from_u32(u32::from(character) - 0xFEE0).unwrap_or(character)
}

/// The letter that a keyboard types, for a half-width letter of Hangul. Normalization Form KC gives parts of syllables
/// instead, which join only in part.
fn full_width_hangul(character: char) -> char {
    let code = u32::from(character);
    let letter = match code {
        0xFFA1..=0xFFBE => code - 0xFFA1 + 0x3131,
        0xFFC2..=0xFFC7 => code - 0xFFC2 + 0x314F,
        0xFFCA..=0xFFCF => code - 0xFFCA + 0x3155,
        0xFFD2..=0xFFD7 => code - 0xFFD2 + 0x315B,
        0xFFDA..=0xFFDC => code - 0xFFDA + 0x3161,
        _ => code,
    };
    char::from_u32(letter).unwrap_or(character)
}
