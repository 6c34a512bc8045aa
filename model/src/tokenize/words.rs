//! Word tokens: jieba segmentation and a vocabulary of whole words.
//!
//! `vocabulary.txt` has one token per line; the line number is the id, and padding and unknown come first.
//! `user_dict.txt` has lines `word [frequency] [tag]`, and comment lines that start with `#`. A word without
//! a frequency gets one that is high enough for the segmenter to prefer it to its parts. jieba splits text
//! that is neither Han nor ASCII into single characters; for scripts that put spaces between words (é,
//! Cyrillic, Greek, …) they are joined to words again here.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::HashMap;
use std::path::Path;

use fenliu_text::{Entry, InvalidLine, Segmenter, entries, is_han};
use rayon::prelude::*;

use super::encoding::Encoding;
use super::vocabulary::{PAD_TOKEN, UNK_ID, UNK_TOKEN, VocabularyOptions};
use crate::error::{ModelError, Result};

const VOCABULARY_FILE: &str = "vocabulary.txt";
pub(crate) const USER_DICT_FILE: &str = "user_dict.txt";

/// Texts are segmented in pieces of about this size, so that a long article is not segmented far beyond the
/// last token that is kept.
const PIECE_BYTES: usize = 1024;

pub(super) struct Words {
    segmenter: Segmenter,
    /// Content of the user dictionary, which is saved together with the vocabulary.
    user_dict: Option<String>,
    ids: HashMap<Box<str>, u32>,
}

impl Words {
    pub(super) fn train(texts: &[String], options: &VocabularyOptions) -> Result<Self> {
        let user_dict = options.user_dict.as_deref().map(read).transpose()?;
        let segmenter = segmenter(user_dict.as_deref(), options.user_dict.as_deref())?;
        let vocabulary = most_frequent(count_words(&segmenter, texts), options);
        if vocabulary.is_empty() {
            let problem = format!("no token occurs {} times in {} texts", options.min_count, texts.len());
            return Err(ModelError::tokenizer(VOCABULARY_FILE, problem));
        }
        let special = [PAD_TOKEN, UNK_TOKEN].map(String::from);
        let ids =
            special.into_iter().chain(vocabulary).zip(0..).map(|(token, id)| (token.into(), id)).collect();
        Ok(Self { segmenter, user_dict, ids })
    }

    pub(super) fn load(dir: &Path) -> Result<Self> {
        let user_dict_path = dir.join(USER_DICT_FILE);
        let user_dict = user_dict_path.exists().then(|| read(&user_dict_path)).transpose()?;
        let segmenter = segmenter(user_dict.as_deref(), Some(&user_dict_path))?;
        let vocabulary_path = dir.join(VOCABULARY_FILE);
        let ids = parse_vocabulary(&read(&vocabulary_path)?, &vocabulary_path)?;
        Ok(Self { segmenter, user_dict, ids })
    }

    pub(super) fn save(&self, dir: &Path) -> Result<()> {
        let mut tokens: Vec<(&u32, &str)> = self.ids.iter().map(|(token, id)| (id, &**token)).collect();
        tokens.sort_unstable();
        let lines: String = tokens.into_iter().flat_map(|(_, token)| [token, "\n"]).collect();
        let path = dir.join(VOCABULARY_FILE);
        std::fs::write(&path, lines).map_err(ModelError::io("write", &path))?;
        if let Some(user_dict) = &self.user_dict {
            let path = dir.join(USER_DICT_FILE);
            std::fs::write(&path, user_dict).map_err(ModelError::io("write", &path))?;
        }
        Ok(())
    }

    pub(super) fn vocab_size(&self) -> usize {
        self.ids.len()
    }

    pub(super) fn encode(&self, text: &str, max_tokens: usize) -> Encoding {
        let mut ids = Vec::new();
        for piece in pieces(text) {
            for_each_word(&self.segmenter, piece, |word| self.push_ids(&lowercase(word), &mut ids));
            // One token more than the limit is enough to know that the text is cut off.
            if ids.len() > max_tokens {
                break;
            }
        }
        let truncated = ids.len() > max_tokens;
        ids.truncate(max_tokens);
        if ids.is_empty() {
            ids.push(UNK_ID);
        }
        Encoding::new(ids, truncated)
    }

    /// A word outside the vocabulary becomes its characters if it is Chinese, else the unknown token.
    fn push_ids(&self, word: &str, ids: &mut Vec<u32>) {
        if let Some(&id) = self.ids.get(word) {
            ids.push(id);
        } else if word.chars().any(is_han) {
            let mut character_bytes = [0; 4];
            ids.extend(word.chars().map(|character| {
                self.ids.get(&*character.encode_utf8(&mut character_bytes)).copied().unwrap_or(UNK_ID)
            }));
        } else {
            ids.push(UNK_ID);
        }
    }
}

fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).map_err(ModelError::io("read", path))
}

/// The segmenter with the default dictionary, or with the user's words too.
///
/// A word that contains a character at which jieba always splits can never be found. The cleaning step refuses such a
/// word; here it is accepted, because the dictionaries of existing bundles may contain some.
pub(crate) fn segmenter(user_dict: Option<&str>, path: Option<&Path>) -> Result<Segmenter> {
    let Some(user_dict) = user_dict else {
        // Loaded here, so that no document waits for the dictionary.
        return Ok(Segmenter::loaded());
    };
    let entries: Result<Vec<Entry<'_>>, InvalidLine> = entries(user_dict).collect();
    let entries = entries.map_err(|invalid| {
        let path = path.unwrap_or(Path::new(USER_DICT_FILE));
        ModelError::tokenizer(path, invalid.to_string())
    })?;
    Ok(Segmenter::with_entries(entries))
}

fn parse_vocabulary(content: &str, path: &Path) -> Result<HashMap<Box<str>, u32>> {
    let mut ids = HashMap::new();
    for (token, id) in content.lines().zip(0u32..) {
        let expected = [PAD_TOKEN, UNK_TOKEN].get(id as usize).copied();
        if token.is_empty() || expected.is_some_and(|expected| token != expected) {
            let problem =
                format!("line {}: `{token}` where {} belongs", id + 1, expected.unwrap_or("a token"));
            return Err(ModelError::tokenizer(path, problem));
        }
        if let Some(first) = ids.insert(token.into(), id) {
            let problem = format!("line {}: `{token}` is on line {} too", id + 1, first + 1);
            return Err(ModelError::tokenizer(path, problem));
        }
    }
    if ids.len() < 3 {
        return Err(ModelError::tokenizer(path, format!("{} lines but at least 3 are needed", ids.len())));
    }
    Ok(ids)
}

fn count_words(segmenter: &Segmenter, texts: &[String]) -> HashMap<String, usize> {
    let count_text = |mut counts: HashMap<String, usize>, text: &String| {
        // In the same pieces as `encode`, so that both see the same words.
        for piece in pieces(text) {
            for_each_word(segmenter, piece, |word| add(&mut counts, &lowercase(word), 1));
        }
        counts
    };
    let merge = |mut left: HashMap<String, usize>, right: HashMap<String, usize>| {
        right.iter().for_each(|(word, count)| add(&mut left, word, *count));
        left
    };
    texts.par_iter().fold(HashMap::new, count_text).reduce(HashMap::new, merge)
}

fn add(counts: &mut HashMap<String, usize>, word: &str, count: usize) {
    match counts.get_mut(word) {
        Some(sum) => *sum += count,
        None => _ = counts.insert(word.to_owned(), count),
    }
}

/// The tokens of the vocabulary: frequent words, and characters by their frequency in words that are not
/// frequent.
fn most_frequent(words: HashMap<String, usize>, options: &VocabularyOptions) -> Vec<String> {
    // A word that gets no entry is encoded as its characters, so its occurrences count for those.
    let is_rare_chinese = |word: &str, count| count < options.min_count && word.chars().any(is_han);
    let (rare, mut counts): (HashMap<_, _>, HashMap<_, _>) =
        words.into_iter().partition(|(word, count)| is_rare_chinese(word, *count));
    for (word, count) in &rare {
        let mut character_bytes = [0; 4];
        word.chars()
            .for_each(|character| add(&mut counts, character.encode_utf8(&mut character_bytes), *count));
    }
    let mut tokens: Vec<_> = counts.into_iter().filter(|(_, count)| *count >= options.min_count).collect();
    tokens.sort_unstable_by(|(left, left_count), (right, right_count)| {
        (Reverse(left_count), left).cmp(&(Reverse(right_count), right))
    });
    let special_tokens = 2;
    tokens.truncate(options.max_size - special_tokens);
    tokens.into_iter().map(|(token, _)| token).collect()
}

/// Splits `text` after white space or Chinese punctuation into pieces of at least [`PIECE_BYTES`].
///
/// jieba segments the text between such characters independently, so that the words of the pieces are the
/// words of the text.
pub(crate) fn pieces(text: &str) -> impl Iterator<Item = &str> {
    let is_break = |character: char| character.is_whitespace() || "，。！？；：、".contains(character);
    let mut rest = text;
    std::iter::from_fn(move || {
        let end =
            rest.char_indices().find(|(start, character)| *start >= PIECE_BYTES && is_break(*character));
        let (piece, tail) =
            rest.split_at(end.map_or(rest.len(), |(start, character)| start + character.len_utf8()));
        rest = tail;
        (!piece.is_empty()).then_some(piece)
    })
}

/// Calls `visit` with each word of `text` in order; white space is dropped.
pub(crate) fn for_each_word(segmenter: &Segmenter, text: &str, mut visit: impl FnMut(&str)) {
    let tokens = segmenter.cut(text);
    for run in tokens.chunk_by(|left, right| joins(left.word, right.word)) {
        // A run of one token is a token of jieba as it is; white space is dropped here.
        let [first, .., last] = run else {
            run.iter().map(|token| token.word).filter(|word| !word.trim().is_empty()).for_each(&mut visit);
            continue;
        };
        visit(&text[first.byte_start..last.byte_end]);
    }
}

/// Whether jieba has split a word of a script that puts spaces between words. Within ASCII its own splits
/// (`3.5%`, `win10`) are kept.
fn joins(left: &str, right: &str) -> bool {
    match (left.chars().next_back(), right.chars().next()) {
        (Some(left), Some(right)) => {
            !(left.is_ascii() && right.is_ascii()) && is_spaced_letter(left) && is_spaced_letter(right)
        }
        _ => false,
    }
}

/// Whether the character is a letter or digit of a script that puts spaces between words.
///
/// Korean is excluded although it uses spaces: its units between spaces include particles, so that most of
/// them would be unknown words.
fn is_spaced_letter(character: char) -> bool {
    character.is_alphanumeric() && !is_unspaced(character)
}

/// Whether the character is of a script whose characters, not words, are its units here: one that puts no spaces
/// between words, or Hangul.
pub fn is_unspaced(character: char) -> bool {
    matches!(character,
        '\u{0E00}'..='\u{0EFF}'     // Thai, Lao
        | '\u{1000}'..='\u{109F}'   // Myanmar
        | '\u{1100}'..='\u{11FF}'   // Hangul letters
        | '\u{1780}'..='\u{17FF}'   // Khmer
        | '\u{2E80}'..='\u{9FFF}'   // CJK radicals to unified ideographs, kana between
        | '\u{A960}'..='\u{A97F}'   // Hangul letters
        | '\u{AC00}'..='\u{D7FF}'   // Hangul syllables
        | '\u{F900}'..='\u{FAFF}'   // CJK compatibility ideographs
        | '\u{FF66}'..='\u{FFDC}'   // half-width kana and Hangul
        | '\u{20000}'..='\u{3FFFF}' // CJK extensions
    )
}

pub(crate) fn lowercase(word: &str) -> Cow<'_, str> {
    if word.chars().any(char::is_uppercase) { Cow::Owned(word.to_lowercase()) } else { Cow::Borrowed(word) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn words(text: &str) -> Vec<String> {
        let mut words = Vec::new();
        for_each_word(&Segmenter::default(), text, |word| words.push(word.to_owned()));
        words
    }

    fn vocabulary(tokens: &[&str]) -> Words {
        let lines =
            [PAD_TOKEN, UNK_TOKEN].iter().chain(tokens).flat_map(|token| [*token, "\n"]).collect::<String>();
        let ids = parse_vocabulary(&lines, Path::new(VOCABULARY_FILE)).unwrap();
        Words { segmenter: Segmenter::default(), user_dict: None, ids }
    }

    fn ids(words: &Words, text: &str) -> Vec<u32> {
        words.encode(text, usize::MAX).ids
    }

    #[test]
    fn words_of_many_scripts() {
        for (text, expected) in [
            ("我们中出了一个叛徒", vec!["我们", "中出", "了", "一个", "叛徒"]),
            ("股价 涨了3.5%，\r\n 见 iPhone15", vec!["股价", "涨", "了", "3.5%", "，", "见", "iPhone15"]),
            ("The café's Ünïcode prices", vec!["The", "café", "'", "s", "Ünïcode", "prices"]),
            ("Россия и ЕС, 2024", vec!["Россия", "и", "ЕС", ",", "2024"]),
            ("ニュース", vec!["ニ", "ュ", "ー", "ス"]),
            ("  \u{3000}\n", vec![]),
        ] {
            assert_eq!(words(text), expected, "{text}");
        }
    }

    #[test]
    fn a_chinese_word_outside_the_vocabulary_becomes_its_characters() {
        let words = vocabulary(&["叛", "一个", "stock"]);
        assert_eq!(ids(&words, "一个叛徒"), [3, 2, UNK_ID]);
        assert_eq!(ids(&words, "Stock bond"), [4, UNK_ID]);
    }

    #[test]
    fn long_texts_are_cut_off_and_empty_ones_are_unknown() {
        let words = vocabulary(&["a", "b"]);
        for (text, max_tokens, ids, truncated) in [
            ("a b a", 2, vec![2, 3], true),
            ("a b a", 3, vec![2, 3, 2], false),
            ("", 3, vec![UNK_ID], false),
            (" \n", 3, vec![UNK_ID], false),
        ] {
            assert_eq!(words.encode(text, max_tokens), Encoding::new(ids, truncated), "{text:?}");
        }
    }

    #[test]
    fn the_vocabulary_is_the_frequent_words_and_the_characters_of_rare_ones() {
        let texts = ["叛徒 叛徒 Bank bank", "股票 股市 bank once"].map(String::from);
        let train = |max_size| {
            let options = VocabularyOptions { max_size, min_count: 2, user_dict: None };
            let words = Words::train(&texts, &options).unwrap();
            let mut tokens: Vec<_> = words.ids.into_iter().map(|(token, id)| (id, token)).collect();
            tokens.sort();
            tokens.into_iter().map(|(_, token)| String::from(token)).collect::<Vec<_>>()
        };
        assert_eq!(train(100), [PAD_TOKEN, UNK_TOKEN, "bank", "叛徒", "股"]);
        assert_eq!(train(4), [PAD_TOKEN, UNK_TOKEN, "bank", "叛徒"]);
    }

    #[test]
    fn a_saved_tokenizer_encodes_in_the_same_way() {
        let directory = tempfile::tempdir().unwrap();
        let user_dict = directory.path().join("words.txt");
        std::fs::write(&user_dict, "\u{feff}# 产品\n云梯计划 n\n分流器 100 n\n\n").unwrap();
        let text = "云梯计划的分流器";
        let options = VocabularyOptions { min_count: 1, user_dict: Some(user_dict), ..Default::default() };
        let trained = Words::train(&[text.to_owned()], &options).unwrap();
        trained.save(directory.path()).unwrap();
        let loaded = Words::load(directory.path()).unwrap();
        assert_eq!(loaded.encode(text, 9).ids.len(), 3);
        assert_eq!(loaded.encode(text, 9), trained.encode(text, 9));
        assert_eq!(loaded.ids, trained.ids);
    }

    #[test]
    fn unusable_files_are_named_with_the_line() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(VOCABULARY_FILE);
        for (content, message) in [
            ("[PAD]\na\n", "line 2: `a` where [UNK] belongs"),
            ("[PAD]\n[UNK]\na\n\nb\n", "line 4: `` where a token belongs"),
            ("[PAD]\n[UNK]\na\na\n", "line 4: `a` is on line 3 too"),
            ("[PAD]\n[UNK]\n", "2 lines but at least 3 are needed"),
        ] {
            std::fs::write(&path, content).unwrap();
            let error = Words::load(directory.path()).err().unwrap().to_string();
            assert!(error.ends_with(message) && error.contains(VOCABULARY_FILE), "{error}");
        }
        for (line, message) in [
            (
                "云梯 5 n 备注",
                "has something after its frequency and tag: the form is `word [frequency] [tag]`",
            ),
            (
                "云梯 99999999999999999999 n",
                "line 2: the frequency of `云梯` is too large: at most 1000000000000",
            ),
        ] {
            std::fs::write(directory.path().join(USER_DICT_FILE), format!("# 好\n{line}\n")).unwrap();
            let error = Words::load(directory.path()).err().unwrap().to_string();
            assert!(error.ends_with(message) && error.contains(USER_DICT_FILE), "{error}");
        }
    }

    /// Text of Chinese words, punctuation, digits, Latin and Cyrillic letters.
    fn news() -> impl Strategy<Value = String> {
        let part = prop_oneof![
            "[中国股市新闻记者体育比赛今天上海]{1,9}",
            "[，。！？ 、\n\u{3000}（）“”%.-]{1,3}",
            "[a-zA-Z0-9é]{1,8}",
            "[а-я]{1,8}",
        ];
        prop::collection::vec(part, 0..600).prop_map(|parts| parts.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn pieces_have_the_words_of_the_text_and_join_to_it(text in news()) {
            let by_piece: Vec<String> = pieces(&text).flat_map(words).collect();
            prop_assert_eq!(&by_piece, &words(&text));
            let without_space = |text: &str| text.split_whitespace().collect::<String>();
            prop_assert_eq!(without_space(&by_piece.concat()), without_space(&text));
        }

        #[test]
        fn a_shorter_limit_gives_a_prefix(text in news(), max_tokens in 1usize..50) {
            let words = vocabulary(&["中国", "股市", "，", "上"]);
            let whole = words.encode(&text, usize::MAX);
            let cut = words.encode(&text, max_tokens);
            prop_assert!(whole.ids.starts_with(&cut.ids));
            prop_assert_eq!(cut.ids.len(), whole.ids.len().min(max_tokens));
            prop_assert_eq!(cut.truncated, whole.ids.len() > max_tokens);
        }
    }
}
