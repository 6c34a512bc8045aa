//! Segmentation: text to words.
//!
//! jieba segments Chinese by its dictionary, by the words of a user dictionary, and by a hidden Markov model
//! for words that neither has. Runs of Latin letters and digits stay whole. Punctuation marks are words;
//! white space is not.

pub(crate) mod dictionary;

use std::collections::HashSet;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, OnceLock};

pub use jieba_rs::Token;

use jieba_rs::Jieba;

use dictionary::Entry;

/// jieba with its own dictionary, which takes a noticeable part of a second to load and never changes.
static BUILT_IN: OnceLock<Jieba> = OnceLock::new();

/// Segments text by jieba's own dictionary, or by one that a user extended.
///
/// By default, jieba's own dictionary is loaded when the first text is segmented, and then shared by the
/// whole process. Clones share a user's dictionary. Two segmenters are equal if they share their dictionary,
/// not if they were made of equal entries.
#[derive(Clone, Default)]
pub struct Segmenter {
    /// `None`: jieba's own dictionary.
    extended: Option<Arc<Extended>>,
}

/// A dictionary that a user extended.
struct Extended {
    jieba: Jieba,
    /// Words with the frequency 0, which are always split.
    split: HashSet<Box<str>>,
}

impl Extended {
    fn add(&mut self, entry: &Entry<'_>) {
        let Entry { word, frequency, tag, .. } = *entry;
        if frequency == Some(0) {
            self.add_split(word, tag);
        } else {
            self.split.remove(word);
            // Without a frequency, `add_word` computes one with which the word wins, while jieba-rs's own loader takes 0.
            self.jieba.add_word(word, frequency, tag);
        }
    }

    /// Adds a word with the frequency 0. jieba-rs gives it the probability 0, so that text is cut in another way.
    fn add_split(&mut self, word: &str, tag: Option<&str>) {
        let first = word.char_indices().nth(1).map_or(word, |(end, _)| &word[..end]);
        // Where no other way exists, all ways would become equally improbable. A character that is not a word has the
        // frequency 1 in jieba, so this gives it no other probability.
        if first == word || !self.jieba.has_word(first) {
            self.jieba.add_word(first, Some(1), None);
        }
        if first != word {
            self.jieba.add_word(word, Some(0), tag);
        }
        self.split.insert(word.into());
    }
}

impl Segmenter {
    /// The default segmenter, with jieba's own dictionary loaded now instead of with the first text.
    pub fn loaded() -> Self {
        BUILT_IN.get_or_init(Jieba::new);
        Segmenter::default()
    }

    /// A segmenter that knows the words of `entries` beside those of jieba's own dictionary.
    pub fn with_entries<'a>(entries: impl IntoIterator<Item = Entry<'a>>) -> Self {
        // A copy of a loaded dictionary is made faster than the dictionary is loaded; one that nothing else
        // needs is not loaded for the copy alone.
        let jieba = BUILT_IN.get().cloned().unwrap_or_else(Jieba::new);
        let mut extended = Extended { jieba, split: HashSet::new() };
        entries.into_iter().for_each(|entry| extended.add(&entry));
        Segmenter { extended: Some(Arc::new(extended)) }
    }

    /// Cuts `text` into tokens with their positions. They are adjacent and cover all of it, white space
    /// included.
    pub fn cut<'a>(&self, text: &'a str) -> Vec<Token<'a>> {
        let tokens = self.jieba().cut(text, true);
        match &self.extended {
            // The hidden Markov model joins characters to words without asking the dictionary.
            Some(extended) if !extended.split.is_empty() => {
                tokens.into_iter().flat_map(|token| pieces(token, &extended.split)).collect()
            }
            _ => tokens,
        }
    }

    /// The words of `text`, in order.
    pub fn words<'a>(&self, text: &'a str) -> impl Iterator<Item = &'a str> + use<'a> {
        self.cut(text).into_iter().map(|token| token.word).filter(|word| !word.trim().is_empty())
    }

    fn jieba(&self) -> &Jieba {
        match &self.extended {
            Some(extended) => &extended.jieba,
            None => BUILT_IN.get_or_init(Jieba::new),
        }
    }

    /// What identifies the dictionary: its address, or `None` for jieba's own.
    fn identity(&self) -> Option<*const Extended> {
        self.extended.as_ref().map(Arc::as_ptr)
    }
}

impl fmt::Debug for Segmenter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Segmenter").field("has_user_dictionary", &self.extended.is_some()).finish()
    }
}

impl PartialEq for Segmenter {
    fn eq(&self, other: &Self) -> bool {
        self.identity() == other.identity()
    }
}

impl Eq for Segmenter {}

impl Hash for Segmenter {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.identity().hash(state);
    }
}

/// The characters of a token if its word is one that is always split, else the token.
fn pieces<'a>(token: Token<'a>, split: &HashSet<Box<str>>) -> Vec<Token<'a>> {
    if !split.contains(token.word) {
        return vec![token];
    }
    let mut rest = token.word;
    let mut pieces = Vec::new();
    for start in token.start..token.end {
        let (word, after) = rest.split_at(rest.chars().next().map_or(0, char::len_utf8));
        let byte_start = token.byte_end - rest.len();
        pieces.push(Token { word, start, end: start + 1, byte_start, byte_end: byte_start + word.len() });
        rest = after;
    }
    pieces
}

/// Whether the character is a Chinese ideograph.
///
/// The planes 2 and 3 count as a whole, since Unicode reserves them for ideographs. Tokens of trained models
/// depend on these ranges, so they must not change.
pub fn is_han(character: char) -> bool {
    matches!(character,
        '\u{3400}'..='\u{4DBF}' | '\u{4E00}'..='\u{9FFF}' | '\u{F900}'..='\u{FAFF}' | '\u{20000}'..='\u{3FFFF}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{json_lines, text_of};
    use proptest::prelude::*;
    use std::collections::{BTreeMap, HashSet};

    use crate::{InvalidLine, entries};

    fn words(segmenter: &Segmenter, text: &str) -> Vec<String> {
        segmenter.words(text).map(str::to_owned).collect()
    }

    #[test]
    fn known_texts_have_their_words() {
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

    fn with_dictionary(lines: &str) -> Segmenter {
        Segmenter::with_entries(entries(lines).collect::<Result<Vec<_>, InvalidLine>>().unwrap())
    }

    #[test]
    fn user_words_win_with_and_without_a_frequency() {
        let text = "云计算创新办主任是大语言模型专家";
        assert!(!words(&Segmenter::default(), text).contains(&"创新办".to_owned()));
        let segmenter = with_dictionary("创新办 3 i\n大语言模型\n云计算 n\n");
        assert_eq!(words(&segmenter, text), ["云计算", "创新办", "主任", "是", "大语言模型", "专家"]);
    }

    #[test]
    fn a_word_with_the_frequency_0_is_split() {
        let text = "台中的今天天气不错，杭研";
        assert_eq!(words(&Segmenter::default(), text), ["台中", "的", "今天天气", "不错", "，", "杭研"]);
        let segmenter = with_dictionary("今天天气 0\n台中 0\n杭研 0 n\n的 0\n不错 0\n不错");
        assert_eq!(words(&segmenter, text), ["台", "中", "的", "今天", "天气", "不错", "，", "杭", "研"]);
        let tokens = segmenter.cut(text);
        assert!(tokens.iter().all(|token| &text[token.byte_start..token.byte_end] == token.word));
        assert!(tokens.windows(2).all(|pair| pair[0].end == pair[1].start));
    }

    #[test]
    fn a_word_with_the_frequency_0_leaves_the_text_around_it_as_it_was() {
        // Neither `𠮷` nor `的` in the dictionary leaves another way to cut than the character itself.
        for (word, text) in
            [("𠮷野", "研究生命起源𠮷野"), ("的", "研究生命起源的"), ("X1Y", "研究生命起源X1Y")]
        {
            let found = words(&with_dictionary(&format!("{word} 0")), text);
            assert_eq!(found[..3], ["研究", "生命", "起源"], "{found:?}");
        }
    }

    #[test]
    fn segmenters_are_equal_when_they_share_a_dictionary() {
        let one = with_dictionary("云计算");
        assert_eq!(one, one.clone());
        assert_ne!(one, with_dictionary("云计算"));
        assert_ne!(one, Segmenter::default());
    }

    /// The byte ranges of words whose concatenation is the text.
    fn spans<'a>(words: impl Iterator<Item = &'a str>) -> HashSet<(usize, usize)> {
        let ends = words.scan(0, |end, word| {
            let start = *end;
            *end += word.len();
            Some((start, *end))
        });
        ends.collect()
    }

    /// Word F1 as in the SIGHAN bakeoffs: a word is correct if both of its ends are.
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
        fn tokens_are_adjacent_and_cover_the_text(text in "(\\PC|中国|[а-я]|\n){0,40}") {
            let mut end = 0;
            for token in Segmenter::default().cut(&text) {
                prop_assert_eq!(token.byte_start, end);
                prop_assert_eq!(&text[token.byte_start..token.byte_end], token.word);
                end = token.byte_end;
            }
            prop_assert_eq!(end, text.len());
        }

        #[test]
        fn total_on_any_text(text in "\\PC{0,60}") {
            Segmenter::default().words(&text).for_each(drop);
        }
    }
}
