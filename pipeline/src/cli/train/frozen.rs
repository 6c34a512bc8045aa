//! `fenliu train --encoder`: classifiers over the vectors of a pretrained encoder.

use std::path::{Path, PathBuf};

use fenliu_config::Problems;
use fenliu_model::import::origin;
use fenliu_model::runtime;
use fenliu_training::hub;
use fenliu_training::{Destination, FrozenOptions, FrozenRequest, train_frozen};
use serde_json::{Value, json};

use super::{FitResult, Reporter, TrainArgs, examples, key_and_value};
use crate::clean::compile;
use crate::cli::fetch::fetch;
use crate::config::Config;
use crate::corpus::{self, Corpus};
use crate::error::{Converted, Result};
use crate::options::overlay;
use crate::texts::Preprocessing;

mod class_texts;

/// Reads documents and classes, trains, and writes a bundle.
pub(super) fn fit(encoder: &Path, args: &TrainArgs, config: &Config) -> Result<FitResult> {
    refuse_options_of_networks(args)?;
    let options = options(args)?;
    runtime::load(config.model.onnxruntime.as_deref()).converted()?;
    let plan = compile(&config.clean)?;
    let read = |paths: &[PathBuf], selection| match paths {
        [] => Ok(Corpus::default()),
        paths => corpus::read(paths, selection, &config.documents, &plan),
    };
    let classes = args.zero_shot.as_deref().map_or(Ok(Vec::new()), class_texts::read)?;
    let corpus = read(&args.data, args.select.as_ref())?;
    let (documents, rejected) = (corpus.documents.len(), corpus.rejected);
    let dev = match args.dev.as_slice() {
        [] => None,
        paths => Some(examples(read(paths, args.dev_select.as_ref())?)?),
    };
    let unlabelled = read(&args.unlabelled, None)?;
    let (directory, origin) = checkpoint(encoder)?;
    let request = FrozenRequest {
        destination: Destination { root: &args.out, name: &args.name },
        encoder: &directory,
        origin,
        train: examples(corpus)?,
        dev,
        classes,
        unlabelled: unlabelled.documents.into_iter().map(|document| document.text).collect(),
        preprocessing: Preprocessing::new(&config.clean).to_value()?,
        options: &options,
    };
    let trained = train_frozen(request, &mut Reporter::default()).converted()?;
    Ok(FitResult { bundle: trained.bundle.path().to_path_buf(), documents, rejected, report: trained.report })
}

/// The directory of a checkpoint, which is fetched if it is on a hub, and where it comes from.
fn checkpoint(encoder: &Path) -> Result<(PathBuf, Value)> {
    match encoder.to_str().filter(|text| hub::is_reference(text)) {
        Some(reference) => {
            let snapshot = fetch(reference)?;
            let origin = snapshot.origin();
            Ok((snapshot.directory, origin))
        }
        None => Ok((encoder.to_path_buf(), json!({ "imported_from": origin(encoder) }))),
    }
}

fn options(args: &TrainArgs) -> Result<FrozenOptions> {
    let defaults = FrozenOptions::default();
    let options =
        FrozenOptions { prefix: args.prefix.clone(), seed: args.seed.unwrap_or(defaults.seed), ..defaults };
    let given = args.options.iter().map(|text| key_and_value(text)).collect::<Result<Vec<_>>>()?;
    overlay(&options, given).map_err(|bad| Problems::one("--option", &bad.key, bad.message).into())
}

/// Options that would otherwise be passed over in silence.
fn refuse_options_of_networks(args: &TrainArgs) -> Result<()> {
    let given = [
        ("--preset", args.preset.is_some()),
        ("--tokenization", args.tokenization.is_some()),
        ("--tokenizer", args.tokenizer.is_some()),
        ("--epochs", args.epochs.is_some()),
        ("--teacher", args.teacher.is_some()),
    ];
    match given.iter().find(|(_, is_given)| *is_given) {
        Some((flag, _)) => {
            Err(Problems::one("command line", flag, "is for networks that are trained, not for --encoder")
                .into())
        }
        None => Ok(()),
    }
}
