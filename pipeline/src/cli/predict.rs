//! `fenliu predict`

use std::io::BufRead;
use std::path::PathBuf;

use clap::Args;
use fenliu_model::Classifier;
use serde_json::json;

use super::common::Common;
use super::output;
use crate::error::{Converted, Error, Result};
use crate::serve;
use crate::texts::TextCleaner;

/// Lines of standard input that are labelled at once.
const BATCH_LINES: usize = 256;

#[derive(Debug, Args)]
pub(super) struct PredictArgs {
    /// Bundle: models/NAME, models/NAME@VERSION or one version's directory
    #[arg(long, value_name = "DIR")]
    model: PathBuf,
    /// How many labels to list
    #[arg(long, value_name = "N", default_value_t = 3)]
    top_k: usize,
    /// Texts to label; `-` or none reads standard input, a text a line
    #[arg(value_name = "TEXT")]
    texts: Vec<String>,
}

pub(super) fn predict(args: &PredictArgs, common: &Common) -> Result<()> {
    let config = serve::model_config(args.model.clone(), common.load()?.model.onnxruntime);
    let (bundle, mut classifier) = serve::open(&config)?;
    let cleaner = TextCleaner::of_bundle(&bundle)?;
    let mut label = |texts: &[String]| print_labels(texts, args.top_k, &cleaner, &mut classifier);
    if !args.texts.is_empty() && args.texts != ["-"] {
        return label(&args.texts);
    }
    let mut lines = std::io::stdin().lock().lines();
    loop {
        let batch: Vec<String> = lines
            .by_ref()
            .take(BATCH_LINES)
            .collect::<std::io::Result<_>>()
            .map_err(Error::file("read", "standard input"))?;
        if batch.is_empty() {
            return Ok(());
        }
        label(&batch)?;
    }
}

fn print_labels(
    texts: &[String],
    top_k: usize,
    cleaner: &TextCleaner,
    classifier: &mut Classifier,
) -> Result<()> {
    let cleaned = cleaner.clean(texts)?;
    let usable: Vec<&str> = cleaned.iter().filter_map(|text| text.as_deref().ok()).collect();
    let encodings = classifier.encoder().encode_batch(&usable).converted()?;
    let mut probabilities = classifier.classify(&encodings).converted()?.into_iter();
    let labels = classifier.labels();
    for text in &cleaned {
        // A text that cleaning rejects still gets its line, so that lines can be paired with inputs.
        let line = match (text, text.is_ok().then(|| probabilities.next()).flatten()) {
            (Ok(_), Some(probabilities)) => {
                let top: Vec<_> = probabilities
                    .top(top_k.max(1))
                    .into_iter()
                    .map(
                        |(index, score)| json!({ "label": labels.get(index).map(|l| &l.id), "score": score }),
                    )
                    .collect();
                json!({ "label": top[0]["label"], "score": top[0]["score"], "top": top })
            }
            (Err(reason), _) => json!({ "label": null, "rejected": reason }),
            (Ok(_), None) => json!({ "label": null, "rejected": "no prediction" }),
        };
        output::json(&line)?;
    }
    Ok(())
}
