//! Full-width signs in numbers, addresses and formulas: `２．５％`, `Ａ＆Ｂ`.
//!
//! Elsewhere they are Chinese punctuation, which stays full-width. So the characters beside a sign decide, and they have
//! to be in their final form.

use memchr::memchr_iter;

/// Whether the character may become ASCII.
pub(super) fn is_sign(character: char) -> bool {
    matches!(character, '％' | '＄' | '＃' | '＆' | '＠' | '＋' | '＝' | '＜' | '＞' | '．')
}

/// The first byte of every sign in UTF-8.
const FIRST_BYTE: u8 = 0xEF;

/// `text` with its full-width signs in ASCII where they stand beside an ASCII letter or digit, and the full stop where it
/// stands between digits; `None` if there is no such place.
pub(super) fn fold_signs(text: &str) -> Option<String> {
    let mut folded = String::new();
    let mut copied = 0;
    // Such a byte is never inside a character, so the text can be split at it.
    for at in memchr_iter(FIRST_BYTE, text.as_bytes()) {
        if let Some((ascii, length)) = folded_sign(text, at) {
            folded.push_str(&text[copied..at]);
            folded.push(ascii);
            copied = at + length;
        }
    }
    folded.push_str(&text[copied..]);
    (copied > 0).then_some(folded)
}

/// The ASCII character for the sign at this place of `text`, and the length of the sign; `None` if it stays.
fn folded_sign(text: &str, at: usize) -> Option<(char, usize)> {
    let sign = text[at..].chars().next().filter(|character| is_sign(*character))?;
    let length = sign.len_utf8();
    let before = at.checked_sub(1).and_then(|at| text.as_bytes().get(at));
    let beside = [before, text.as_bytes().get(at + length)];
    let folds = if sign == '．' {
        beside.iter().all(|byte| byte.is_some_and(u8::is_ascii_digit))
    } else {
        beside.iter().flatten().any(|byte| byte.is_ascii_alphanumeric())
    };
    folds.then(|| (super::half_width(sign), length))
}
