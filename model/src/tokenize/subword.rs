//! Subword tokens through the crate `tokenizers`: WordPiece trained here, or an existing `tokenizer.json`.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use tokenizers::models::wordpiece::{WordPiece, WordPieceTrainer};
use tokenizers::normalizers::{BertNormalizer, NormalizerWrapper};
use tokenizers::pre_tokenizers::bert::BertPreTokenizer;
use tokenizers::processors::template::TemplateProcessing;
use tokenizers::{
    AddedToken, NormalizedString, Normalizer, OffsetReferential, OffsetType, PostProcessor,
    PreTokenizedString, PreTokenizer, Trainer, TruncationDirection,
};

use super::encoding::Encoding;
use super::vocabulary::{PAD_TOKEN, UNK_TOKEN, VocabularyOptions, WordPieceOptions};
use crate::error::{ModelError, Result};

pub(super) const FILE: &str = "tokenizer.json";

/// Usual names of the padding token, for files that do not name it.
const PAD_NAMES: [&str; 3] = [PAD_TOKEN, "<pad>", "<|pad|>"];
/// Usual names of the unknown token.
const UNK_NAMES: [&str; 2] = [UNK_TOKEN, "<unk>"];

/// Characters of a text that are read for each token that may be kept. It is far more than a token of real
/// text has, so that only text that would be cut off anyway is not read.
const CHARACTERS_PER_TOKEN: usize = 64;

pub(super) struct Subword {
    tokenizer: tokenizers::Tokenizer,
    /// The original file, which is saved unchanged.
    json: String,
    vocab_size: usize,
    pad_id: u32,
    unk_id: u32,
}

impl Subword {
    pub(super) fn train(texts: &[String], options: &VocabularyOptions) -> Result<Self> {
        let failed = |error: tokenizers::Error| ModelError::tokenizer(FILE, error);
        let normalizer = BertNormalizer::default();
        let words = count_words(texts, &normalizer).map_err(failed)?;
        let alphabet = alphabet(&words, options);
        if alphabet.is_empty() {
            let problem = format!("no character occurs {} times in {} texts", options.min_count, texts.len());
            return Err(ModelError::tokenizer(FILE, problem));
        }
        let model = train_wordpiece(&words, alphabet, options).map_err(failed)?;
        let mut tokenizer = tokenizers::Tokenizer::new(model);
        tokenizer.with_normalizer(Some(normalizer)).map_err(failed)?;
        tokenizer.with_pre_tokenizer(Some(BertPreTokenizer));
        Self::parse(tokenizer.to_string(true).map_err(failed)?, Path::new(FILE))
    }

    /// BERT's tokenizer with the vocabulary of a `vocab.txt`.
    pub(super) fn from_vocabulary(path: &Path, options: &WordPieceOptions) -> Result<Self> {
        let failed = |error: tokenizers::Error| ModelError::tokenizer(path, error);
        let bytes = std::fs::read(path).map_err(ModelError::io("read", path))?;
        let vocabulary = WordPiece::read_bytes(&bytes).map_err(failed)?;
        let special = [PAD_TOKEN, UNK_TOKEN, "[CLS]", "[SEP]", "[MASK]"];
        if let Some(missing) = special.iter().find(|token| !vocabulary.contains_key(**token)) {
            return Err(ModelError::tokenizer(path, format!("there is no line `{missing}`")));
        }
        // All five are in the vocabulary, as was just checked, so indexing does not panic.
        let around = ["[CLS]", "[SEP]"].map(|token| (token.to_owned(), vocabulary[token]));
        let processor = TemplateProcessing::builder()
            .try_single("[CLS] $A [SEP]")
            .and_then(|builder| builder.special_tokens(around.to_vec()).build().map_err(|e| e.to_string()))
            .map_err(|problem| ModelError::tokenizer(path, problem))?;
        let model = WordPiece::builder().vocab(vocabulary).unk_token(UNK_TOKEN.to_owned()).build();
        let mut tokenizer = tokenizers::Tokenizer::new(model.map_err(failed)?);
        let normalizer =
            BertNormalizer::new(true, options.split_chinese, options.strip_accents, options.lowercase);
        tokenizer.with_normalizer(Some(normalizer)).map_err(failed)?;
        tokenizer.with_pre_tokenizer(Some(BertPreTokenizer));
        tokenizer.with_post_processor(Some(processor));
        tokenizer.add_special_tokens(special.map(|token| AddedToken::from(token, true))).map_err(failed)?;
        Self::parse(tokenizer.to_string(true).map_err(failed)?, path)
    }

    pub(super) fn load(path: &Path) -> Result<Self> {
        Self::parse(std::fs::read_to_string(path).map_err(ModelError::io("read", path))?, path)
    }

    /// Reads a file but for its normalizer, which `replace` may exchange.
    pub(super) fn load_with(
        path: &Path,
        replace: impl FnOnce(Option<&NormalizerWrapper>) -> Result<Option<NormalizerWrapper>>,
    ) -> Result<Self> {
        let failed = |error: tokenizers::Error| ModelError::tokenizer(path, error);
        let json = std::fs::read_to_string(path).map_err(ModelError::io("read", path))?;
        let mut tokenizer: tokenizers::Tokenizer = json.parse().map_err(failed)?;
        let Some(normalizer) = replace(tokenizer.get_normalizer())? else { return Self::parse(json, path) };
        tokenizer.with_normalizer(Some(normalizer)).map_err(failed)?;
        Self::parse(tokenizer.to_string(true).map_err(failed)?, path)
    }

    fn parse(json: String, path: &Path) -> Result<Self> {
        let failed = |error: tokenizers::Error| ModelError::tokenizer(path, error);
        let mut tokenizer: tokenizers::Tokenizer = json.parse().map_err(failed)?;
        let vocabulary = tokenizer.get_vocab(true);
        let Some(highest_id) = vocabulary.values().max() else {
            return Err(ModelError::tokenizer(path, "the vocabulary is empty"));
        };
        let find = |names: &[&str]| names.iter().find_map(|name| vocabulary.get(*name)).copied();
        let pad_id = tokenizer.get_padding().map(|padding| padding.pad_id).or(find(&PAD_NAMES)).unwrap_or(0);
        let unk_id = find(&UNK_NAMES).unwrap_or(pad_id);
        let vocab_size = *highest_id as usize + 1;
        // A file may ask for padding to a fixed length or for its own truncation. Both are done here: by the
        // batcher, and below, where it is known whether a text was cut.
        tokenizer.with_padding(None);
        tokenizer.with_truncation(None).map_err(failed)?;
        Ok(Self { tokenizer, json, vocab_size, pad_id, unk_id })
    }

    pub(super) fn save(&self, dir: &Path) -> Result<()> {
        let path = dir.join(FILE);
        std::fs::write(&path, &self.json).map_err(ModelError::io("write", &path))
    }

    pub(super) fn vocab_size(&self) -> usize {
        self.vocab_size
    }

    pub(super) fn pad_id(&self) -> u32 {
        self.pad_id
    }

    pub(super) fn unk_id(&self) -> u32 {
        self.unk_id
    }

    pub(super) fn encode(&self, text: &str, max_tokens: usize) -> Result<Encoding> {
        let failed =
            |error: tokenizers::Error| ModelError::Tokenise { bytes: text.len(), problem: error.to_string() };
        let special_tokens =
            self.tokenizer.get_post_processor().map_or(0, |processor| processor.added_tokens(false));
        let text_tokens = max_tokens.saturating_sub(special_tokens);
        if text_tokens == 0 {
            let bound = format!("must be more than the {special_tokens} special tokens of the tokenizer");
            return Err(ModelError::option("max_tokens", max_tokens, bound));
        }
        let read = first_characters(text, max_tokens.saturating_mul(CHARACTERS_PER_TOKEN));
        // Special tokens are added after the text is truncated, so that truncation never removes them.
        let mut encoding = self.tokenizer.encode_fast(read, false).map_err(failed)?;
        let truncated = read.len() < text.len() || encoding.len() > text_tokens;
        encoding.truncate(text_tokens, 0, TruncationDirection::Right);
        // `truncate` keeps the tokens that it cut off as overflowing encodings, which are not used.
        encoding.take_overflowing();
        let mut ids = self.tokenizer.post_process(encoding, None, true).map_err(failed)?.get_ids().to_vec();
        if ids.is_empty() {
            ids.push(self.unk_id);
        }
        Ok(Encoding::new(ids, truncated))
    }
}

fn first_characters(text: &str, count: usize) -> &str {
    text.char_indices().nth(count).map_or(text, |(end, _)| &text[..end])
}

/// The number of occurrences of each word, where words are split as the trained tokenizer will split them.
fn count_words(texts: &[String], normalizer: &BertNormalizer) -> tokenizers::Result<BTreeMap<String, u64>> {
    let mut counts = BTreeMap::new();
    for text in texts {
        let mut normalized = NormalizedString::from(text.as_str());
        normalizer.normalize(&mut normalized)?;
        let mut pre_tokenized = PreTokenizedString::from(normalized);
        BertPreTokenizer.pre_tokenize(&mut pre_tokenized)?;
        for (word, _, _) in pre_tokenized.get_splits(OffsetReferential::Original, OffsetType::Byte) {
            match counts.get_mut(word) {
                Some(count) => *count += 1,
                None => _ = counts.insert(word.to_owned(), 1),
            }
        }
    }
    Ok(counts)
}

/// The single-character tokens: frequent characters in code-point order, each as the start of a word and,
/// where it occurs there, as a continuation (`##x`).
fn alphabet(words: &BTreeMap<String, u64>, options: &VocabularyOptions) -> Vec<String> {
    let mut uses: HashMap<char, (u64, bool)> = HashMap::new();
    for (word, count) in words {
        for (position, character) in word.chars().enumerate() {
            let (sum, continues) = uses.entry(character).or_default();
            *sum += count;
            *continues |= position > 0;
        }
    }
    let mut kept: Vec<_> =
        uses.into_iter().filter(|(_, (sum, _))| *sum >= options.min_count as u64).collect();
    kept.sort_unstable_by_key(|(character, (sum, _))| (Reverse(*sum), *character));
    let special_tokens = 2;
    // Halved, since a character may need two entries.
    kept.truncate(((options.max_size - special_tokens) / 2).max(1));
    kept.sort_unstable();
    let forms = |(character, (_, continues)): (char, (u64, bool))| {
        [Some(character.to_string()), continues.then(|| format!("##{character}"))]
    };
    kept.into_iter().flat_map(forms).flatten().collect()
}

fn train_wordpiece(
    words: &BTreeMap<String, u64>,
    alphabet: Vec<String>,
    options: &VocabularyOptions,
) -> tokenizers::Result<WordPiece> {
    // The trainer numbers the alphabet in the order of a randomly seeded hash map, and breaks ties between
    // merges by these numbers. Passed as special tokens, the alphabet keeps its order, and the limit of 0
    // keeps the trainer from adding to it. Training is reproducible only this way.
    let ordered = [PAD_TOKEN, UNK_TOKEN].map(String::from).into_iter().chain(alphabet);
    let mut trainer = WordPieceTrainer::builder()
        .vocab_size(options.max_size)
        .min_frequency(options.min_count as u64)
        .special_tokens(ordered.map(|token| AddedToken::from(token, false)).collect())
        .limit_alphabet(0)
        .show_progress(false)
        .build();
    // The trainer counts words itself and takes no counts, so each word is fed as often as it occurs.
    let corpus = words.iter().flat_map(|(word, count)| (0..*count).map(move |_| word.as_str()));
    trainer.feed(corpus, |word| Ok(vec![word.to_owned()]))?;
    let mut model = WordPiece::builder().unk_token(UNK_TOKEN.to_owned()).build()?;
    trainer.train(&mut model)?;
    Ok(model)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokenize::{PAD_ID, UNK_ID};

    fn corpus() -> Vec<String> {
        let text = "The bank raised its rate. 银行提高利率，银行降低利率。Banking banks Zürich";
        (0..40).map(|number| format!("{text} {number}")).collect()
    }

    fn train(max_size: usize) -> Subword {
        Subword::train(&corpus(), &VocabularyOptions { max_size, min_count: 2, user_dict: None }).unwrap()
    }

    fn tokens(subword: &Subword, text: &str) -> Vec<String> {
        let encoding = subword.encode(text, 100).unwrap();
        encoding.ids.iter().map(|id| subword.tokenizer.id_to_token(*id).unwrap()).collect()
    }

    #[test]
    fn latin_words_are_merged_and_chinese_cut_into_characters() {
        let subword = train(200);
        assert_eq!(tokens(&subword, "Bank 银行利率 zurich"), ["bank", "银", "行", "利", "率", "zurich"]);
        assert_eq!((subword.pad_id(), subword.unk_id), (PAD_ID, UNK_ID));
        assert_eq!(tokens(&subword, "鑫"), [UNK_TOKEN]);
        // The names of special tokens in a text are treated as text.
        assert!(!tokens(&subword, PAD_TOKEN).contains(&PAD_TOKEN.to_owned()));
    }

    #[test]
    fn training_is_reproducible_and_respects_the_size() {
        let first = train(80);
        assert!((60..=80).contains(&first.vocab_size()), "{}", first.vocab_size());
        for _ in 0..5 {
            assert_eq!(train(80).tokenizer.get_vocab(true), first.tokenizer.get_vocab(true));
        }
        assert!(train(10).vocab_size() <= 10);
    }

    #[test]
    fn a_saved_tokenizer_encodes_in_the_same_way() {
        let directory = tempfile::tempdir().unwrap();
        let trained = train(200);
        trained.save(directory.path()).unwrap();
        let loaded = Subword::load(&directory.path().join(FILE)).unwrap();
        for text in ["", "Bankers 银行 ✓", "the rate"] {
            assert_eq!(loaded.encode(text, 5).unwrap(), trained.encode(text, 5).unwrap(), "{text}");
        }
    }

    #[test]
    fn a_text_is_not_read_far_beyond_its_tokens() {
        let subword = train(200);
        let bank = subword.encode("bank", 2).unwrap().ids;
        let unknown = vec![subword.unk_id];
        for (spaces, ids, truncated) in [(124, &bank, false), (128, &unknown, true), (4_000, &unknown, true)]
        {
            let text = format!("{}bank", "\u{3000}".repeat(spaces));
            let encoding = Encoding::new(ids.clone(), truncated);
            assert_eq!(subword.encode(&text, 2).unwrap(), encoding, "{spaces} spaces");
        }
    }

    /// A file like those of BERT checkpoints: `[CLS] … [SEP]`, its own padding id, its own truncation.
    fn checkpoint() -> Subword {
        let json = r#"{
            "version": "1.0", "truncation": {"direction": "Right", "max_length": 2, "strategy": "LongestFirst", "stride": 0},
            "padding": {"strategy": {"Fixed": 9}, "direction": "Left", "pad_to_multiple_of": null, "pad_id": 3, "pad_type_id": 0, "pad_token": "[fill]"},
            "added_tokens": [], "normalizer": null, "pre_tokenizer": {"type": "WhitespaceSplit"},
            "post_processor": {"type": "BertProcessing", "sep": ["[SEP]", 2], "cls": ["[CLS]", 1]}, "decoder": null,
            "model": {"type": "WordLevel", "unk_token": "[UNK]", "vocab":
                {"[UNK]": 0, "[CLS]": 1, "[SEP]": 2, "[fill]": 3, "a": 4, "b": 9}}
        }"#;
        Subword::parse(json.to_owned(), Path::new(FILE)).unwrap()
    }

    #[test]
    fn truncation_keeps_the_special_tokens_of_a_checkpoint() {
        let subword = checkpoint();
        assert_eq!((subword.pad_id(), subword.vocab_size()), (3, 10));
        for (text, max_tokens, ids, truncated) in [
            ("a b x", 5, vec![1, 4, 9, 0, 2], false),
            ("a b x", 4, vec![1, 4, 9, 2], true),
            ("", 4, vec![1, 2], false),
        ] {
            assert_eq!(subword.encode(text, max_tokens).unwrap(), Encoding::new(ids, truncated), "{text}");
        }
        let message = subword.encode("a", 2).unwrap_err().to_string();
        assert!(
            message.contains("`max_tokens` is 2 but must be more than the 2 special tokens"),
            "{message}"
        );
    }

    #[test]
    fn a_file_that_is_not_a_tokenizer_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(FILE);
        std::fs::write(&path, "{}").unwrap();
        let message = Subword::load(&path).err().unwrap().to_string();
        assert!(message.contains(FILE), "{message}");
    }
}
