//! `strip_punctuation`: text without punctuation and symbols, the classic step before words are counted.
//!
//! Punctuation and symbols are the general categories P and S of Unicode, so this holds for Chinese and English alike, and
//! for emoji, currency signs and arrows too. Letters, digits, marks and white space stay.
//!
//! - A run of punctuation becomes one space, in Chinese too: the words beside it must not join, as in `end.Start` or in
//!   `发展中，国家`. White space beside it is part of the run: a line break stays a line break (two for a blank line) and a
//!   tab stays a tab. At the start and the end of the text it leaves nothing.
//! - Within a word or a number, some punctuation is part of the spelling and stays. A word is one in letters of an alphabet,
//!   not Chinese, Japanese or Korean:
//!   - an apostrophe before a letter: `don't`, `O’Neill`, `1980's`;
//!   - a hyphen between letters, or a letter and a digit: `well-known`, `COVID-19`. Between digits it is a range, a score or
//!     a date, and goes: `2-1` becomes `2 1`;
//!   - an ampersand between letters: `AT&T`, `R&D`;
//!   - a full stop or comma between digits: `3.14`, `10,000`.
//! - Full stops between single letters go without a space, so that an abbreviation stays one word: `U.S.` becomes `US`.
//!
//! Signs of numbers (`-5`), percent and currency signs go like any other, and addresses fall into their parts. This does
//! not change case and does not remove stop words.

use icu_properties::props::{GeneralCategory, GeneralCategoryGroup};

use crate::properties::{category, is_ignorable};

/// Removes punctuation and symbols from `text`; returns whether there were any.
///
/// [The crate's documentation](crate) describes the buffer `out`.
pub fn strip_punctuation(text: &str, out: &mut String) -> bool {
    let mut copied = 0;
    while let Some((place, fate)) = next_removed(text, copied) {
        let start = match fate {
            Fate::Joins => place.at,
            _ => copied + text[copied..place.at].trim_end().len(),
        };
        out.push_str(&text[copied..start]);
        copied = if fate == Fate::Joins { place.end() } else { gap_end(text, place.at) };
        if fate == Fate::Separates && !out.is_empty() && copied < text.len() {
            out.push_str(separator(&text[start..copied]));
        }
    }
    out.push_str(&text[copied..]);
    copied > 0
}

/// What happens to a character.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Stays,
    /// It is removed, and the characters beside it stay apart.
    Separates,
    /// It is removed, and the characters beside it join.
    Joins,
}

/// A character of a text.
#[derive(Clone, Copy)]
struct Place<'a> {
    text: &'a str,
    at: usize,
    character: char,
}

impl<'a> Place<'a> {
    fn end(self) -> usize {
        self.at + self.character.len_utf8()
    }

    fn before(self) -> Option<Self> {
        let (at, character) = self.text[..self.at].char_indices().next_back()?;
        Some(Place { at, character, ..self })
    }

    fn after(self) -> Option<Self> {
        let character = self.text[self.end()..].chars().next()?;
        Some(Place { at: self.end(), character, ..self })
    }

    /// The character before this one and its marks.
    fn base(self) -> Option<Self> {
        let mut place = self.before()?;
        while is_mark(place.character) {
            place = place.before()?;
        }
        Some(place)
    }

    fn fate(self) -> Fate {
        if !is_removable(self.character) || self.is_spelling() {
            Fate::Stays
        } else if self.is_in_abbreviation() {
            Fate::Joins
        } else {
            Fate::Separates
        }
    }

    /// Whether this is punctuation within a word or a number.
    fn is_spelling(self) -> bool {
        let kind = |place: Option<Self>| place.map_or(Kind::Other, |place| Kind::of(place.character));
        let beside = (kind(self.base()), kind(self.after()));
        match self.character {
            '\'' | '’' => matches!(beside, (Kind::Letter | Kind::Digit, Kind::Letter)),
            '-' | '\u{2010}' | '\u{2011}' => {
                matches!(beside, (Kind::Letter, Kind::Letter | Kind::Digit) | (Kind::Digit, Kind::Letter))
            }
            '&' | '＆' => beside == (Kind::Letter, Kind::Letter),
            '.' | ',' | '．' => beside == (Kind::Digit, Kind::Digit),
            _ => false,
        }
    }

    /// Whether this is a full stop between two letters that stand alone.
    fn is_in_abbreviation(self) -> bool {
        let is_letter = |place: Self| Kind::of(place.character) == Kind::Letter;
        let stands_alone = |next: Option<Self>| {
            next.is_none_or(|next| Kind::of(next.character) == Kind::Other && !next.is_spelling())
        };
        self.character == '.'
            && self.base().is_some_and(|place| is_letter(place) && stands_alone(place.before()))
            && self.after().is_some_and(|place| is_letter(place) && stands_alone(place.after()))
    }
}

/// What a character is to a word.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A letter of an alphabet.
    Letter,
    Digit,
    Other,
}

impl Kind {
    fn of(character: char) -> Self {
        match category(character) {
            _ if character.is_ascii_alphabetic() => Kind::Letter,
            GeneralCategory::DecimalNumber => Kind::Digit,
            _ if is_east_asian(character) => Kind::Other,
            letter if GeneralCategoryGroup::Letter.contains(letter) => Kind::Letter,
            _ => Kind::Other,
        }
    }
}

/// Whether the character is Han, kana, Hangul or the like, in which words do not end at every character that is no letter.
fn is_east_asian(character: char) -> bool {
    matches!(character,
        '\u{1100}'..='\u{11FF}' | '\u{2E80}'..='\u{A4CF}' | '\u{A960}'..='\u{A97F}' | '\u{AC00}'..='\u{D7FF}'
        | '\u{F900}'..='\u{FAFF}' | '\u{FF65}'..='\u{FFDC}' | '\u{16FE0}'..='\u{1B2FF}' | '\u{20000}'..='\u{3FFFF}')
}

/// Whether the character is punctuation or a symbol.
fn is_removable(character: char) -> bool {
    match character {
        '\0'..='~' => character.is_ascii_punctuation(),
        // The ideographs, which need no table.
        '\u{3400}'..='\u{4DBF}' | '\u{4E00}'..='\u{9FFF}' => false,
        _ => {
            let category = category(character);
            GeneralCategoryGroup::Punctuation.contains(category)
                || GeneralCategoryGroup::Symbol.contains(category)
        }
    }
}

/// The first character of `text` at or after the place `from` that does not stay.
fn next_removed(text: &str, from: usize) -> Option<(Place<'_>, Fate)> {
    text[from..].char_indices().find_map(|(offset, character)| {
        let place = Place { text, at: from + offset, character };
        let fate = place.fate();
        (fate != Fate::Stays).then_some((place, fate))
    })
}

/// The end of the run of punctuation and white space that begins at `start`.
fn gap_end(text: &str, start: usize) -> usize {
    let mut after_removed = false;
    for (offset, character) in text[start..].char_indices() {
        let place = Place { text, at: start + offset, character };
        if place.fate() != Fate::Stays {
            after_removed = true;
        } else if character.is_whitespace() {
            after_removed = false;
        } else if !(after_removed && extends(character)) {
            return place.at;
        }
    }
    text.len()
}

/// Whether the character belongs to the symbol before it: the joiners and selectors of emoji, and marks.
fn extends(character: char) -> bool {
    is_ignorable(character) || is_mark(character)
}

fn is_mark(character: char) -> bool {
    GeneralCategoryGroup::Mark.contains(category(character))
}

/// What a run of punctuation and white space becomes.
fn separator(gap: &str) -> &'static str {
    match gap.matches('\n').count() {
        0 if gap.contains('\t') => "\t",
        0 => " ",
        1 => "\n",
        _ => "\n\n",
    }
}

#[cfg(test)]
mod tests;
