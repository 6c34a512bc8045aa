//! Texts to token ids.
//!
//! There are two tokenisations, named in a bundle's manifest: **words** (jieba segmentation with a vocabulary
//! of words) and **subword** (any Hugging Face `tokenizer.json`, or WordPiece trained on a corpus).
//!
//! Contract: an encoding depends on tokenizer and text only. An [`Encoding`] has at least one and at most
//! `max_tokens` ids: a text without tokens becomes one unknown token. Not here: padding and attention masks
//! (see the batcher), and cleaning, which happens before.

use std::path::Path;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use tokenizers::normalizers::NormalizerWrapper;

use crate::error::{ModelError, Result};

mod encoding;
mod subword;
mod vocabulary;
pub(crate) mod words;

use subword::Subword;
use words::Words;

pub use encoding::Encoding;
pub use vocabulary::{PAD_ID, UNK_ID, VocabularyOptions, WordPieceOptions};

/// How texts are cut into tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tokenization {
    /// Words of the jieba segmenter; files `vocabulary.txt` and, if there is one, `user_dict.txt`.
    Words,
    /// Pieces of words; file `tokenizer.json`.
    Subword,
}

/// A tokenizer of either kind; cheap to share between threads by reference.
pub struct Tokenizer(Kind);

enum Kind {
    Words(Words),
    Subword(Box<Subword>),
}

impl Tokenizer {
    /// Segments `texts` with jieba (HMM on), lower-cases the words, and keeps those that occur at least
    /// `min_count` times, most frequent first, up to `max_size`; ties in code-point order.
    ///
    /// A rarer word with Han characters is counted, and later encoded, as its characters. Punctuation is kept
    /// as tokens; white space is dropped.
    ///
    /// # Errors
    ///
    /// An option is out of bounds, the user dictionary is unusable, or the texts hold no token that occurs
    /// `min_count` times.
    pub fn train_words(texts: &[String], options: &VocabularyOptions) -> Result<Self> {
        options.validate()?;
        Ok(Self(Kind::Words(Words::train(texts, options)?)))
    }

    /// Trains WordPiece on `texts` the way BERT's tokenizer cuts them: lower-cased, accents stripped, each
    /// CJK character and punctuation mark a word of its own.
    ///
    /// The same texts give the same tokenizer.
    ///
    /// # Errors
    ///
    /// An option is out of bounds, or the texts hold no character that occurs `min_count` times.
    pub fn train_subword(texts: &[String], options: &VocabularyOptions) -> Result<Self> {
        options.validate()?;
        Ok(Self(Kind::Subword(Box::new(Subword::train(texts, options)?))))
    }

    /// Opens any Hugging Face `tokenizer.json`. Its own truncation and padding settings are not used; its
    /// special tokens are.
    ///
    /// # Errors
    ///
    /// The file cannot be read or is not a tokenizer.
    pub fn from_file(tokenizer_json: &Path) -> Result<Self> {
        Ok(Self(Kind::Subword(Box::new(Subword::load(tokenizer_json)?))))
    }

    /// As [`Tokenizer::from_file`], but with the normalizer that `replace` returns for the one of the file; if it
    /// returns `None`, that one stays.
    pub(crate) fn from_file_with(
        tokenizer_json: &Path,
        replace: impl FnOnce(Option<&NormalizerWrapper>) -> Result<Option<NormalizerWrapper>>,
    ) -> Result<Self> {
        Ok(Self(Kind::Subword(Box::new(Subword::load_with(tokenizer_json, replace)?))))
    }

    /// BERT's tokenizer (`[CLS] text [SEP]`) with the WordPiece vocabulary of a `vocab.txt`, one token a line.
    ///
    /// # Errors
    ///
    /// The file cannot be read or lacks one of BERT's special tokens.
    pub fn from_wordpiece_vocabulary(vocab_txt: &Path, options: &WordPieceOptions) -> Result<Self> {
        Ok(Self(Kind::Subword(Box::new(Subword::from_vocabulary(vocab_txt, options)?))))
    }

    /// Reads the files that [`Tokenizer::save`] wrote into `dir`.
    ///
    /// # Errors
    ///
    /// A file is missing, cannot be read, or is invalid.
    pub fn load(dir: &Path, kind: Tokenization) -> Result<Self> {
        match kind {
            Tokenization::Words => Ok(Self(Kind::Words(Words::load(dir)?))),
            Tokenization::Subword => Self::from_file(&dir.join(subword::FILE)),
        }
    }

    /// Writes the tokenizer's files into the existing directory `dir`.
    ///
    /// # Errors
    ///
    /// A file cannot be written.
    pub fn save(&self, dir: &Path) -> Result<()> {
        match &self.0 {
            Kind::Words(words) => words.save(dir),
            Kind::Subword(subword) => subword.save(dir),
        }
    }

    /// How this tokenizer cuts texts.
    pub fn kind(&self) -> Tokenization {
        match &self.0 {
            Kind::Words(_) => Tokenization::Words,
            Kind::Subword(_) => Tokenization::Subword,
        }
    }

    /// One more than the highest id: the rows that an embedding table needs.
    pub fn vocab_size(&self) -> usize {
        match &self.0 {
            Kind::Words(words) => words.vocab_size(),
            Kind::Subword(subword) => subword.vocab_size(),
        }
    }

    /// The id that batches are padded with.
    pub fn pad_id(&self) -> u32 {
        match &self.0 {
            Kind::Words(_) => PAD_ID,
            Kind::Subword(subword) => subword.pad_id(),
        }
    }

    /// The id of tokens that are not in the vocabulary.
    pub fn unk_id(&self) -> u32 {
        match &self.0 {
            Kind::Words(_) => UNK_ID,
            Kind::Subword(subword) => subword.unk_id(),
        }
    }

    /// The ids of one text, cut off at the end after `max_tokens`.
    ///
    /// # Errors
    ///
    /// `max_tokens` leaves no room beside the tokenizer's special tokens, or an imported tokenizer cannot
    /// encode the text.
    pub fn encode(&self, text: &str, max_tokens: usize) -> Result<Encoding> {
        if max_tokens == 0 {
            return Err(ModelError::option("max_tokens", max_tokens, "must be at least 1"));
        }
        match &self.0 {
            Kind::Words(words) => Ok(words.encode(text, max_tokens)),
            Kind::Subword(subword) => subword.encode(text, max_tokens),
        }
    }

    /// The ids of `prefix` and a text after it, as of one text.
    ///
    /// # Errors
    ///
    /// As [`Tokenizer::encode`].
    pub fn encode_after(&self, prefix: &str, text: &str, max_tokens: usize) -> Result<Encoding> {
        match prefix {
            "" => self.encode(text, max_tokens),
            prefix => self.encode(&format!("{prefix}{text}"), max_tokens),
        }
    }

    /// The ids of many texts, in their order, on rayon's threads.
    ///
    /// # Errors
    ///
    /// As [`Tokenizer::encode`], for the first text that fails.
    pub fn encode_batch<T: AsRef<str> + Sync>(
        &self,
        texts: &[T],
        max_tokens: usize,
    ) -> Result<Vec<Encoding>> {
        texts.par_iter().map(|text| self.encode(text.as_ref(), max_tokens)).collect()
    }
}

impl std::fmt::Debug for Tokenizer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Tokenizer")
            .field("kind", &self.kind())
            .field("vocab_size", &self.vocab_size())
            .finish()
    }
}

#[cfg(test)]
mod tests {

    use super::*;

    const TEXTS: [&str; 3] = ["央行降息，股市上涨", "The bank cut its rate", ""];

    fn corpus() -> Vec<String> {
        TEXTS.map(String::from).to_vec()
    }

    fn trained() -> [Tokenizer; 2] {
        let options = VocabularyOptions { min_count: 1, ..VocabularyOptions::default() };
        [Tokenizer::train_words(&corpus(), &options), Tokenizer::train_subword(&corpus(), &options)]
            .map(Result::unwrap)
    }

    #[test]
    fn a_batch_is_encoded_like_its_texts_one_by_one() {
        for tokenizer in trained() {
            let one_by_one = TEXTS.map(|text| tokenizer.encode(text, 4).unwrap());
            assert_eq!(tokenizer.encode_batch(&TEXTS, 4).unwrap(), one_by_one);
            assert_eq!(one_by_one[2], Encoding::new(vec![UNK_ID], false));
            let highest = one_by_one.iter().flat_map(|encoding| &encoding.ids).max().unwrap();
            assert!((*highest as usize) < tokenizer.vocab_size());
        }
    }

    #[test]
    fn a_saved_tokenizer_loads_by_its_kind() {
        for tokenizer in trained() {
            let directory = tempfile::tempdir().unwrap();
            tokenizer.save(directory.path()).unwrap();
            let loaded = Tokenizer::load(directory.path(), tokenizer.kind()).unwrap();
            assert_eq!(loaded.encode_batch(&TEXTS, 9).unwrap(), tokenizer.encode_batch(&TEXTS, 9).unwrap());
            assert_eq!((loaded.vocab_size(), loaded.pad_id()), (tokenizer.vocab_size(), PAD_ID));
        }
    }

    #[test]
    fn options_out_of_bounds_and_useless_corpora_are_refused() {
        let tiny = VocabularyOptions { max_size: 2, ..VocabularyOptions::default() };
        let strict = VocabularyOptions { min_count: 99, ..VocabularyOptions::default() };
        for train in [Tokenizer::train_words, Tokenizer::train_subword] {
            let message = train(&corpus(), &tiny).unwrap_err().to_string();
            assert_eq!(message, "invalid option: `vocabulary.max_size` is 2 but must be at least 3");
            let message = train(&corpus(), &strict).unwrap_err().to_string();
            assert!(message.contains("occurs 99 times in 3 texts"), "{message}");
        }
        for tokenizer in trained() {
            assert!(tokenizer.encode("a", 0).unwrap_err().to_string().contains("`max_tokens` is 0"));
        }
    }

    /// Texts of one split of the THUCNews headlines; empty if the data set is not available.
    fn headlines(split: &str) -> Vec<String> {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data/headlines_zh_thucnews.jsonl");
        let lines = std::fs::read_to_string(path).map_err(|error| format!("{path}: {error}"));
        let Some(lines) = fenliu_skip::found(fenliu_skip::Part::Data, lines) else { return Vec::new() };
        let rows = lines.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        rows.filter(|row| row["split"] == split).map(|row| row["text"].as_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn a_vocabulary_of_real_headlines_covers_unseen_ones() {
        let (train, valid) = (headlines("train"), headlines("valid"));
        if train.is_empty() {
            return;
        }
        for train_tokenizer in [Tokenizer::train_words, Tokenizer::train_subword] {
            let tokenizer = train_tokenizer(&train, &VocabularyOptions::default()).unwrap();
            let encodings = tokenizer.encode_batch(&valid, 64).unwrap();
            let ids = encodings.iter().flat_map(|encoding| &encoding.ids);
            let unknown = ids.clone().filter(|id| **id == UNK_ID).count() as f64 / ids.count() as f64;
            assert!(unknown < 0.02, "{:?}: {unknown} of the tokens are unknown", tokenizer.kind());
            assert!(encodings.iter().all(|encoding| !encoding.truncated));
        }
    }
}
