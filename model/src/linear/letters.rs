//! N-grams of the letters of words, for scripts with spaces between words.

use super::features::MAX_CHARACTERS;
use super::key::{Keys, Kind};
use super::prepare::lower_case;

/// Fewest letters of an n-gram. Shorter ones say little and are most of all.
pub(super) const SHORTEST: usize = 3;

/// Calls `use_key` with the key of each n-gram of 3 to `longest` letters, which is at most [`MAX_CHARACTERS`], inside the
/// words of `text`, in the order of their ends. Words are runs of letters and digits, in lower case, with a space before and
/// after each, so that an n-gram tells whether it begins or ends a word.
pub(super) fn visit(text: &str, longest: usize, mut use_key: impl FnMut(u64)) {
    let text = lower_case(text);
    let mut keys = Keys::new(Kind::Letters);
    let mut word = String::new();
    for run in text.split(|character: char| !character.is_alphanumeric()).filter(|run| !run.is_empty()) {
        word.clear();
        word.extend([" ", run, " "]);
        visit_word(&word, longest, |gram| use_key(keys.key(gram)));
    }
}

fn visit_word(word: &str, longest: usize, mut use_gram: impl FnMut(&str)) {
    // Where the latest characters start; the character at `position` is in the place `position % MAX_CHARACTERS`.
    let mut starts = [0; MAX_CHARACTERS];
    for (position, (start, character)) in word.char_indices().enumerate() {
        starts[position % MAX_CHARACTERS] = start;
        let end = start + character.len_utf8();
        for length in SHORTEST..=longest.min(position + 1) {
            use_gram(&word[starts[(position + 1 - length) % MAX_CHARACTERS]..end]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(text: &str, longest: usize) -> Vec<u64> {
        let mut keys = Vec::new();
        visit(text, longest, |key| keys.push(key));
        keys
    }

    fn named(grams: &[&str]) -> Vec<u64> {
        let mut names = Keys::new(Kind::Letters);
        grams.iter().map(|gram| names.key(gram)).collect()
    }

    #[test]
    fn n_grams_stay_inside_their_word() {
        assert_eq!(keys("Oil, a €", 4), named(&[" oi", "oil", " oil", "il ", "oil ", " a "]));
        assert_eq!(keys("нефть", 3), named(&[" не", "неф", "ефт", "фть", "ть "]));
        assert!(keys("oil", 2).is_empty());
        assert!(keys(" ,.!", 4).is_empty());
    }

    #[test]
    fn a_long_word_has_all_its_n_grams() {
        let word = "a".repeat(100);
        assert_eq!(keys(&word, 8).len(), (3..=8).map(|length| 102 - length + 1).sum::<usize>());
    }
}
