//! The model stages: texts to tokens, tokens to labels.
//!
//! Two stages, so that the model never waits for the tokeniser.

use std::path::PathBuf;

use arrow::array::{Array, AsArray, RecordBatch, StringArray};
use arrow::datatypes::SchemaRef;
use chrono::Utc;
use fenliu_model::{BatchOptions, Bundle, Classifier, ClassifierOptions, Encoder, Encoding, runtime};
use fenliu_schemas::{Prediction, SchemaError, document_text, label_rows};

use crate::batch::Batch;
use crate::config::ModelConfig;
use crate::error::Result;

/// A batch with one encoding per row.
pub struct EncodedBatch {
    /// The cleaned rows.
    pub batch: Batch,
    /// Token ids, in row order.
    pub encodings: Vec<Encoding>,
}

/// Opens the bundle of `config` and ONNX Runtime with it.
///
/// # Errors
/// A missing library or bundle, or files that do not match their digests.
pub fn open(config: &ModelConfig) -> Result<(Bundle, Classifier)> {
    runtime::load(config.onnxruntime.as_deref())?;
    let bundle = Bundle::open(&config.bundle)?;
    let classifier = Classifier::open(&bundle, &classifier_options(config))?;
    Ok((bundle, classifier))
}

fn classifier_options(config: &ModelConfig) -> ClassifierOptions {
    let threads = match config.threads {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        threads => threads,
    };
    let batch =
        BatchOptions { max_batch_tokens: config.max_batch_tokens, max_batch_rows: config.max_batch_rows };
    ClassifierOptions { threads, batch }
}

/// The defaults for a bundle that is used outside a pipeline.
pub fn model_config(bundle: PathBuf, onnxruntime: Option<PathBuf>) -> ModelConfig {
    ModelConfig { bundle, onnxruntime, ..ModelConfig::default() }
}

/// The text of each row as the model reads it.
///
/// # Errors
/// [`SchemaError::Column`] when `rows` have no Utf8 columns `title` and `body`.
pub fn texts(rows: &RecordBatch) -> Result<Vec<String>> {
    let (titles, bodies) = (text_column(rows, "title")?, text_column(rows, "body")?);
    let value =
        |column: &'_ StringArray, row: usize| column.is_valid(row).then(|| column.value(row).to_string());
    Ok((0..rows.num_rows())
        .map(|row| {
            let (title, body) = (value(titles, row), value(bodies, row));
            document_text(title.as_deref(), body.as_deref()).into_owned()
        })
        .collect())
}

/// The Utf8 column `name` of `rows`.
///
/// # Errors
/// [`SchemaError::Column`] when there is none.
pub fn text_column<'a>(rows: &'a RecordBatch, name: &'static str) -> Result<&'a StringArray> {
    let column = rows.column_by_name(name).and_then(|column| column.as_string_opt::<i32>());
    Ok(column.ok_or(SchemaError::Column { column: name, expected: "Utf8" })?)
}

/// Tokenises a batch.
///
/// # Errors
/// When the tokenizer fails, which valid UTF-8 does not make it do.
pub fn encode(encoder: &Encoder, batch: Batch) -> Result<EncodedBatch> {
    let encodings = encoder.encode_batch(&texts(&batch.records)?)?;
    Ok(EncodedBatch { batch, encodings })
}

/// Labels batches.
pub struct Labeller {
    classifier: Classifier,
    schema: SchemaRef,
    top_k: usize,
}

impl Labeller {
    /// Labels rows to `schema`, with `top_k` labels each.
    pub fn new(classifier: Classifier, schema: SchemaRef, top_k: usize) -> Self {
        Labeller { classifier, schema, top_k }
    }

    /// Labels one batch.
    ///
    /// # Errors
    /// When ONNX Runtime fails. The batch is then neither written nor committed.
    pub fn label(&mut self, encoded: EncodedBatch) -> Result<Batch> {
        let EncodedBatch { mut batch, encodings } = encoded;
        let probabilities = self.classifier.classify(&encodings)?;
        let labels = self.classifier.labels();
        let name = |index: usize| labels.get(index).map_or("", |label| label.id.as_str());
        let predictions: Vec<Prediction<'_>> = probabilities
            .iter()
            .map(|p| Prediction {
                top: p.top(self.top_k).into_iter().map(|(i, score)| (name(i), score)).collect(),
            })
            .collect();
        let model = (self.classifier.name(), self.classifier.version());
        let now = Utc::now().timestamp_millis();
        batch.records = label_rows(&batch.records, &predictions, &self.schema, model, now)?;
        Ok(batch)
    }
}
