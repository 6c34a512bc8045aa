//! `fenliu model import`

use std::path::{Path, PathBuf};

use clap::Args;
use fenliu_config::Problems;
use fenliu_model::import::{OnnxOptions, onnx};
use fenliu_model::{Bundle, Labels, Manifest, runtime};
use fenliu_training::hub;
use fenliu_training::{ImportOptions, Pooling, huggingface};
use serde::Serialize;
use serde_json::Value;

use crate::cli::fetch::fetch;
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
    /// Checkpoint directory of Hugging Face transformers, of one of the families in model/README.md; or an
    /// .onnx file, or a directory with one, to serve only; or hf:OWNER/NAME[@REVISION], a checkpoint that is fetched from
    /// the Hugging Face hub (HF_TOKEN, HF_HOME, HF_HUB_CACHE, HF_ENDPOINT and HF_HUB_OFFLINE=1 as in its own tools)
    #[arg(value_name = "PATH|hf:OWNER/NAME[@REVISION]")]
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
    let bundle = match args.path.to_str().filter(|text| hub::is_reference(text)) {
        Some(reference) => import_from_hub(reference, args, models)?,
        None if is_checkpoint(&args.path) => import_checkpoint(&args.path, None, args, models)?,
        None => import_graph(args, models)?,
    };
    report(&bundle, common.json)
}

/// Fetches a checkpoint and imports it.
fn import_from_hub(reference: &str, args: &ImportArgs, models: &Path) -> Result<Bundle> {
    let snapshot = fetch(reference)?;
    import_checkpoint(&snapshot.directory, Some(snapshot.origin()), args, models)
}

fn import_checkpoint(
    directory: &Path,
    origin: Option<Value>,
    args: &ImportArgs,
    models: &Path,
) -> Result<Bundle> {
    refuse("--tokenizer", args.tokenizer.is_some(), "is for .onnx files: a checkpoint contains its own")?;
    let (labels, max_tokens, pooling) = (labels(args)?, args.max_tokens, args.pooling);
    let options = ImportOptions { labels, max_tokens, pooling, origin };
    huggingface(directory, models, &args.name, &options).converted()
}

fn import_graph(args: &ImportArgs, models: &Path) -> Result<Bundle> {
    refuse("--pooling", args.pooling.is_some(), "is for checkpoints: the head of a graph cannot be changed")?;
    let (labels, max_tokens, tokenizer) = (labels(args)?, args.max_tokens, args.tokenizer.clone());
    onnx(&args.path, models, &args.name, &OnnxOptions { tokenizer, labels, max_tokens }).converted()
}

fn labels(args: &ImportArgs) -> Result<Option<Labels>> {
    args.labels.as_ref().map(Labels::from_ids).transpose().converted()
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
