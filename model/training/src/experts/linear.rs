//! The linear experts of a product, and the rows that they are fitted to.

use std::path::Path;

use fenliu_model::linear::{FeatureOptions, LinearExpert};
use fenliu_model::training_report::ExpertReport;
use fenliu_model::{Labels, LinearPart, ModelError, Result};

use super::report::{largest, report};
use crate::corpus::Corpus;
use crate::linear::{LinearOptions, LinearRows, baseline, fit};
use crate::ops::add;

/// The temperature of a linear expert without development rows: that of 27,000 Chinese headlines.
const TEMPERATURE: f64 = 0.27;

/// Decides the order in which the solver visits rows.
const SEED: u64 = 0;

/// Of fewer rows a linear expert keeps features of a single document, or it could be left with none.
const FEW_ROWS: usize = 200;

/// A kind of linear expert.
#[derive(Clone, Copy, Debug)]
struct Kind {
    name: &'static str,
    weight: f64,
    /// Whether it reads punctuation.
    punctuation: bool,
}

/// Two experts: punctuation says much about a label where texts are like the training texts, and
/// misleads where they are not.
const KINDS: [Kind; 2] = [
    Kind { name: "stripped", weight: 0.7, punctuation: false },
    Kind { name: "plain", weight: 0.35, punctuation: true },
];

impl Kind {
    fn options(self) -> LinearOptions {
        let features = FeatureOptions { strip_punctuation: !self.punctuation, ..FeatureOptions::default() };
        LinearOptions { features, ..LinearOptions::default() }
    }

    /// Its file in a bundle.
    fn file(self) -> String {
        format!("linear/{}.safetensors", self.name)
    }

    fn fit(self, rows: &OwnedRows, labels: &Labels) -> Result<LinearExpert> {
        let mut options = self.options();
        if rows.texts.len() < FEW_ROWS {
            options.min_documents = 1;
        }
        // Texts are not segmented, so no dictionary is needed.
        fit(&LinearRows::new(&rows.texts, &rows.labels), labels, &options, None, SEED)
    }
}

/// Rows of linear experts: texts and the indices of their labels.
#[derive(Debug)]
pub(crate) struct OwnedRows {
    texts: Vec<String>,
    labels: Vec<usize>,
}

impl OwnedRows {
    /// The training rows of `corpus`. A text that only a teacher has labelled has the label that is most probable to the
    /// teacher: leaving out those that it is unsure of costs accuracy.
    fn train(corpus: &Corpus) -> Self {
        let label = |row: usize| {
            let soft = || corpus.train.soft.get(row).map_or(0, |soft| largest(soft));
            corpus.train.labels.get(row).copied().unwrap_or_else(soft)
        };
        let labels = (0..corpus.train_texts.len()).map(label).collect();
        Self { texts: corpus.train_texts.clone(), labels }
    }

    /// The training and development rows of `corpus`.
    pub(crate) fn all(corpus: &Corpus) -> Self {
        let mut rows = Self::train(corpus);
        rows.texts.extend(corpus.dev_texts.iter().cloned());
        rows.labels.extend(&corpus.dev.labels);
        rows
    }

    /// Fits all linear experts to these rows and writes them into the bundle in `directory`, over those that are there.
    ///
    /// # Errors
    ///
    /// As [`fit`]; a file cannot be written.
    pub(crate) fn refit(&self, labels: &Labels, directory: &Path) -> Result<()> {
        KINDS.iter().try_for_each(|kind| save(&kind.fit(self, labels)?, &kind.file(), directory))
    }
}

/// A linear expert, and its part in the sum.
#[derive(Debug)]
struct Member {
    expert: LinearExpert,
    part: LinearPart,
}

/// The linear experts of a product.
#[derive(Debug)]
pub(crate) struct LinearMembers {
    members: Vec<Member>,
    pub(crate) reports: Vec<ExpertReport>,
}

impl LinearMembers {
    /// Fits the experts to the training rows of `corpus`, and their temperatures to its development rows.
    ///
    /// # Errors
    ///
    /// As [`fit`].
    pub(crate) fn fit(corpus: &Corpus) -> Result<Self> {
        let rows = OwnedRows::train(corpus);
        let mut all = Self { members: Vec::new(), reports: Vec::new() };
        for kind in KINDS {
            let expert = kind.fit(&rows, &corpus.labels)?;
            let logits: Vec<Vec<f32>> = corpus.dev_texts.iter().map(|text| expert.logits(text)).collect();
            let name = format!("linear {}", kind.name);
            let report = report(&name, (kind.weight, TEMPERATURE), &corpus.dev.labels, &logits);
            let (weight, temperature) = (report.weight, report.temperature);
            all.members.push(Member { expert, part: LinearPart { file: kind.file(), weight, temperature } });
            all.reports.push(report);
        }
        Ok(all)
    }

    /// The file of the expert that says how familiar a text is, and the share of familiar n-grams of each text.
    pub(crate) fn familiarity(&self, texts: &[String]) -> Option<(String, Vec<f64>)> {
        let Member { expert, part } = self.members.first()?;
        let shares = texts.iter().map(|text| expert.logits_and_familiarity(text).1).collect();
        Some((part.file.clone(), shares))
    }

    /// Number of values of all known features.
    pub(crate) fn parameters(&self) -> u64 {
        let of = |member: &Member| 2 * member.expert.known_features() * member.expert.labels().len();
        self.members.iter().map(of).sum::<usize>() as u64
    }

    /// The parts of the manifest.
    pub(crate) fn parts(&self) -> Vec<LinearPart> {
        self.members.iter().map(|member| member.part.clone()).collect()
    }

    /// Writes the experts into the bundle in `directory`, and adds their part to the encodings of the development
    /// documents.
    ///
    /// # Errors
    ///
    /// A file cannot be written.
    pub(crate) fn save(&self, directory: &Path, corpus: &mut Corpus) -> Result<()> {
        for (document, text) in corpus.dev.documents.iter_mut().zip(&corpus.dev_texts) {
            document.linear = self.logits(text);
        }
        self.members.iter().try_for_each(|member| save(&member.expert, &member.part.file, directory))
    }

    /// The part of all experts in the logits of a text.
    fn logits(&self, text: &str) -> Vec<f32> {
        let mut sum = Vec::new();
        for Member { expert, part } in &self.members {
            let factor = (part.weight / part.temperature) as f32;
            let logits: Vec<f32> = expert.logits(text).into_iter().map(|logit| factor * logit).collect();
            sum.resize(logits.len(), 0.0);
            add(&mut sum, &logits);
        }
        sum
    }
}

fn save(expert: &LinearExpert, file: &str, directory: &Path) -> Result<()> {
    let path = directory.join(file);
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).map_err(ModelError::io("create", parent))?;
    }
    expert.save(&path)
}

/// The accuracy of the reference classifier on the development rows of `corpus`; `None` if there are none.
pub(crate) fn baseline_accuracy(corpus: &Corpus) -> Option<f64> {
    if corpus.dev_texts.is_empty() {
        return None;
    }
    let train = OwnedRows::train(corpus);
    let dev = LinearRows::new(&corpus.dev_texts, &corpus.dev.labels);
    match baseline(&LinearRows::new(&train.texts, &train.labels), &[dev], &corpus.labels) {
        Ok(scores) => scores.first().map(|scores| scores.accuracy),
        Err(error) => {
            // A comparison that is not possible, for instance of texts without words, must not fail the training.
            tracing::info!(event = "no_baseline", %error, "the reference classifier cannot be trained");
            None
        }
    }
}
