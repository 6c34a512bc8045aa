//! The linear experts of a product, and the rows that they are fitted to.

use std::path::Path;

use fenliu_model::linear::{FeatureOptions, LinearExpert};
use fenliu_model::training_report::ExpertReport;
use fenliu_model::{Bundle, Labels, LinearPart, ModelError, Result};

use super::report::{largest, report, report_at};
use crate::corpus::Corpus;
use crate::linear::{LinearOptions, LinearRows, Scale, are_unspaced, baseline, fit, fit_further};
use crate::ops::add;

/// The temperature of a linear expert without development rows: that of 27,000 Chinese headlines.
const TEMPERATURE: f64 = 0.27;

/// Decides the order in which the solver visits rows.
const SEED: u64 = 0;

/// Most letters of the parts of words: longer ones, up to 5, added nothing on AG News and SIB-200.
const LETTERS: usize = 4;

/// Of fewer rows a linear expert keeps features of a single document, or it could be left with none.
const FEW_ROWS: usize = 200;

/// Cost of an error on a row that an expert is trained further with.
const FURTHER_COST: f64 = 0.3;

/// A kind of linear expert.
#[derive(Clone, Copy, Debug)]
struct Kind {
    name: &'static str,
    weight: f64,
    /// Whether it reads punctuation, and parts of words instead of words.
    is_plain: bool,
}

/// Two experts that fail differently: `stripped` is best on text of another source, `plain` on text like the training text
/// and on few documents. It reads punctuation, and parts of words, so that it knows words that it has not seen.
const KINDS: [Kind; 2] = [
    Kind { name: "stripped", weight: 0.65, is_plain: false },
    Kind { name: "plain", weight: 0.4, is_plain: true },
];

impl Kind {
    /// `is_unspaced`: most of the training text is in scripts without spaces between words. Then inverse document
    /// frequencies are the better scale of `plain`; for words and their parts naive Bayes ratios are (AG News).
    fn options(self, is_unspaced: bool) -> LinearOptions {
        let options = LinearOptions::default();
        if !self.is_plain {
            return options;
        }
        let features = FeatureOptions {
            strip_punctuation: false,
            max_letters: LETTERS,
            max_words: 0,
            ..FeatureOptions::default()
        };
        match is_unspaced {
            true => LinearOptions { features, scale: Scale::InverseFrequency, cost: 1.0, ..options },
            false => LinearOptions { features, ..options },
        }
    }

    /// Its file in a bundle.
    fn file(self) -> String {
        format!("linear/{}.safetensors", self.name)
    }

    fn fit(self, rows: &OwnedRows, labels: &Labels) -> Result<LinearExpert> {
        let mut options = self.options(are_unspaced(&rows.texts));
        if rows.texts.len() < FEW_ROWS {
            options.min_documents = 1;
        }
        // Texts are not segmented, so no dictionary is needed.
        fit(&rows.rows(), labels, &options, None, SEED)
    }
}

/// Rows of linear experts: texts and the indices of their labels.
#[derive(Debug)]
pub(crate) struct OwnedRows {
    texts: Vec<String>,
    labels: Vec<usize>,
}

impl OwnedRows {
    fn rows(&self) -> LinearRows<'_, String> {
        LinearRows::new(&self.texts, &self.labels)
    }

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
    pub(crate) fn refit(&self, start: &LinearStart, labels: &Labels, directory: &Path) -> Result<()> {
        match start {
            LinearStart::Nothing => {
                KINDS.iter().try_for_each(|kind| save(&kind.fit(self, labels)?, &kind.file(), directory))
            }
            LinearStart::Experts(members) => members
                .iter()
                .try_for_each(|member| save(&member.further(self, labels)?, &member.part.file, directory)),
        }
    }
}

/// What linear experts know before they are fitted.
#[derive(Debug, Default)]
pub(crate) enum LinearStart {
    /// Nothing.
    #[default]
    Nothing,
    /// What the experts of a bundle know; the rows that those were fitted to are not given again.
    Experts(Vec<Member>),
}

impl LinearStart {
    /// The linear experts of a bundle.
    ///
    /// # Errors
    ///
    /// A file cannot be read.
    pub(crate) fn of(base: &Bundle) -> Result<Self> {
        let member = |part: &LinearPart| {
            let expert = LinearExpert::open(&base.path().join(&part.file), base.labels())?;
            Ok(Member { expert, part: part.clone() })
        };
        base.manifest().model.linear.iter().map(member).collect::<Result<_>>().map(Self::Experts)
    }

    /// Whether experts are trained further.
    pub(crate) fn is_known(&self) -> bool {
        matches!(self, Self::Experts(_))
    }
}

/// A linear expert, and its part in the sum.
#[derive(Debug)]
pub(crate) struct Member {
    expert: LinearExpert,
    part: LinearPart,
}

impl Member {
    /// A new one, with the best temperature for the development rows of `corpus`.
    fn fit(kind: Kind, rows: &OwnedRows, corpus: &Corpus) -> Result<(Self, ExpertReport)> {
        let expert = kind.fit(rows, &corpus.labels)?;
        let name = format!("linear {}", kind.name);
        let report =
            report(&name, (kind.weight, TEMPERATURE), &corpus.dev.labels, &dev_logits(&expert, corpus));
        let part = LinearPart { file: kind.file(), weight: report.weight, temperature: report.temperature };
        Ok((Self { expert, part }, report))
    }

    /// This one trained further. Its temperature stays: corrections are not distributed like documents.
    fn fit_further(&self, rows: &OwnedRows, corpus: &Corpus) -> Result<(Self, ExpertReport)> {
        let expert = self.further(rows, &corpus.labels)?;
        let kind = Path::new(&self.part.file).file_stem().unwrap_or_default();
        let name = format!("linear {}", kind.to_string_lossy());
        let counts = (self.part.weight, self.part.temperature);
        let report = report_at(&name, counts, &corpus.dev.labels, &dev_logits(&expert, corpus));
        Ok((Self { expert, part: self.part.clone() }, report))
    }

    fn further(&self, rows: &OwnedRows, labels: &Labels) -> Result<LinearExpert> {
        fit_further(&self.expert, &rows.rows(), labels, FURTHER_COST, SEED)
    }
}

/// The logits of the development documents.
fn dev_logits(expert: &LinearExpert, corpus: &Corpus) -> Vec<Vec<f32>> {
    corpus.dev_texts.iter().map(|text| expert.logits(text)).collect()
}

/// The linear experts of a product.
#[derive(Debug)]
pub(crate) struct LinearMembers {
    members: Vec<Member>,
    pub(crate) reports: Vec<ExpertReport>,
}

impl LinearMembers {
    /// Fits the experts to the training rows of `corpus`, and the temperatures of new ones to its development rows.
    ///
    /// # Errors
    ///
    /// As [`fit`].
    pub(crate) fn fit(corpus: &Corpus) -> Result<Self> {
        let rows = OwnedRows::train(corpus);
        let fitted: Vec<(Member, ExpertReport)> = match &corpus.linear_start {
            LinearStart::Nothing => {
                KINDS.into_iter().map(|kind| Member::fit(kind, &rows, corpus)).collect::<Result<_>>()?
            }
            LinearStart::Experts(members) => {
                members.iter().map(|member| member.fit_further(&rows, corpus)).collect::<Result<_>>()?
            }
        };
        let (members, reports) = fitted.into_iter().unzip();
        Ok(Self { members, reports })
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
