//! N-grams of segmented words.

use std::collections::VecDeque;

use fenliu_text::Segmenter;

use super::key::{Keys, Kind};
use crate::tokenize::words::{for_each_word, lowercase, pieces};

/// The segmenter gets at most this many bytes at once, so that its memory stays bounded on a text without breaks.
/// Words at the ends of such a piece may be cut in another way.
const LONGEST_PIECE_BYTES: usize = 1 << 16;

/// Calls `use_key` with the key of each n-gram of 1 to `longest` words of `text`, in lower case, in the order of
/// their ends. With `only_words`, what has neither a letter nor a digit is passed over.
pub(super) fn visit(
    text: &str,
    longest: usize,
    only_words: bool,
    segmenter: &Segmenter,
    mut use_key: impl FnMut(u64),
) {
    let mut latest = Latest::new(longest);
    for piece in pieces(text).flat_map(bounded) {
        for_each_word(segmenter, piece, |word| {
            if !only_words || word.chars().any(char::is_alphanumeric) {
                latest.push(&lowercase(word), &mut use_key);
            }
        });
    }
}

/// The n-grams that end at the latest word.
struct Latest {
    /// The words, with a space after each.
    text: String,
    /// Lengths of the words in bytes, spaces included; at most `longest`.
    lengths: VecDeque<usize>,
    longest: usize,
    keys: Keys,
}

impl Latest {
    fn new(longest: usize) -> Self {
        Self { text: String::new(), lengths: VecDeque::new(), longest, keys: Keys::new(Kind::Words) }
    }

    fn push(&mut self, word: &str, mut use_key: impl FnMut(u64)) {
        if self.lengths.len() == self.longest {
            let forgotten = self.lengths.pop_front().unwrap_or(0);
            self.text.drain(..forgotten);
        }
        self.text.push_str(word);
        self.text.push(' ');
        self.lengths.push_back(word.len() + 1);
        let end = self.text.len() - 1;
        let mut start = self.text.len();
        for length in self.lengths.iter().rev() {
            start -= length;
            use_key(self.keys.key(&self.text[start..end]));
        }
    }
}

/// `piece` in parts of at most [`LONGEST_PIECE_BYTES`].
fn bounded(piece: &str) -> impl Iterator<Item = &str> {
    let mut rest = piece;
    std::iter::from_fn(move || {
        let (part, tail) = rest.split_at(rest.floor_char_boundary(LONGEST_PIECE_BYTES));
        rest = tail;
        (!part.is_empty()).then_some(part)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(text: &str, longest: usize, only_words: bool) -> Vec<u64> {
        let mut keys = Vec::new();
        visit(text, longest, only_words, &Segmenter::default(), |key| keys.push(key));
        keys
    }

    fn named(grams: &[&str]) -> Vec<u64> {
        let mut names = Keys::new(Kind::Words);
        grams.iter().map(|gram| names.key(gram)).collect()
    }

    #[test]
    fn n_grams_are_of_adjacent_words_in_lower_case() {
        let expected = ["央行", "宣布", "央行 宣布", "gdp", "宣布 gdp"];
        assert_eq!(keys("央行宣布 GDP", 2, true), named(&expected));
        assert_eq!(keys("央行宣布 GDP", 1, true), named(&["央行", "宣布", "gdp"]));
        assert!(keys("", 2, true).is_empty());
    }

    #[test]
    fn punctuation_is_a_word_where_it_is_wanted() {
        assert_eq!(keys("a, b", 2, false), named(&["a", ",", "a ,", "b", ", b"]));
        assert_eq!(keys("a, b", 2, true), named(&["a", "b", "a b"]));
    }

    #[test]
    fn n_grams_cross_the_pieces_of_a_long_text() {
        let text = "stock market ".repeat(20_000);
        let mut keys = keys(&text, 2, true);
        keys.sort_unstable();
        keys.dedup();
        let mut expected = named(&["stock", "market", "stock market", "market stock"]);
        expected.sort_unstable();
        assert_eq!(keys, expected);
    }

    #[test]
    fn a_text_without_breaks_is_cut_into_parts() {
        let text = "银".repeat(50_000);
        let parts: Vec<&str> = bounded(&text).collect();
        assert!(parts.iter().all(|part| part.len() <= LONGEST_PIECE_BYTES));
        assert_eq!(parts.concat(), text);
    }
}
