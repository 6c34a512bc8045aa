//! Reads the user dictionary of a cleaning configuration.

use std::fs;
use std::path::Path;

use fenliu_text::{Entry, InvalidLines, Segmenter, all_entries, dictionary_text, entries};

use crate::OperatorError;

/// A segmenter that knows the words of the file `path` beside those of jieba's own dictionary. Words that segmentation
/// could never find are left out, with a warning; jieba accepts them without an effect.
///
/// # Errors
/// [`OperatorError::DictionaryFile`] if the file cannot be read, [`OperatorError::DictionaryLines`] for all lines that are
/// invalid.
pub(crate) fn read_dictionary(path: &Path) -> Result<Segmenter, OperatorError> {
    let bytes =
        fs::read(path).map_err(|source| OperatorError::DictionaryFile { path: path.to_owned(), source })?;
    let invalid = |lines: InvalidLines| OperatorError::DictionaryLines { path: path.to_owned(), lines };
    let text =
        dictionary_text(&bytes).map_err(|line| invalid(InvalidLines { first: vec![line], count: 1 }))?;
    let entries = all_entries(entries(text)).map_err(invalid)?;
    let (findable, others): (Vec<_>, Vec<_>) =
        entries.into_iter().map(Entry::require_findable).partition(Result::is_ok);
    if let Some(lines) = InvalidLines::of(others.into_iter().filter_map(Result::err)) {
        tracing::warn!(
            event = "dictionary_words_left_out",
            words = lines.count,
            "{}: words that segmentation never finds were left out:\n{lines}",
            path.display()
        );
    }
    Ok(Segmenter::with_entries(findable.into_iter().flatten()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn dictionary(lines: &str) -> Result<Segmenter, OperatorError> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(lines.as_bytes()).unwrap();
        read_dictionary(file.path())
    }

    #[test]
    fn words_of_the_file_are_segmented_as_words() {
        let text = "云计算创新办主任是大语言模型专家";
        assert!(!Segmenter::default().words(text).any(|word| word == "创新办"));
        let segmenter = dictionary("# 用户词典\n\n创新办 3 i\n大语言模型\n云计算 n\n").unwrap();
        let words: Vec<&str> = segmenter.words(text).collect();
        assert_eq!(words, ["云计算", "创新办", "主任", "是", "大语言模型", "专家"]);
    }

    #[test]
    fn an_invalid_line_is_named_with_its_file() {
        let cases = [
            ("云计算\n机器学习 5 n 备注", "2"),
            ("云计算\n机器学习 99999999999999999999999", "2"),
            ("云计算\n机器学习 5 n 备注\n学习 5 v 备注", "3"),
        ];
        for (lines, last) in cases {
            let message = dictionary(lines).unwrap_err().to_string();
            assert!(message.contains(last) && message.contains("机器学习"), "{message}");
        }
    }

    #[test]
    fn a_word_that_is_never_found_does_no_harm() {
        let segmenter = dictionary("唐纳德·特朗普 5\n创新办 3 i\n").unwrap();
        assert!(segmenter.words("创新办主任").any(|word| word == "创新办"));
    }

    #[test]
    fn a_file_that_cannot_be_read_is_named() {
        let message = read_dictionary(Path::new("missing.txt")).unwrap_err().to_string();
        assert!(message.contains("cannot read the user dictionary missing.txt"), "{message}");
    }
}
