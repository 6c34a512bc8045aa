//! The model stages: texts to tokens, tokens to labels.
//!
//! Two stages, so that the model never waits for the tokeniser.

use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch, StringArray};
use arrow::datatypes::SchemaRef;
use chrono::Utc;
use fenliu_model::{BatchOptions, Bundle, Classifier, ClassifierOptions, Encoding, Probabilities, runtime};
use fenliu_schemas::{Prediction, SchemaError, document_text, label_rows};

use crate::batch::Batch;
use crate::config::ModelConfig;
use crate::error::Result;
use crate::metrics::Counters;
use crate::serve::{Classified, Generation, Live, Shadow};

/// A batch with one encoding per row.
pub struct EncodedBatch {
    /// The cleaned rows.
    pub batch: Batch,
    /// Token ids, in row order.
    pub encodings: Vec<Encoding>,
    /// What made them, and is to label the rows.
    pub generation: Arc<Generation>,
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

/// How `config` wants a classifier to run.
pub fn classifier_options(config: &ModelConfig) -> ClassifierOptions {
    let threads = match config.threads {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        threads => threads,
    };
    let batch =
        BatchOptions { max_batch_tokens: config.max_batch_tokens, max_batch_rows: config.max_batch_rows };
    ClassifierOptions { threads, batch, device: config.device }
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

/// Tokenises a batch with the generation that is to label it.
///
/// # Errors
/// When the tokenizer fails, which valid UTF-8 does not make it do.
pub fn encode(generation: Arc<Generation>, batch: Batch) -> Result<EncodedBatch> {
    let encodings = generation.encode(&batch.records)?;
    Ok(EncodedBatch { batch, encodings, generation })
}

/// Labels batches.
pub struct Labeller {
    live: Arc<Live>,
    shadow: Option<Shadow>,
    schema: SchemaRef,
    top_k: usize,
    counters: Counters,
}

impl Labeller {
    /// Labels rows to `schema`, with `top_k` labels each.
    pub fn new(
        live: Arc<Live>,
        shadow: Option<Shadow>,
        schema: SchemaRef,
        top_k: usize,
        counters: Counters,
    ) -> Self {
        Labeller { live, shadow, schema, top_k, counters }
    }

    /// Labels one batch with the generation that encoded it; with another one, which encodes it again, if
    /// that one fails on probation.
    ///
    /// # Errors
    /// When inference fails and no other generation can take over. The batch is then neither written nor
    /// committed.
    pub fn label(&mut self, encoded: EncodedBatch) -> Result<Batch> {
        let (encoded, classified) = self.classify(encoded)?;
        let EncodedBatch { mut batch, encodings, generation } = encoded;
        self.live.examine(&generation, &batch.records, &classified);
        if let Some(drift) = generation.watch_drift(&encodings, &classified.probabilities) {
            self.counters.set_drift(drift);
        }
        let labelled = self.labelled(&batch.records, &generation, &classified)?;
        if let Some(shadow) = &self.shadow {
            shadow.offer(&batch.records, &labelled, &classified)?;
        }
        batch.records = labelled;
        Ok(batch)
    }

    fn classify(&self, mut encoded: EncodedBatch) -> Result<(EncodedBatch, Classified)> {
        if encoded.generation.is_withdrawn() {
            encoded = encode(self.live.current(), encoded.batch)?;
        }
        match encoded.generation.classify(&encoded.encodings) {
            Ok(classified) => Ok((encoded, classified)),
            Err(error) => {
                let other = self.live.fall_back(&encoded.generation, error)?;
                let encoded = encode(other, encoded.batch)?;
                let classified = encoded.generation.classify(&encoded.encodings)?;
                Ok((encoded, classified))
            }
        }
    }

    fn labelled(
        &self,
        rows: &RecordBatch,
        generation: &Generation,
        classified: &Classified,
    ) -> Result<RecordBatch> {
        let top = |row: &Probabilities| {
            row.top(self.top_k).into_iter().map(|(index, score)| (generation.label(index), score)).collect()
        };
        let predictions: Vec<Prediction<'_>> = classified
            .probabilities
            .iter()
            .zip(&classified.abstained)
            .map(|(row, abstained)| Prediction { top: top(row), abstained: *abstained })
            .collect();
        let model = (generation.name(), generation.version());
        let now = Utc::now().timestamp_millis();
        Ok(label_rows(rows, &predictions, &self.schema, model, now)?)
    }
}
