//! `fenliu thresholds fit`: thresholds of a sample, which need no labels.

use std::path::PathBuf;

use clap::Args;
use fenliu_model::Classifier;
use fenliu_model::thresholds::{Goal, Identity, Rule, Snapshot};

use super::show;
use crate::cli::common::Common;
use crate::config::{RowFilter, ThresholdsConfig};
use crate::corpus::{self, CleanDocument};
use crate::error::{Converted, Error, Result};
use crate::serve;
use crate::texts::TextCleaner;

/// How many documents are labelled at once, so that not all of them are in memory as tokens.
const BATCH_ROWS: usize = 4096;

#[derive(Debug, Args)]
pub(super) struct FitArgs {
    /// Bundle: models/NAME, models/NAME@VERSION or one version's directory
    #[arg(long, value_name = "DIR")]
    model: PathBuf,
    /// Documents, without labels or with them: files, directories, or patterns
    #[arg(long, value_name = "PATH", required = true, num_args = 1..)]
    data: Vec<PathBuf>,
    /// Only rows whose FIELD has this VALUE, such as split=valid
    #[arg(long, value_name = "FIELD=VALUE")]
    select: Option<RowFilter>,
    /// Precision of trusted labels on text like that of the training, such as 0.95; default: the configuration's
    #[arg(long, value_name = "SHARE")]
    target: Option<f64>,
    /// The file to write
    #[arg(short, long, value_name = "FILE")]
    out: PathBuf,
}

/// Writes the thresholds of the sources in a sample, and prints them.
pub(super) fn fit(args: &FitArgs, common: &Common) -> Result<()> {
    let config = common.load()?;
    check_column(&config.thresholds)?;
    let model = serve::model_config(args.model.clone(), config.model.onnxruntime.clone());
    let (bundle, mut classifier) = serve::open(&model)?;
    // Before the documents are labelled, which takes long.
    let goal = goal(&classifier, args.target.or(config.thresholds.target))?;
    let cleaner = TextCleaner::of_bundle(&bundle)?;
    let sample = corpus::read(&args.data, args.select.as_ref(), &config.documents, cleaner.plan())?;
    let confidences = confidences(&mut classifier, &sample.documents)?;
    let identity = Identity {
        pipeline: config.name.clone(),
        model: classifier.name().to_string(),
        version: classifier.version().to_string(),
    };
    let sources = sample.documents.iter().map(|document| document.source.as_deref().unwrap_or_default());
    let rule = Rule::new(&goal, config.thresholds.window);
    let snapshot = Snapshot::fit(identity, rule, sources.zip(confidences));
    snapshot.save(&args.out).converted()?;
    show::print(&snapshot, common)
}

/// Refuses a configuration whose sources are not the field that a sample has.
fn check_column(thresholds: &ThresholdsConfig) -> Result<()> {
    if thresholds.by == "source" {
        return Ok(());
    }
    Err(Error::usage(format!(
        "`thresholds.by` is `{}`, but a sample can only be told apart by `source`",
        thresholds.by
    )))
}

fn goal(classifier: &Classifier, target: Option<f64>) -> Result<Goal> {
    let goals = classifier.calibration().and_then(|calibration| calibration.per_source.as_ref());
    let goals = goals.ok_or_else(|| {
        let title = format!("{} {}", classifier.name(), classifier.version());
        Error::input(format!("the calibration of {title} has no goals for thresholds per source")).remedy(
            "train or fine-tune the model with this release, on at least some hundred held-out documents",
        )
    })?;
    goals.goal(target).converted()
}

/// The confidence of each document.
fn confidences(classifier: &mut Classifier, documents: &[CleanDocument]) -> Result<Vec<f32>> {
    let mut confidences = Vec::with_capacity(documents.len());
    for documents in documents.chunks(BATCH_ROWS) {
        let texts: Vec<&str> = documents.iter().map(|document| document.text.as_str()).collect();
        let encodings = classifier.encoder().encode_batch(&texts).converted()?;
        let probabilities = classifier.classify(&encodings).converted()?;
        let best = |row: &fenliu_model::Probabilities| row.top(1).first().map_or(0.0, |(_, score)| *score);
        confidences.extend(probabilities.iter().map(best));
    }
    Ok(confidences)
}
