//! N-grams of characters.

use super::features::{CharacterScope, MAX_CHARACTERS};
use super::key::{Keys, Kind};
use super::prepare::lower_case;
use crate::tokenize::words::is_unspaced;

/// Calls `use_key` with the key of each n-gram of 1 to `longest` characters of `text` that `scope` admits, in the
/// order of their ends. They are in lower case, with one space for each run of white space. `longest` is at most
/// [`MAX_CHARACTERS`].
pub(super) fn visit(text: &str, longest: usize, scope: CharacterScope, use_key: impl FnMut(u64)) {
    if scope == CharacterScope::All || text.chars().any(is_unspaced) {
        visit_grams(&lower_case(text), longest, scope == CharacterScope::Unspaced, use_key);
    }
}

fn visit_grams(text: &str, longest: usize, only_unspaced: bool, mut use_key: impl FnMut(u64)) {
    let mut keys = Keys::new(Kind::Characters);
    // Where the latest characters start; the character at `position` is in the place `position % MAX_CHARACTERS`.
    let mut starts = [0; MAX_CHARACTERS];
    // The first position from which on all characters up to now are admitted.
    let mut first = 0;
    for (position, (start, character)) in text.char_indices().enumerate() {
        if only_unspaced && !is_unspaced(character) {
            first = position + 1;
        }
        starts[position % MAX_CHARACTERS] = start;
        let end = start + character.len_utf8();
        for length in 1..=longest.min(position + 1 - first) {
            use_key(keys.key(&text[starts[(position + 1 - length) % MAX_CHARACTERS]..end]));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(text: &str, longest: usize, scope: CharacterScope) -> Vec<u64> {
        let mut keys = Vec::new();
        visit(text, longest, scope, |key| keys.push(key));
        keys
    }

    fn named(grams: &[&str]) -> Vec<u64> {
        let mut names = Keys::new(Kind::Characters);
        grams.iter().map(|gram| names.key(gram)).collect()
    }

    #[test]
    fn scopes_admit_these_n_grams() {
        let text = "央行  A年";
        let spaced = named(&["央", "行", "央行", " ", "行 ", "a", " a", "年", "a年"]);
        for (scope, expected) in [
            (CharacterScope::Unspaced, named(&["央", "行", "央行", "年"])),
            (CharacterScope::UnspacedTexts, spaced.clone()),
            (CharacterScope::All, spaced),
        ] {
            assert_eq!(keys(text, 2, scope), expected, "{scope:?}");
            assert!(keys(text, 0, scope).is_empty());
        }
        assert_eq!(keys(text, 8, CharacterScope::All).len(), 5 + 4 + 3 + 2 + 1);
    }

    #[test]
    fn every_script_without_spaces_has_n_grams_and_no_other() {
        for (text, grams) in [("ニュース", 9), ("ข่าว", 9), ("뉴스", 3), ("news", 0), ("новости", 0)]
        {
            assert_eq!(keys(text, 3, CharacterScope::UnspacedTexts).len(), grams, "{text}");
            assert_eq!(keys(text, 3, CharacterScope::Unspaced).len(), grams, "{text}");
        }
    }
}
