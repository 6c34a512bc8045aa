//! `is_blank`: whether a text shows nothing.
//!
//! A list of invisible characters is never complete, so this is decided by properties. The one character that none of
//! them covers is the Braille pattern without dots.

use icu_properties::props::GeneralCategory;

use crate::properties::{category, is_ignorable};

/// U+2800, which is a symbol to Unicode but has no ink.
const BRAILLE_BLANK: char = '\u{2800}';

/// Whether `text` shows nothing: it is empty, or consists of white space, controls, format characters, ignorable
/// characters and blank Braille patterns.
///
/// A replacement character (U+FFFD) is visible, so a text that consists of these is not blank.
pub fn is_blank(text: &str) -> bool {
    text.chars().all(is_blank_character)
}

/// Whether `character` shows nothing, as all those of a text for which [`is_blank`] holds.
pub fn is_blank_character(character: char) -> bool {
    // Most texts begin with such a character, for which no table is needed.
    if character.is_ascii_graphic() {
        return false;
    }
    character.is_whitespace()
        || character == BRAILLE_BLANK
        || matches!(category(character), GeneralCategory::Control | GeneralCategory::Format)
        || is_ignorable(character)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn text_without_a_visible_character_is_blank() {
        let texts = [
            "",
            " \t\r\n",
            "\u{A0}\u{3000}\u{2003}\u{202F}\u{1680}\u{2028}\u{85}",
            "\u{0}\u{7}\u{1B}\u{9F}",
            "\u{AD}\u{200B}\u{200D}\u{200E}\u{2060}\u{FEFF}\u{61C}",
            "\u{3164}\u{115F}\u{1160}\u{FFA0}\u{34F}\u{180E}",
            "\u{FE00}\u{FE0F}\u{E0100}\u{E01EF}\u{180B}",
            "\u{E0001}\u{E0020}\u{E007F}",
            "\u{FFF9}\u{FFFA}\u{FFFB}",
            "\u{2800}\u{2800}",
        ];
        for text in texts {
            assert!(is_blank(text), "{text:?}");
        }
    }

    #[test]
    fn one_visible_character_is_enough() {
        for visible in ["a", "0", "中", "。", "-", "☺", "\u{FFFD}", "\u{FFFC}", "\u{301}", "\u{E000}", "ﾠa"]
        {
            assert!(!is_blank(&format!("\u{200B} {visible}\n")), "{visible:?}");
        }
    }

    proptest! {
        #[test]
        fn a_text_is_blank_if_its_parts_are(one in "[ \u{200B}\u{3164}a中]{0,3}", two in "[\t\u{FE0F}\u{2800}.]{0,3}") {
            prop_assert_eq!(is_blank(&format!("{one}{two}")), is_blank(&one) && is_blank(&two));
        }
    }
}
