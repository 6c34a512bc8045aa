//! From rows and classes to a staged bundle.

use std::time::Instant;

use fenliu_model::bundle::{BundleWriter, ModelDescription, ProblemType};
use fenliu_model::tokenize::Tokenization;
use fenliu_model::training_report::TrainReport;
use fenliu_model::{Example, Labels, ModelError, PAD_ID, Result, Tokenizer};
use serde_json::json;

use super::embed::{Embedder, Encoder, cache_directory};
use super::product::Product;
use super::vectors::{Vectors, normalise};
use super::{ClassText, FrozenRequest};
use crate::corpus::{Corpus, label_ids};
use crate::experts::{self, LinearMembers};
use crate::from_scratch::hold_out;
use crate::observer::Observer;
use crate::ops::add;
use crate::publish;
use crate::reads::Reads;
use crate::staged::Staged;

/// With fewer rows a class, on average, none are held out, and there are no linear experts.
const FEW_ROWS: usize = 128;

pub(super) fn stage(mut request: FrozenRequest<'_>, observer: &mut dyn Observer) -> Result<Staged> {
    let labels = labels(&request.train, &request.classes)?;
    if request.train.is_empty() && request.unlabelled.is_empty() {
        let problem = "without training rows the vectors need `unlabelled` documents as their centre";
        return Err(ModelError::Training(problem.to_owned()));
    }
    let is_few = request.train.len() < FEW_ROWS * labels.len();
    let root = request.destination.root;
    // First, so that a name that is not allowed, or a directory that cannot be written, fails before the encoder runs.
    let writer = BundleWriter::create(root, request.destination.name)?;
    let start = Instant::now();
    let graph_file = writer.path().join(publish::ONNX_FILE);
    let (mut embedder, tokenizer) =
        Embedder::open(request.encoder, request.options, &graph_file, &cache_directory(root))?;
    let (mut corpus, vectors) = read(&mut embedder, tokenizer, labels, &mut request, is_few, observer)?;
    // The session, which holds the encoder's weights, is not needed any more.
    let Embedder { encoder, .. } = embedder;
    let members = (!is_few).then(|| LinearMembers::fit(&corpus)).transpose()?;
    if let Some(members) = &members {
        members.save(writer.path(), &mut corpus)?;
    }
    let product = Product::fit(&vectors, &mut corpus, members.as_ref(), request.options);
    let parity = product.write(encoder.graph.clone(), &graph_file, &corpus, &vectors)?;
    let mut experts = members.as_ref().map_or(Vec::new(), |members| members.reports.clone());
    experts.extend(product.reports.iter().cloned());
    let report = TrainReport {
        size: corpus.size(encoder.parameters + product.parameters(), 0),
        dataset_sha256: corpus.sha256.clone(),
        epochs: Vec::new(),
        best_epoch: 0,
        dev: product.evaluation(&corpus, &vectors.dev)?,
        ngram_weight: None,
        experts,
        baseline_accuracy: if is_few { None } else { experts::baseline_accuracy(&corpus) },
        parity_max_abs_diff: parity,
        seconds: start.elapsed().as_secs_f64(),
    };
    let description = ModelDescription {
        linear: members.as_ref().map_or(Vec::new(), LinearMembers::parts),
        zero_shot: product.part.clone(),
        ..describe(encoder, request, &corpus, &report)
    };
    Staged::assemble(writer, description, corpus, members.is_some(), report)
}

/// Takes the rows out of the request and has the encoder read all texts.
fn read(
    embedder: &mut Embedder,
    tokenizer: Tokenizer,
    labels: Labels,
    request: &mut FrozenRequest<'_>,
    is_few: bool,
    observer: &mut dyn Observer,
) -> Result<(Corpus, Inputs)> {
    let options = request.options;
    let (train, dev) = match (std::mem::take(&mut request.train), request.dev.take()) {
        (train, Some(dev)) => (train, dev),
        (train, None) if is_few => (train, Vec::new()),
        (train, None) => hold_out(train, options.dev_share, options.seed),
    };
    let texts: Vec<String> = request.classes.iter().flat_map(|class| class.texts.iter().cloned()).collect();
    let texts = embedder.encode(&tokenizer, &texts)?;
    let unlabelled = embedder.encode(&tokenizer, &request.unlabelled)?;
    let encoder = &embedder.encoder;
    let reads = Reads { max_tokens: encoder.max_tokens, windows: 1 };
    let corpus = Corpus::for_encoder(labels, train, dev, (tokenizer, &encoder.prefix), reads)?;
    observer.start(&corpus.size(encoder.parameters, 0));
    let of_texts = (!texts.is_empty()).then(|| embedder.embed(&texts, &mut ())).transpose()?;
    let inputs = Inputs {
        train: embedder.embed(&corpus.train.documents, observer)?,
        dev: embedder.embed(&corpus.dev.documents, observer)?,
        unlabelled: embedder.embed(&unlabelled, observer)?,
        classes: of_texts.map(|vectors| class_vectors(&vectors, &request.classes)),
    };
    Ok((corpus, inputs))
}

/// The manifest without the linear experts and the part of the names.
fn describe(
    encoder: Encoder,
    request: FrozenRequest<'_>,
    corpus: &Corpus,
    report: &TrainReport,
) -> ModelDescription {
    ModelDescription {
        tokenization: Some(Tokenization::Subword),
        max_tokens: encoder.max_tokens,
        windows: 1,
        prefix: encoder.prefix,
        pad_id: corpus.tokenizer.as_ref().map_or(PAD_ID, Tokenizer::pad_id),
        onnx: Some(publish::ONNX_FILE.to_owned()),
        linear: Vec::new(),
        zero_shot: None,
        problem_type: ProblemType::SingleLabel,
        preset: format!("frozen {}", encoder.family),
        parameters: report.size.parameters,
        preprocessing: request.preprocessing,
        training: json!({
            "options": request.options,
            "encoder": request.origin,
            "encoder_sha256": encoder.digest,
            "class_texts": request.classes.iter().map(|class| &class.texts).collect::<Vec<_>>(),
            "unlabelled_rows": request.unlabelled.len(),
        }),
        parity_max_abs_diff: report.parity_max_abs_diff,
        trainable: false,
        head_trained: true,
    }
}

/// The labels: those of the classes in words, or else those of the rows.
fn labels(train: &[Example], classes: &[ClassText]) -> Result<Labels> {
    let of_rows = label_ids(train);
    if classes.is_empty() {
        return Labels::from_ids(of_rows);
    }
    let labels = Labels::try_new(classes.iter().map(|class| class.label.clone()).collect())?;
    if let Some(class) = classes.iter().find(|class| class.texts.is_empty()) {
        return Err(ModelError::Labels(format!("`{}` has no text", class.label.id)));
    }
    if let Some(id) = of_rows.iter().find(|id| labels.index_of(id).is_none()) {
        return Err(ModelError::Labels(format!("`{id}` has training rows but no text")));
    }
    let missing = classes.iter().find(|class| !of_rows.contains(class.label.id.as_str()));
    match missing.filter(|_| !train.is_empty()) {
        Some(class) => Err(ModelError::Labels(format!(
            "`{}` has a text but no training row: give rows for all labels or for none",
            class.label.id
        ))),
        None => Ok(labels),
    }
}

/// The vectors of all texts.
pub(super) struct Inputs {
    pub(super) train: Vectors,
    pub(super) dev: Vectors,
    pub(super) unlabelled: Vectors,
    /// One for each class; `None` if they have no texts.
    pub(super) classes: Option<Vectors>,
}

/// The direction of the mean of each class's vectors; `vectors` are those of all texts, one class after another.
fn class_vectors(vectors: &Vectors, classes: &[ClassText]) -> Vectors {
    let mut rows = vectors.rows();
    let mut values = Vec::with_capacity(classes.len() * vectors.width());
    for class in classes {
        let mut mean = vec![0.0; vectors.width()];
        rows.by_ref().take(class.texts.len()).for_each(|row| add(&mut mean, row));
        normalise(&mut mean);
        values.extend(mean);
    }
    Vectors::new(values, vectors.width())
}
