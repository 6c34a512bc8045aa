//! `fenliu model recheck`: how many labels of a model change with the cleaning of this release.

use std::collections::HashMap;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use fenliu_connectors::files::{Documents, files_in};
use fenliu_decode::{Decoder, DocumentsConfig};
use fenliu_model::{
    Bundle, Classifier, Probabilities, REQUIRED_AGREEMENT, REQUIRED_DOCUMENTS, Recheck, Registry,
};

use crate::cli::common::Common;
use crate::cli::output;
use crate::config::RowFilter;
use crate::corpus::{self, CleanDocument};
use crate::error::{Converted, Error, Result};
use crate::serve;
use crate::texts::{Preprocessing, TextCleaner};

#[derive(Debug, Args)]
pub(super) struct RecheckArgs {
    /// Model and version; the one in use unless another is named
    #[arg(value_name = "NAME[@VERSION]")]
    pub(super) name: String,
    /// The documents as they came, with ids
    #[arg(long, value_name = "PATH", required = true, num_args = 1..)]
    data: Vec<PathBuf>,
    /// Rows of the same documents that an earlier release labelled with this version
    #[arg(long, value_name = "PATH", required = true, num_args = 1..)]
    labelled: Vec<PathBuf>,
}

/// Compares the labels that an earlier release wrote with those under the cleaning of this one, and records the outcome
/// if enough are the same. The exit code is 1 if they are not.
pub(super) fn recheck(
    args: &RecheckArgs,
    (registry, selector): &(Registry, Option<String>),
    common: &Common,
) -> Result<ExitCode> {
    let config = common.load()?;
    let version = match selector {
        Some(selector) => registry.resolve(selector).converted()?,
        None => registry.current().converted()?,
    };
    let path = registry.path().join("versions").join(&version);
    let (bundle, mut classifier) = serve::open(&serve::model_config(path, config.model.onnxruntime.clone()))?;
    let before = labels_before(&args.labelled, &version)?;
    let record = compare(&bundle, &mut classifier, &args.data, &before, &config.documents)?;
    if record.passed() {
        record.save(&bundle).converted()?;
    }
    report(&record, &version, common.json)?;
    Ok(if record.passed() { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

/// The labels that `version` gave, by the id of the document.
fn labels_before(paths: &[PathBuf], version: &str) -> Result<HashMap<String, String>> {
    let of_version = RowFilter { field: "model_version".into(), value: version.into() };
    let mut decoder = Decoder::json(&DocumentsConfig::default());
    let mut labels = HashMap::new();
    for path in files_in(paths)? {
        for row in Documents::open(&path)? {
            let row = row?;
            if !of_version.keeps(row.content.payload()) {
                continue;
            }
            if let Ok(document) = decoder.decode_row(&row.content)
                && let (Some(id), Some(label)) = (document.id, document.label)
            {
                labels.insert(id.into_owned(), label.into_owned());
            }
        }
    }
    if labels.is_empty() {
        let places: Vec<_> = paths.iter().map(|path| path.display().to_string()).collect();
        let problem = format!("no row with an id and a label of version {version} in {}", places.join(", "));
        return Err(Error::input(problem));
    }
    Ok(labels)
}

/// Labels the documents again that are in `before`. One that is rejected now counts as changed.
fn compare(
    bundle: &Bundle,
    classifier: &mut Classifier,
    data: &[PathBuf],
    before: &HashMap<String, String>,
    documents: &DocumentsConfig,
) -> Result<Recheck> {
    let cleaner = TextCleaner::of_bundle(bundle)?;
    let corpus = corpus::read(data, None, documents, cleaner.plan())?;
    let known = |document: &CleanDocument| document.id.as_ref().and_then(|id| before.get(id)).cloned();
    let pairs: Vec<(String, CleanDocument)> =
        corpus.documents.into_iter().filter_map(|document| Some((known(&document)?, document))).collect();
    let texts: Vec<&str> = pairs.iter().map(|(_, document)| document.text.as_str()).collect();
    let encodings = classifier.encoder().encode_batch(&texts).converted()?;
    let probabilities = classifier.classify(&encodings).converted()?;
    let labels = classifier.labels();
    let now = |row: &Probabilities| row.top(1).first().and_then(|(label, _)| labels.get(*label));
    let is_changed = |(row, (before, _)): &(&Probabilities, &(String, CleanDocument))| {
        now(row).is_none_or(|label| label.id != *before)
    };
    let changed = probabilities.iter().zip(&pairs).filter(is_changed).count();
    // Which documents were rejected is not known, so at most as many as have not been found among the others.
    let rejected = corpus.rejected.min(before.len().saturating_sub(pairs.len()));
    let clean = Preprocessing::of_bundle(bundle)?.map(|trained| trained.clean).unwrap_or_default();
    Ok(Recheck {
        fingerprint: clean.fingerprint(),
        at: chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Secs, true),
        documents: pairs.len() + rejected,
        changed: changed + rejected,
    })
}

fn report(record: &Recheck, version: &str, json: bool) -> Result<()> {
    if json {
        return output::json(record);
    }
    let Recheck { documents, changed, .. } = record;
    let agreement = 100.0 * record.agreement();
    output::line(format!(
        "{version}: {changed} of {documents} labels changed, {agreement:.2} % are the same"
    ))?;
    if record.passed() {
        return output::line("recorded: the version is served without a warning");
    }
    output::line(format!(
        "not recorded: at least {REQUIRED_DOCUMENTS} documents and {} % are needed; train the model again",
        100.0 * REQUIRED_AGREEMENT
    ))
}
