//! What remains of texts of each kind.

use super::*;
use crate::testing::{json_lines, text_of};
use proptest::prelude::*;

fn stripped(text: &str) -> String {
    let mut out = String::new();
    if strip_punctuation(text, &mut out) { out } else { text.to_owned() }
}

#[test]
fn punctuation_becomes_space_between_words() {
    let cases = [
        ("Stocks fell, bonds rose.", "Stocks fell bonds rose"),
        ("the end.Start again", "the end Start again"),
        ("\"Quotes\" -- and (brackets) [1] {x}", "Quotes and brackets 1 x"),
        ("wait… what?! — yes", "wait what yes"),
        ("snake_case #tag @user a/b", "snake case tag user a b"),
        ("https://example.com/a?b=1", "https example com a b 1"),
        ("$5, €6, 7%, 8°C, C++, <b>", "5 6 7 8 C C b"),
        ("...leading and trailing!!!", "leading and trailing"),
        ("  kept  spaces ", "  kept  spaces "),
        ("spaces , around .", "spaces around"),
        ("First line.\nSecond, line.\n\nThird.\tTab", "First line\nSecond line\n\nThird\tTab"),
        ("?!", ""),
        ("", ""),
    ];
    for (input, expected) in cases {
        assert_eq!(stripped(input), expected, "{input:?}");
    }
}

#[test]
fn chinese_punctuation_becomes_space() {
    let cases = [
        ("央行：降息！专家称，“及时”。", "央行 降息 专家称 及时"),
        ("发展中，国家", "发展中 国家"),
        ("《人民日报》（海外版）", "人民日报 海外版"),
        ("约翰·史密斯、玛丽", "约翰 史密斯 玛丽"),
        ("他说‘好’吧……", "他说 好 吧"),
        ("増長２．５％，ＧＤＰ＋３％", "増長２．５ ＧＤＰ ３"),
        ("【快讯】￥100～200；①②", "快讯 100 200 ①②"),
        ("東京・大阪「ニュース」", "東京 大阪 ニュース"),
        ("‘좋다’고 했다.", "좋다 고 했다"),
        ("人々〇ー", "人々〇ー"),
    ];
    for (input, expected) in cases {
        assert_eq!(stripped(input), expected, "{input:?}");
    }
}

#[test]
fn the_spelling_of_words_and_numbers_stays() {
    let cases = [
        ("don't, won’t; O'Neill's l'été", "don't won’t O'Neill's l'été"),
        ("'quoted' dogs' '90s 1980's 5'10\"", "quoted dogs 90s 1980's 5 10"),
        ("e\u{301}'s", "e\u{301}'s"),
        ("well-known COVID-19 5-year F-16s", "well-known COVID-19 5-year F-16s"),
        ("2-1, 2026-11-30, -5, re- and", "2 1 2026 11 30 5 re and"),
        ("COVID-19疫情，T-恤", "COVID-19疫情 T 恤"),
        ("AT&T, R&D, 3&4, a & b", "AT&T R&D 3 4 a b"),
        ("3.14, 10,000, v1.2.3, 12:30, No.1", "3.14 10,000 v1.2.3 12 30 No 1"),
        ("U.S., U.S.-China, e.g. 'U.N.' a.m.", "US US China eg UN am"),
        ("J.K.Rowling, Node.js, Ph.D., it's.x", "JK Rowling Node js Ph D it's x"),
    ];
    for (input, expected) in cases {
        assert_eq!(stripped(input), expected, "{input:?}");
    }
}

#[test]
fn emoji_go_as_a_whole() {
    let cases = [
        ("好👨\u{200D}👩\u{200D}👧❤\u{FE0F}吧", "好 吧"),
        ("ok 👍🏽!", "ok"),
        ("🇨🇳 China", "China"),
        ("می\u{200C}خواهم، خوب", "می\u{200C}خواهم خوب"),
    ];
    for (input, expected) in cases {
        assert_eq!(stripped(input), expected, "{input:?}");
    }
}

#[test]
fn text_without_punctuation_is_reported_as_unchanged() {
    for text in ["央行宣布降息", "plain English text", "don't AT&T 3.14", " \n\t ", "हिन्दी ภาษาไทย"]
    {
        assert!(!strip_punctuation(text, &mut String::new()), "{text}");
    }
}

#[test]
fn real_texts_keep_all_letters_and_digits() {
    let files = [("articles_en_bbc.jsonl", "body"), ("headlines_zh_toutiao.jsonl", "text")];
    for (file, field) in files {
        let Some(rows) = json_lines(file) else { return };
        let letters = |text: &str| text.chars().filter(|c| c.is_alphanumeric()).collect::<String>();
        for text in rows.iter().map(|row| text_of(row, field)) {
            let result = stripped(text);
            assert_eq!(letters(&result), letters(text));
            let left: Vec<char> = result.chars().filter(|c| is_removable(*c)).collect();
            assert!(left.iter().all(|c| "'’-‐‑&.,．＆".contains(*c)), "{left:?}");
        }
    }
}

proptest! {
    #[test]
    fn idempotent_on_any_text(text in "\\PC{0,60}|[\\s\\S]{0,40}") {
        let once = stripped(&text);
        prop_assert_eq!(stripped(&once), once);
    }

    #[test]
    fn idempotent_on_what_it_changes(text in "[aB1é中ｶ좋 \t\n.,'’&_!。，❤\u{301}\u{FE0F}\u{200D}-]{0,30}") {
        let once = stripped(&text);
        prop_assert_eq!(stripped(&once), once);
    }
}
