//! `detect_lang`: the language of a text.
//!
//! The script decides first, and a statistical model only where the script does not suffice. A model alone
//! takes Chinese with English names for French (greyblake/whatlang-rs issue 136).
//!
//! Letters are counted by script. An East Asian character counts [`EAST_ASIAN_WEIGHT`] times, because it
//! stands for about as much text as that many Latin letters. The script with the highest count decides:
//! - Latin: `whichlang` decides among the languages that it knows and that are written in Latin letters;
//! - Han, kana and Hangul: their proportions decide among Chinese, Japanese and Korean;
//! - any other script: the code of one language that is written in it. Cyrillic is reported as `ru`, Arabic
//!   as `ar`, Devanagari as `hi`, although other languages use these scripts too.
//!
//! Simplified and traditional Chinese are both `zh`.

use std::borrow::Cow;

use whichlang::Lang;

/// The number of Latin letters that one Han, kana or Hangul character counts for.
const EAST_ASIAN_WEIGHT: usize = 4;

/// Text is Japanese if it has more than one kana per this many Han characters. Chinese text has hardly any.
const HAN_PER_KANA: usize = 12;

/// The code for text without letters of a known script (ISO 639-2: undetermined).
const UNDETERMINED: &str = "und";

/// The ISO 639-1 code of the language of `text`, or `und` if it has no letter of a known script.
pub fn detect_lang(text: &str) -> &'static str {
    let counts = ScriptCounts::of(text);
    let east_asian = (counts.han + counts.kana + counts.hangul) * EAST_ASIAN_WEIGHT;
    let scripts = [
        (east_asian, Script::EastAsian),
        (counts.latin, Script::Latin),
        (counts.cyrillic, Script::Language("ru")),
        (counts.arabic, Script::Language("ar")),
        (counts.hebrew, Script::Language("he")),
        (counts.greek, Script::Language("el")),
        (counts.devanagari, Script::Language("hi")),
        (counts.thai, Script::Language("th")),
    ];
    match scripts.into_iter().max_by_key(|(weight, _)| *weight) {
        Some((0, _)) | None => UNDETERMINED,
        Some((_, Script::EastAsian)) => counts.east_asian_language(),
        Some((_, Script::Latin)) => latin_language(text),
        Some((_, Script::Language(code))) => code,
    }
}

/// A script, or a group of them, by the way in which the language follows from it.
enum Script {
    EastAsian,
    Latin,
    /// Text in this script is reported as this one language.
    Language(&'static str),
}

/// The number of letters of each script.
#[derive(Default)]
struct ScriptCounts {
    han: usize,
    kana: usize,
    hangul: usize,
    latin: usize,
    cyrillic: usize,
    arabic: usize,
    hebrew: usize,
    greek: usize,
    devanagari: usize,
    thai: usize,
}

impl ScriptCounts {
    fn of(text: &str) -> Self {
        let mut counts = ScriptCounts::default();
        for character in text.chars() {
            match character {
                'a'..='z' | 'A'..='Z' | '\u{C0}'..='\u{24F}' | '\u{1E00}'..='\u{1EFF}' => counts.latin += 1,
                '\u{3400}'..='\u{9FFF}' | '\u{F900}'..='\u{FAFF}' | '\u{20000}'..='\u{3134F}' => {
                    counts.han += 1
                }
                // Chinese brand names use の as decoration, so it is not evidence for Japanese.
                'の' => {}
                'ぁ'..='ゖ' | 'ァ'..='ヺ' | 'ｦ'..='ﾝ' => counts.kana += 1,
                '\u{AC00}'..='\u{D7A3}' | '\u{1100}'..='\u{11FF}' => counts.hangul += 1,
                '\u{400}'..='\u{52F}' => counts.cyrillic += 1,
                '\u{620}'..='\u{64A}' | '\u{671}'..='\u{6D3}' => counts.arabic += 1,
                'א'..='ת' => counts.hebrew += 1,
                '\u{386}'..='\u{3FF}' => counts.greek += 1,
                '\u{904}'..='\u{939}' => counts.devanagari += 1,
                '\u{E01}'..='\u{E2E}' => counts.thai += 1,
                _ => {}
            }
        }
        counts
    }

    fn east_asian_language(&self) -> &'static str {
        if self.hangul > self.han + self.kana {
            "ko"
        } else if self.kana * HAN_PER_KANA > self.han {
            "ja"
        } else {
            "zh"
        }
    }
}

/// The language of the Latin letters of `text`. Letters of other scripts are removed first, because they
/// would mislead the model.
fn latin_language(text: &str) -> &'static str {
    // U+024F is the last letter of the block Latin Extended-B.
    let latin = if text.chars().all(|character| character < '\u{250}') {
        Cow::Borrowed(text)
    } else {
        Cow::Owned(text.chars().filter(|character| *character < '\u{250}').collect())
    };
    match whichlang::detect_language(&latin) {
        Lang::Deu => "de",
        Lang::Eng => "en",
        Lang::Fra => "fr",
        Lang::Ita => "it",
        Lang::Nld => "nl",
        Lang::Por => "pt",
        Lang::Spa => "es",
        Lang::Swe => "sv",
        Lang::Tur => "tr",
        Lang::Vie => "vi",
        // These are not written in Latin letters, so the text is too short for the model. English is the
        // likeliest.
        Lang::Ara | Lang::Cmn | Lang::Hin | Lang::Jpn | Lang::Kor | Lang::Rus => "en",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{json_lines, text_of};
    use proptest::prelude::*;

    #[test]
    fn texts_of_each_script_get_their_language() {
        let cases = [
            ("央行宣布降息", "zh"),
            ("中央銀行宣布降息", "zh"),
            ("苹果iPhone 15 Pro Max今日在中国大陆正式开售", "zh"),
            ("优の良品打折", "zh"),
            ("The Chinese word 你好 means hello", "en"),
            ("Stocks fell on Friday as investors weighed new data", "en"),
            ("東京都は新しい計画を発表しました", "ja"),
            ("서울시는 새로운 계획을 발표했다", "ko"),
            ("Правительство объявило о новых мерах", "ru"),
            ("Le gouvernement a annoncé de nouvelles mesures économiques", "fr"),
            ("Die Regierung hat neue Maßnahmen angekündigt", "de"),
            ("أعلنت الحكومة عن تدابير جديدة", "ar"),
            ("รัฐบาลประกาศมาตรการใหม่", "th"),
            ("2024-01-01 12:00 ！？", "und"),
            ("", "und"),
        ];
        for (text, expected) in cases {
            assert_eq!(detect_lang(text), expected, "{text}");
        }
    }

    /// Share of rows whose detected language is the declared one, per thousand.
    fn right_per_mille(file: &str, fields: &[&str]) -> Option<usize> {
        let rows = json_lines(file)?;
        let is_right = |row: &&serde_json::Value| {
            let text: Vec<&str> = fields.iter().map(|field| text_of(row, field)).collect();
            let declared = text_of(row, "lang");
            let right = declared.starts_with(detect_lang(&text.join(" ")));
            if !right {
                println!("{declared}: {}", text.join(" "));
            }
            right
        };
        let right = rows.iter().filter(is_right).count();
        println!("{file}: {right} of {} right", rows.len());
        Some(right * 1000 / rows.len())
    }

    #[test]
    fn real_texts_get_their_declared_language() {
        let cases: [(&str, &[&str], usize); 4] = [
            ("sentences_zh_en_sib200.jsonl", &["text"], 1000),
            ("headlines_zh_thucnews.jsonl", &["text"], 999),
            ("headlines_zh_toutiao.jsonl", &["text"], 999),
            ("briefs_en_agnews.jsonl", &["title", "body"], 999),
        ];
        for (file, fields, floor) in cases {
            let Some(right) = right_per_mille(file, fields) else { return };
            assert!(right >= floor, "{file}: {right} of 1000");
        }
    }

    proptest! {
        #[test]
        fn total_on_any_text(text in "\\PC{0,60}") {
            let lang = detect_lang(&text);
            prop_assert!(lang == UNDETERMINED || lang.len() == 2);
        }
    }
}
