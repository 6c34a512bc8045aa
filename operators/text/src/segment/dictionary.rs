//! User dictionaries: words that segmentation must know beside those of jieba's own dictionary.
//!
//! A dictionary is UTF-8 text with one entry a line, `word [frequency] [tag]`. Lines that start with `#` are
//! comments, empty lines are skipped, and a byte-order mark at the start is ignored. An entry without a
//! frequency gets one that makes the word win over its parts.

/// One entry of a user dictionary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// The line that it stands on, counted from 1.
    pub line: usize,
    /// The word.
    pub word: &'a str,
    /// How often the word occurs in the corpus that jieba's dictionary was counted in, at least 1; `None` if
    /// the line has no frequency.
    pub frequency: Option<usize>,
    /// The part of speech, which segmentation does not use.
    pub tag: Option<&'a str>,
}

/// A line of a user dictionary that is invalid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct InvalidLine {
    /// The line, counted from 1.
    pub line: usize,
    /// Why it is invalid.
    pub problem: String,
}

/// The entries of a user dictionary, in order; comments and empty lines are left out.
pub fn entries(dictionary: &str) -> impl Iterator<Item = Result<Entry<'_>, InvalidLine>> {
    let lines = dictionary.trim_start_matches('\u{FEFF}').lines();
    (1..).zip(lines).filter_map(|(line, text)| {
        Entry::parse(line, text).map_err(|problem| InvalidLine { line, problem }).transpose()
    })
}

impl<'a> Entry<'a> {
    /// The entry on a line, `None` on a comment or an empty line; the error says what is wrong.
    fn parse(line: usize, text: &'a str) -> Result<Option<Self>, String> {
        if text.trim_start().starts_with('#') {
            return Ok(None);
        }
        let fields: Vec<&str> = text.split_whitespace().collect();
        let (word, frequency, tag) = match *fields.as_slice() {
            [] => return Ok(None),
            [word] => (word, None, None),
            [word, number] if is_number(number) => (word, Some(number), None),
            [word, tag] if is_tag(tag) => (word, None, Some(tag)),
            [word, number, tag] if is_number(number) && is_tag(tag) => (word, Some(number), Some(tag)),
            _ => return Err(format!("`{}` is not `word [frequency] [tag]`", text.trim())),
        };
        let frequency = frequency.map(|number| parse_frequency(word, number)).transpose()?;
        Ok(Some(Entry { line, word, frequency, tag }))
    }

    /// Passes the entry on if segmentation can find its word.
    ///
    /// # Errors
    /// The word contains a character at which jieba always splits a text, so that the word would never be
    /// found.
    pub fn require_findable(self) -> Result<Self, InvalidLine> {
        match self.word.chars().find(|&character| !is_word_character(character)) {
            None => Ok(self),
            Some(character) => Err(InvalidLine {
                line: self.line,
                problem: format!(
                    "the word `{}` would never be found: text is always split at `{character}`",
                    self.word
                ),
            }),
        }
    }
}

fn parse_frequency(word: &str, number: &str) -> Result<usize, String> {
    match number.parse() {
        Ok(0) => Err(format!("the frequency of `{word}` is 0 but must be at least 1")),
        Ok(frequency) => Ok(frequency),
        // The number consists of digits, so the only error is that it is too large.
        Err(_) => Err(format!("the frequency of `{word}` is too large")),
    }
}

fn is_number(field: &str) -> bool {
    field.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_tag(field: &str) -> bool {
    field.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// Whether jieba may take the character for part of a word.
///
/// This is `is_han_default` of jieba-rs 0.11, which is private there, and so is not
/// [`is_han`](super::is_han).
fn is_word_character(character: char) -> bool {
    match character {
        '+' | '#' | '&' | '.' | '_' | '%' | '-' => true,
        '\u{3400}'..='\u{4DBF}' | '\u{4E00}'..='\u{9FFF}' | '\u{F900}'..='\u{FAFF}' => true,
        '\u{20000}'..='\u{2EBEF}' | '\u{2F800}'..='\u{2FA1F}' => true,
        _ => character.is_ascii_alphanumeric(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(dictionary: &str) -> Result<Vec<Entry<'_>>, InvalidLine> {
        entries(dictionary).collect()
    }

    #[test]
    fn every_form_of_an_entry_is_read_and_comments_are_skipped() {
        let entry = |line, word, frequency, tag| Entry { line, word, frequency, tag };
        let dictionary = "\u{FEFF}# 用户词典\n\n创新办 3 i\n大语言模型\r\n  云计算 n\n云梯 5";
        let expected = [
            entry(3, "创新办", Some(3), Some("i")),
            entry(4, "大语言模型", None, None),
            entry(5, "云计算", None, Some("n")),
            entry(6, "云梯", Some(5), None),
        ];
        assert_eq!(parsed(dictionary).unwrap(), expected);
    }

    #[test]
    fn an_invalid_line_is_named_by_its_number() {
        let cases = [
            ("机器 学习 二", "`机器 学习 二` is not `word [frequency] [tag]`"),
            ("云梯 5 n x", "`云梯 5 n x` is not `word [frequency] [tag]`"),
            ("云梯 n 5!", "`云梯 n 5!` is not `word [frequency] [tag]`"),
            ("机器学习 0", "the frequency of `机器学习` is 0 but must be at least 1"),
            ("机器学习 99999999999999999999999", "the frequency of `机器学习` is too large"),
        ];
        for (line, problem) in cases {
            let error = parsed(&format!("云计算\n{line}\n")).unwrap_err();
            assert_eq!(error, InvalidLine { line: 2, problem: problem.to_owned() });
        }
    }

    #[test]
    fn a_word_at_whose_characters_text_is_split_is_not_findable() {
        let [name] = <[Entry<'_>; 1]>::try_from(parsed("唐纳德·特朗普 5").unwrap()).unwrap();
        let error = name.require_findable().unwrap_err();
        assert!(error.problem.ends_with("text is always split at `·`"), "{error}");
        for entry in parsed("云计算\nC++\n㐀𠀀").unwrap() {
            entry.require_findable().unwrap();
        }
    }
}
