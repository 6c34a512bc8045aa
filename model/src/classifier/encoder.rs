//! What a classifier does with a text before inference: token ids for the graph, and the linear expert's logits.

use rayon::prelude::*;

use crate::bundle::{Bundle, LinearPart};
use crate::error::{ModelError, Result};
use crate::linear::LinearExpert;
use crate::tokenize::{Encoding, Tokenizer};
use crate::zero_shot::ZeroShotPart;

/// The part of a classifier that reads texts. It can be shared with threads that encode ahead of the classifier.
#[derive(Debug)]
pub struct Encoder {
    /// `None` if the bundle has no graph.
    tokenizer: Option<Tokenizer>,
    /// Most tokens of all windows together.
    max_tokens: usize,
    /// What the tokenizer reads before each text.
    prefix: String,
    linear: Vec<Part>,
}

/// A linear expert in the sum.
#[derive(Debug)]
struct Part {
    expert: LinearExpert,
    /// The factor of its logits.
    factor: f32,
    /// If its features are those that decide on the part of `zero_shot`.
    zero_shot: Option<ZeroShotPart>,
}

impl Encoder {
    /// The encoder of a bundle.
    ///
    /// # Errors
    ///
    /// The files of the tokenizer or of a linear expert are unusable.
    pub(crate) fn open(bundle: &Bundle) -> Result<Self> {
        let model = &bundle.manifest().model;
        let linear = bundle.linear_experts()?;
        let tokenizer = model.tokenization.map(|_| bundle.tokenizer()).transpose()?;
        let max_tokens = model.max_tokens.saturating_mul(model.windows);
        Ok(Self { tokenizer, max_tokens, prefix: model.prefix.clone(), linear })
    }

    /// The encodings of many texts, in their order, computed on rayon's threads.
    ///
    /// # Errors
    ///
    /// As [`Tokenizer::encode`], for the first text that fails.
    pub fn encode_batch<T: AsRef<str> + Sync>(&self, texts: &[T]) -> Result<Vec<Encoding>> {
        texts.par_iter().map(|text| self.encode(text.as_ref())).collect()
    }

    /// For each text, in their order, its encoding or the error.
    ///
    /// # Errors
    ///
    /// No text can be encoded, not even the empty one, so that the tokenizer is at fault and not the texts.
    pub fn encode_each<T: AsRef<str> + Sync>(&self, texts: &[T]) -> Result<Vec<Result<Encoding>>> {
        let encodings: Vec<_> = texts.par_iter().map(|text| self.encode(text.as_ref())).collect();
        // Texts can all be bad, but not the empty one: its error is that of the tokenizer.
        if !encodings.is_empty() && encodings.iter().all(Result::is_err) {
            self.encode("")?;
        }
        Ok(encodings)
    }

    fn encode(&self, text: &str) -> Result<Encoding> {
        let mut encoding = match &self.tokenizer {
            Some(tokenizer) => tokenizer.encode_after(&self.prefix, text, self.max_tokens)?,
            None => Encoding::default(),
        };
        for part in &self.linear {
            let (logits, familiarity) = part.expert.logits_and_familiarity(text);
            encoding.linear.resize(logits.len(), 0.0);
            encoding.linear.iter_mut().zip(logits).for_each(|(sum, logit)| *sum += part.factor * logit);
            if let Some(zero_shot) = &part.zero_shot {
                encoding.zero_shot = zero_shot.factor(familiarity);
            }
        }
        Ok(encoding)
    }

    /// The tokenizer; `None` if the bundle has no graph.
    pub fn tokenizer(&self) -> Option<&Tokenizer> {
        self.tokenizer.as_ref()
    }

    /// Most ids of an encoding.
    pub fn max_tokens(&self) -> usize {
        self.max_tokens
    }
}

impl Bundle {
    fn linear_experts(&self) -> Result<Vec<Part>> {
        self.manifest().model.linear.iter().map(|part| self.linear_expert(part)).collect()
    }

    fn linear_expert(&self, LinearPart { file, weight, temperature }: &LinearPart) -> Result<Part> {
        let expert = LinearExpert::open(&self.path().join(file), self.labels())?;
        let factor = weight / temperature;
        if factor.is_finite() {
            let zero_shot = self.manifest().model.zero_shot.clone().filter(|part| part.familiar_to == *file);
            return Ok(Part { expert, factor: factor as f32, zero_shot });
        }
        let problem = format!("`{file}` has the weight {weight} and the temperature {temperature}");
        Err(ModelError::bundle(self.path(), problem))
    }
}
