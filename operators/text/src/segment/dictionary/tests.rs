//! Dictionaries as jieba reads them, where this reader differs, and files that are refused.

use proptest::prelude::*;

use super::*;

fn parsed(dictionary: &str) -> Result<Vec<Entry<'_>>, InvalidLines> {
    all_entries(entries(dictionary))
}

type Fields<'a> = (&'a str, Option<usize>, Option<&'a str>);

/// The fields of a dictionary with a single entry.
fn fields(line: &str) -> Fields<'_> {
    let [entry] = <[Entry<'_>; 1]>::try_from(parsed(line).unwrap()).unwrap();
    (entry.word, entry.frequency, entry.tag)
}

#[test]
fn lines_are_read_as_jieba_reads_them() {
    // What `load_userdict` of jieba 0.42.1 for Python gave for these lines.
    let cases: [(&str, Fields<'_>); 36] = [
        ("创新办 3 i", ("创新办", Some(3), Some("i"))),
        ("云计算 5", ("云计算", Some(5), None)),
        ("凱特琳 nz", ("凱特琳", None, Some("nz"))),
        ("台中", ("台中", None, None)),
        ("Open Day 3 nz", ("Open Day", Some(3), Some("nz"))),
        ("Open Day", ("Open Day", None, None)),
        ("open day", ("open", None, Some("day"))),
        ("沪深300指数 50 nz", ("沪深300指数", Some(50), Some("nz"))),
        ("碳中和债 n", ("碳中和债", None, Some("n"))),
        ("C++工程师", ("C++工程师", None, None)),
        ("Jean-Luc 10 nr", ("Jean-Luc", Some(10), Some("nr"))),
        ("双 创 板 8", ("双 创 板", Some(8), None)),
        ("阿凡达·水之道 5 nz", ("阿凡达·水之道", Some(5), Some("nz"))),
        ("iPhone 15 Pro", ("iPhone 15 Pro", None, None)),
        ("iPhone 15 Pro 3 nz", ("iPhone 15 Pro", Some(3), Some("nz"))),
        ("iPhone 15", ("iPhone", Some(15), None)),
        ("Windows 10 pro", ("Windows", Some(10), Some("pro"))),
        ("vitamin c 5", ("vitamin c", Some(5), None)),
        ("云梯 5 6", ("云梯 5", Some(6), None)),
        ("云梯 5 6 n", ("云梯 5", Some(6), Some("n"))),
        ("5", ("5", None, None)),
        ("5 n", ("5", None, Some("n"))),
        ("3 5 n", ("3", Some(5), Some("n"))),
        ("3 5", ("3", Some(5), None)),
        ("机器 学习 二", ("机器 学习 二", None, None)),
        ("云梯 n 5!", ("云梯 n 5!", None, None)),
        ("比亚迪 E6", ("比亚迪 E6", None, None)),
        ("小米 mix4", ("小米 mix4", None, None)),
        ("云计算 0", ("云计算", Some(0), None)),
        ("云计算 007 n", ("云计算", Some(7), Some("n"))),
        ("C# 5", ("C#", Some(5), None)),
        ("１２ ３ n", ("１２ ３", None, Some("n"))),
        ("云计算 5 Ｎ", ("云计算 5 Ｎ", None, None)),
        ("new york 7 ns", ("new york", Some(7), Some("ns"))),
        ("The New York Times 12 nt", ("The New York Times", Some(12), Some("nt"))),
        ("n", ("n", None, None)),
    ];
    for (line, expected) in cases {
        assert_eq!(fields(line), expected, "{line}");
        assert_eq!(fields(&format!("\u{FEFF}{line}\r\n")), expected, "{line}");
    }
}

#[test]
fn white_space_and_foreign_tags_are_read_more_leniently_than_by_jieba() {
    let cases: [(&str, Fields<'_>); 9] = [
        ("北证50\t20", ("北证50", Some(20), None)),
        ("北证50 \t 20\tnz\t", ("北证50", Some(20), Some("nz"))),
        ("  科创板  ", ("科创板", None, None)),
        ("\u{3000}科创板\u{3000}5", ("科创板", Some(5), None)),
        ("\u{FEFF} 科创板 5", ("科创板", Some(5), None)),
        ("Open  Day  3", ("Open  Day", Some(3), None)),
        ("国 5 Ng", ("国", Some(5), Some("Ng"))),
        ("张三 5 nr1", ("张三", Some(5), Some("nr1"))),
        ("云梯 1000000000000", ("云梯", Some(1_000_000_000_000), None)),
    ];
    for (line, expected) in cases {
        assert_eq!(fields(line), expected, "{line:?}");
    }
}

#[test]
fn comments_and_empty_lines_are_skipped_and_counted() {
    let dictionary = "\u{FEFF}# 用户词典\r\n\r\n创新办 3 i\r\n \t\r\n\u{FEFF}  # 5\r\n\u{FEFF}云梯\r\n云计算";
    let lines: Vec<(usize, &str)> =
        parsed(dictionary).unwrap().iter().map(|entry| (entry.line, entry.word)).collect();
    assert_eq!(lines, [(3, "创新办"), (6, "云梯"), (7, "云计算")]);
    assert_eq!(parsed("").unwrap(), []);
    assert_eq!(parsed("\u{FEFF}").unwrap(), []);
}

#[test]
fn all_invalid_lines_are_named_by_their_numbers() {
    let cases = [
        ("降准 5 v 备注", "`降准 5 v 备注` has something after its frequency and tag"),
        ("云梯 5 n x", "`云梯 5 n x` has something after"),
        ("云梯\t5\tn\t-- remark", "has something after"),
        ("机器学习 1000000000001", "the frequency of `机器学习` is too large: at most 1000000000000"),
        ("机器学习 99999999999999999999999 n", "too large"),
    ];
    for (line, problem) in cases {
        let error = parsed(&format!("云计算\n{line}\r\n# 5\n{line}\n")).unwrap_err();
        assert_eq!((error.count, error.first[0].line, error.first[1].line), (2, 2, 4), "{line}");
        assert!(error.first[0].problem.contains(problem), "{error}");
    }
}

#[test]
fn a_long_list_of_invalid_lines_is_cut() {
    let error = parsed(&"云梯 5 n x\n".repeat(23)).unwrap_err();
    assert_eq!((error.first.len(), error.count), (20, 23));
    let text = error.to_string();
    assert!(text.starts_with("line 1: `云梯 5 n x`") && text.ends_with("\nand 3 more"), "{text}");
    let text = parsed(&"云梯 5 n x\n".repeat(20)).unwrap_err().to_string();
    assert_eq!((text.lines().count(), text.contains("more")), (20, false));
    let long = parsed(&format!("{} 5 n x", "云".repeat(1000))).unwrap_err().to_string();
    assert!(long.chars().count() < 200, "{long}");
}

#[test]
fn a_word_at_whose_characters_text_is_split_is_not_findable() {
    let cases = [("唐纳德·特朗普 5", "at `·`"), ("Open Day 3 nz", "at white space"), ("Ａ股", "at `Ａ`")];
    for (line, expected) in cases {
        let [entry] = <[Entry<'_>; 1]>::try_from(parsed(line).unwrap()).unwrap();
        let error = entry.require_findable().unwrap_err();
        assert!(error.problem.ends_with(&format!("text is always split {expected}")), "{error}");
    }
    for entry in parsed("云计算\nC++\n㐀𠀀\nJean-Luc\n北证50").unwrap() {
        entry.require_findable().unwrap();
    }
}

#[test]
fn files_in_other_encodings_are_named() {
    assert_eq!(dictionary_text("\u{FEFF}云计算\r\n".as_bytes()).unwrap(), "\u{FEFF}云计算\r\n");
    assert_eq!(dictionary_text(b"").unwrap(), "");
    let problem = |bytes: &[u8]| dictionary_text(bytes).unwrap_err().to_string();
    // 碳中和债 in GBK.
    assert_eq!(
        problem(b"# a\nb\n\xcc\xbc\xd6\xd0\xba\xcd\xd5\xae n"),
        "line 3: not UTF-8; the file seems to be GBK: save it as UTF-8"
    );
    assert_eq!(problem(b"a\n\xff\xff"), "line 2: not UTF-8: save it as UTF-8");
    for bytes in [&b"\xff\xfe\x91\x4e"[..], b"\xfe\xff\x4e\x91", b"#\0 \0"] {
        assert!(problem(bytes).contains("UTF-16"));
    }
}

/// jieba's regular expression, by trying the shortest word first.
fn as_jieba(line: &str) -> Fields<'_> {
    let field = |text: &str, is_part: fn(u8) -> bool| {
        text.strip_prefix(' ').is_some_and(|text| !text.is_empty() && text.bytes().all(is_part))
    };
    let is_number = |text: &str| field(text, |byte| byte.is_ascii_digit());
    let is_tag = |text: &str| field(text, |byte| byte.is_ascii_lowercase());
    for (end, _) in line.char_indices().skip(1) {
        let (word, rest) = line.split_at(end);
        let (number, tag) = rest.split_at(rest.rfind(' ').unwrap_or(0));
        let number_of = |text: &str| text.trim().parse().ok();
        if is_number(rest) {
            return (word, number_of(rest), None);
        } else if is_number(number) && is_tag(tag) {
            return (word, number_of(number), tag.get(1..));
        } else if is_tag(rest) {
            return (word, None, rest.get(1..));
        }
    }
    (line, None, None)
}

proptest! {
    #[test]
    fn total_on_any_text(text in "(\\PC|[ \t\r\n\u{FEFF}0-9a-z#]){0,60}", bytes: Vec<u8>) {
        for entry in entries(&text).flatten() {
            prop_assert!(!entry.word.is_empty());
            let _ = entry.require_findable();
        }
        let _ = dictionary_text(&bytes);
    }

    #[test]
    fn single_spaces_separate_fields_as_in_jieba(line in "(云|[A-Z]|[a-z]{1,2}|[0-9]{1,3}|!)( ?(云|[A-Z]{2}|[a-z]{1,2}|[0-9]{1,3}|!)){0,6}") {
        // These two are not read as in jieba on purpose, and have tests of their own.
        let jieba = as_jieba(&line);
        let Ok(entries) = parsed(&line) else { return Ok(()) };
        let found = (entries[0].word, entries[0].frequency, entries[0].tag);
        let has_foreign_tag = found.2.is_some_and(|tag| !tag.bytes().all(|byte| byte.is_ascii_lowercase()));
        prop_assert!(has_foreign_tag || found == jieba, "{found:?} {jieba:?}");
    }
}
