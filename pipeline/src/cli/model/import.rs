//! `fenliu model import`

use std::path::{Path, PathBuf};

use clap::Args;
use fenliu_config::Problems;
use fenliu_model::import::{OnnxOptions, onnx};
use fenliu_model::{Bundle, Labels, Manifest, runtime};
use fenliu_training::{ImportOptions, Pooling, huggingface};
use serde::Serialize;

use crate::cli::{Common, output};
use crate::error::{Converted, Result};

/// Files that contain the weights of a checkpoint. A directory without any of them is taken for one with an ONNX graph.
const WEIGHTS: [&str; 4] = [
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
];

#[derive(Debug, Args)]
pub(super) struct ImportArgs {
    /// Checkpoint directory of Hugging Face transformers (BERT, RoBERTa, XLM-R, DistilBERT, ELECTRA); or an
    /// .onnx file, or a directory with one, to serve only
    path: PathBuf,
    /// Name of the model
    #[arg(long)]
    name: String,
    /// Labels in the order of the logits, one for each output of the head, in place of those that config.json names
    #[arg(long, value_name = "LABEL,...", value_delimiter = ',')]
    labels: Option<Vec<String>>,
    /// Most tokens of a text that the model reads
    #[arg(long, value_name = "N")]
    max_tokens: Option<usize>,
    /// How an encoder without a classification head is read: mean or first-token
    #[arg(long)]
    pooling: Option<Pooling>,
    /// A tokenizer.json that is not beside the .onnx file
    #[arg(long, value_name = "FILE")]
    tokenizer: Option<PathBuf>,
}

/// What was imported.
#[derive(Debug, Serialize)]
struct Imported {
    bundle: PathBuf,
    labels: Vec<String>,
    manifest: Manifest,
}

pub(super) fn import(args: &ImportArgs, models: &Path, common: &Common) -> Result<()> {
    runtime::load(common.load()?.model.onnxruntime.as_deref()).converted()?;
    let labels = args.labels.as_ref().map(Labels::from_ids).transpose().converted()?;
    let bundle = if is_checkpoint(&args.path) {
        refuse("--tokenizer", args.tokenizer.is_some(), "is for .onnx files: a checkpoint contains its own")?;
        let (max_tokens, pooling) = (args.max_tokens, args.pooling);
        huggingface(&args.path, models, &args.name, &ImportOptions { labels, max_tokens, pooling })
            .converted()?
    } else {
        refuse(
            "--pooling",
            args.pooling.is_some(),
            "is for checkpoints: the head of a graph cannot be changed",
        )?;
        let (max_tokens, tokenizer) = (args.max_tokens, args.tokenizer.clone());
        onnx(&args.path, models, &args.name, &OnnxOptions { tokenizer, labels, max_tokens }).converted()?
    };
    report(&bundle, common.json)
}

fn is_checkpoint(path: &Path) -> bool {
    WEIGHTS.iter().any(|file| path.join(file).exists())
}

fn refuse(flag: &str, is_given: bool, problem: &str) -> Result<()> {
    if is_given { Err(Problems::one("command line", flag, problem).into()) } else { Ok(()) }
}

fn report(bundle: &Bundle, json: bool) -> Result<()> {
    let (manifest, labels) = (bundle.manifest().clone(), bundle.labels().ids());
    if json {
        return output::json(&Imported { bundle: bundle.path().to_path_buf(), labels, manifest });
    }
    let model = &manifest.model;
    if !model.head_trained {
        output::note("it has no trained classification head yet: fine-tune it before use");
    }
    output::line(format!(
        "imported {}, {:.1} M parameters, {} labels, at most {} tokens: {}",
        model.preset,
        model.parameters as f64 / 1e6,
        labels.len(),
        model.max_tokens,
        bundle.path().display()
    ))
}
