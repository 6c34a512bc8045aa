//! `fenliu evaluate`

mod page;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use fenliu_model::compare::{project, slice_names, union};
use fenliu_model::thresholds::{Identity, Rule, Snapshot};
use fenliu_model::{Bundle, Classifier, Evaluation, Probabilities, evaluate_slices};
use serde::Serialize;

use super::common::Common;
use super::output;
use crate::config::{Config, RowFilter, ThresholdsConfig};
use crate::corpus::{self, CleanDocument};
use crate::error::{Converted, Error, Result};
use crate::serve;
use crate::texts::TextCleaner;

#[derive(Debug, Args)]
pub(super) struct EvaluateArgs {
    /// Bundle: models/NAME, models/NAME@VERSION or one version's directory
    #[arg(long, value_name = "DIR")]
    model: PathBuf,
    /// Labelled documents: files such as JSON Lines, CSV, Parquet or Arrow, directories, or patterns
    #[arg(long, value_name = "PATH", required = true, num_args = 1..)]
    data: Vec<PathBuf>,
    /// Only rows whose FIELD has this VALUE, such as split=valid
    #[arg(long, value_name = "FIELD=VALUE")]
    select: Option<RowFilter>,
    /// Also write a page with plots and examples to FILE
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

/// An evaluation, with the speed and the number of rejected documents.
#[derive(Debug, Serialize)]
pub(super) struct Measured {
    #[serde(flatten)]
    evaluation: Evaluation,
    /// The documents on which the model did not abstain; `None` if it is not calibrated and never abstains.
    trusted: Option<Trusted>,
    /// Documents per second, from text to label.
    docs_per_s: f64,
    /// Documents that decoding or cleaning rejected; no other figure includes them.
    rejected: usize,
}

/// The documents on which the model did not abstain.
#[derive(Debug, Serialize)]
struct Trusted {
    /// Their share of all documents.
    share: f64,
    /// Share of them that is labelled correctly.
    accuracy: f64,
}

/// Documents with their gold labels and with the probabilities that a model gives to each label.
struct Answers {
    /// The model's labels, then those that only documents have.
    labels: Vec<String>,
    gold: Vec<usize>,
    probabilities: Vec<Probabilities>,
    documents: Vec<CleanDocument>,
}

pub(super) fn evaluate(args: &EvaluateArgs, common: &Common) -> Result<()> {
    let config = common.load()?;
    let measured = measure(args, &config)?;
    if common.json { output::json(&measured) } else { output::line(measured.table().trim_end()) }
}

fn measure(args: &EvaluateArgs, config: &Config) -> Result<Measured> {
    let model = serve::model_config(args.model.clone(), config.model.onnxruntime.clone());
    let (bundle, mut classifier) = serve::open(&model)?;
    let cleaner = TextCleaner::of_bundle(&bundle)?;
    let corpus = corpus::read(&args.data, args.select.as_ref(), &config.documents, cleaner.plan())?;
    let rejected = corpus.rejected;
    let start = Instant::now();
    let answers = Answers::of(&bundle, &mut classifier, corpus.documents)?;
    let docs_per_s = answers.documents.len() as f64 / start.elapsed().as_secs_f64();
    let by_source = answers.trusted_by_source(&classifier, &config.thresholds)?;
    let measured = Measured {
        docs_per_s,
        evaluation: answers.evaluate(by_source.as_deref())?,
        trusted: answers.trusted(&classifier, by_source.as_deref()),
        rejected,
    };
    if let Some(path) = &args.html {
        let page = page::page(args, &bundle, &classifier, &answers, &measured);
        std::fs::write(path, page).map_err(Error::file("write", path))?;
    }
    Ok(measured)
}

impl Answers {
    fn of(bundle: &Bundle, classifier: &mut Classifier, documents: Vec<CleanDocument>) -> Result<Self> {
        let known = bundle.labels().ids();
        let labels = union(&known, &gold_labels(&documents)?);
        warn_of_unknown(&known, &labels, &documents)?;
        let position = |document: &CleanDocument| {
            labels.iter().position(|label| document.label.as_ref() == Some(label)).unwrap_or_default()
        };
        let gold = documents.iter().map(position).collect();
        let texts: Vec<&str> = documents.iter().map(|document| document.text.as_str()).collect();
        let encodings = classifier.encoder().encode_batch(&texts).converted()?;
        let probabilities = project(&classifier.classify(&encodings).converted()?, &known, &labels);
        Ok(Answers { labels, gold, probabilities, documents })
    }

    /// The scores of all documents and of slices of them.
    fn evaluate(&self, trusted: Option<&[bool]>) -> Result<Evaluation> {
        let Answers { labels, gold, probabilities, documents } = self;
        let names = |document: &CleanDocument| {
            slice_names(&document.text, document.lang.as_deref(), document.source.as_deref())
        };
        let names: Vec<Vec<String>> = documents.iter().map(names).collect();
        evaluate_slices(labels, gold, probabilities, &names, trusted).converted()
    }

    /// Which documents are trusted by the threshold of their source, taken from these documents without their labels;
    /// `None` if the model has no goal for it.
    fn trusted_by_source(
        &self,
        classifier: &Classifier,
        thresholds: &ThresholdsConfig,
    ) -> Result<Option<Vec<bool>>> {
        let goals = classifier.calibration().and_then(|calibration| calibration.per_source.as_ref());
        let Some(goals) = goals.filter(|_| thresholds.is_on()) else { return Ok(None) };
        let rule = Rule::new(&goals.goal(thresholds.target).converted()?, thresholds.window);
        let confidence = |row: &Probabilities| row.top(1).first().map_or(0.0, |(_, confidence)| *confidence);
        let source = |document: &CleanDocument| document.source.clone().unwrap_or_default();
        let sources: Vec<String> = self.documents.iter().map(source).collect();
        let confidences: Vec<f32> = self.probabilities.iter().map(confidence).collect();
        let documents = || sources.iter().map(String::as_str).zip(confidences.iter().copied());
        // The identity is not shown and not kept.
        let identity = Identity { pipeline: String::new(), model: String::new(), version: String::new() };
        let snapshot = Snapshot::fit(identity, rule, documents());
        Ok(Some(documents().map(|(source, confidence)| confidence >= snapshot.threshold(source)).collect()))
    }

    /// The trusted documents: by the thresholds of their sources, as `fenliu run` decides, or by those of their labels if
    /// the model has no goal for sources.
    fn trusted(&self, classifier: &Classifier, by_source: Option<&[bool]>) -> Option<Trusted> {
        classifier.calibration()?;
        let is_correct = |(gold, row): &(&usize, &Probabilities)| {
            row.top(1).first().is_some_and(|(label, _)| label == *gold)
        };
        let rows = self.gold.iter().zip(&self.probabilities);
        let is_trusted = |number: usize, row: &Probabilities| {
            by_source.map_or_else(|| !classifier.abstains(row), |trusted| trusted.get(number) == Some(&true))
        };
        let numbered = rows.enumerate().filter(|(number, (_, row))| is_trusted(*number, row));
        let trusted: Vec<_> = numbered.map(|(_, pair)| pair).collect();
        let right = trusted.iter().filter(|row| is_correct(row)).count();
        Some(Trusted {
            share: trusted.len() as f64 / self.gold.len().max(1) as f64,
            accuracy: right as f64 / trusted.len().max(1) as f64,
        })
    }
}

/// All labels of the documents, sorted.
fn gold_labels(documents: &[CleanDocument]) -> Result<Vec<String>> {
    let label = |document: &CleanDocument| {
        document.label.clone().ok_or_else(|| {
            let name = document.id.as_deref().unwrap_or(&document.text);
            let name: String = name.chars().take(40).collect();
            Error::input(format!("document `{name}` has no label"))
        })
    };
    let labels: BTreeSet<String> = documents.iter().map(label).collect::<Result<_>>()?;
    Ok(labels.into_iter().collect())
}

/// Warns of documents with a label that the model does not have: they count as labelled wrongly.
///
/// # Errors
/// No document has a label of the model, which means that the data was made for another model.
fn warn_of_unknown(known: &[String], all: &[String], documents: &[CleanDocument]) -> Result<()> {
    // `union` keeps the labels of the model first.
    let unknown = &all[known.len()..];
    let is_unknown =
        |document: &&CleanDocument| document.label.as_ref().is_some_and(|label| unknown.contains(label));
    let rows = documents.iter().filter(is_unknown).count();
    if rows == documents.len() {
        let (unknown, known) = (unknown.join(", "), known.join(", "));
        return Err(Error::input(format!(
            "no document has a label of the model: the documents have {unknown}; the model has {known}"
        )));
    }
    if rows > 0 {
        let labels = unknown.join(", ");
        tracing::warn!(
            event = "unknown_labels",
            %labels,
            documents = rows,
            "labels that the model does not have count as wrong"
        );
    }
    Ok(())
}

impl Measured {
    fn table(&self) -> String {
        let e = &self.evaluation;
        let width = e.per_class.iter().map(|class| class.label.chars().count()).max().unwrap_or(0).max(5);
        let auc = |auc: Option<f64>| auc.map_or_else(|| "–".to_owned(), |auc| format!("{auc:.4}"));
        let mut table = format!(
            "accuracy {:.4}   macro-F1 {:.4}   ROC-AUC {}   ECE {:.4}\n\
             {} documents, {:.0} a second, {} rejected{}\n\n\
             {:width$}  precision  recall     F1     AUC  support\n",
            e.accuracy,
            e.macro_f1,
            auc(e.macro_roc_auc),
            e.ece,
            e.rows,
            self.docs_per_s,
            self.rejected,
            self.trusted.as_ref().map_or_else(String::new, |trusted| format!("; {}", trusted.words())),
            "label"
        );
        for class in &e.per_class {
            table += &format!(
                "{:width$}  {:9.4}  {:6.4} {:6.4}  {:>6}  {:7}\n",
                class.label,
                class.precision,
                class.recall,
                class.f1,
                auc(class.roc_auc),
                class.support
            );
        }
        table
    }
}

impl Trusted {
    fn words(&self) -> String {
        format!("{:.1} % trusted, of which {:.4} are right", self.share * 100.0, self.accuracy)
    }
}
