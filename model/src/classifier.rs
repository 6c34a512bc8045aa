//! The whole way from a bundle to probabilities: encode, batch, run, softmax at the bundle's temperature.
//!
//! Contract: probabilities come back in the order of the texts and do not depend on which texts were
//! classified with them (beyond rounding: the kernels differ by shape, at most 1e-5 in a
//! probability).

use std::sync::Arc;

use rayon::prelude::*;

use crate::batcher::{BatchOptions, TokenBatch, plan};
use crate::bundle::Bundle;
use crate::calibration::Calibration;
use crate::device::Device;
use crate::error::{ModelError, Result};
use crate::labels::Labels;
use crate::probabilities::Probabilities;
use crate::session::{Logits, Session};
use crate::tokenize::{Encoding, Tokenizer};

mod isolate;

pub use isolate::{Failure, FailureKind, Outcome};

/// A bundle's tokenizer with the bundle's text length; to be shared with threads that tokenise ahead
/// of the classifier.
#[derive(Debug)]
pub struct Encoder {
    tokenizer: Tokenizer,
    max_tokens: usize,
}

impl Encoder {
    /// Texts will be cut off after `max_tokens` tokens.
    pub fn new(tokenizer: Tokenizer, max_tokens: usize) -> Self {
        Self { tokenizer, max_tokens }
    }

    /// The ids of many texts, in their order, on rayon's threads.
    ///
    /// # Errors
    ///
    /// As [`Tokenizer::encode_batch`].
    pub fn encode_batch<T: AsRef<str> + Sync>(&self, texts: &[T]) -> Result<Vec<Encoding>> {
        self.tokenizer.encode_batch(texts, self.max_tokens)
    }

    /// The ids of each text that can be encoded, and why for each that cannot, in the texts' order.
    ///
    /// # Errors
    ///
    /// No text can be encoded, the empty one included: the failure is the tokenizer's.
    pub fn encode_each<T: AsRef<str> + Sync>(&self, texts: &[T]) -> Result<Vec<Result<Encoding>>> {
        let encode = |text: &T| self.tokenizer.encode(text.as_ref(), self.max_tokens);
        let encodings: Vec<_> = texts.par_iter().map(encode).collect();
        if !encodings.is_empty() && encodings.iter().all(Result::is_err) {
            self.tokenizer.encode("", self.max_tokens)?;
        }
        Ok(encodings)
    }

    /// The tokenizer.
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// Most tokens of an encoding.
    pub fn max_tokens(&self) -> usize {
        self.max_tokens
    }
}

/// How a classifier runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClassifierOptions {
    /// Threads of one inference call. At least 1. Default: the number of cores.
    pub threads: usize,
    /// Bounds of one inference call.
    pub batch: BatchOptions,
    /// Where it runs.
    pub device: Device,
}

impl Default for ClassifierOptions {
    fn default() -> Self {
        let threads = std::thread::available_parallelism().map_or(1, Into::into);
        Self { threads, batch: BatchOptions::default(), device: Device::Cpu }
    }
}

/// An open classifier. It works on one call at a time; its [`Encoder`] may be used meanwhile.
#[derive(Debug)]
pub struct Classifier {
    session: Session,
    encoder: Arc<Encoder>,
    labels: Labels,
    calibration: Option<Calibration>,
    name: String,
    version: String,
    pad_id: u32,
    batch: BatchOptions,
}

impl Classifier {
    /// Loads a bundle's tokenizer, calibration and graph, and runs the graph once.
    ///
    /// # Errors
    ///
    /// ONNX Runtime is not there, a file of the bundle is unusable, an option is out of bounds, or
    /// the graph's logits or the calibration do not match the labels.
    pub fn open(bundle: &Bundle, options: &ClassifierOptions) -> Result<Self> {
        options.batch.validate()?;
        bundle.check_head()?;
        let manifest = bundle.manifest();
        let session = Session::open(&bundle.onnx_path(), options.threads, options.device)?;
        let mut classifier = Self {
            session,
            encoder: Arc::new(Encoder::new(bundle.tokenizer()?, manifest.model.max_tokens)),
            labels: bundle.labels().clone(),
            calibration: calibration(bundle)?,
            name: manifest.name.clone(),
            version: manifest.version.clone(),
            pad_id: manifest.model.pad_id,
            batch: options.batch,
        };
        // A bundle that cannot classify is refused now, and the first real batch finds warm caches.
        let warm_up = classifier.encoder.encode_batch(&[""])?;
        classifier.classify(&warm_up)?;
        Ok(classifier)
    }

    /// The bundle's tokenizer, to make encodings for [`Classifier::classify`] on any thread.
    pub fn encoder(&self) -> Arc<Encoder> {
        Arc::clone(&self.encoder)
    }

    /// Probabilities of each label for each text, in the texts' order, calibrated where the bundle is.
    ///
    /// # Errors
    ///
    /// As [`Classifier::logits`].
    pub fn classify(&mut self, encodings: &[Encoding]) -> Result<Vec<Probabilities>> {
        let temperature = self.temperature();
        let logits = self.logits(encodings)?;
        Ok(logits.iter().map(|logits| Probabilities::at_temperature(logits, temperature)).collect())
    }

    /// What the graph says of each label for each text, in the texts' order.
    ///
    /// # Errors
    ///
    /// Inference fails on a batch; the error names its shape. Nothing is returned for the other
    /// batches then: [`Classifier::classify_each`] finds the texts at fault.
    pub fn logits(&mut self, encodings: &[Encoding]) -> Result<Vec<Vec<f32>>> {
        let lengths: Vec<usize> = encodings.iter().map(|encoding| encoding.ids.len()).collect();
        let mut results = vec![Vec::new(); encodings.len()];
        for rows in plan(&lengths, &self.batch) {
            let members: Vec<&Encoding> = rows.iter().map(|row| &encodings[*row]).collect();
            let batch = TokenBatch::pad(&members, self.pad_id);
            for (row, logits) in
                rows.into_iter().zip(self.run(&batch, Session::run)?.chunks_exact(self.labels.len()))
            {
                results[row] = logits.to_vec();
            }
        }
        Ok(results)
    }

    /// Whether the most probable label should not be trusted; never where the bundle is not calibrated.
    pub fn abstains(&self, probabilities: &Probabilities) -> bool {
        self.calibration.as_ref().is_some_and(|calibration| calibration.abstains(probabilities))
    }

    fn temperature(&self) -> f64 {
        self.calibration.as_ref().map_or(1.0, |calibration| calibration.temperature)
    }

    /// One call; `score` is [`Session::run`] or [`Session::scores`].
    fn run(
        &mut self,
        batch: &TokenBatch,
        score: fn(&mut Session, &TokenBatch) -> Result<Logits>,
    ) -> Result<Vec<f32>> {
        let logits = score(&mut self.session, batch)?;
        if logits.labels != self.labels.len() {
            let problem =
                format!("the graph has {} logits but there are {} labels", logits.labels, self.labels.len());
            return Err(ModelError::Inference { rows: batch.rows, tokens: batch.tokens, problem });
        }
        Ok(logits.values)
    }

    /// How the logits are read, where the bundle says it.
    pub fn calibration(&self) -> Option<&Calibration> {
        self.calibration.as_ref()
    }

    /// Labels in the order of the probabilities.
    pub fn labels(&self) -> &Labels {
        &self.labels
    }

    /// Where it really runs: on the CPU or on a CUDA device.
    pub fn device(&self) -> Device {
        self.session.device()
    }

    /// The model's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// ULID of the model's version.
    pub fn version(&self) -> &str {
        &self.version
    }
}

fn calibration(bundle: &Bundle) -> Result<Option<Calibration>> {
    let calibration = Calibration::load(bundle.path())?;
    if calibration.as_ref().is_some_and(|calibration| !calibration.fits(bundle.labels())) {
        let problem = "calibration.json: `thresholds` are not those of labels.json, in its order";
        return Err(ModelError::bundle(bundle.path(), problem));
    }
    Ok(calibration)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::bundle::tests::{description, staged};
    use crate::session::graphs::TestGraph;

    /// A bundle of a word model whose graph has `labels` logits; the bundle itself has two labels.
    fn bundle(root: &std::path::Path, labels: usize) -> Bundle {
        let graph = root.join("graph.onnx");
        TestGraph { labels, ..TestGraph::default() }.save(&graph);
        staged(root, &std::fs::read(&graph).unwrap()).finish(description()).unwrap()
    }

    fn open(batch: BatchOptions) -> Classifier {
        let root = tempfile::tempdir().unwrap();
        Classifier::open(
            &bundle(root.path(), 2),
            &ClassifierOptions { threads: 1, batch, device: Device::Cpu },
        )
        .unwrap()
    }

    #[test]
    fn texts_become_probabilities() {
        let mut classifier = open(BatchOptions { max_batch_tokens: 8, max_batch_rows: 2 });
        let encodings = classifier.encoder().encode_batch(&["bank bank match", "match", "", "银行"]).unwrap();
        let probabilities = classifier.classify(&encodings).unwrap();
        assert_eq!(probabilities.len(), 4);
        for row in &probabilities {
            assert!((row.as_slice().iter().sum::<f32>() - 1.0).abs() < 1e-6, "{row:?}");
        }
        assert_ne!(probabilities[0], probabilities[1]);
        assert_eq!(classifier.name(), "news");
        assert_eq!(classifier.labels().ids(), ["sports", "finance"]);
    }

    #[test]
    fn no_texts_give_no_probabilities() {
        assert!(open(BatchOptions::default()).classify(&[]).unwrap().is_empty());
    }

    #[test]
    fn a_graph_that_does_not_fit_its_labels_is_refused_at_once() {
        let root = tempfile::tempdir().unwrap();
        let error =
            Classifier::open(&bundle(root.path(), 3), &ClassifierOptions::default()).unwrap_err().to_string();
        assert!(error.contains("the graph has 3 logits but there are 2 labels"), "{error}");
    }

    #[test]
    fn a_calibrated_bundle_is_read_at_its_temperature() {
        let root = tempfile::tempdir().unwrap();
        let graph = root.path().join("graph.onnx");
        TestGraph { labels: 2, ..TestGraph::default() }.save(&graph);
        let open = |labels: &[&str]| {
            let stage = staged(root.path(), &std::fs::read(&graph).unwrap());
            let labels: Vec<String> = labels.iter().map(|label| (*label).to_owned()).collect();
            // Wrong as often as right, and very sure.
            let logits = [vec![9.0, 0.0], vec![9.0, 0.0]];
            Calibration::fit(&labels, &[0, 1], &logits).unwrap().save(stage.path()).unwrap();
            Classifier::open(&stage.finish(description()).unwrap(), &ClassifierOptions::default())
        };
        let mut calibrated = open(&["sports", "finance"]).unwrap();
        let encodings = calibrated.encoder().encode_batch(&["bank match"]).unwrap();
        let logits = calibrated.logits(&encodings).unwrap();
        let probabilities = calibrated.classify(&encodings).unwrap();
        let temperature = calibrated.calibration().unwrap().temperature;
        assert!(temperature > 5.0, "{temperature}");
        assert_eq!(probabilities[0], Probabilities::at_temperature(&logits[0], temperature));
        assert!(calibrated.abstains(&probabilities[0]), "no confidence was right often enough");
        assert!(!self::open(BatchOptions::default()).abstains(&probabilities[0]), "not calibrated");

        let error = open(&["finance", "sports"]).unwrap_err().to_string();
        assert!(error.contains("calibration.json: `thresholds` are not those of labels.json"), "{error}");
    }

    #[test]
    fn softmax_stands_large_logits_and_ties() {
        for (logits, expected) in [
            (vec![0.0, 0.0], vec![0.5, 0.5]),
            (vec![3e38, -3e38], vec![1.0, 0.0]),
            (vec![1000.0 + 3f32.ln(), 1000.0], vec![0.75, 0.25]),
        ] {
            let probabilities = Probabilities::from_logits(&logits);
            for (value, expected) in probabilities.as_slice().iter().zip(expected) {
                assert!((value - expected).abs() < 1e-4, "{logits:?}: {probabilities:?}");
            }
        }
    }

    #[test]
    fn the_top_is_sorted_and_ties_keep_their_order() {
        let probabilities = Probabilities(vec![0.2, 0.3, 0.2, 0.3]);
        assert_eq!(probabilities.top(3), [(1, 0.3), (3, 0.3), (0, 0.2)]);
        assert_eq!(probabilities.top(9).len(), 4);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn neighbours_do_not_change_a_text(
            texts in prop::collection::vec(prop::collection::vec(0u32..64, 1..40), 1..40),
            max_batch_tokens in 1usize..400,
        ) {
            let mut classifier = open(BatchOptions { max_batch_tokens, max_batch_rows: 16 });
            let encodings: Vec<Encoding> =
                texts.into_iter().map(|ids| Encoding { ids, truncated: false }).collect();
            let together = classifier.classify(&encodings).unwrap();
            for (encoding, row) in encodings.iter().zip(&together) {
                let alone = classifier.classify(std::slice::from_ref(encoding)).unwrap();
                for (left, right) in alone[0].as_slice().iter().zip(row.as_slice()) {
                    prop_assert!((left - right).abs() <= 1e-5);
                }
            }
        }
    }
}
