//! The words and letters of [`words`](super::words), made for look-up.

use std::sync::LazyLock;

use super::words::{ALSO_ENGLISH, LETTERS, WORDS};

/// The place of English among the languages.
pub(super) const ENGLISH: usize = 0;

/// A set of languages: bit `i` stands for `WORDS[i]`.
pub(super) type Languages = u32;

/// English and no other language.
pub(super) const ENGLISH_ALONE: Languages = 1 << ENGLISH;

/// Words of more bytes are not looked up, so that a word fits into one integer.
const LONGEST_WORD: u32 = 8;

/// The number of slots for words is a power of two, about four times the number of words.
const SLOT_BITS: u32 = 12;
const SLOTS: usize = 1 << SLOT_BITS;

/// Letters up to U+0259, the last one in the table.
const LETTER_SLOTS: usize = 0x25A;

/// A hash table of words with linear probing, and a table of letters.
pub(super) struct Lexicon {
    /// The words. A free slot has the key 0. They lie apart from the languages, because most words of a text are not
    /// in the table, and the search for them then touches less memory.
    keys: [u64; SLOTS],
    languages: [Languages; SLOTS],
    /// By the number of the character.
    letters: [Languages; LETTER_SLOTS],
    vietnamese: Languages,
}

/// The one lexicon, made at its first use.
pub(super) static LEXICON: LazyLock<Lexicon> = LazyLock::new(Lexicon::new);

/// The code of the language at a place.
pub(super) fn code(language: usize) -> &'static str {
    WORDS[language].0
}

impl Lexicon {
    fn new() -> Self {
        let mut lexicon = Lexicon {
            keys: [0; SLOTS],
            languages: [0; SLOTS],
            letters: [0; LETTER_SLOTS],
            vietnamese: languages_of("vi"),
        };
        for (place, (_, words)) in WORDS.iter().enumerate() {
            lexicon.add_words(words, 1 << place);
        }
        lexicon.add_words(ALSO_ENGLISH, ENGLISH_ALONE);
        for (letters, codes) in LETTERS {
            lexicon.add_letters(letters, languages_of(codes));
        }
        lexicon
    }

    fn add_words(&mut self, words: &str, languages: Languages) {
        for word in words.split_ascii_whitespace() {
            let mut key = Key::default();
            word.bytes().for_each(|byte| key.push(byte));
            if let Some(key) = key.value() {
                let slot = self.slot(key);
                self.keys[slot] = key;
                self.languages[slot] |= languages;
            }
        }
    }

    fn add_letters(&mut self, letters: &str, languages: Languages) {
        for letter in letters.chars() {
            if let Some(known) = self.letters.get_mut(letter as usize) {
                *known |= languages;
            }
        }
    }

    /// The slot of a word, or the free one that it would take.
    fn slot(&self, key: u64) -> usize {
        // Fibonacci hashing: the high bits of the product depend on all bits of the key.
        let mut slot = (key.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> (u64::BITS - SLOT_BITS)) as usize;
        while self.keys[slot] != 0 && self.keys[slot] != key {
            slot = (slot + 1) % SLOTS;
        }
        slot
    }

    /// The languages that have a word.
    pub(super) fn languages_of_word(&self, word: &Key) -> Languages {
        word.value().map_or(0, |key| self.languages[self.slot(key)])
    }

    /// The languages that a letter is typical of.
    pub(super) fn languages_of_letter(&self, letter: char) -> Languages {
        match letter {
            // Letters with two marks, which only Vietnamese has.
            '\u{1EA0}'..='\u{1EF9}' => self.vietnamese,
            _ => self.letters.get(letter as usize).copied().unwrap_or(0),
        }
    }
}

fn languages_of(codes: &str) -> Languages {
    let has = |code: &str| codes.split(' ').any(|one| one == code);
    WORDS.iter().enumerate().filter(|(_, (code, _))| has(code)).map(|(place, _)| 1 << place).sum()
}

/// The bytes of a word as one integer.
#[derive(Default)]
pub(super) struct Key {
    bytes: u64,
    length: u32,
}

impl Key {
    pub(super) fn push(&mut self, byte: u8) {
        self.bytes = (self.bytes << 8) | u64::from(byte);
        self.length = self.length.saturating_add(1);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.length == 0
    }

    fn value(&self) -> Option<u64> {
        (1..=LONGEST_WORD).contains(&self.length).then_some(self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words() -> impl Iterator<Item = &'static str> {
        WORDS.iter().flat_map(|(_, words)| words.split_ascii_whitespace())
    }

    #[test]
    fn words_fit_into_the_table() {
        assert!(words().all(|word| word.len() <= LONGEST_WORD as usize && word == word.to_lowercase()));
        let taken = LEXICON.keys.iter().filter(|key| **key != 0).count();
        println!("{taken} words");
        assert!(taken * 2 < SLOTS, "{taken}");
    }

    #[test]
    fn what_is_also_english_belongs_to_another_language() {
        for word in ALSO_ENGLISH.split_ascii_whitespace() {
            assert!(words().any(|other| other == word), "{word}");
        }
    }

    #[test]
    fn languages_of_letters_are_in_the_table_of_words() {
        for (letters, codes) in LETTERS {
            let known = |code: &str| WORDS.iter().any(|(other, _)| *other == code);
            assert!(codes.split(' ').all(known), "{letters}: {codes}");
        }
    }
}
