//! Cuts a date into numbers, words and signs.

/// The longest text that is looked at. The longest notation, that of JavaScript with the zone's full name, has about 70
/// characters.
const LONGEST: usize = 128;

/// A part of a date.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// Digits, with how many there are: `05` is two.
    Number {
        /// Its value.
        value: u64,
        /// How many digits it has, leading zeros included.
        digits: usize,
    },
    /// Letters, in lower case: a run of ASCII letters, or a run of others. A unit behind a number is a word of its own.
    Word(String),
    /// A sign.
    Sign(char),
    /// Blanks, however many.
    Space,
}

/// The units of Chinese dates and times.
const UNITS: &str = "年月日号號时時点點分秒";

/// Cuts `text`; `None` if it is too long for a date, or has a number beyond 64 bits.
pub(super) fn tokens(text: &str) -> Option<Vec<Token>> {
    if text.len() > LONGEST {
        return None;
    }
    let mut tokens: Vec<Token> = vec![];
    let mut is_after_unit = false;
    for c in text.chars().map(narrow) {
        let is_unit = UNITS.contains(c) && is_after_number(&tokens);
        match (tokens.last_mut(), c) {
            (Some(Token::Space), _) if c.is_whitespace() => {}
            (_, _) if c.is_whitespace() => tokens.push(Token::Space),
            (Some(Token::Number { value, digits }), '0'..='9') => {
                *value = value.checked_mul(10)?.checked_add(digit(c))?;
                *digits += 1;
            }
            (_, '0'..='9') => tokens.push(Token::Number { value: digit(c), digits: 1 }),
            (Some(Token::Word(word)), _)
                if c.is_alphabetic() && !is_after_unit && word.is_ascii() == c.is_ascii() =>
            {
                word.extend(c.to_lowercase());
            }
            (_, _) if c.is_alphabetic() => tokens.push(Token::Word(c.to_lowercase().collect())),
            _ => tokens.push(Token::Sign(c)),
        }
        is_after_unit = is_unit;
    }
    Some(tokens)
}

/// Whether a unit may follow: a number was last, perhaps with blanks behind it. Elsewhere the same characters are parts
/// of words, as in 北京时间 and 星期日.
fn is_after_number(tokens: &[Token]) -> bool {
    let last = tokens.iter().rev().find(|token| **token != Token::Space);
    matches!(last, Some(Token::Number { .. }))
}

fn digit(c: char) -> u64 {
    u64::from(c) - u64::from('0')
}

/// Full-width digits, colons and the like as ASCII.
fn narrow(c: char) -> char {
    match c {
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(u32::from(c) - 0xfee0).unwrap_or(c),
        // The minus sign and the dashes that typesetting puts in its place.
        '\u{2010}'..='\u{2015}' | '\u{2212}' => '-',
        _ => c,
    }
}
