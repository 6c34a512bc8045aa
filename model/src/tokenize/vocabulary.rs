//! Special tokens of the vocabularies that are made here, and the options to make one.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::error::{ModelError, Result};

/// Id of the padding token in every tokenizer that is trained here.
pub const PAD_ID: u32 = 0;
/// Id of the unknown token in every tokenizer that is trained here.
pub const UNK_ID: u32 = 1;
/// How the token with [`PAD_ID`] is written in vocabulary files.
pub(super) const PAD_TOKEN: &str = "[PAD]";
/// How the token with [`UNK_ID`] is written in vocabulary files.
pub(super) const UNK_TOKEN: &str = "[UNK]";

/// How a vocabulary is made from a corpus.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct VocabularyOptions {
    /// Most entries of the vocabulary, including those for padding and unknown tokens. At least 3. Default:
    /// 50000.
    pub max_size: usize,
    /// How often a token must occur in the corpus to get an entry. Default: 2.
    pub min_count: usize,
    /// For words only: a jieba user dictionary with lines `word [frequency] [tag]`.
    pub user_dict: Option<PathBuf>,
}

impl Default for VocabularyOptions {
    fn default() -> Self {
        Self { max_size: 50_000, min_count: 2, user_dict: None }
    }
}

impl VocabularyOptions {
    pub(super) fn validate(&self) -> Result<()> {
        if self.max_size < 3 {
            return Err(ModelError::option("vocabulary.max_size", self.max_size, "must be at least 3"));
        }
        Ok(())
    }
}

/// How BERT's tokenizer normalises texts before it applies a `vocab.txt`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WordPieceOptions {
    /// Whether texts are lower-cased.
    pub lowercase: bool,
    /// Whether each Chinese character is a word of its own.
    pub split_chinese: bool,
    /// Whether accents are removed; `None` = if texts are lower-cased.
    pub strip_accents: Option<bool>,
}
