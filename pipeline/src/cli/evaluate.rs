//! `fenliu evaluate`

use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use fenliu_model::{Bundle, Classifier, Evaluation, evaluate as score};
use serde::Serialize;

use super::{Common, output};
use crate::classify;
use crate::config::DocumentsConfig;
use crate::corpus::{self, CleanDocument, Selection};
use crate::error::{PipelineError, Result};
use crate::texts::TextCleaner;

#[derive(Debug, Args)]
pub(super) struct EvaluateArgs {
    /// Bundle: models/NAME, models/NAME@VERSION or one version's directory
    #[arg(long, value_name = "DIR")]
    model: PathBuf,
    /// Labelled documents: JSON Lines, Parquet or Arrow files, or directories
    #[arg(long, value_name = "PATH", required = true, num_args = 1..)]
    data: Vec<PathBuf>,
    /// Only rows whose FIELD has this VALUE, such as split=valid
    #[arg(long, value_name = "FIELD=VALUE")]
    select: Option<Selection>,
}

/// An evaluation with what it took.
#[derive(Debug, Serialize)]
pub(super) struct Measured {
    #[serde(flatten)]
    evaluation: Evaluation,
    /// Documents per second, from text to label.
    docs_per_s: f64,
    /// Documents that decoding or cleaning rejected; they are in no other figure.
    rejected: usize,
}

pub(super) fn evaluate(args: &EvaluateArgs, common: &Common) -> Result<()> {
    let config = common.load()?;
    let measured = measure(args, &config.documents, config.model.onnxruntime)?;
    if common.json { output::json(&measured) } else { output::line(measured.table().trim_end()) }
}

fn measure(
    args: &EvaluateArgs,
    documents: &DocumentsConfig,
    onnxruntime: Option<PathBuf>,
) -> Result<Measured> {
    let (bundle, mut classifier) = classify::open(&classify::model_config(args.model.clone(), onnxruntime))?;
    let cleaner = TextCleaner::of_bundle(&bundle)?;
    let corpus = corpus::read(&args.data, args.select.as_ref(), documents, cleaner.plan())?;
    let start = Instant::now();
    let evaluation = evaluate_on(&bundle, &mut classifier, &corpus.documents)?;
    let docs_per_s = corpus.documents.len() as f64 / start.elapsed().as_secs_f64();
    Ok(Measured { evaluation, docs_per_s, rejected: corpus.rejected })
}

fn evaluate_on(
    bundle: &Bundle,
    classifier: &mut Classifier,
    documents: &[CleanDocument],
) -> Result<Evaluation> {
    let labels = bundle.labels();
    let gold = documents.iter().map(|document| {
        let label = document.label.as_deref().ok_or_else(|| unlabelled(document))?;
        labels.index_of(label).ok_or_else(|| {
            PipelineError::Data(format!(
                "label `{label}` is not one of the model's: {}",
                labels.ids().join(", ")
            ))
        })
    });
    let gold: Vec<usize> = gold.collect::<Result<_>>()?;
    let texts: Vec<&str> = documents.iter().map(|document| document.text.as_str()).collect();
    let encodings = classifier.encoder().encode_batch(&texts)?;
    let probabilities = classifier.classify(&encodings)?;
    Ok(score(&labels.ids(), &gold, &probabilities)?)
}

fn unlabelled(document: &CleanDocument) -> PipelineError {
    let name = document.id.as_deref().unwrap_or(&document.text);
    PipelineError::Data(format!("document `{}` has no label", name.chars().take(40).collect::<String>()))
}

impl Measured {
    fn table(&self) -> String {
        let e = &self.evaluation;
        let width = e.per_class.iter().map(|class| class.label.chars().count()).max().unwrap_or(0).max(5);
        let mut table = format!(
            "accuracy {:.4}   macro-F1 {:.4}   ECE {:.4}   {} documents, {:.0} a second, {} rejected\n\n{:width$}  precision  recall     F1  support\n",
            e.accuracy, e.macro_f1, e.ece, e.rows, self.docs_per_s, self.rejected, "label"
        );
        for class in &e.per_class {
            table += &format!(
                "{:width$}  {:9.4}  {:6.4} {:6.4}  {:7}\n",
                class.label, class.precision, class.recall, class.f1, class.support
            );
        }
        table
    }
}
