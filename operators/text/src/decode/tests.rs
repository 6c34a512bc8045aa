//! The values that bytes decode to, and how many real texts decode right.

use super::*;
use crate::testing::{data_file, json_lines, text_of};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use encoding_rs::{ISO_2022_JP, ISO_8859_2, KOI8_R, WINDOWS_874, WINDOWS_1251, WINDOWS_1252};
use proptest::prelude::*;
use std::fs;

const NEWS: &str = "新华社北京电，记者从国家统计局获悉，今年一季度国内生产总值同比增长百分之五。";

#[test]
fn known_bytes_decode_to_their_text() {
    let gbk = GB18030.encode(NEWS).0.into_owned();
    let big5 = BIG5.encode("中央社台北電，氣象局今日發布天氣預報，明天有雨。").0.into_owned();
    let page =
        |charset: &str, text: &[u8]| [format!("<html><meta charset={charset}>").as_bytes(), text].concat();
    let utf16: Vec<u8> =
        [0xFF, 0xFE].into_iter().chain(NEWS.encode_utf16().flat_map(u16::to_le_bytes)).collect();
    let cases: Vec<(&str, Vec<u8>, Option<&str>, String)> = vec![
        ("utf-8", NEWS.into(), None, NEWS.into()),
        ("utf-8 with mark", format!("\u{FEFF}{NEWS}").into(), None, NEWS.into()),
        ("utf-8, wrong label", NEWS.into(), Some("gb2312"), NEWS.into()),
        ("utf-16 with mark", utf16, None, NEWS.into()),
        ("gbk, label", gbk.clone(), Some("GB2312"), NEWS.into()),
        ("gbk, no label", gbk.clone(), None, NEWS.into()),
        ("gbk, unknown label", gbk.clone(), Some("x-none"), NEWS.into()),
        ("gbk, meta", page("\"gbk\"", &gbk), None, format!("<html><meta charset=\"gbk\">{NEWS}")),
        ("gbk, wrong meta", page("utf-8", &gbk), None, format!("<html><meta charset=utf-8>{NEWS}")),
        ("big5, no label", big5, None, "中央社台北電，氣象局今日發布天氣預報，明天有雨。".into()),
        ("empty", vec![], None, String::new()),
    ];
    for (name, bytes, charset, expected) in cases {
        assert_eq!(decode(&bytes, charset), expected, "{name}");
    }
}

#[test]
fn a_text_cut_within_a_character_is_still_that_text() {
    let cut = &NEWS.as_bytes()[..NEWS.len() - 1];
    let text = decode(cut, None);
    assert!(text.starts_with("新华社北京电") && text.ends_with('\u{FFFD}'), "{text}");
    let gbk = GB18030.encode(NEWS).0;
    assert!(decode(&gbk[..gbk.len() - 1], Some("gbk")).starts_with("新华社北京电"));
}

#[test]
fn a_long_page_is_sampled_at_both_ends() {
    let gbk = GB18030.encode(NEWS).0;
    let page = [vec![b'<'; 200_000], gbk.to_vec(), vec![b' '; 200_000], gbk.to_vec()].concat();
    assert!(decode(&page, None).ends_with(NEWS));
    let chinese_only = gbk.repeat(2_000);
    assert_eq!(decode(&chinese_only, None), NEWS.repeat(2_000));
}

/// `text` in UTF-16, little or big endian.
fn utf_16(text: &str, order: fn(u16) -> [u8; 2]) -> Vec<u8> {
    text.encode_utf16().flat_map(order).collect()
}

/// A page with `text` in `encoding` that declares `charset`.
fn page(charset: &str, encoding: &'static Encoding, text: &str) -> Vec<u8> {
    [format!("<meta charset={charset}><p>").as_bytes(), &encoding.encode(text).0].concat()
}

const TRADITIONAL: &str = "中央社台北電，氣象局今日發布天氣預報，明天有雨。";
const JAPANESE: &str = "テスト新聞は今日、新しい計画を発表しました。";
const KOREAN: &str = "서울시는 오늘 새로운 계획을 발표했다고 밝혔다.";
const FRENCH: &str = "Le gouvernement a annoncé à Genève de nouvelles mesures économiques pour l'été.";
const RUSSIAN: &str = "Правительство объявило сегодня о новых экономических мерах.";

#[test]
fn a_label_of_one_byte_a_character_yields_to_clear_east_asian_text() {
    let texts =
        [(GB18030, NEWS), (BIG5, TRADITIONAL), (SHIFT_JIS, JAPANESE), (EUC_JP, JAPANESE), (EUC_KR, KOREAN)];
    for (encoding, text) in texts {
        for label in ["iso-8859-1", "windows-1252", "us-ascii", "latin1", "windows-1251", "koi8-r"] {
            let bytes = encoding.encode(text).0;
            assert_eq!(decode(&bytes, Some(label)), text, "{} under {label}", encoding.name());
            let inside = decode(&page(label, encoding, text), None).into_owned();
            assert!(inside.ends_with(text), "{} in a page of {label}: {inside}", encoding.name());
        }
    }
}

#[test]
fn a_label_of_one_byte_a_character_is_believed_otherwise() {
    let cases = [
        ("iso-8859-1", WINDOWS_1252, FRENCH),
        ("us-ascii", WINDOWS_1252, FRENCH),
        ("windows-1252", WINDOWS_1252, "Der Kurs stieg um 3 % auf 1 200 €; „übermäßig“, sagen Händler."),
        ("iso-8859-2", ISO_8859_2, "Rząd ogłosił dziś nowe środki gospodarcze na przyszły rok."),
        ("windows-1251", WINDOWS_1251, RUSSIAN),
        ("koi8-r", KOI8_R, RUSSIAN),
        ("tis-620", WINDOWS_874, "รัฐบาลประกาศมาตรการใหม่ในวันนี้"),
        // Too few characters to tell.
        ("iso-8859-1", WINDOWS_1252, "ÖÐ¹ú"),
    ];
    for (label, encoding, text) in cases {
        assert_eq!(decode(&encoding.encode(text).0, Some(label)), text, "{label}");
        assert!(decode(&page(label, encoding, text), None).ends_with(text), "{label} in a page");
    }
}

#[test]
fn a_label_of_several_bytes_a_character_has_to_fit() {
    let cases = [
        ("gb2312", GB18030, "朱镕基𠮷野家开业，顾客很多，队伍排到街角。"),
        ("big5", GB18030, NEWS),
        ("euc-kr", GB18030, NEWS),
        ("gb2312", BIG5, TRADITIONAL),
        ("gbk", SHIFT_JIS, JAPANESE),
        ("utf-16", GB18030, NEWS),
        ("utf-16", UTF_8, NEWS),
        ("utf-8", GB18030, NEWS),
    ];
    for (label, encoding, text) in cases {
        assert_eq!(decode(&encoding.encode(text).0, Some(label)), text, "{} as {label}", encoding.name());
        assert!(decode(&page(label, encoding, text), None).ends_with(text), "{label} in a page");
    }
}

#[test]
fn utf_16_needs_no_mark() {
    let texts = [
        "News of the day",
        NEWS,
        TRADITIONAL,
        "2026年11月30日，GDP同比增长5%，市场反应平稳。",
        "<p>中国</p>",
    ];
    for text in texts {
        for bytes in [utf_16(text, u16::to_le_bytes), utf_16(text, u16::to_be_bytes)] {
            for label in [None, Some("utf-16"), Some("utf-16be"), Some("utf-16le")] {
                assert_eq!(decode(&bytes, label), text, "{label:?}");
            }
        }
    }
    // A label is needed where neither zeros nor common characters are frequent.
    let russian = utf_16(RUSSIAN, u16::to_be_bytes);
    assert_eq!(decode(&russian, Some("utf-16")), RUSSIAN);
    for text in ["\0", "a\0", "the hidden facts", "ab\0cd\0"] {
        assert_eq!(decode(text.as_bytes(), None), text);
    }
}

#[test]
fn charsets_in_ascii_bytes_are_read_if_they_are_declared() {
    let japanese = ISO_2022_JP.encode(JAPANESE).0;
    let hz = b"~{<:Ky2;VpVpVpVpVp~} is ~~ HZ, \n~{VP9z~}~\n.";
    let hz_text = "己所不逐逐逐逐逐 is ~ HZ, \n中国.";
    let meta = |charset: &str, bytes: &[u8]| [format!("<meta charset={charset}>").as_bytes(), bytes].concat();
    assert_eq!(decode(&japanese, Some("ISO-2022-JP")), JAPANESE);
    assert!(decode(&meta("iso-2022-jp", &japanese), None).ends_with(JAPANESE));
    assert_eq!(decode(hz, Some("HZ-GB-2312")), hz_text);
    assert!(decode(&meta("hz-gb-2312", hz), None).ends_with(hz_text));
    // Without a label, or if they are not valid, they are ASCII.
    assert_eq!(decode(&japanese, None).as_bytes(), japanese.as_ref());
    assert_eq!(decode(b"\x1b$B~", Some("iso-2022-jp")), "\x1b$B~");
    assert_eq!(decode(b"plain ~ text", Some("iso-2022-jp")), "plain ~ text");
}

#[test]
fn the_charset_that_was_used_is_named() {
    let gbk = GB18030.encode(NEWS).0.into_owned();
    let cases = [
        (NEWS.as_bytes().to_vec(), None, "UTF-8", None),
        (gbk.clone(), Some("gbk"), "gb18030", None),
        (gbk, Some("iso-8859-1"), "gb18030", None),
        (BIG5.encode(TRADITIONAL).0.into_owned(), Some("euc-tw"), "Big5", Some("euc-tw")),
        (page("euc-tw", BIG5, TRADITIONAL), None, "Big5", Some("euc-tw")),
        (NEWS.into(), Some("euc-tw"), "UTF-8", None),
        (b"+TipWhw-".into(), Some("utf-7"), "UTF-8", Some("utf-7")),
    ];
    for (bytes, label, charset, unsupported) in cases {
        let decoded = decode_explained(&bytes, label);
        assert_eq!((decoded.charset, decoded.unsupported), (charset, unsupported), "{label:?}");
    }
}

/// The share of `texts` that decode right in `encoding` under the labels of Western Europe, per thousand.
fn recovered(name: &str, encoding: &'static Encoding, texts: &[String]) -> usize {
    let (mut right, mut all) = (0, 0);
    for text in texts {
        let (bytes, _, has_unmappable) = encoding.encode(text);
        if has_unmappable || text.chars().filter(|character| !character.is_ascii()).count() < 4 {
            continue;
        }
        for label in ["iso-8859-1", "windows-1252"] {
            all += 1;
            right += usize::from(decode(&bytes, Some(label)) == text.as_str());
        }
    }
    println!("{name} in {}: {right} of {all} recovered", encoding.name());
    assert!(all > 1_000, "{all}");
    right * 1000 / all
}

/// Texts of at least 12 characters: whole ones, and their first 30 and 12 characters.
fn cuts<'a>(texts: impl Iterator<Item = &'a str>) -> [Vec<String>; 3] {
    let texts: Vec<&str> = texts.filter(|text| text.chars().count() >= 12).collect();
    [usize::MAX, 30, 12].map(|length| texts.iter().map(|text| text.chars().take(length).collect()).collect())
}

#[test]
fn chinese_under_a_western_label_is_recovered() {
    let (Some(sentences), Some(headlines)) =
        (json_lines("sentences_zh_en_sib200.jsonl"), json_lines("headlines_zh_thucnews.jsonl"))
    else {
        return;
    };
    let of_lang = |lang: &'static str| {
        cuts(sentences.iter().filter(move |row| row["lang"] == lang).map(|row| text_of(row, "text")))
    };
    let headlines = cuts(headlines.iter().step_by(4).map(|row| text_of(row, "text")));
    let sources = [
        ("headlines", GB18030, headlines),
        ("simplified sentences", GB18030, of_lang("zh-Hans")),
        ("traditional sentences", BIG5, of_lang("zh-Hant")),
    ];
    for (name, encoding, cuts) in sources {
        for (length, texts) in ["whole", "30", "12"].iter().zip(&cuts) {
            let share = recovered(&format!("{name}, {length}"), encoding, texts);
            assert!(share >= 989, "{name}, {length}: {share} of 1000");
        }
    }
}

#[test]
fn no_text_in_a_charset_of_one_byte_a_character_is_taken_for_east_asian() {
    let Some(rows) = json_lines("sentences_foreign_sib200.jsonl") else { return };
    let labels = [
        "windows-1250",
        "windows-1251",
        "windows-1252",
        "windows-1253",
        "windows-1254",
        "windows-1255",
        "windows-1256",
        "windows-1257",
        "windows-1258",
        "windows-874",
        "iso-8859-2",
        "iso-8859-3",
        "iso-8859-4",
        "iso-8859-5",
        "iso-8859-6",
        "iso-8859-7",
        "iso-8859-8",
        "iso-8859-10",
        "iso-8859-13",
        "iso-8859-15",
        "iso-8859-16",
        "koi8-r",
        "koi8-u",
        "ibm866",
        "macintosh",
        "x-mac-cyrillic",
    ];
    let mut all = 0;
    for texts in cuts(rows.iter().map(|row| text_of(row, "text"))) {
        for (text, label) in texts.iter().flat_map(|text| labels.map(|label| (text, label))) {
            let encoding = Encoding::for_label(label.as_bytes()).unwrap();
            let (bytes, _, has_unmappable) = encoding.encode(text);
            if has_unmappable || text.is_ascii() {
                continue;
            }
            let decoded = decode_explained(&bytes, Some(label));
            assert!(!decode_explained(&bytes, None).charset.starts_with("UTF-16"), "{label}: {text}");
            // Some of the data was UTF-8 read in another charset before.
            if decoded.charset != "UTF-8" {
                all += 1;
                assert_eq!(decoded.text, text.as_str(), "{label}");
            }
        }
    }
    println!("{all} texts kept");
    assert!(all > 20_000, "{all}");
}

/// The true text of a file: its bytes decoded by the charset that the index states, errors replaced.
fn truth(bytes: &[u8], charset: &str) -> Option<String> {
    Some(Encoding::for_label(charset.as_bytes())?.decode(bytes).0.into_owned())
}

#[test]
fn real_documents_decode_as_their_true_charset() {
    let Some(index) = json_lines("raw/index.jsonl") else { return };
    let (mut right, mut all) = (0, 0);
    for row in &index {
        let bytes = fs::read(data_file(text_of(row, "file")).unwrap()).unwrap();
        all += 1;
        // The Encoding Standard lacks EUC-TW, so `truth` has no text for such files, and they count as
        // wrong.
        match truth(&bytes, text_of(row, "charset")) {
            Some(truth) if truth == decode(&bytes, None) => right += 1,
            _ => println!("wrong: {} ({})", text_of(row, "file"), text_of(row, "charset")),
        }
    }
    println!("decoded right: {right} of {all}");
    assert!(right * 100 >= all * 98, "{right} of {all}");
}

#[test]
fn real_pages_decode_as_their_true_charset() {
    let Some(rows) = json_lines("raw_html_zh.jsonl") else { return };
    let mut seen = 0;
    for row in rows.iter().filter(|row| row["html_b64"].is_string()) {
        let bytes = BASE64_STANDARD.decode(text_of(row, "html_b64")).unwrap();
        assert_eq!(Some(decode(&bytes, None).into_owned()), truth(&bytes, text_of(row, "charset")));
        seen += 1;
    }
    assert!(seen > 0);
}

proptest! {
    #[test]
    fn total_on_any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..200), charset in "[a-z0-9-]{0,8}") {
        decode(&bytes, Some(&charset));
    }

    #[test]
    fn utf8_is_kept(text in "[^\0\u{FEFF}]{0,60}") {
        prop_assert_eq!(decode(text.as_bytes(), Some("gbk")), text.as_str());
    }
}
