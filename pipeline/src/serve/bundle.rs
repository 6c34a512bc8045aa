//! Opens the bundle that a configuration names, with the options that it sets.

use std::path::PathBuf;

use fenliu_model::{BatchOptions, Bundle, Classifier, ClassifierOptions, runtime};

use crate::config::ModelConfig;
use crate::error::{Converted, Result};

/// Loads ONNX Runtime and opens the bundle of `config`.
///
/// # Errors
/// The library or the bundle is missing, or a file does not match its digest.
pub(crate) fn open(config: &ModelConfig) -> Result<(Bundle, Classifier)> {
    runtime::load(config.onnxruntime.as_deref()).converted()?;
    let bundle = Bundle::open(&config.bundle).converted()?;
    let classifier = Classifier::open(&bundle, &classifier_options(config)).converted()?;
    Ok((bundle, classifier))
}

/// The options of `config` for a classifier; 0 threads are replaced by the number of cores.
pub(crate) fn classifier_options(config: &ModelConfig) -> ClassifierOptions {
    let threads = match config.threads {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        threads => threads,
    };
    let batch =
        BatchOptions { max_batch_tokens: config.max_batch_tokens, max_batch_rows: config.max_batch_rows };
    ClassifierOptions { threads, batch, device: config.device }
}

/// The default configuration for a bundle that is used outside a pipeline.
pub(crate) fn model_config(bundle: PathBuf, onnxruntime: Option<PathBuf>) -> ModelConfig {
    ModelConfig { bundle, onnxruntime, ..ModelConfig::default() }
}
