//! `to_simplified`: traditional Chinese to simplified, by the dictionaries of OpenCC.
//!
//! Conversion damages text that is already simplified: 乾 must be kept in the name 乾安县, but becomes 干
//! elsewhere. A text is therefore converted only if it is traditional, that is, if it has more characters
//! that only traditional text uses than characters that only simplified text uses. [`Evidence`] derives both
//! sets from the converter and the national character sets.
//!
//! Conversion is idempotent: a converted text has no traditional-only character left.

use std::sync::LazyLock;

use encoding_rs::{BIG5, Encoding, GBK};
use ferrous_opencc::OpenCC;
use ferrous_opencc::config::BuiltinConfig;

/// Names with a character that OpenCC would change and that must be kept (nk2028/opencc-js issue 24).
const KEPT: &[&str] = &["乾安", "乾縣", "乾县", "乾州"];

/// Converts traditional Chinese in `text` to simplified; returns whether that changed it.
///
/// [The crate's documentation](crate) describes the buffer `out`.
pub fn to_simplified(text: &str, out: &mut String) -> bool {
    if text.is_ascii() || !EVIDENCE.is_traditional(text) {
        return false;
    }
    convert_except(KEPT, text, out);
    out != text
}

/// Appends `text` to `out`, converted except for the words in `kept`.
fn convert_except(kept: &[&str], text: &str, out: &mut String) {
    let Some((word, others)) = kept.split_first() else {
        out.push_str(&convert(text));
        return;
    };
    for (index, part) in text.split(word).enumerate() {
        if index > 0 {
            // The names are kept, but 縣 in them is simplified as everywhere else.
            out.push_str(&word.replace('縣', "县"));
        }
        convert_except(others, part, out);
    }
}

/// Converts a whole text by OpenCC.
///
/// The dictionaries are compiled in, so loading them cannot fail in practice (tests show that they load); if
/// it did, text would stay as it is.
fn convert(text: &str) -> String {
    static CONVERTER: LazyLock<Option<OpenCC>> =
        LazyLock::new(|| OpenCC::from_config(BuiltinConfig::T2s).ok());
    CONVERTER.as_ref().map_or_else(|| text.to_owned(), |converter| converter.convert(text))
}

static EVIDENCE: LazyLock<Evidence> = LazyLock::new(Evidence::new);

/// For each character, whether it is evidence for traditional text or against it.
///
/// - A character is *traditional only* if OpenCC simplifies it and GB/T 2312, the character set of simplified
///   text, lacks it. 乾 and 著 are in GB/T 2312, so they are no evidence.
/// - A character is *simplified only* if it is the simplified form of such a character and Big5, the
///   character set of traditional text, lacks it. 台 and 后 are in Big5.
/// - Kana count against traditional Chinese too: Japanese has its own character forms, which must not be
///   converted.
struct Evidence {
    /// One vote for each character from [`FIRST`](Self::FIRST) on: 1 is traditional, -1 simplified, 0
    /// neither.
    votes: Vec<i8>,
}

impl Evidence {
    /// From the first kana to the last of the CJK unified ideographs.
    const FIRST: char = 'ぁ';
    const LAST: char = '\u{9FFF}';

    fn new() -> Self {
        let mut votes = vec![0; Self::index(Self::LAST) + 1];
        ('ぁ'..='ヺ').for_each(|kana| Self::set(&mut votes, kana, -1));
        let pairs: Vec<(char, char)> = (Self::FIRST..=Self::LAST).filter_map(simplified_form).collect();
        pairs.iter().for_each(|&(traditional, _)| Self::set(&mut votes, traditional, 1));
        // A few characters are both: 苧 is simplified to 苎, and is itself the simplified form of 薴. Big5 has
        // them, so this second pass sets their vote to 0.
        for &(_, simplified) in &pairs {
            Self::set(&mut votes, simplified, if is_in(BIG5, simplified) { 0 } else { -1 });
        }
        Evidence { votes }
    }

    fn index(character: char) -> usize {
        // A character before the first wraps around to an index far beyond the table, for which `get` gives no
        // vote.
        (u32::from(character) as usize).wrapping_sub(u32::from(Self::FIRST) as usize)
    }

    fn set(votes: &mut [i8], character: char, vote: i8) {
        if let Some(slot) = votes.get_mut(Self::index(character)) {
            *slot = vote;
        }
    }

    fn is_traditional(&self, text: &str) -> bool {
        let vote = |character| self.votes.get(Self::index(character)).copied().map_or(0, i64::from);
        text.chars().map(vote).sum::<i64>() > 0
    }
}

/// A traditional-only character and its simplified form; `None` if `traditional` is not one, or if its
/// simplified form is not a single character.
fn simplified_form(traditional: char) -> Option<(char, char)> {
    let converted = convert(traditional.encode_utf8(&mut [0; 4]));
    let mut characters = converted.chars();
    let (simplified, None) = (characters.next()?, characters.next()) else {
        return None;
    };
    (simplified != traditional && !is_in_gb2312(traditional)).then_some((traditional, simplified))
}

fn is_in(charset: &'static Encoding, character: char) -> bool {
    !charset.encode(character.encode_utf8(&mut [0; 4])).2
}

/// GB/T 2312's Chinese characters are the two-byte codes of GBK with lead B0..F7 and trail A1..FE.
fn is_in_gb2312(character: char) -> bool {
    let mut utf8 = [0; 4];
    let (bytes, _, unmappable) = GBK.encode(character.encode_utf8(&mut utf8));
    !unmappable && matches!(bytes.as_ref(), [0xB0..=0xF7, 0xA1..=0xFE])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{json_lines, text_of};
    use proptest::prelude::*;

    fn simplified(text: &str) -> String {
        let mut out = String::new();
        if to_simplified(text, &mut out) { out } else { text.to_owned() }
    }

    #[test]
    fn traditional_text_is_converted_except_for_kept_names() {
        let cases = [
            ("一名猶他爵士隊球員確診新冠病毒之後", "一名犹他爵士队球员确诊新冠病毒之后"),
            ("臺灣的著作權與乾隆皇帝", "台湾的著作权与乾隆皇帝"),
            ("吉林省乾安縣發布乾燥天氣預警", "吉林省乾安县发布干燥天气预警"),
        ];
        for (traditional, expected) in cases {
            assert_eq!(simplified(traditional), expected);
        }
    }

    #[test]
    fn simplified_text_and_other_scripts_are_untouched() {
        let texts = [
            "乾安县今年粮食产量创新高",
            "瞭望塔、著名、宫商角徵羽、藉口",
            "中国银行发布后台数据，李祥禎出席",
            "東京の天気はとても良い",
            "plain English, café",
            "",
        ];
        for text in texts {
            assert!(!to_simplified(text, &mut String::new()), "{text}");
        }
    }

    #[test]
    fn converting_a_converted_character_changes_nothing() {
        for character in Evidence::FIRST..=Evidence::LAST {
            let text = character.to_string();
            let once = simplified(&text);
            assert_eq!(simplified(&once), once, "{text}");
        }
    }

    /// The data has the same sentences in both scripts.
    #[test]
    fn only_the_traditional_one_of_two_parallel_sentences_is_converted() {
        let Some(rows) = json_lines("sentences_zh_en_sib200.jsonl") else { return };
        let changed = |lang: &str| {
            let of_lang: Vec<&str> =
                rows.iter().filter(|row| row["lang"] == lang).map(|row| text_of(row, "text")).collect();
            let changed = of_lang.iter().filter(|text| to_simplified(text, &mut String::new())).count();
            println!("{lang}: {changed} of {} changed", of_lang.len());
            (changed, of_lang.len())
        };
        assert_eq!(changed("en").0, 0);
        assert_eq!(changed("zh-Hans").0, 0);
        let (converted, all) = changed("zh-Hant");
        assert!(converted * 1000 >= all * 995, "{converted} of {all}");
    }

    proptest! {
        #[test]
        fn idempotent_on_any_text(text in "\\PC{0,40}") {
            let once = simplified(&text);
            prop_assert_eq!(simplified(&once), once);
        }

        #[test]
        fn idempotent_on_chinese(text in "[\u{4E00}-\u{9FFF}乾縣县安州]{0,40}") {
            let once = simplified(&text);
            prop_assert_eq!(simplified(&once), once);
        }
    }
}
