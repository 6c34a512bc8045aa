//! What the words and letters of a text say about its language, if its letters are Latin.
//!
//! A word may belong to several languages; it then counts for each of them. Names must not decide: `de`, `la`, `van`
//! and `ł` stand in the names of English headlines. A word or letter of another language than English therefore
//! counts only in a word that begins with a small letter.

use super::lexicon::{ENGLISH, ENGLISH_ALONE, Key, LEXICON, Languages, Lexicon};
use super::scripts::is_latin;
use super::words::WORDS;

/// What the words and letters of a text say about its language.
#[derive(Default)]
pub(super) struct Evidence {
    /// The number of words and letters that each language has.
    scores: [usize; WORDS.len()],
    /// The number of letters beyond ASCII in words that begin with a small letter.
    pub(super) accents: usize,
}

impl Evidence {
    pub(super) fn of(text: &str) -> Self {
        let lexicon: &Lexicon = &LEXICON;
        let mut evidence = Evidence::default();
        let mut word = Word::default();
        for character in text.chars() {
            match character {
                'a'..='z' => word.key.push(character as u8),
                'A'..='Z' => word.push_capital(character),
                _ if is_latin(character) => evidence.read_accented(character, &mut word, lexicon),
                _ => evidence.end_word(&mut word, lexicon),
            }
        }
        evidence.end_word(&mut word, lexicon);
        evidence
    }

    fn read_accented(&mut self, letter: char, word: &mut Word, lexicon: &Lexicon) {
        word.is_capital |= word.key.is_empty() && letter.is_uppercase();
        let small = letter.to_lowercase().next().unwrap_or(letter);
        small.encode_utf8(&mut [0; 4]).bytes().for_each(|byte| word.key.push(byte));
        if !word.is_capital {
            self.accents += 1;
            self.add(lexicon.languages_of_letter(small));
        }
    }

    fn end_word(&mut self, word: &mut Word, lexicon: &Lexicon) {
        let word = std::mem::take(word);
        let languages = lexicon.languages_of_word(&word.key);
        if !word.is_capital || languages == ENGLISH_ALONE {
            self.add(languages);
        }
    }

    fn add(&mut self, mut languages: Languages) {
        while languages != 0 {
            self.scores[languages.trailing_zeros() as usize] += 1;
            languages &= languages - 1;
        }
    }

    pub(super) fn english(&self) -> usize {
        self.scores[ENGLISH]
    }

    /// The place and the score of the likeliest language but English; the first of several that are as likely.
    pub(super) fn strongest_foreign(&self) -> (usize, usize) {
        let mut strongest = (ENGLISH, 0);
        for (place, score) in self.scores.iter().enumerate().skip(ENGLISH + 1) {
            if *score > strongest.1 {
                strongest = (place, *score);
            }
        }
        strongest
    }
}

/// The word that is being read.
#[derive(Default)]
struct Word {
    key: Key,
    is_capital: bool,
}

impl Word {
    fn push_capital(&mut self, letter: char) {
        self.is_capital |= self.key.is_empty();
        self.key.push(letter.to_ascii_lowercase() as u8);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_words_count_only_in_small_letters() {
        let score = |text: &str| Evidence::of(text).strongest_foreign().1;
        assert_eq!(score("la vida de las personas que"), 4);
        assert_eq!(score("La Vida De Las Personas Que"), 0);
        assert_eq!(Evidence::of("The Lords And Us").english(), 3);
    }
}
