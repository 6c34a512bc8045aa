//! The CJK Radicals Supplement: parts of characters, which text out of PDF files has in place of the characters.
//!
//! The Kangxi radicals have compatibility decompositions, but only two of these 115 have one. The table is the property
//! `Equivalent_Unified_Ideograph` of the Unicode Character Database, version 14.0 (`EquivalentUnifiedIdeograph.txt`).
//! Later versions differ in U+2E95 alone, for which they name U+2B739, a character that hardly any font or model has.

const FIRST: char = '\u{2E80}';

/// The ideographs of U+2E80 to U+2EF3, in order. U+2E80, for which the database has none, and U+2E9A, which is not
/// assigned, stand for themselves.
#[rustfmt::skip]
const IDEOGRAPHS: [char; 116] = [
    '⺀', '厂', '乛', '乚', '乙', '亻', '冂', '𠘨', '刀', '刂', '卜', '㔾', '小', '小',
    '兀', '尣', '尢', '𡯂', '巳', '幺', '彑', '彐', '忄', '心', '扌', '攵', '\u{2E9A}', '旡',
    '日', '月', '歺', '母', '民', '氵', '氺', '灬', '爫', '爫', '丬', '牛', '犭', '王',
    '𤴔', '目', '示', '礻', '𥫗', '糹', '纟', '罓', '罒', '㓁', '冗', '𦉫', '羊', '𦍌',
    '𦍋', '耂', '肀', '聿', '肉', '𦥑', '艹', '艹', '艹', '虎', '衤', '覀', '西', '见',
    '角', '𧢲', '讠', '贝', '𧾷', '车', '辶', '辶', '辶', '邑', '钅', '長', '镸', '长',
    '门', '𨸏', '阝', '雨', '青', '韦', '页', '风', '飞', '食', '𩙿', '飠', '饣', '𩠐',
    '马', '骨', '鬼', '鱼', '鸟', '卤', '麦', '黄', '黾', '斉', '齐', '歯', '齿', '竜',
    '龙', '龜', '亀', '龟',
];

/// The ideograph that looks like `radical`, which is itself for any other character.
pub(super) fn ideograph(radical: char) -> char {
    let index = u32::from(radical).checked_sub(u32::from(FIRST));
    index.and_then(|index| IDEOGRAPHS.get(index as usize)).copied().unwrap_or(radical)
}
