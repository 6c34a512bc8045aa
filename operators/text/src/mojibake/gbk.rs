//! UTF-8 that was read as GBK: `浣犲ソ` for 你好.
//!
//! GBK pairs the bytes of UTF-8 differently, and a byte without a partner is lost, so that at most one text in four
//! could be repaired. What is left is recognised by turning the characters back into bytes.

use std::sync::LazyLock;

use encoding_rs::GBK;

/// Text is recognised by its first characters beyond ASCII, so that a long one costs no more than a short one.
const SAMPLE_CHARACTERS: usize = 256;

/// Fewer Han characters than this, as UTF-8, say too little.
const ENOUGH_HAN: usize = 3;

/// Two replacement characters in UTF-8, read as GBK.
const REPLACEMENTS: &str = "锟斤拷";

/// Whether `text` looks like UTF-8 that was read as GBK.
///
/// This is for a warning: such a text cannot be repaired, because bytes of it were lost.
pub fn looks_like_utf8_read_as_gbk(text: &str) -> bool {
    if text.is_ascii() {
        return false;
    }
    let bytes = bytes_in_gbk(text);
    let as_utf8 = String::from_utf8_lossy(&bytes);
    let (mut han, mut invalid) = (0, 0);
    for character in as_utf8.chars() {
        match character {
            '\u{3001}'..='\u{303F}' | '\u{4E00}'..='\u{9FFF}' | '\u{FF01}'..='\u{FF5E}' => han += 1,
            char::REPLACEMENT_CHARACTER => invalid += 1,
            _ => {}
        }
    }
    // Chinese text that was read right is invalid nearly throughout.
    han >= ENOUGH_HAN && han > invalid || text.contains(REPLACEMENTS)
}

/// The first characters of `text` in GBK, without those that it lacks.
fn bytes_in_gbk(text: &str) -> Vec<u8> {
    let known = |character: char| GBK_CODES.get(u32::from(character) as usize).copied().unwrap_or(0);
    let codes = text.chars().filter(|character| !character.is_ascii()).take(SAMPLE_CHARACTERS).map(known);
    codes.filter(|code| *code != 0).flat_map(u16::to_be_bytes).collect()
}

/// The two bytes of each character of the Basic Multilingual Plane in GBK, 0 if it has none. The encoder of `encoding_rs`
/// is made to be small and searches its tables from end to end.
static GBK_CODES: LazyLock<Vec<u16>> = LazyLock::new(|| {
    let mut codes = vec![0; 0x1_0000];
    for code in 0x8140..=0xFEFE_u16 {
        let bytes = code.to_be_bytes();
        let text = GBK.decode_without_bom_handling_and_without_replacement(&bytes);
        let mut characters = text.iter().flat_map(|text| text.chars());
        if let (Some(character), None) = (characters.next(), characters.next())
            && let Some(slot) = codes.get_mut(u32::from(character) as usize)
        {
            *slot = code;
        }
    }
    codes
});
