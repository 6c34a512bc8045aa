//! Reads the user dictionary of a cleaning configuration.

use std::fs;
use std::path::Path;

use fenliu_text::{Entry, InvalidLine, Segmenter, entries};

use crate::OperatorError;

/// A segmenter that knows the words of the file `path` beside those of jieba's own dictionary.
///
/// # Errors
/// [`OperatorError::DictionaryFile`] if the file cannot be read as UTF-8, [`OperatorError::DictionaryLine`]
/// for the first line that is invalid or has a word that segmentation could never find.
pub(crate) fn read_dictionary(path: &Path) -> Result<Segmenter, OperatorError> {
    let text = fs::read_to_string(path)
        .map_err(|source| OperatorError::DictionaryFile { path: path.to_owned(), source })?;
    let entries: Result<Vec<Entry<'_>>, InvalidLine> =
        entries(&text).map(|entry| entry.and_then(Entry::require_findable)).collect();
    let invalid = |InvalidLine { line, problem }| OperatorError::DictionaryLine {
        path: path.to_owned(),
        line,
        problem,
    };
    Ok(Segmenter::with_entries(entries.map_err(invalid)?))
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
            ("云计算\n机器 学习 二", "is not `word [frequency] [tag]`"),
            ("云计算\n机器学习 0", "is 0 but must be at least 1"),
            ("# 词\n唐纳德·特朗普 5", "text is always split at `·`"),
            ("云计算\n机器学习 99999999999999999999999", "too large"),
        ];
        for (lines, problem) in cases {
            let message = dictionary(lines).unwrap_err().to_string();
            assert!(message.contains(":2: ") && message.contains(problem), "{message}");
        }
    }

    #[test]
    fn a_file_that_cannot_be_read_is_named() {
        let message = read_dictionary(Path::new("missing.txt")).unwrap_err().to_string();
        assert!(message.contains("cannot read the user dictionary missing.txt"), "{message}");
    }
}
