//! What becomes of characters of each kind, and that nothing changes twice.

use super::*;
use crate::blank::is_blank;
use crate::properties::category;
use icu_properties::props::GeneralCategory;
use proptest::prelude::*;

fn normalized(text: &str) -> String {
    let mut out = String::new();
    if normalize(text, &mut out) { out } else { text.to_owned() }
}

#[test]
fn each_rule_is_applied() {
    let cases = [
        ("中国ＡＢｃ１２３", "中国ABc123"),
        ("　　新华社北京１月１日电　记者", "新华社北京1月1日电 记者"),
        ("e\u{301}te\u{301}", "été"),
        ("e\u{200B}\u{301}", "é"),
        ("Ａ\u{300}", "À"),
        ("a\u{FEFF}b\u{0}c\u{AD}d", "abcd"),
        ("  a \u{A0}  b\tc \t d  ", "a b\tc\td"),
        ("a \r\n b\rc\n\n\n\n　d\n", "a\nb\nc\n\nd"),
        ("a  b c\u{200B} d \u{200B} e", "a b c d e"),
        ("\u{2126}\u{2000}x", "Ω x"),
        ("", ""),
        (" \n\t　", ""),
    ];
    for (input, expected) in cases {
        assert_eq!(normalized(input), expected, "{input:?}");
    }
}

#[test]
fn characters_out_of_pdf_files_become_the_usual_ones() {
    let cases = [
        ("⾦融⽇报：⼈⺠银⾏⼀⾏⻓讲话", "金融日报：人民银行一行长讲话"),
        ("⼤⼩⾼⽴", "大小高立"),
        ("⻢⻋⻔⻚⻛⻜⻥⻦⻨⻩⻬⻰⻳⻄⻅⻉⺟⺮", "马车门页风飞鱼鸟麦黄齐龙龟西见贝母𥫗"),
        ("The oﬃcial ﬁgure ﬂew, oﬀ ﬅ ﬆ", "The official figure flew, off st st"),
        ("𝐁𝐢𝐠 𝒏𝒆𝒘𝒔 𝟚𝟘𝟚𝟞 𝛼", "Big news 2026 α"),
        ("𝑡ℎ𝑒 ℝ ℋ𝑒𝓁𝓁ℴ", "the R Hello"),
        ("ｶﾞｲﾄﾞﾌﾞｯｸ発売", "ガイドブック発売"),
        ("ﾊﾟﾘ｡｢ｳﾞｧ｣､ｺｰﾋｰ･ﾞ", "パリ。「ヴァ」、コーヒー・゛"),
        ("ﾋﾗ ﾞ", "ヒラ ゛"),
        ("ﾡﾤￂￜﾾ", "ㄱㄴㅏㅣㅎ"),
        ("葛\u{E0100}飾区の天気", "葛飾区の天気"),
        ("中\u{AD}央\u{200B}银\u{2060}行", "中央银行"),
        ("\u{F92C}\u{2F800}", "郎丽"),
    ];
    for (input, expected) in cases {
        assert_eq!(normalized(input), expected, "{input:?}");
    }
}

#[test]
fn signs_become_ascii_beside_ascii() {
    let cases = [
        ("增长２．５％，ＧＤＰ＋３％", "增长2.5%，GDP+3%"),
        ("Ａ＆Ｂ　＄５０　＃１　ａ＠ｂ．ｃ", "A&B $50 #1 a@b．c"),
        ("ｘ＝１，ｘ＜２，ｘ＞３", "x=1，x<2，x>3"),
        ("１．２．３", "1.2.3"),
        ("第１．节", "第1．节"),
        ("百分之五％＆＠中", "百分之五％＆＠中"),
        ("３\u{200B}％", "3%"),
        ("％e\u{301}", "％é"),
        ("１＜\u{338}", "1≮"),
        ("＄＄５", "＄$5"),
    ];
    for (input, expected) in cases {
        assert_eq!(normalized(input), expected, "{input:?}");
    }
}

#[test]
fn invisible_characters_are_removed() {
    let cases = [
        ("❤\u{FE0F} 👨\u{200D}👩\u{200D}👧", "❤ 👨👩👧"),
        ("a\u{E0041}\u{E007F}b\u{180B}c\u{34F}d\u{61C}e\u{3164}f\u{FFA0}g\u{115F}h", "abcdefgh"),
        ("\u{FFF9}東京\u{FFFA}とうきょう\u{FFFB}", "東京とうきょう"),
        ("好\u{FFFD}", "好"),
        ("\u{FFFD}\u{FFFD}", ""),
        ("3\u{FFFD}5 %, 中\u{FFFD}\u{FFFD}国", "3 5 %, 中 国"),
    ];
    for (input, expected) in cases {
        assert_eq!(normalized(input), expected, "{input:?}");
    }
}

#[test]
fn what_means_something_is_kept() {
    let texts = [
        "，。：；？！（）「」《》、～…“”‘’—·",
        "① Ⅲ ㈱ ㎏ ℃ № ™ ² ½ ℹ ℓ ￥ ￡",
        "臺灣的著作權，戶口、戸口",
        "央行：1月CPI上涨 2.1%\n\n第二段",
        "私用区\u{E000}",
        "பாரதி हिन्दी བོད་ཡིག",
        "It’s café – “yes”",
    ];
    for text in texts {
        assert!(!normalize(text, &mut String::new()), "{text}");
    }
}

#[test]
fn every_ignorable_character_is_removed_and_nothing_visible_is() {
    let unused =
        |character| matches!(category(character), GeneralCategory::Unassigned | GeneralCategory::PrivateUse);
    for character in ('\0'..=char::MAX).filter(|character| is_ignorable(*character) || !unused(*character)) {
        let result = normalized(&format!("a{character}b"));
        if is_ignorable(character) {
            assert_eq!(result, "ab", "U+{:X}", u32::from(character));
        } else if !is_blank(&character.to_string()) {
            assert_ne!(result, "ab", "U+{:X}", u32::from(character));
        }
        let beside = normalized(&format!("1{character}1{character}"));
        assert_eq!(normalized(&beside), beside, "U+{:X}", u32::from(character));
    }
}

proptest! {
    #[test]
    fn idempotent_on_any_text(text in "\\PC*|[\\s\\S]{0,60}") {
        let once = normalized(&text);
        prop_assert_eq!(normalized(&once), once.clone());
        prop_assert_eq!(once.trim(), once.as_str());
    }

    #[test]
    fn idempotent_on_what_it_changes(text in "[aＡ１é\u{300}\u{301}\u{1100}\u{1161}\u{11A8} \t\r\n\u{3000}\u{200B}\u{FEFF}\u{2000}\u{85}\u{2126}中]{0,40}") {
        let once = normalized(&text);
        prop_assert_eq!(normalized(&once), once);
    }

    #[test]
    fn idempotent_on_folds(text in "[a1 １Ａ％＜＞＝．＆\u{338}\u{301}\u{3099}\u{309A}ｶﾊﾞﾟかがﾡￂ⻓⾦ﬁ𝐀ℎ\u{200D}\u{FE0F}\u{FFFD}中。]{0,40}") {
        let once = normalized(&text);
        prop_assert_eq!(normalized(&once), once);
    }
}
