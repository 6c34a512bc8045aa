//! What is repaired, what is left alone, and both on real texts.

use super::*;
use crate::testing::{json_lines, text_of};
use encoding_rs::{GBK, WINDOWS_1252};
use proptest::prelude::*;

fn repaired_or_kept(text: &str) -> String {
    let mut out = String::new();
    if repair_mojibake(text, &mut out) { out } else { text.to_owned() }
}

/// `text` in UTF-8, read as Latin-1.
fn as_latin_1(text: &str) -> String {
    text.bytes().map(char::from).collect()
}

/// `text` in UTF-8, read as windows-1252.
fn as_windows_1252(text: &str) -> String {
    WINDOWS_1252.decode_without_bom_handling(text.as_bytes()).0.into_owned()
}

#[test]
fn text_that_was_read_in_the_wrong_charset_is_repaired() {
    let texts = [
        "新华社北京五月一日电",
        "<html><p>央行：降息 0.25%</p>",
        "À l'été, à Genève",
        "“Quotes” — and dashes…",
        "Правительство",
        "日本語のニュース",
        "👍👍👍👍",
    ];
    for text in texts {
        assert_eq!(repaired_or_kept(&as_latin_1(text)), text);
        assert_eq!(repaired_or_kept(&as_windows_1252(text)), text);
        assert_eq!(repaired_or_kept(&as_windows_1252(&as_latin_1(text))), text, "twice");
    }
}

#[test]
fn text_that_means_what_it_says_is_kept() {
    let texts = [
        "",
        "plain",
        "新华社",
        "À l'été, à Genève, déjà",
        "Ã©",
        "caf\u{C3}\u{A9}, na\u{C3}\u{AF}ve",
        "Â£5, Â£6, Â£7 and £8",
        "“Quotes” — and dashes…",
        "æ–°é—»新闻 æ–°é—»",
        "Größe: 5 °C ± 2 µm",
        "\u{80}\u{80}\u{80}\u{80}",
    ];
    for text in texts {
        assert!(!repair_mojibake(text, &mut String::new()), "{text}");
    }
}

#[test]
fn utf8_read_as_gbk_is_recognised() {
    for text in ["你好，世界", "新华社北京五月一日电，央行今天宣布降息。"] {
        let misread = GBK.decode_without_bom_handling(text.as_bytes()).0;
        assert!(looks_like_utf8_read_as_gbk(&misread), "{misread}");
        assert!(!looks_like_utf8_read_as_gbk(text), "{text}");
    }
    assert!(looks_like_utf8_read_as_gbk("股价锟斤拷锟斤拷上涨"));
    for text in
        ["", "plain", "é", "每公斤十元，二斤二十元，三斤三十元", "浣熊", "李锟", "联通", "テスト", "서울"]
    {
        assert!(!looks_like_utf8_read_as_gbk(text), "{text}");
    }
}

/// The texts of all files of real data, each with its file's name; `None` if one is missing.
fn all_texts() -> Option<Vec<(&'static str, String)>> {
    let files: [(&str, &[&str]); 8] = [
        ("articles_en_bbc.jsonl", &["title", "body"]),
        ("briefs_en_agnews.jsonl", &["title", "body"]),
        ("headlines_zh_thucnews.jsonl", &["text"]),
        ("headlines_zh_toutiao.jsonl", &["text"]),
        ("articles_zh_sogouc.jsonl", &["text"]),
        ("articles_zh_cnews.jsonl", &["text"]),
        ("sentences_zh_en_sib200.jsonl", &["text"]),
        ("sentences_foreign_sib200.jsonl", &["text"]),
    ];
    let mut texts = Vec::new();
    for (file, fields) in files {
        let rows = json_lines(file)?;
        let of_row = |row| fields.iter().map(move |field| (file, text_of(row, field).to_owned()));
        texts.extend(rows.iter().flat_map(of_row));
    }
    Some(texts)
}

#[test]
fn no_real_text_is_taken_for_mojibake() {
    let Some(texts) = all_texts() else { return };
    for (file, text) in &texts {
        assert!(!repair_mojibake(text, &mut String::new()), "{file}: {text}");
        assert!(!looks_like_utf8_read_as_gbk(text), "{file}: {text}");
    }
    println!("{} texts kept", texts.len());
    assert!(texts.len() > 58_000);
}

#[test]
fn real_texts_that_were_misread_are_repaired_or_recognised() {
    let Some(texts) = all_texts() else { return };
    let (mut repairable, mut gbk, mut recognised) = (0, 0, 0);
    for (file, text) in &texts {
        if text.chars().filter(|character| !character.is_ascii()).count() >= ENOUGH_CHARACTERS {
            repairable += 1;
            assert_eq!(&repaired_or_kept(&as_latin_1(text)), text, "{file}");
            assert_eq!(&repaired_or_kept(&as_windows_1252(text)), text, "{file}");
        }
        if file.contains("_zh_") {
            gbk += 1;
            let misread = GBK.decode_without_bom_handling(text.as_bytes()).0;
            recognised += usize::from(looks_like_utf8_read_as_gbk(&misread));
        }
    }
    println!("{repairable} of {repairable} repaired twice, {recognised} of {gbk} recognised as read in GBK");
    assert!(repairable > 50_000, "{repairable}");
    assert!(recognised * 1000 >= gbk * 975, "{recognised} of {gbk}");
}

proptest! {
    #[test]
    fn total_and_idempotent_on_any_text(text in "[\\s\\S]{0,40}|[\u{80}-\u{FF}a€–™]{0,40}") {
        let once = repaired_or_kept(&text);
        prop_assert_eq!(repaired_or_kept(&once), once);
        looks_like_utf8_read_as_gbk(&text);
    }

    #[test]
    fn whatever_was_misread_comes_back(text in "[\u{A0}-\u{2FF}\u{4E00}-\u{9FFF}]{4,20}[a-z ]{0,9}") {
        prop_assert_eq!(repaired_or_kept(&as_latin_1(&text)), repaired_or_kept(&text));
    }
}
