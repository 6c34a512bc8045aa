//! Chinese, Japanese or Korean.

use std::sync::LazyLock;

use super::scripts::{Script, ScriptCounts};

/// Text is Japanese if it has more than one kana per this many Han characters. Chinese text has hardly any.
const HAN_PER_KANA: usize = 12;

/// Text with more Han characters than this and no kana at all is not Japanese.
const LONGEST_WITHOUT_KANA: usize = 100;

/// Han characters in the form that only Japan uses: neither the simplified nor the traditional Chinese form, and
/// no usual variant of it. Forms that are also Chinese, such as 学, 国 and 画, are left out.
const JAPANESE_FORMS: &str = "\
    気駅県図売読込働広沢発変験権検険総対関実応団伝仏価労営塩歩渋辺桜栄様転軽鉄録闘雑頼騒髪齢歯斎悪圧囲円覚楽観帰\
    拠挙経継済児従焼乗戦単弾遅庁聴続訳薬覧猟払拡渓縄繊脳臓蔵焔醸釈駆駐黙";

/// The language of a text of which most letters are East Asian.
pub(super) fn language(text: &str, counts: &ScriptCounts) -> &'static str {
    let (han, kana) = (counts.letters(Script::Han), counts.letters(Script::Kana));
    if counts.letters(Script::Hangul) > han + kana {
        "ko"
    } else if (kana + hidden_kana(text, counts)) * HAN_PER_KANA > han {
        "ja"
    } else {
        "zh"
    }
}

/// What counts as kana beside Japanese forms of Han characters: の, if there is one such form; the forms
/// themselves, if there are two. One alone may be a name in a Chinese headline.
fn hidden_kana(text: &str, counts: &ScriptCounts) -> usize {
    let no = counts.letters(Script::No);
    if no == 0 && counts.letters(Script::Han) > LONGEST_WITHOUT_KANA {
        return 0;
    }
    match text.chars().filter(|character| is_japanese_form(*character)).count() {
        0 => 0,
        1 => no,
        forms => no + forms,
    }
}

/// A bit for each character of the first block of Han, U+4E00 to U+9FFF, that is a Japanese form.
static JAPANESE_FORM_BITS: LazyLock<[u64; 0x5200 / 64]> = LazyLock::new(|| {
    let mut bits = [0; 0x5200 / 64];
    for character in JAPANESE_FORMS.chars() {
        if let Some(word) =
            (character as usize).checked_sub(FIRST_HAN).and_then(|place| bits.get_mut(place / 64))
        {
            *word |= 1 << (character as usize % 64);
        }
    }
    bits
});

/// The first character of that block, a multiple of 64.
const FIRST_HAN: usize = 0x4E00;

fn is_japanese_form(character: char) -> bool {
    let place = (character as usize).wrapping_sub(FIRST_HAN);
    JAPANESE_FORM_BITS.get(place / 64).is_some_and(|word| word >> (character as usize % 64) & 1 == 1)
}
