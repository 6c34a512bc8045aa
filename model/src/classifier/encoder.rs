//! What a classifier does with a text before inference: token ids for the graph, and the linear expert's logits.

use rayon::prelude::*;

use crate::bundle::{Bundle, LinearPart};
use crate::error::{ModelError, Result};
use crate::linear::LinearExpert;
use crate::tokenize::{Encoding, Tokenizer};

/// The part of a classifier that reads texts. It can be shared with threads that encode ahead of the classifier.
#[derive(Debug)]
pub struct Encoder {
    /// `None` if the bundle has no graph.
    tokenizer: Option<Tokenizer>,
    /// Most tokens of all windows together.
    max_tokens: usize,
    /// Each with the factor of its logits in the sum.
    linear: Vec<(LinearExpert, f32)>,
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
        Ok(Self { tokenizer, max_tokens: model.max_tokens.saturating_mul(model.windows), linear })
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
            Some(tokenizer) => tokenizer.encode(text, self.max_tokens)?,
            None => Encoding::default(),
        };
        for (expert, factor) in &self.linear {
            let logits = expert.logits(text);
            encoding.linear.resize(logits.len(), 0.0);
            encoding.linear.iter_mut().zip(logits).for_each(|(sum, logit)| *sum += factor * logit);
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
    /// The linear experts, each with the factor of its logits in the sum.
    fn linear_experts(&self) -> Result<Vec<(LinearExpert, f32)>> {
        self.manifest().model.linear.iter().map(|part| self.linear_expert(part)).collect()
    }

    fn linear_expert(
        &self,
        LinearPart { file, weight, temperature }: &LinearPart,
    ) -> Result<(LinearExpert, f32)> {
        let expert = LinearExpert::open(&self.path().join(file), self.labels())?;
        let factor = weight / temperature;
        if factor.is_finite() {
            return Ok((expert, factor as f32));
        }
        let problem = format!("`{file}` has the weight {weight} and the temperature {temperature}");
        Err(ModelError::bundle(self.path(), problem))
    }
}
