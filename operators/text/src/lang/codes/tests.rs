//! Declared codes and what becomes of them.

use std::collections::HashSet;

use proptest::prelude::*;

use super::tables::{ABSENT, LANGUAGES};
use super::*;
use crate::testing::{json_lines, text_of};

const CHINESE: &str = "央行宣布降息，股市上涨";
const ENGLISH: &str = "Stocks fell on Friday as investors weighed new data";
const RUSSIAN: &str = "Правительство объявило о новых мерах";
const UKRAINIAN: &str = "Всі люди народжуються вільними і рівними у своїй гідності";
const JAPANESE: &str = "東京都は新しい計画を発表しました";
const KOREAN: &str = "서울시는 새로운 계획을 발표했다";
const FRENCH: &str = "Le gouvernement a annoncé de nouvelles mesures économiques";
const GREEK: &str = "Όλοι οι άνθρωποι γεννιούνται ελεύθεροι";

#[test]
fn declared_languages_that_are_believed() {
    let cases: [(&str, &[&str], &str); 10] = [
        (
            "zh",
            &[
                "zh",
                "ZH",
                "zh-Hans",
                "zh_CN",
                "zh-Hant-TW",
                "zh_CN.UTF-8",
                "zh;q=0.9",
                "zh, en",
                " zh ",
                "zho",
                "chi",
                "cmn",
                "cmn-Hans-CN",
                "yue",
                "wuu",
                "hak",
                "nan",
                "lzh",
                "cn",
                "CN",
                "tw",
                "hk",
                "chn",
                "chs",
                "cht",
                "chinese",
                "Chinese (Simplified)",
                "Simplified Chinese",
                "Traditional_Chinese",
                "中文",
                "简体中文",
                "繁體中文",
                "中文（简体）",
                "汉语",
                "漢語",
                "普通话",
                "粤语",
                "\"zh\"",
            ],
            CHINESE,
        ),
        (
            "en",
            &[
                "en",
                "EN",
                "en-US",
                "en_GB",
                "en-US,en;q=0.9",
                "eng",
                "english",
                "English",
                "English (US)",
                "American English",
                "gb",
                "us",
                "au",
                "英语",
                "英文",
            ],
            ENGLISH,
        ),
        ("ja", &["ja", "ja-JP", "jpn", "jp", "japanese", "日本語", "日语"], JAPANESE),
        ("ko", &["ko", "ko_KR", "kor", "kr", "korean", "한국어", "韩语"], KOREAN),
        ("uk", &["uk", "uk-UA", "ukr", "ua", "ukrainian", "українська"], UKRAINIAN),
        ("ru", &["ru", "rus", "russian", "русский", "Русский", "俄语"], RUSSIAN),
        ("fr", &["fr", "fra", "fre", "french", "français", "Français", "fr-CA"], FRENCH),
        ("cs", &["cs", "ces", "cze", "cz", "czech"], "Všichni lidé rodí se svobodní"),
        ("el", &["el", "ell", "gre", "gr", "greek", "ελληνικά"], GREEK),
        ("vi", &["vi", "vie", "vn", "vietnamese", "Tiếng Việt"], "Tất cả mọi người sinh ra đều được tự do"),
    ];
    for (code, spellings, text) in cases {
        for spelling in spellings {
            assert_eq!(canonical_lang(spelling, text), DeclaredLang::Believed(code), "{spelling}");
            // Without a text, nothing contradicts a code.
            let alone = ResolvedLang { code: Some(code), doubted: false };
            assert_eq!(resolve_lang(None, Some(spelling)), alone, "{spelling}");
            assert_eq!(canonical_lang(spelling, "2024-01-01"), DeclaredLang::Believed(code), "{spelling}");
        }
    }
}

#[test]
fn other_codes() {
    let cases = [
        ("dk", "da"),
        ("dan", "da"),
        ("ger", "de"),
        ("deu", "de"),
        ("dut", "nl"),
        ("iw", "he"),
        ("nb", "nb"),
        ("nb-NO", "nb"),
        ("norwegian", "no"),
        ("pt-BR", "pt"),
        ("spanish", "es"),
        ("fil", "tl"),
        ("arb", "ar"),
        ("pes", "fa"),
        ("zsm", "ms"),
        ("ekk", "et"),
        ("per", "fa"),
        ("bod", "bo"),
        ("ckb", "ckb"),
        ("bahasa indonesia", "id"),
        ("sr-Latn-RS", "sr"),
    ];
    for (declared, code) in cases {
        assert_eq!(canonical_lang(declared, ""), DeclaredLang::Believed(code), "{declared}");
    }
}

#[test]
fn declared_languages_that_are_doubted() {
    let cases = [
        ("xx", CHINESE, "zh"),
        ("klingon", ENGLISH, "en"),
        ("12", CHINESE, "zh"),
        ("news", ENGLISH, "en"),
        ("in", ENGLISH, "en"),
        ("zh", ENGLISH, "en"),
        ("cn", ENGLISH, "en"),
        ("en", CHINESE, "zh"),
        ("us", CHINESE, "zh"),
        ("en", "苹果公司公布第三季度财报，营收超出市场预期，CEO表示乐观", "zh"),
        ("uk", ENGLISH, "en"),
        ("ua", ENGLISH, "en"),
        ("ja", ENGLISH, "en"),
        ("ko", CHINESE, "zh"),
        ("ru", ENGLISH, "en"),
        ("fr", RUSSIAN, "ru"),
        ("my", ENGLISH, "en"),
        // Canada, Singapore and Brazil, not Catalan, Sango and Breton.
        ("ca", ENGLISH, "en"),
        ("ca", FRENCH, "fr"),
        ("sg", ENGLISH, "en"),
        ("br", "O presidente não quer mais falar com os jornais sobre isso", "pt"),
    ];
    for (declared, text, detected) in cases {
        let expected = ResolvedLang { code: Some(detected), doubted: true };
        assert_eq!(resolve_lang(Some(text), Some(declared)), expected, "{declared}: {text}");
    }
    assert_eq!(resolve_lang(None, Some("xx")), ResolvedLang { code: None, doubted: true });
}

#[test]
fn what_declares_nothing_raises_no_doubt() {
    for declared in
        ["", " ", "-", "und", "UND", "und-Latn", "mul", "zxx", "unknown", "N/A", "null", "x-default", "未知"]
    {
        assert_eq!(canonical_lang(declared, CHINESE), DeclaredLang::Absent, "{declared}");
        let expected = ResolvedLang { code: Some("zh"), doubted: false };
        assert_eq!(resolve_lang(Some(CHINESE), Some(declared)), expected, "{declared}");
    }
    assert_eq!(resolve_lang(None, None), ResolvedLang { code: None, doubted: false });
    assert_eq!(resolve_lang(Some(ENGLISH), None), ResolvedLang { code: Some("en"), doubted: false });
}

#[test]
fn a_catalan_text_is_catalan() {
    let text = "El govern ha anunciat noves mesures per als ajuntaments, però no és el que volien";
    assert_eq!(canonical_lang("ca", text), DeclaredLang::Believed("ca"));
}

#[test]
fn no_spelling_is_in_two_rows() {
    let rows = LANGUAGES.iter().flat_map(|(scripts, rows)| rows.iter().map(|row| (*scripts, *row)));
    let spellings: Vec<&str> = rows
        .flat_map(|(scripts, row)| spelling::spellings_of(scripts, row))
        .map(|(spelling, _)| spelling)
        .collect();
    let mut seen = HashSet::new();
    for spelling in spellings {
        assert!(seen.insert(spelling), "{spelling}");
        assert_eq!(spelling, spelling.to_lowercase().trim());
    }
}

/// The codes of ISO 639-1, but `tw` and `kr`, which are countries here.
const ISO_639_1: &str = "aa ab ae af ak am an ar as av ay az ba be bg bh bi bm bn bo br bs ca ce ch co cr cs cu cv cy \
    da de dv dz ee el en eo es et eu fa ff fi fj fo fr fy ga gd gl gn gu gv ha he hi ho hr ht hu hy hz ia id ig ii ik \
    io is it iu ja jv ka kg ki kj kk kl km kn ko ks ku kv kw ky la lb lg li ln lo lt lu lv mg mh mi mk ml mn mr ms mt \
    my na nb nd ne ng nl nn no nr nv ny oc oj om or os pa pi pl ps pt qu rm rn ro ru rw sa sc sd se sg si sk sl sm sn \
    so sq sr ss st su sv sw ta te tg th ti tk tl tn to tr ts tt ty ug uk ur uz ve vi vo wa wo xh yi yo za zh zu";

#[test]
fn codes_of_two_letters_are_kept() {
    for code in ISO_639_1.split_ascii_whitespace() {
        assert_eq!(canonical_lang(code, ""), DeclaredLang::Believed(code));
        assert_eq!(canonical_lang(&format!("{}-XY", code.to_uppercase()), ""), DeclaredLang::Believed(code));
    }
}

#[test]
fn detected_languages_are_believed_when_they_are_declared() {
    let Some(rows) = json_lines("sentences_foreign_sib200.jsonl") else { return };
    for row in rows {
        let (text, lang) = (text_of(&row, "text"), text_of(&row, "lang"));
        let worth = canonical_lang(lang, text);
        assert!(matches!(worth, DeclaredLang::Believed(code) if code == lang), "{lang}: {worth:?} {text}");
    }
}

/// Articles with a wrong code, as of a template that names one language for all pages.
#[test]
fn wrong_codes_of_real_articles_are_doubted() {
    for (file, field, wrong, most) in
        [("articles_zh_sogouc.jsonl", "text", "en", 30), ("articles_en_bbc.jsonl", "body", "zh", 0)]
    {
        let Some(rows) = json_lines(file) else { return };
        let believed =
            rows.iter().filter(|row| canonical_lang(wrong, text_of(row, field)) != DeclaredLang::Doubted);
        let believed = believed.count();
        println!("{file}: {wrong} is believed of {believed} of {}", rows.len());
        assert!(believed * 1000 <= most * rows.len(), "{file}: {believed}");
    }
}

proptest! {
    #[test]
    fn total_on_any_declaration(declared in "\\PC{0,80}", text in "\\PC{0,60}") {
        let resolved = resolve_lang(Some(&text), Some(&declared));
        prop_assert!(resolved.code.is_some());
        let expected = canonical_lang(&declared, &text) == DeclaredLang::Doubted;
        prop_assert_eq!(resolved.doubted, expected);
    }

    /// A code that was read once is read as itself.
    #[test]
    fn canonical_codes_stay(declared in "[a-zA-Z]{2,3}([-_][a-zA-Z]{2,4})?") {
        if let DeclaredLang::Believed(code) = canonical_lang(&declared, "") {
            prop_assert_eq!(canonical_lang(code, ""), DeclaredLang::Believed(code));
        }
    }
}

#[test]
fn no_spelling_has_a_separator() {
    // What is before the first separator of a declaration is looked up without looking at the rest.
    let known = LANGUAGES.iter().flat_map(|(_, rows)| rows.iter().flat_map(|row| row.split(',')));
    for spelling in known.chain(ABSENT) {
        assert!(!spelling.contains(['_', '-', ';', '.']), "{spelling}");
    }
}

#[test]
fn a_declared_language_exists_or_is_absent_or_is_unknown() {
    for declared in ["zh", "zh-Hans", "EN", " de_DE ", "Simplified Chinese", "", "und", "n/a"] {
        assert!(declares_language(declared), "{declared}");
    }
    for unknown in ["qq", "klingon", "html"] {
        assert!(!declares_language(unknown), "{unknown}");
        assert_eq!(canonical_lang(unknown, ""), DeclaredLang::Doubted);
    }
}
