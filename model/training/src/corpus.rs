//! Encoded training and development rows, with the tokenizer that encoded them and their labels.

use std::collections::BTreeSet;

use fenliu_model::tokenize::{Encoding, Tokenization, Tokenizer};
use fenliu_model::training_report::RunSize;
use fenliu_model::{Bundle, Example, Label, Labels, ModelError, Result};
use rayon::prelude::*;
use sha2::{Digest, Sha256};

use crate::data::Dataset;
use crate::experts::LinearStart;
use crate::options::{Preset, TrainOptions};
use crate::reads::Reads;

/// All rows of a run.
pub(super) struct Corpus {
    /// `None` for a linear expert alone, which reads texts.
    pub(super) tokenizer: Option<Tokenizer>,
    pub(super) labels: Labels,
    pub(super) train: Dataset,
    pub(super) dev: Dataset,
    /// The same documents as texts, for the linear experts.
    pub(super) train_texts: Vec<String>,
    pub(super) dev_texts: Vec<String>,
    /// What the linear experts know before they are fitted.
    pub(super) linear_start: LinearStart,
    /// SHA-256 over labels and texts.
    pub(super) sha256: String,
}

/// The number of a base's labels that a model trained from it keeps. The labels of an untrained head are
/// placeholders, so none of them is kept.
pub(super) fn kept_labels(base: &Bundle) -> usize {
    if base.manifest().model.head_trained { base.labels().len() } else { 0 }
}

impl Corpus {
    /// Rows for training from scratch. The tokenizer is made from the training texts; the labels are those of
    /// the training rows, sorted.
    pub(super) fn from_scratch(
        train: Vec<Example>,
        dev: Vec<Example>,
        options: &TrainOptions,
    ) -> Result<Self> {
        check_rows(&train)?;
        // Of the training rows only: a label that occurs only in development rows cannot be learnt, and `numbered`
        // refuses it.
        let labels = Labels::from_ids(label_ids(&train))?;
        let sha256 = digest(&train, &dev, &[]);
        let train = numbered(train, &labels)?;
        let dev = numbered(dev, &labels)?;
        let tokenizer = tokenizer(&train.0, options)?;
        Self::encode((tokenizer, ""), labels, sha256, train, dev, options.reads())
    }

    /// Rows for classifiers over the vectors of a pretrained encoder, whose tokenizer reads `prefix` before each text. There
    /// need not be any rows.
    pub(super) fn for_encoder(
        labels: Labels,
        train: Vec<Example>,
        dev: Vec<Example>,
        (tokenizer, prefix): (Tokenizer, &str),
        reads: Reads,
    ) -> Result<Self> {
        let sha256 = digest(&train, &dev, &[]);
        let train = numbered(train, &labels)?;
        let dev = numbered(dev, &labels)?;
        Self::encode((Some(tokenizer), prefix), labels, sha256, train, dev, reads)
    }

    /// Rows for training from `base`, in its tokens. Its labels come first, in their order; new labels
    /// follow, sorted.
    pub(super) fn for_base(base: &Bundle, train: Vec<Example>, dev: Vec<Example>) -> Result<Self> {
        check_rows(&train)?;
        let mut labels: Vec<Label> = base.labels().iter().take(kept_labels(base)).cloned().collect();
        let known: BTreeSet<String> = labels.iter().map(|label| label.id.clone()).collect();
        let new = label_ids(&train).into_iter().filter(|id| !known.contains(*id));
        labels.extend(new.map(|id| Label { id: id.to_owned(), name: Default::default() }));
        let labels = Labels::try_new(labels)?;
        let sha256 = digest(&train, &dev, &[]);
        let train = numbered(train, &labels)?;
        let dev = numbered(dev, &labels)?;
        let tokenizer = base.manifest().model.tokenization.map(|_| base.tokenizer()).transpose()?;
        let prefix = &base.manifest().model.prefix;
        Self::encode((tokenizer, prefix), labels, sha256, train, dev, Reads::of(base))
    }

    /// Rows for a student. `labels` are its teacher's, `soft` the teacher's probabilities for the training
    /// rows followed by those for the unlabelled texts. The tokenizer is made from both kinds of texts.
    pub(super) fn for_student(
        labels: &Labels,
        train: Vec<Example>,
        dev: Vec<Example>,
        unlabelled: Vec<String>,
        soft: Vec<Vec<f32>>,
        options: &TrainOptions,
    ) -> Result<Self> {
        // Unlabelled texts alone suffice, since the teacher labels them.
        if unlabelled.is_empty() {
            check_rows(&train)?;
        }
        let mut ids = train.iter().chain(&dev).map(|example| &example.label);
        if let Some(id) = ids.find(|id| labels.index_of(id).is_none()) {
            return Err(ModelError::Training(format!("the teacher has no label `{id}`")));
        }
        let sha256 = digest(&train, &dev, &unlabelled);
        let (mut texts, numbers) = numbered(train, labels)?;
        texts.extend(unlabelled);
        let dev = numbered(dev, labels)?;
        let tokenizer = tokenizer(&texts, options)?;
        let train = (texts, numbers);
        let mut corpus = Self::encode((tokenizer, ""), labels.clone(), sha256, train, dev, options.reads())?;
        corpus.train.soft = soft;
        Ok(corpus)
    }

    fn encode(
        (tokenizer, prefix): (Option<Tokenizer>, &str),
        labels: Labels,
        sha256: String,
        (train_texts, train_labels): Numbered,
        (dev_texts, dev_labels): Numbered,
        reads: Reads,
    ) -> Result<Self> {
        let encode = |texts: &[String]| match &tokenizer {
            Some(tokenizer) => {
                let most = reads.max_tokens.saturating_mul(reads.windows);
                texts.par_iter().map(|text| tokenizer.encode_after(prefix, text, most)).collect()
            }
            None => Ok(vec![Encoding::default(); texts.len()]),
        };
        let train = Dataset::with_windows(encode(&train_texts)?, train_labels, reads.max_tokens);
        let dev = Dataset::with_windows(encode(&dev_texts)?, dev_labels, reads.max_tokens);
        let linear_start = LinearStart::Nothing;
        Ok(Self { tokenizer, labels, train, dev, train_texts, dev_texts, linear_start, sha256 })
    }

    /// The development documents, or the training documents when there are none.
    pub(super) fn dev_or_train(&self) -> &[Encoding] {
        if self.dev.len() > 0 { &self.dev.documents } else { &self.train.documents }
    }

    /// Entries of the vocabulary; 0 without a tokenizer.
    pub(super) fn vocabulary(&self) -> usize {
        self.tokenizer.as_ref().map_or(0, Tokenizer::vocab_size)
    }

    /// The sizes of a run of this corpus with a model of `parameters` weights.
    pub(super) fn size(&self, parameters: u64, epochs: usize) -> RunSize {
        RunSize {
            train_rows: self.train.documents.len(),
            dev_rows: self.dev.documents.len(),
            train_tokens: self.train.tokens(),
            labels: self.labels.len(),
            vocabulary: self.vocabulary(),
            parameters,
            epochs,
        }
    }
}

fn check_rows(train: &[Example]) -> Result<()> {
    if train.is_empty() {
        return Err(ModelError::Training("there are no training rows".to_owned()));
    }
    Ok(())
}

pub(super) fn label_ids(examples: &[Example]) -> BTreeSet<&str> {
    examples.iter().map(|example| example.label.as_str()).collect()
}

/// The tokenizer of the network; `None` without a network.
fn tokenizer(texts: &[String], options: &TrainOptions) -> Result<Option<Tokenizer>> {
    if options.preset == Preset::Linear {
        return Ok(None);
    }
    let tokenizer = match (options.tokenization, &options.tokenizer) {
        (Tokenization::Subword, Some(file)) => Tokenizer::from_file(file),
        (Tokenization::Subword, None) => Tokenizer::train_subword(texts, &options.vocabulary),
        (Tokenization::Words, _) => Tokenizer::train_words(texts, &options.vocabulary),
    };
    tokenizer.map(Some)
}

/// Texts, and the indices of their labels.
type Numbered = (Vec<String>, Vec<usize>);

fn numbered(examples: Vec<Example>, labels: &Labels) -> Result<Numbered> {
    let mut texts = Vec::with_capacity(examples.len());
    let mut numbers = Vec::with_capacity(examples.len());
    for Example { text, label, .. } in examples {
        let number = labels.index_of(&label);
        let unknown =
            || ModelError::Training(format!("label `{label}` has development rows but no training row"));
        numbers.push(number.ok_or_else(unknown)?);
        texts.push(text);
    }
    Ok((texts, numbers))
}

/// SHA-256 over the number of training rows and over all labels and texts. Each text is preceded by its
/// length, so that moving a boundary between rows changes the digest.
fn digest(train: &[Example], dev: &[Example], unlabelled: &[String]) -> String {
    let mut hasher = Sha256::new();
    // Moving a row from training to development changes the run, but not the sequence of texts.
    hasher.update((train.len() as u64).to_le_bytes());
    let labelled = train.iter().chain(dev).flat_map(|example| [&example.label, &example.text]);
    for part in labelled.chain(unlabelled) {
        hasher.update((part.len() as u64).to_le_bytes());
        hasher.update(part.as_bytes());
    }
    hex::encode(hasher.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::examples;

    #[test]
    fn the_digest_depends_on_where_the_development_rows_begin() {
        let rows = examples(3);
        let digests: BTreeSet<String> = (0..=3).map(|at| digest(&rows[..at], &rows[at..], &[])).collect();
        assert_eq!(digests.len(), 4);
    }
}
