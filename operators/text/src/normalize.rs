//! `normalize`: one spelling for what looks the same.
//!
//! - Unicode Normalization Form C (UAX #15).
//! - Full-width letters and digits become ASCII, and the ideographic space becomes a space. Chinese
//!   punctuation stays full-width, because Chinese language models were trained on it.
//! - Control characters, zero-width characters, bidirectional marks and byte-order marks are removed. (An
//!   emoji that consists of several, joined by zero-width joiners, falls apart into these.)
//! - A run of spaces becomes one space, or one tab if the run has a tab. Lines and the whole text are
//!   trimmed. Several blank lines become one.
//!
//! Normalisation is idempotent: NFC is applied last, and never produces a character that an earlier rule
//! would change.

use std::borrow::Cow;

use icu_normalizer::ComposingNormalizerBorrowed;

/// Brings `text` to one spelling; returns whether that changed it.
///
/// [The crate's documentation](crate) describes the buffer `out`.
pub fn normalize(text: &str, out: &mut String) -> bool {
    let mut writer = LineWriter { out, breaks: 0, blank: None };
    // Most characters are plain: copying whole runs of them is faster than copying each.
    let mut run = 0;
    for (start, character) in text.char_indices() {
        let class = classify(character);
        if class == Class::Plain {
            continue;
        }
        writer.push_str(&text[run..start]);
        run = start + character.len_utf8();
        match class {
            Class::Folded(ascii) => writer.push_str(ascii.encode_utf8(&mut [0; 4])),
            Class::Blank => writer.push_blank(character),
            // The line feed that follows is the break.
            Class::LineBreak if character == '\r' && text[run..].starts_with('\n') => {}
            Class::LineBreak => writer.push_break(),
            Class::Removed | Class::Plain => {}
        }
    }
    writer.push_str(&text[run..]);
    if let Cow::Owned(composed) = ComposingNormalizerBorrowed::new_nfc().normalize(out) {
        *out = composed;
    }
    out != text
}

/// The rule that applies to a character.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    /// It is copied.
    Plain,
    /// It is replaced by this ASCII character.
    Folded(char),
    /// It is a space or a tab.
    Blank,
    /// It ends a line.
    LineBreak,
    /// It is dropped.
    Removed,
}

fn classify(character: char) -> Class {
    match character {
        // Nearly all characters of English and Chinese text match here, so this arm is first.
        '!'..='~' | '\u{3001}'..='\u{FAFF}' => Class::Plain,
        '\n' | '\r' | '\u{B}' | '\u{C}' | '\u{85}' | '\u{2028}' | '\u{2029}' => Class::LineBreak,
        '０'..='９' | 'Ａ'..='Ｚ' | 'ａ'..='ｚ' => Class::Folded(half_width(character)),
        '\u{AD}' | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' => Class::Removed,
        '\u{2060}'..='\u{206F}' | '\u{FEFF}' => Class::Removed,
        _ if character.is_whitespace() => Class::Blank,
        _ if character.is_control() => Class::Removed,
        _ => Class::Plain,
    }
}

/// The ASCII character of a full-width form; in Unicode, their distance is constant.
fn half_width(character: char) -> char {
    char::from_u32(u32::from(character) - 0xFEE0).unwrap_or(character)
}

/// Writes text with single blanks, trimmed lines and at most one blank line in a row.
///
/// Blanks and line breaks are counted, and written only when text follows, so that the text ends with
/// neither.
struct LineWriter<'a> {
    out: &'a mut String,
    breaks: usize,
    blank: Option<char>,
}

impl LineWriter<'_> {
    fn push_str(&mut self, text: &str) {
        if text.is_empty() {
            return;
        }
        let separator = match (self.breaks, self.blank) {
            // Blanks and breaks at the start of the text are trimmed.
            _ if self.out.is_empty() => "",
            (0, None) => "",
            (0, Some('\t')) => "\t",
            (0, Some(_)) => " ",
            (1, _) => "\n",
            (_, _) => "\n\n",
        };
        self.out.push_str(separator);
        self.out.push_str(text);
        (self.breaks, self.blank) = (0, None);
    }

    fn push_blank(&mut self, blank: char) {
        // A tab anywhere in a run makes the run a tab.
        if self.blank != Some('\t') {
            self.blank = Some(blank);
        }
    }

    fn push_break(&mut self) {
        self.breaks += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn normalized(text: &str) -> String {
        let mut out = String::new();
        if normalize(text, &mut out) { out } else { text.to_owned() }
    }

    #[test]
    fn each_rule_is_applied() {
        let cases = [
            ("中国ＡＢｃ１２３", "中国ABc123"),
            ("　　新华社北京１月１日电　记者", "新华社北京1月1日电 记者"),
            ("，。？！《》“”：；…①", "，。？！《》“”：；…①"),
            ("e\u{301}te\u{301}", "été"),
            ("e\u{200B}\u{301}", "é"),
            ("Ａ\u{300}", "À"),
            ("a\u{FEFF}b\u{0}c\u{AD}d", "abcd"),
            ("  a \u{A0}  b\tc \t d  ", "a b\tc\td"),
            ("a \r\n b\rc\n\n\n\n　d\n", "a\nb\nc\n\nd"),
            ("\u{2126}\u{2000}x", "Ω x"),
            ("", ""),
            (" \n\t　", ""),
        ];
        for (input, expected) in cases {
            assert_eq!(normalized(input), expected, "{input:?}");
        }
    }

    #[test]
    fn clean_text_is_reported_as_unchanged() {
        assert!(!normalize("央行：1月CPI上涨 2.1%\n\n第二段", &mut String::new()));
    }

    proptest! {
        #[test]
        fn idempotent_on_any_text(text in "\\PC*|[\\s\\S]{0,60}") {
            let once = normalized(&text);
            prop_assert_eq!(normalized(&once), once.clone());
            prop_assert_eq!(once.trim(), once.as_str());
        }

        #[test]
        fn idempotent_on_what_it_changes(text in "[aＡ１é\u{300}\u{301}\u{1100}\u{1161}\u{11A8} \t\r\n\u{3000}\u{200B}\u{FEFF}\u{2000}\u{85}\u{2126}中]{0,40}") {
            let once = normalized(&text);
            prop_assert_eq!(normalized(&once), once);
        }
    }
}
