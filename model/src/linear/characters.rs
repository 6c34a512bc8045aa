//! N-grams of characters.

use super::features::{CharacterScope, MAX_CHARACTERS};
use super::key::{Keys, Kind};
use crate::tokenize::words::is_unspaced;

/// Calls `use_key` with the key of each n-gram of 1 to `longest` characters of `text` that `scope` admits, in the
/// order of their ends. `longest` is at most [`MAX_CHARACTERS`].
pub(super) fn visit(text: &str, longest: usize, scope: CharacterScope, mut use_key: impl FnMut(u64)) {
    let mut keys = Keys::new(Kind::Characters);
    // Where the latest characters start; the character at `position` is in the place `position % MAX_CHARACTERS`.
    let mut starts = [0; MAX_CHARACTERS];
    // A bit for each of the latest characters, the latest lowest: whether it is of an unspaced script.
    let mut unspaced = 0_u32;
    for (position, (start, character)) in text.char_indices().enumerate() {
        starts[position % MAX_CHARACTERS] = start;
        unspaced = unspaced << 1 | u32::from(is_unspaced(character));
        let end = start + character.len_utf8();
        for length in 1..=longest.min(position + 1) {
            if admits(scope, length, unspaced) {
                use_key(keys.key(&text[starts[(position + 1 - length) % MAX_CHARACTERS]..end]));
            }
        }
    }
}

/// Whether `scope` admits the n-gram of the latest `length` characters.
fn admits(scope: CharacterScope, length: usize, unspaced: u32) -> bool {
    let of_gram = (1 << length) - 1;
    match scope {
        CharacterScope::Unspaced => unspaced & of_gram == of_gram,
        CharacterScope::Touching => unspaced & of_gram != 0,
        CharacterScope::All => true,
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

    #[test]
    fn scopes_admit_these_n_grams() {
        let text = "央行 5年";
        for (scope, expected) in [
            (CharacterScope::Unspaced, vec!["央", "行", "央行", "年"]),
            (CharacterScope::Touching, vec!["央", "行", "央行", "行 ", "央行 ", "行 5", "年", "5年", " 5年"]),
        ] {
            let mut names = Keys::new(Kind::Characters);
            let expected: Vec<u64> = expected.into_iter().map(|gram| names.key(gram)).collect();
            assert_eq!(keys(text, 3, scope), expected, "{scope:?}");
        }
        assert_eq!(keys(text, 3, CharacterScope::All).len(), 5 + 4 + 3);
        assert_eq!(keys(text, 0, CharacterScope::All), []);
    }

    #[test]
    fn every_script_without_spaces_has_n_grams_and_no_other() {
        for (text, grams) in [("ニュース", 9), ("ข่าว", 9), ("뉴스", 3), ("news", 0), ("новости", 0)] {
            assert_eq!(keys(text, 3, CharacterScope::Unspaced).len(), grams, "{text}");
        }
    }
}
