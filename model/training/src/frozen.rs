//! Classifiers over the vectors of a pretrained encoder whose weights stay as they are.
//!
//! The encoder reads each text once; everything after that takes seconds. A model is a product of experts:
//!
//! ```text
//! logits = 0.5 learnt / T1  +  0.65 stripped / T2 + 0.4 plain / T3  +  a(text) names
//! ```
//!
//! where `learnt` is a logistic regression over the vectors ([`logistic`]), `stripped` and `plain` are the linear experts
//! over n-grams ([`crate::experts`]), and `names` compares texts with the names of the classes ([`names`]). The names are
//! the best expert on text that is unlike the training texts, so that their factor a falls with the share of familiar
//! n-grams ([`fenliu_model::ZeroShotPart`]), from 1.3 at most. Without labelled rows they are the whole model. With few
//! rows, in which most n-grams occur once, there are no linear experts, and a is a constant.
//!
//! ```text
//! checkpoint ─▶ settings (pooling, prefix) ─▶ embed (cache) ─▶ logistic, names ─▶ stage (graph, parity) ─▶ Staged
//! ```
//!
//! Contract: the vectors of texts are kept beside the models, so that a run that was killed continues where it ended, and
//! another run with the same encoder reads only other texts.
//!
//! Not here: training the encoder's weights, windows of long texts.

mod cache;
mod embed;
mod folds;
mod logistic;
mod minimise;
mod names;
mod product;
mod settings;
mod stage;
#[cfg(test)]
mod tests;
mod vectors;

use std::path::Path;

use fenliu_model::report::ModelCard;
use fenliu_model::{Calibration, ClassifierOptions, Example, Label, ModelError, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::bounds::{check_at_least_one, check_shares};
use crate::from_scratch::Trained;
use crate::observer::Observer;
use crate::publish;
use crate::staged::{Destination, Staged};
use crate::threads::on_threads;

pub(crate) use logistic::LinearHead;
pub(crate) use names::NamesHead;

/// What can be chosen about training over a frozen encoder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FrozenOptions {
    /// What is put before each text, such as `query: `; `None` = what the encoder's directory says, else nothing.
    pub prefix: Option<String>,
    /// Most tokens of a text; `None` = what the encoder's directory says, else 512.
    pub max_tokens: Option<usize>,
    /// C of the logistic regression; `None` = by the number of rows of a class.
    pub cost: Option<f64>,
    /// How often the texts of the classes are replaced by the centres of the surest unlabelled documents. It helps if the
    /// classes are about equally frequent there, and harms if they are not.
    pub rounds: usize,
    /// Share of the training rows held out for temperatures and calibration when no development rows are given, 1,500 at
    /// most. With few rows none are held out.
    pub dev_share: f32,
    /// Threads; 0 = one per core.
    pub threads: usize,
    /// Chooses the rows that are held out.
    pub seed: u64,
}

impl Default for FrozenOptions {
    fn default() -> Self {
        Self { prefix: None, max_tokens: None, cost: None, rounds: 0, dev_share: 0.1, threads: 0, seed: 7 }
    }
}

impl FrozenOptions {
    fn validate(&self) -> Result<()> {
        check_shares(&[("dev_share", self.dev_share)])?;
        check_at_least_one(&[("max_tokens", self.max_tokens.unwrap_or(1))])?;
        match self.cost {
            Some(cost) if !(cost.is_finite() && cost > 0.0) => {
                Err(ModelError::option("cost", cost, "must be a number above 0"))
            }
            _ => Ok(()),
        }
    }

    /// Threads of ONNX Runtime.
    fn threads(&self) -> usize {
        if self.threads > 0 { self.threads } else { ClassifierOptions::default().threads }
    }
}

/// A class, as it is described in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClassText {
    /// The label.
    pub label: Label,
    /// Texts that say what the class is, such as its name with some keywords; at least one. The mean of their vectors
    /// counts.
    pub texts: Vec<String>,
}

/// Training over a frozen encoder: the data, the options, and the destination of the result.
#[derive(Debug)]
pub struct FrozenRequest<'a> {
    /// Where the new version goes.
    pub destination: Destination<'a>,
    /// Directory of the encoder's checkpoint.
    pub encoder: &'a Path,
    /// Where the checkpoint comes from, for the manifest.
    pub origin: Value,
    /// Rows to learn; may be empty if there are classes with texts.
    pub train: Vec<Example>,
    /// Rows for temperatures and calibration; `None` holds [`FrozenOptions::dev_share`] of the training rows out.
    pub dev: Option<Vec<Example>>,
    /// All classes in words, in logit order; empty = classes have no meaning beside their rows.
    pub classes: Vec<ClassText>,
    /// Documents without labels: the vectors of classes and documents are compared around their mean. Without them the
    /// training rows serve.
    pub unlabelled: Vec<String>,
    /// The caller's description of how texts were cleaned; it goes into the manifest as it is.
    pub preprocessing: Value,
    /// How to train.
    pub options: &'a FrozenOptions,
}

/// Trains, calibrates on the development rows if there are some, and publishes with a model card.
///
/// # Errors
///
/// An option is out of its bounds; there are neither rows nor classes, or fewer than two labels; a label has no row or no
/// text; classes are given without rows and without unlabelled documents; the checkpoint is unusable or not implemented;
/// ONNX Runtime is not there; a file cannot be read or written. Nothing is published then.
pub fn train_frozen(request: FrozenRequest<'_>, observer: &mut dyn Observer) -> Result<Trained> {
    let name = request.destination.name;
    request.options.validate()?;
    let staged = on_threads(request.options.threads, || stage::stage(request, observer))?;
    staged.calibrate(&mut staged.classifier(&ClassifierOptions::default())?)?;
    publish::write(&staged.path().join("card.md"), card(name, &staged)?.as_bytes())?;
    let report = staged.report().clone();
    Ok(Trained { bundle: staged.publish()?, report })
}

fn card(name: &str, staged: &Staged) -> Result<String> {
    let report = staged.report();
    let calibration = Calibration::load(staged.path())?;
    let facts = [
        ("parameters", report.size.parameters.to_string()),
        ("training documents", report.size.train_rows.to_string()),
        ("SHA-256 of the documents", report.dataset_sha256.clone()),
    ];
    let card = ModelCard {
        name,
        purpose: "Gives a news document one of the labels below. A pretrained encoder with classifiers over its vectors.",
        facts: &facts.map(|(name, value)| (name.to_owned(), value)),
        tested_on: "documents held out of the training documents",
        evaluation: report.dev.as_ref(),
        calibration: calibration.as_ref(),
    };
    Ok(card.to_markdown())
}
