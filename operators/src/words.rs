//! `segment`: text to words.
//!
//! Chinese is cut by jieba: its dictionary, the user's words, and a hidden Markov model for words that
//! neither has. Runs of Latin letters and digits stay whole; punctuation is a word, white space is none.
//!
//! A user dictionary is a UTF-8 file of lines `word [frequency] [tag]`; `#` starts a comment line. Without
//! a frequency, the word gets one that makes it win over its parts.

use std::any::Any;
use std::fmt;
use std::fs;
use std::path::Path;
use std::sync::{Arc, LazyLock};

use arrow::array::{ArrayRef, ListBuilder, StringBuilder};
use arrow::datatypes::{DataType, Field};
use datafusion::error::Result;
use datafusion::logical_expr::ptr_eq::PtrEq;
use datafusion::logical_expr::{
    ColumnarValue, Documentation, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use jieba_rs::Jieba;

use crate::OperatorError;
use crate::array::{SECTION, map_first, plain_text_type, texts};

/// Cuts text to words, by jieba's own dictionary or one that a user extended.
///
/// Cheap to clone: the dictionary is shared.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub(crate) struct Segmenter {
    /// `None`: jieba's own dictionary, loaded once per process when the first text comes.
    extended: Option<PtrEq<Arc<Jieba>>>,
}

impl fmt::Debug for Segmenter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Segmenter").field("has_user_dictionary", &self.extended.is_some()).finish()
    }
}

impl Segmenter {
    /// A segmenter that knows the words of the file `path` beside jieba's own.
    ///
    /// # Errors
    /// [`OperatorError::DictionaryFile`] when the file cannot be read as UTF-8,
    /// [`OperatorError::DictionaryLine`] for the first line that is wrong.
    pub(crate) fn try_with_dictionary(path: &Path) -> Result<Self, OperatorError> {
        let text = fs::read_to_string(path)
            .map_err(|source| OperatorError::DictionaryFile { path: path.to_owned(), source })?;
        let mut jieba = Jieba::new();
        for (index, line) in text.trim_start_matches('\u{FEFF}').lines().enumerate() {
            let entry = Entry::parse(line).map_err(|problem| OperatorError::DictionaryLine {
                path: path.to_owned(),
                line: index + 1,
                problem,
            })?;
            if let Some(entry) = entry {
                jieba.add_word(entry.word, entry.frequency, entry.tag);
            }
        }
        Ok(Segmenter { extended: Some(Arc::new(jieba).into()) })
    }

    /// The words of `text`, in order.
    pub(crate) fn words<'a>(&self, text: &'a str) -> impl Iterator<Item = &'a str> {
        static BUILT_IN: LazyLock<Jieba> = LazyLock::new(Jieba::new);
        let jieba = self.extended.as_ref().map_or(&*BUILT_IN, |jieba| jieba);
        let tokens = jieba.cut(text, true);
        tokens.into_iter().map(|token| token.word).filter(|word| !word.trim().is_empty())
    }
}

/// One line of a user dictionary.
#[derive(Debug, PartialEq)]
struct Entry<'a> {
    word: &'a str,
    frequency: Option<usize>,
    tag: Option<&'a str>,
}

impl<'a> Entry<'a> {
    /// `None` for a comment or an empty line; the error says what is wrong.
    fn parse(line: &'a str) -> Result<Option<Self>, String> {
        if line.trim_start().starts_with('#') {
            return Ok(None);
        }
        let parts: Vec<&str> = line.split_whitespace().collect();
        let (word, frequency, tag) = match parts.as_slice() {
            [] => return Ok(None),
            [word] => (*word, None, None),
            [word, number] if is_number(number) => (*word, Some(*number), None),
            [word, tag] if is_tag(tag) => (*word, None, Some(*tag)),
            [word, number, tag] if is_number(number) && is_tag(tag) => (*word, Some(*number), Some(*tag)),
            _ => return Err(format!("`{}` is not `word [frequency] [tag]`", line.trim())),
        };
        // Segmentation splits at any other character before it looks a word up.
        if let Some(other) = word.chars().find(|&character| !is_word_character(character)) {
            return Err(format!("the word `{word}` would never be found: text is always split at `{other}`"));
        }
        let frequency = match frequency.map(str::parse) {
            None => None,
            Some(Ok(0)) => return Err(format!("the frequency of `{word}` is 0 but must be at least 1")),
            Some(Ok(frequency)) => Some(frequency),
            Some(Err(_)) => return Err(format!("the frequency of `{word}` is too large")),
        };
        Ok(Some(Entry { word, frequency, tag }))
    }
}

fn is_number(part: &str) -> bool {
    part.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_tag(part: &str) -> bool {
    part.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// What jieba takes for part of a word (`is_han_default` in jieba-rs 0.11).
fn is_word_character(character: char) -> bool {
    match character {
        '+' | '#' | '&' | '.' | '_' | '%' | '-' => true,
        '\u{3400}'..='\u{4DBF}' | '\u{4E00}'..='\u{9FFF}' | '\u{F900}'..='\u{FAFF}' => true,
        '\u{20000}'..='\u{2EBEF}' | '\u{2F800}'..='\u{2FA1F}' => true,
        _ => character.is_ascii_alphanumeric(),
    }
}

/// The SQL function `segment(text)` with jieba's own dictionary.
pub(crate) fn function() -> ScalarUDF {
    function_with(Segmenter::default())
}

/// The SQL function `segment(text)` with a given dictionary.
pub(crate) fn function_with(segmenter: Segmenter) -> ScalarUDF {
    let documentation = Documentation::builder(
        SECTION,
        "The words of a text, as a list. Chinese is segmented with a dictionary and a hidden Markov model; \
         punctuation is a word, white space is none.",
        "segment(text)",
    )
    .with_argument("text", "Text of any string type. Null gives null.")
    .with_sql_example("SELECT segment('央行宣布降息'); -- [央行, 宣布, 降息]")
    .with_related_udf("normalize")
    .build();
    let signature = Signature::user_defined(Volatility::Immutable);
    ScalarUDF::from(Segment { segmenter, signature, documentation })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Segment {
    segmenter: Segmenter,
    signature: Signature,
    documentation: Documentation,
}

impl ScalarUDFImpl for Segment {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn name(&self) -> &str {
        "segment"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        plain_text_type("segment", arg_types)
    }

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        Ok(DataType::List(Arc::new(Field::new_list_field(DataType::Utf8, true))))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        map_first(&args, |array| {
            let mut lists = ListBuilder::new(StringBuilder::new());
            for text in texts(array)? {
                if let Some(text) = text {
                    self.segmenter.words(text).for_each(|word| lists.values().append_value(word));
                }
                lists.append(text.is_some());
            }
            Ok(Arc::new(lists.finish()) as ArrayRef)
        })
    }

    fn documentation(&self) -> Option<&Documentation> {
        Some(&self.documentation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{json_lines, text_of};
    use proptest::prelude::*;
    use std::collections::{BTreeMap, HashSet};
    use std::io::Write;

    fn words(segmenter: &Segmenter, text: &str) -> Vec<String> {
        segmenter.words(text).map(str::to_owned).collect()
    }

    #[test]
    fn golden() {
        let segmenter = Segmenter::default();
        let cases: [(&str, &[&str]); 5] = [
            ("央行宣布降息", &["央行", "宣布", "降息"]),
            ("iPhone15 在北京发售。", &["iPhone15", "在", "北京", "发售", "。"]),
            ("他来到了网易杭研大厦", &["他", "来到", "了", "网易", "杭研", "大厦"]),
            (" \t\n　", &[]),
            ("", &[]),
        ];
        for (text, expected) in cases {
            assert_eq!(words(&segmenter, text), expected, "{text}");
        }
    }

    fn dictionary(lines: &str) -> Result<Segmenter, OperatorError> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(lines.as_bytes()).unwrap();
        Segmenter::try_with_dictionary(file.path())
    }

    #[test]
    fn user_words_win_with_and_without_a_frequency() {
        let text = "云计算创新办主任是大语言模型专家";
        assert!(!words(&Segmenter::default(), text).contains(&"创新办".to_owned()));
        let segmenter = dictionary("# 用户词典\n\n创新办 3 i\n大语言模型\n云计算 n\n").unwrap();
        assert_eq!(words(&segmenter, text), ["云计算", "创新办", "主任", "是", "大语言模型", "专家"]);
    }

    #[test]
    fn a_wrong_line_is_named() {
        let cases = [
            ("云计算\n机器 学习 二", "is not `word [frequency] [tag]`"),
            ("云计算\n机器学习 0", "is 0 but must be at least 1"),
            ("# 词\n唐纳德·特朗普 5", "text is always split at `·`"),
            ("云计算\n机器学习 99999999999999999999999", "too large"),
        ];
        for (lines, problem) in cases {
            let message = dictionary(lines).unwrap_err().to_string();
            assert!(message.contains(":2: ") && message.contains(problem), "{message}");
        }
        let message = Segmenter::try_with_dictionary(Path::new("missing.txt")).unwrap_err().to_string();
        assert!(message.contains("missing.txt"), "{message}");
    }

    #[test]
    fn segmenters_are_equal_when_they_share_a_dictionary() {
        let one = dictionary("云计算").unwrap();
        assert_eq!(one, one.clone());
        assert_ne!(one, dictionary("云计算").unwrap());
        assert_ne!(one, Segmenter::default());
    }

    /// The byte ranges of words, whose concatenation is the text.
    fn spans<'a>(words: impl Iterator<Item = &'a str>) -> HashSet<(usize, usize)> {
        let ends = words.scan(0, |end, word| {
            let start = *end;
            *end += word.len();
            Some((start, *end))
        });
        ends.collect()
    }

    /// Word F1 as in the SIGHAN bakeoffs: a word counts when both its ends are right.
    #[test]
    fn segmentation_agrees_with_gold() {
        let Some(rows) = json_lines("wordseg_zh_gold.jsonl") else { return };
        let segmenter = Segmenter::default();
        let mut totals: BTreeMap<&str, (usize, usize, usize)> = BTreeMap::new();
        for row in &rows {
            let gold = spans(row["words"].as_array().unwrap().iter().map(|word| word.as_str().unwrap()));
            let found = spans(segmenter.words(text_of(row, "text")));
            let total = totals.entry(text_of(row, "source")).or_default();
            total.0 += gold.intersection(&found).count();
            total.1 += gold.len();
            total.2 += found.len();
        }
        for (source, (right, gold, found)) in totals {
            let f1 = 2.0 * right as f64 / (gold + found) as f64;
            let floor = match source {
                "UD Chinese GSDSimp" => 0.785,
                "UD Chinese GSD" => 0.73,
                _ => 0.80,
            };
            println!("{source}: F1 {f1:.4}");
            assert!(f1 >= floor, "{source}: F1 {f1:.4} is below {floor}");
        }
    }

    proptest! {
        #[test]
        fn words_are_the_text_without_white_space(text in "[\u{4E00}-\u{4FFF}a-z0-9 ，。\n]{0,60}") {
            let joined: String = Segmenter::default().words(&text).collect();
            let dense: String = text.chars().filter(|c| !c.is_whitespace()).collect();
            prop_assert_eq!(joined.replace(' ', ""), dense);
        }

        #[test]
        fn total_on_any_text(text in "\\PC{0,60}") {
            Segmenter::default().words(&text).for_each(drop);
        }
    }
}
