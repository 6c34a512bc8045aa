//! A classifier: encodes texts, groups them into batches, runs the graph, and applies softmax at the bundle's
//! temperature.
//!
//! A bundle is a product of experts (Hinton, 2002): their logits are summed, each scaled by its weight and its own
//! temperature. The graph gives the sum of those that read tokens, here averaged over the windows of a long text, and
//! may give the logits of the class names beside it, whose factor depends on the text ([`Encoding::zero_shot`]). The
//! linear experts read the whole text while it is encoded ([`Encoding::linear`]).
//!
//! Contract: probabilities are returned in the order of the texts. They do not depend on the other texts of a
//! call, except for rounding: kernels differ by the shape of a batch, which changes a probability by at most
//! 1e-5.

use std::path::PathBuf;
use std::sync::Arc;

use crate::batcher::{BatchOptions, TokenBatch, plan};
use crate::bundle::Bundle;
use crate::calibration::Calibration;
use crate::device::Device;
use crate::error::{ModelError, Result};
use crate::labels::Labels;
use crate::probabilities::Probabilities;
use crate::session::{Logits, Session};
use crate::tokenize::Encoding;

mod encoder;
mod isolate;

pub use encoder::Encoder;
pub use isolate::{Failure, FailureKind, Outcome};

/// How a classifier runs its graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClassifierOptions {
    /// Threads of one inference call. At least 1. Default: the number of cores.
    pub threads: usize,
    /// Bounds of one inference call.
    pub batch: BatchOptions,
    /// The device that it runs on.
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
    /// `None` if linear experts are the whole model.
    session: Option<Session>,
    device: Device,
    encoder: Arc<Encoder>,
    labels: Labels,
    calibration: Option<Calibration>,
    name: String,
    version: String,
    pad_id: u32,
    /// Most tokens of one window.
    window: usize,
    batch: BatchOptions,
    tokens: TokenCount,
}

/// Tokens that a graph has computed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TokenCount {
    /// Those of texts.
    pub real: u64,
    /// Those that only fill up the shorter texts of a call.
    pub padding: u64,
}

/// What gives the logits of a batch: [`Session::run`] or [`Session::scores`].
type Score = fn(&mut Session, &TokenBatch) -> Result<Logits>;

impl Classifier {
    /// Loads a bundle's tokenizer, calibration and graph, and runs the graph once.
    ///
    /// # Errors
    ///
    /// ONNX Runtime is missing, a file of the bundle is unusable, an option is out of bounds, or the graph's
    /// logits or the calibration do not match the labels.
    pub fn open(bundle: &Bundle, options: &ClassifierOptions) -> Result<Self> {
        options.batch.validate()?;
        bundle.check_head()?;
        let manifest = bundle.manifest();
        let open = |path: PathBuf| Session::open(&path, options.threads, options.device);
        let session = bundle.onnx_path().map(open).transpose()?;
        let mut classifier = Self {
            device: session.as_ref().map_or(Device::Cpu, Session::device),
            session,
            encoder: Arc::new(Encoder::open(bundle)?),
            labels: bundle.labels().clone(),
            calibration: calibration(bundle)?,
            name: manifest.name.clone(),
            version: manifest.version.clone(),
            pad_id: manifest.model.pad_id,
            window: manifest.model.max_tokens,
            batch: options.batch,
            tokens: TokenCount::default(),
        };
        // A bundle that cannot classify is refused here, and the first real batch finds warm caches.
        let warm_up = classifier.encoder.encode_batch(&[""])?;
        classifier.classify(&warm_up)?;
        Ok(classifier)
    }

    /// The bundle's tokenizer, to make encodings for [`Classifier::classify`] on any thread.
    pub fn encoder(&self) -> Arc<Encoder> {
        Arc::clone(&self.encoder)
    }

    /// Probabilities of all labels for each text, in the order of the texts; calibrated if the bundle is.
    ///
    /// # Errors
    ///
    /// As [`Classifier::logits`].
    pub fn classify(&mut self, encodings: &[Encoding]) -> Result<Vec<Probabilities>> {
        let temperature = self.temperature();
        let logits = self.logits(encodings)?;
        Ok(logits.iter().map(|logits| Probabilities::at_temperature(logits, temperature)).collect())
    }

    /// The logits of all labels for each text, in the order of the texts.
    ///
    /// # Errors
    ///
    /// Inference fails on a batch; the error names its shape. There is no result for the other batches then:
    /// [`Classifier::classify_each`] finds the texts at fault.
    pub fn logits(&mut self, encodings: &[Encoding]) -> Result<Vec<Vec<f32>>> {
        let lengths: Vec<usize> = encodings.iter().map(|encoding| encoding.ids.len()).collect();
        let mut results = vec![Vec::new(); encodings.len()];
        for rows in plan(&lengths, &self.batch) {
            // Batches are made of rows of similar length; `results` restores the order of the texts.
            let members: Vec<&Encoding> = rows.iter().map(|row| &encodings[*row]).collect();
            for (row, logits) in rows.into_iter().zip(self.score(&members, Session::run)?) {
                results[row] = logits;
            }
        }
        Ok(results)
    }

    /// Whether the most probable label should not be trusted; always false if the bundle is not calibrated.
    pub fn abstains(&self, probabilities: &Probabilities) -> bool {
        self.calibration.as_ref().is_some_and(|calibration| calibration.abstains(probabilities))
    }

    fn temperature(&self) -> f64 {
        self.calibration.as_ref().map_or(1.0, |calibration| calibration.temperature)
    }

    /// The logits of texts that share one call: the mean over a text's windows, and the part of the linear experts.
    fn score(&mut self, members: &[&Encoding], score: Score) -> Result<Vec<Vec<f32>>> {
        let mut windows = self.graph_logits(members, score)?.into_iter();
        let count = |encoding: &Encoding| encoding.windows(self.window).len();
        let sum = |encoding: &&Encoding| {
            let mean = mean(&mut windows.by_ref().take(count(encoding)), self.labels.len());
            add(mean, &encoding.linear)
        };
        Ok(members.iter().map(sum).collect())
    }

    /// The graph's logits of each window of each text; nothing without a graph.
    fn graph_logits(&mut self, members: &[&Encoding], score: Score) -> Result<Vec<Vec<f32>>> {
        let Some(session) = &mut self.session else { return Ok(Vec::new()) };
        let (windows, factors): (Vec<&[u32]>, Vec<f32>) = members
            .iter()
            .flat_map(|encoding| encoding.windows(self.window).map(|ids| (ids, encoding.zero_shot)))
            .unzip();
        let batch = TokenBatch::pad(&windows, self.pad_id);
        let real: u64 = windows.iter().map(|ids| ids.len() as u64).sum();
        self.tokens.real += real;
        self.tokens.padding += (batch.rows * batch.tokens) as u64 - real;
        let logits = score(session, &batch)?;
        if logits.labels != self.labels.len() {
            let problem =
                format!("the graph has {} logits but there are {} labels", logits.labels, self.labels.len());
            return Err(ModelError::Inference { rows: batch.rows, tokens: batch.tokens, problem });
        }
        Ok(rows(&logits, &factors))
    }

    /// The tokens that the graph has computed since this was called last.
    pub fn take_tokens(&mut self) -> TokenCount {
        std::mem::take(&mut self.tokens)
    }

    /// The calibration, if the bundle has one.
    pub fn calibration(&self) -> Option<&Calibration> {
        self.calibration.as_ref()
    }

    /// Labels in the order of the probabilities.
    pub fn labels(&self) -> &Labels {
        &self.labels
    }

    /// The device that it actually runs on: CPU or CUDA.
    pub fn device(&self) -> Device {
        self.device
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

/// The logits of each row, and the row's factor times those of the class names, if there are such.
fn rows(logits: &Logits, factors: &[f32]) -> Vec<Vec<f32>> {
    let mut sums: Vec<Vec<f32>> = logits.values.chunks_exact(logits.labels).map(<[f32]>::to_vec).collect();
    for ((sum, others), factor) in
        sums.iter_mut().zip(logits.zero_shot.chunks_exact(logits.labels)).zip(factors)
    {
        sum.iter_mut().zip(others).for_each(|(sum, other)| *sum += factor * other);
    }
    sums
}

/// The mean of rows of `width` values; zeros if there is no row.
fn mean(rows: &mut dyn Iterator<Item = Vec<f32>>, width: usize) -> Vec<f32> {
    let Some(first) = rows.next() else { return vec![0.0; width] };
    let (sum, count) = rows.fold((first, 1.0), |(sum, count), row| (add(sum, &row), count + 1.0));
    sum.into_iter().map(|value| value / count).collect()
}

/// `row + other`, where `other` may be empty.
fn add(mut row: Vec<f32>, other: &[f32]) -> Vec<f32> {
    row.iter_mut().zip(other).for_each(|(value, other)| *value += other);
    row
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
    use crate::bundle::ModelDescription;
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
    fn a_long_text_has_the_mean_of_its_windows_and_a_text_that_is_longer_still_is_cut_off() {
        let root = tempfile::tempdir().unwrap();
        let graph = root.path().join("graph.onnx");
        TestGraph::default().save(&graph);
        let description = ModelDescription { max_tokens: 3, windows: 2, ..description() };
        let bundle = staged(root.path(), &std::fs::read(&graph).unwrap()).finish(description).unwrap();
        assert_eq!(bundle.manifest().format, 2);
        let mut classifier = Classifier::open(&bundle, &ClassifierOptions::default()).unwrap();
        let encoder = classifier.encoder();
        let encode = |text: &str| encoder.encode_batch(&[text]).unwrap().remove(0);
        let whole = encode("bank match bank match");
        let [first, second] = ["bank match", "bank match"].map(encode);
        assert_eq!((whole.ids.len(), whole.truncated), (4, false));
        assert!(encode("bank bank bank bank bank bank bank").truncated);
        let logits = classifier.logits(&[whole, first, second]).unwrap();
        for ((whole, first), second) in logits[0].iter().zip(&logits[1]).zip(&logits[2]) {
            assert!((whole - (first + second) / 2.0).abs() < 1e-5, "{logits:?}");
        }
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
    fn a_calibrated_bundle_uses_its_temperature() {
        let root = tempfile::tempdir().unwrap();
        let graph = root.path().join("graph.onnx");
        TestGraph { labels: 2, ..TestGraph::default() }.save(&graph);
        let open = |labels: &[&str]| {
            let stage = staged(root.path(), &std::fs::read(&graph).unwrap());
            let labels: Vec<String> = labels.iter().map(|label| (*label).to_owned()).collect();
            // Half of the predictions are wrong although all are very confident.
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

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn neighbours_do_not_change_a_text(
            texts in prop::collection::vec(prop::collection::vec(0u32..64, 1..40), 1..40),
            max_batch_tokens in 1usize..400,
        ) {
            let mut classifier = open(BatchOptions { max_batch_tokens, max_batch_rows: 16 });
            let encodings: Vec<Encoding> =
                texts.into_iter().map(|ids| Encoding::new(ids, false)).collect();
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
