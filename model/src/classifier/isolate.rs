//! Isolates texts on which inference fails: each is reported, and all other texts are classified.
//!
//! Contract: a batch that fails is split in half until each text at fault is alone; a logit that is not
//! finite identifies its text at once. If memory runs out, no text is at fault: the batch is split at half
//! its padded tokens and retried. If no text can be classified, the empty text is tried. If that fails too,
//! the model or the device is at fault, and an error is returned.

use super::Classifier;
use crate::batcher::{BatchOptions, plan};
use crate::error::{ModelError, Result};
use crate::probabilities::Probabilities;
use crate::session::Session;
use crate::tokenize::Encoding;

/// Fragments of the messages, in lower case, by which ONNX Runtime's allocators and CUDA report that memory
/// ran out.
const OUT_OF_MEMORY: &[&str] = &[
    "out of memory",
    "out_of_memory",
    "failed to allocate",
    "bad_alloc",
    "bad allocation",
    "alloc_failed",
    "smaller than requested bytes",
];

/// Why one text has no probabilities.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What kind of failure it is.
    pub kind: FailureKind,
    /// The message of ONNX Runtime, or the logit that is not finite.
    pub problem: String,
}

/// The kinds of [`Failure`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureKind {
    /// ONNX Runtime fails on a batch of this text alone.
    Inference,
    /// A logit of the text is not a finite number.
    NotFinite,
}

/// The result for one text.
pub type Outcome = Result<Probabilities, Failure>;

impl Classifier {
    /// For each text, in their order, the probabilities of all labels or the failure.
    ///
    /// # Errors
    ///
    /// The model cannot classify any text, or the memory does not suffice for a single text.
    pub fn classify_each(&mut self, encodings: &[Encoding]) -> Result<Vec<Outcome>> {
        let lengths: Vec<usize> = encodings.iter().map(|encoding| encoding.ids.len()).collect();
        let mut calls = plan(&lengths, &self.batch);
        let mut outcomes: Vec<(usize, Outcome)> = Vec::with_capacity(encodings.len());
        while let Some(rows) = calls.pop() {
            let members: Vec<&Encoding> = rows.iter().map(|row| &encodings[*row]).collect();
            match self.score(&members, Session::scores) {
                Ok(scores) => {
                    let logits = scores.iter().map(|logits| self.outcome(logits));
                    outcomes.extend(rows.into_iter().zip(logits));
                }
                // Not the fault of a text: if even one text alone does not fit, the run fails, and no document
                // becomes a dead letter.
                Err(error) if is_out_of_memory(&error) => {
                    calls.extend(self.cheaper(&rows, &members, error)?);
                }
                Err(error) => match rows.as_slice() {
                    [row] => outcomes.push((*row, Err(inference_failure(error)))),
                    _ => calls.extend(rows.chunks(rows.len().div_ceil(2)).map(<[usize]>::to_vec)),
                },
            }
        }
        outcomes.sort_unstable_by_key(|(row, _)| *row);
        // If every text failed, either all are bad or the model is: the empty text, which worked on opening, tells
        // which.
        if !outcomes.is_empty() && outcomes.iter().all(|(_, outcome)| outcome.is_err()) {
            self.check_alive()?;
        }
        Ok(outcomes.into_iter().map(|(_, outcome)| outcome).collect())
    }

    fn outcome(&self, logits: &[f32]) -> Outcome {
        match logits.iter().position(|logit| !logit.is_finite()) {
            None => Ok(Probabilities::at_temperature(logits, self.temperature())),
            Some(label) => {
                let problem = format!("logit {label} is {}", logits[label]);
                Err(Failure { kind: FailureKind::NotFinite, problem })
            }
        }
    }

    /// Splits a batch that ran out of memory into batches of half its padded tokens.
    fn cheaper(&self, rows: &[usize], members: &[&Encoding], error: ModelError) -> Result<Vec<Vec<usize>>> {
        // A single text cannot be divided, so the memory does not suffice for this model.
        if rows.len() < 2 {
            return Err(error);
        }
        let lengths: Vec<usize> = members.iter().map(|encoding| encoding.ids.len()).collect();
        let tokens = lengths.iter().copied().max().unwrap_or(0);
        // Half of what was tried, and not half of the configured budget, which this batch may not have used up.
        let max_batch_tokens = rows.len() * tokens / 2;
        tracing::warn!(rows = rows.len(), tokens, max_batch_tokens, %error, "memory is short");
        let options = BatchOptions { max_batch_tokens, ..self.batch };
        let calls = plan(&lengths, &options).into_iter();
        Ok(calls.map(|call| call.into_iter().map(|place| rows[place]).collect()).collect())
    }

    /// Classifies the empty text, as on opening the bundle.
    fn check_alive(&mut self) -> Result<()> {
        let empty = self.encoder.encode_batch(&[""])?;
        self.classify(&empty).map(drop)
    }
}

fn inference_failure(error: ModelError) -> Failure {
    let problem = match error {
        ModelError::Inference { problem, .. } => problem,
        other => other.to_string(),
    };
    Failure { kind: FailureKind::Inference, problem }
}

fn is_out_of_memory(error: &ModelError) -> bool {
    let message = error.to_string().to_lowercase();
    OUT_OF_MEMORY.iter().any(|words| message.contains(words))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use proptest::prelude::*;

    use super::*;
    use crate::classifier::ClassifierOptions;
    use crate::import::{OnnxOptions, onnx};

    /// `tests/references/failing_graph.py` writes the graph and documents on which tokens it fails.
    fn failing(batch: BatchOptions) -> Classifier {
        let graph = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/references/failing_graph");
        let root = tempfile::tempdir().unwrap();
        let bundle = onnx(&graph, root.path(), "failing", &OnnxOptions::default()).unwrap();
        let options = ClassifierOptions { threads: 1, batch, ..ClassifierOptions::default() };
        Classifier::open(&bundle, &options).unwrap()
    }

    fn classify(classifier: &mut Classifier, texts: &[&str]) -> Vec<Outcome> {
        let encodings = classifier.encoder().encode_batch(texts).unwrap();
        classifier.classify_each(&encodings).unwrap()
    }

    fn kind(outcome: &Outcome) -> Option<FailureKind> {
        outcome.as_ref().err().map(|failure| failure.kind)
    }

    #[test]
    fn texts_at_fault_are_reported_and_the_others_classified_in_order() {
        let mut classifier = failing(BatchOptions::default());
        let texts = ["bank", "goal poison", "match", "nan", "poison", "a b c d bank", "goal"];
        let outcomes = classify(&mut classifier, &texts);
        let (inference, not_finite) = (Some(FailureKind::Inference), Some(FailureKind::NotFinite));
        let expected = [None, inference, None, not_finite, inference, None, None];
        assert_eq!(outcomes.iter().map(kind).collect::<Vec<_>>(), expected);
        for (text, outcome) in texts.iter().zip(&outcomes) {
            let encodings = classifier.encoder().encode_batch(&[text]).unwrap();
            match outcome {
                Ok(probabilities) => assert_eq!(classifier.classify(&encodings).unwrap()[0], *probabilities),
                Err(_) => assert!(classifier.classify(&encodings).is_err(), "{text}"),
            }
        }
        let problem = |row: usize| outcomes[row].as_ref().unwrap_err().problem.clone();
        assert!(problem(1).contains("Gather") && problem(1).contains("9999"), "{}", problem(1));
        assert_eq!(problem(3), "logit 0 is NaN");
    }

    #[test]
    fn running_out_of_memory_is_not_blamed_on_a_text() {
        let mut classifier = failing(BatchOptions::default());
        let texts = ["huge", "bank", "huge match", "huge goal", "poison", "huge"];
        let kinds: Vec<_> = classify(&mut classifier, &texts).iter().map(kind).collect();
        assert_eq!(kinds, [None, None, None, None, Some(FailureKind::Inference), None]);

        let alone = classifier.encoder().encode_batch(&["huge huge"]).unwrap();
        let error = classifier.classify_each(&alone).unwrap_err();
        assert!(is_out_of_memory(&error), "{error}");
    }

    #[test]
    fn texts_that_all_fail_are_at_fault_if_the_model_classifies_the_empty_text() {
        let mut classifier = failing(BatchOptions::default());
        for texts in [&["poison"] as &[&str], &["poison", "nan", "poison goal"]] {
            assert!(classify(&mut classifier, texts).iter().all(Result::is_err));
        }
        // With three labels over a graph of two logits, every text fails. The labels change after the bundle
        // was opened.
        classifier.labels = crate::labels::Labels::from_ids(["a", "b", "c"]).unwrap();
        let encodings = classifier.encoder().encode_batch(&["bank", "goal"]).unwrap();
        let error = classifier.classify_each(&encodings).unwrap_err().to_string();
        assert!(error.contains("2 logits but there are 3 labels"), "{error}");
    }

    #[test]
    fn no_texts_give_no_outcomes() {
        assert!(classify(&mut failing(BatchOptions::default()), &[]).is_empty());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        /// Exactly the bad texts fail, wherever they are and however texts are divided into batches.
        #[test]
        fn exactly_the_bad_texts_fail(
            words in prop::collection::vec(
                prop::sample::select(vec!["bank", "goal match x", "poison", "nan", "huge", "a b c d e f"]),
                1..40,
            ),
            max_batch_tokens in 1usize..64,
        ) {
            let mut classifier = failing(BatchOptions { max_batch_tokens, max_batch_rows: 16 });
            let outcomes = classify(&mut classifier, &words);
            for (word, outcome) in words.iter().zip(&outcomes) {
                let expected = match *word {
                    "poison" => Some(FailureKind::Inference),
                    "nan" => Some(FailureKind::NotFinite),
                    _ => None,
                };
                prop_assert_eq!(kind(outcome), expected, "{}", word);
            }
        }
    }
}
