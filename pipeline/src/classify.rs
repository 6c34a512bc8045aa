//! The stages `tokenize` (texts to tokens) and `model` (tokens to labels).
//!
//! There are two stages, so that one batch is tokenised while the model labels another.
//!
//! A document that a version in its canary period cannot handle is given to the previous version. A document that no
//! loaded version can handle becomes a dead letter of the same batch and does not affect other documents. A model that
//! cannot handle any text any more is an error.

use std::sync::Arc;

use arrow::array::{BooleanArray, RecordBatch};
use arrow::compute::{filter_record_batch, not};
use arrow::datatypes::SchemaRef;
use chrono::Utc;
use fenliu_engine::batch::Batch;
use fenliu_model::{Encoding, Probabilities};
use fenliu_schemas::{Prediction, Reject, SchemaError, label_rows, model_dead_letters};

use crate::error::Result;
use crate::metrics::Counters;
use crate::serve::{Classified, Generation, Live, Rejects, Shadow};

/// A batch with the token ids of each row.
pub(crate) struct EncodedBatch {
    /// The cleaned rows that could be encoded.
    pub batch: Batch,
    /// Token ids, in row order.
    pub encodings: Vec<Encoding>,
    /// The generation that encoded the rows and is to label them.
    pub generation: Arc<Generation>,
}

/// Tokenises a batch with the generation in use, which is then also to label it. Rows that its tokenizer cannot encode
/// become dead letters.
///
/// # Errors
/// The tokenizer cannot encode anything any more, and no other generation can take over.
pub(crate) fn encode(live: &Live, batch: Batch) -> Result<EncodedBatch> {
    let generation = live.current();
    let outcome = generation.encode_each(&batch.records);
    match successor(live, &generation, &batch.records, &outcome)? {
        Some(other) => encode_with(other, batch),
        None => encoded(generation, batch, outcome?),
    }
}

fn encode_with(generation: Arc<Generation>, batch: Batch) -> Result<EncodedBatch> {
    let outcome = generation.encode_each(&batch.records)?;
    encoded(generation, batch, outcome)
}

fn encoded(
    generation: Arc<Generation>,
    mut batch: Batch,
    (encodings, rejects): (Vec<Encoding>, Rejects),
) -> Result<EncodedBatch> {
    reject(&mut batch, rejects, &generation)?;
    Ok(EncodedBatch { batch, encodings, generation })
}

/// The generation that is to handle `rows` instead of `failed`, given the `outcome` of `failed`; `None` if `failed` had no
/// failure or if no other generation would do better.
///
/// The other generation is the previous one, if `failed` is in its canary period, or the one in use, if that has changed
/// meanwhile. If single rows were rejected, it takes over only if it can handle at least one of them. Otherwise the cause
/// is the documents, and a good model must not be rolled back because of them.
fn successor<T>(
    live: &Live,
    failed: &Arc<Generation>,
    rows: &RecordBatch,
    outcome: &Result<(T, Rejects)>,
) -> Result<Option<Arc<Generation>>> {
    let Some(reason) = failure(outcome) else { return Ok(None) };
    if let Ok((_, rejects)) = outcome {
        // Asked before anything is rolled back: `fall_back` would move the alias.
        let Some(other) = live.other_than(failed) else { return Ok(None) };
        let (_, rejected) = split_rejects(rows, rejects)?;
        if !other.handles_any(&rejected) {
            return Ok(None);
        }
    }
    Ok(live.fall_back(failed, &reason))
}

/// Splits rows into those that were not rejected and those that were.
fn split_rejects(rows: &RecordBatch, rejects: &Rejects) -> Result<(RecordBatch, RecordBatch)> {
    let kept: BooleanArray = (0..rows.num_rows()).map(|row| Some(!rejects.contains_key(&row))).collect();
    let filter = |mask: &BooleanArray| filter_record_batch(rows, mask).map_err(SchemaError::from);
    Ok((filter(&kept)?, filter(&not(&kept).map_err(SchemaError::from)?)?))
}

/// A description of the first failure; `None` if there was none.
fn failure<T>(outcome: &Result<(T, Rejects)>) -> Option<String> {
    match outcome {
        Ok((_, rejects)) => rejects.values().next().map(|first| {
            let (stage, detail) = (first.stage.as_str(), first.detail.as_deref().unwrap_or_default());
            format!("{stage} failed on {} documents, the first: {detail}", rejects.len())
        }),
        Err(error) => Some(error.to_string()),
    }
}

/// Moves the rows that `generation` could not handle to the dead letters of the batch.
fn reject(batch: &mut Batch, rejects: Rejects, generation: &Generation) -> Result<()> {
    let Some(first) = rejects.values().next() else { return Ok(()) };
    tracing::warn!(
        event = "documents_rejected",
        stage = first.stage.as_str(),
        rows = rejects.len(),
        detail = first.detail.as_deref(),
        "documents that the model cannot handle become dead letters"
    );
    let (kept, rejected) = split_rejects(&batch.records, &rejects)?;
    let rejects: Vec<Reject> = rejects.into_values().collect();
    let now = Utc::now().timestamp_millis();
    batch.dead_letters.push(model_dead_letters(&rejected, &rejects, generation.version(), now)?);
    batch.records = kept;
    Ok(())
}

/// The stage `model`: labels batches.
pub(crate) struct Labeller {
    live: Arc<Live>,
    shadow: Option<Shadow>,
    schema: SchemaRef,
    top_k: usize,
    counters: Counters,
}

impl Labeller {
    /// Produces rows of `schema`, with `top_k` labels each.
    pub(crate) fn new(
        live: Arc<Live>,
        shadow: Option<Shadow>,
        schema: SchemaRef,
        top_k: usize,
        counters: Counters,
    ) -> Self {
        Labeller { live, shadow, schema, top_k, counters }
    }

    /// Labels one batch with the generation that encoded it. If that generation is rolled back, the batch is encoded and
    /// labelled by the previous one. Rows that cannot be classified become dead letters.
    ///
    /// # Errors
    /// The model cannot classify anything any more, and no other generation can take over. The batch is then neither
    /// written nor committed.
    pub(crate) fn label(&mut self, encoded: EncodedBatch) -> Result<Batch> {
        let (encoded, classified, rejects) = self.classify(encoded)?;
        let EncodedBatch { mut batch, mut encodings, generation } = encoded;
        if !rejects.is_empty() {
            // `retain` passes no index. The encodings must stay aligned with the rows that are left.
            let mut rows = 0..;
            encodings.retain(|_| rows.next().is_some_and(|row| !rejects.contains_key(&row)));
            reject(&mut batch, rejects, &generation)?;
        }
        let truncated = encodings.iter().filter(|encoding| encoding.truncated).count();
        self.counters.count_inference(encodings.len(), classified.took, classified.tokens, truncated);
        // With the cleaned rows: the previous generation encodes the texts itself.
        self.live.compare_with_previous(&generation, &batch.records, &classified);
        if let Some(drift) = generation.watch_drift(&encodings, &classified.probabilities) {
            self.counters.set_drift(drift);
        }
        let labelled = self.labelled(&batch.records, &generation, &encodings, &classified)?;
        // After all rows were judged: thresholds change only between batches.
        if let Some(trust) = generation.trust() {
            trust.observe(&batch.records, &classified.probabilities);
        }
        if let Some(shadow) = &self.shadow {
            shadow.offer(&batch.records, &labelled, &classified)?;
        }
        batch.records = labelled;
        Ok(batch)
    }

    fn classify(&self, mut encoded: EncodedBatch) -> Result<(EncodedBatch, Classified, Rejects)> {
        // The batch was encoded before its generation was rolled back. The other generation may have another
        // tokenizer, so the ids are useless to it.
        if encoded.generation.is_withdrawn() {
            encoded = encode(&self.live, encoded.batch)?;
        }
        let outcome = encoded.generation.classify_each(&encoded.encodings);
        let other = successor(&self.live, &encoded.generation, &encoded.batch.records, &outcome)?;
        let (classified, rejects) = match other {
            None => outcome?,
            Some(other) => {
                encoded = encode_with(other, encoded.batch)?;
                encoded.generation.classify_each(&encoded.encodings)?
            }
        };
        Ok((encoded, classified, rejects))
    }

    fn labelled(
        &self,
        rows: &RecordBatch,
        generation: &Generation,
        encodings: &[Encoding],
        classified: &Classified,
    ) -> Result<RecordBatch> {
        let top = |row: &Probabilities| {
            row.top(self.top_k).into_iter().map(|(index, score)| (generation.label(index), score)).collect()
        };
        let thresholds = generation.trust().map(|trust| trust.thresholds(rows));
        let prediction = |(row, (probabilities, abstained)): (usize, (&Probabilities, &bool))| {
            let best: Vec<(&str, f32)> = top(probabilities);
            let threshold = thresholds.as_ref().and_then(|thresholds| thresholds.get(row)).copied();
            let is_below = |threshold: f32| best.first().is_none_or(|(_, score)| *score < threshold);
            let abstained = threshold.map_or(*abstained, is_below);
            let truncated = encodings.get(row).is_some_and(|encoding| encoding.truncated);
            Prediction { top: best, abstained, threshold, truncated }
        };
        let rows_of = classified.probabilities.iter().zip(&classified.abstained);
        let predictions: Vec<Prediction<'_>> = rows_of.enumerate().map(prediction).collect();
        let model = (generation.name(), generation.version());
        let now = Utc::now().timestamp_millis();
        Ok(label_rows(rows, &predictions, &self.schema, model, now)?)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Instant;

    use arrow::array::types::Int64Type;
    use fenliu_model::import::{OnnxOptions, onnx};
    use fenliu_schemas::{
        Document, LabelledOptions, Offsets, Origin, RawBuilder, dead_letter_schema, labelled_schema,
    };
    use tempfile::TempDir;

    use arrow::array::AsArray;
    use fenliu_model::runtime;
    use fenliu_schemas::text_column;

    use super::*;
    use crate::config::Config;
    use fenliu_engine::batch::Budget;

    /// The two stages with the graph of `model/tests/references/failing_graph.py`, which fails on certain words.
    struct Stages {
        live: Arc<Live>,
        labeller: Labeller,
        offset: i64,
        _models: TempDir,
    }

    /// The configuration of a model whose tokenizer replaces unknown words by the token `unknown`. If the vocabulary does
    /// not contain that token, the tokenizer fails on unknown words.
    fn model(models: &Path, unknown: &str) -> Config {
        let graph = Path::new(env!("CARGO_MANIFEST_DIR")).join("../model/tests/references/failing_graph");
        let tokenizer = std::fs::read_to_string(graph.join("tokenizer.json")).unwrap();
        let changed = models.join("tokenizer.json");
        let unknown = format!("\"unk_token\": \"{unknown}\"");
        std::fs::write(&changed, tokenizer.replace("\"unk_token\": \"[UNK]\"", &unknown)).unwrap();
        runtime::load(None).unwrap();
        let options = OnnxOptions { tokenizer: Some(changed), ..OnnxOptions::default() };
        let bundle = onnx(&graph, models, "failing", &options).unwrap();
        let mut config = Config::default();
        config.model.bundle = bundle.path().to_path_buf();
        config
    }

    impl Stages {
        fn new(unknown: &str) -> Self {
            let models = tempfile::tempdir().unwrap();
            let config = model(models.path(), unknown);
            let counters = Counters::default();
            let live = Arc::new(Live::open(&config, counters.clone()).unwrap());
            let schema = labelled_schema(&fenliu_schemas::raw::schema(), LabelledOptions::default());
            let labeller = Labeller::new(Arc::clone(&live), None, schema, 1, counters);
            Stages { live, labeller, offset: 0, _models: models }
        }

        /// Puts another model in use, with a canary period.
        fn swap(&self, unknown: &str) {
            let models = tempfile::tempdir().unwrap();
            self.live.swap(Generation::open(&model(models.path(), unknown)).unwrap(), true);
        }

        fn run(&mut self, bodies: &[&str]) -> Result<Batch> {
            let topic: Arc<str> = "news".into();
            let (mut builder, mut offsets) = (RawBuilder::default(), Offsets::default());
            for body in bodies {
                let origin = Origin { topic: &topic, partition: 0, offset: self.offset, timestamp_ms: None };
                let document = Document { body: Some((*body).into()), ..Document::default() };
                builder.append(origin, body.as_bytes(), &Ok(document));
                offsets.add(&topic, 0, self.offset, self.offset);
                self.offset += 1;
            }
            let batch = Batch {
                deletions: 0,
                bytes: 0,
                records: builder.finish().unwrap(),
                dead_letters: vec![],
                offsets,
                received_at: Instant::now(),
                closes_epoch: false,
                permit: Budget::new(1).try_acquire(1).unwrap(),
            };
            self.labeller.label(encode(&self.live, batch)?)
        }
    }

    fn texts_of(rows: &RecordBatch, name: &'static str) -> Vec<String> {
        text_column(rows, name).unwrap().iter().map(|text| text.unwrap().to_string()).collect()
    }

    fn offsets_of(rows: &RecordBatch) -> Vec<i64> {
        rows.column_by_name("offset").unwrap().as_primitive::<Int64Type>().values().to_vec()
    }

    #[test]
    fn documents_that_the_model_cannot_classify_become_dead_letters_and_the_others_keep_their_order() {
        let mut stages = Stages::new("[UNK]");
        let batch =
            stages.run(&["bank a", "poison goal", "goal", "nan", "shares bank bank", "match"]).unwrap();
        assert_eq!(offsets_of(&batch.records), [0, 2, 4, 5]);
        assert_eq!(texts_of(&batch.records, "label"), ["finance", "sports", "finance", "sports"]);
        assert_eq!(batch.documents(), 6);

        let [letters] = batch.dead_letters.as_slice() else { panic!("{:?}", batch.dead_letters) };
        assert_eq!(letters.schema(), dead_letter_schema());
        assert_eq!(offsets_of(letters), [1, 3]);
        assert_eq!(texts_of(letters, "stage"), ["infer", "infer"]);
        assert_eq!(texts_of(letters, "reason"), ["inference_failed", "not_finite"]);
        let version = stages.live.current().version().to_string();
        assert_eq!(texts_of(letters, "model_version"), [version.as_str(); 2]);
        let details = texts_of(letters, "detail");
        assert!(details[0].starts_with(&format!("failing {version}: ")) && details[0].contains("Gather"));
        assert!(details[1].ends_with("logit 0 is NaN"), "{details:?}");
        let payloads = letters.column_by_name("payload").unwrap().as_binary::<i32>();
        assert_eq!((payloads.value(0), payloads.value(1)), (b"poison goal".as_slice(), b"nan".as_slice()));
    }

    #[test]
    fn a_document_that_the_tokenizer_cannot_encode_becomes_a_dead_letter() {
        let mut stages = Stages::new("[NONE]");
        let batch = stages.run(&["bank", "a word that it does not know", "goal nan", "goal"]).unwrap();
        assert_eq!(offsets_of(&batch.records), [0, 3]);
        let letters: Vec<_> = batch.dead_letters.iter().map(|rows| (offsets_of(rows), rows)).collect();
        let [(first, unknown), (second, _)] = letters.as_slice() else { panic!("{letters:?}") };
        assert_eq!((first.as_slice(), second.as_slice()), ([1].as_slice(), [2].as_slice()));
        assert_eq!(texts_of(unknown, "stage"), ["tokenize"]);
        assert_eq!(texts_of(unknown, "reason"), ["tokenize_failed"]);
        assert!(texts_of(unknown, "detail")[0].contains("cannot tokenise a text of 28 bytes"));
    }

    #[test]
    fn a_model_that_has_labelled_nothing_does_not_reject_whole_batches() {
        for (unknown, bad, message) in [
            ("[UNK]", "poison", "inference failed on each of 2 documents"),
            ("[NONE]", "unheard", "tokenising failed on each of 2 documents"),
        ] {
            let mut stages = Stages::new(unknown);
            let error = stages.run(&[bad, bad]).unwrap_err().to_string();
            assert!(error.contains(message), "{error}");
            stages.run(&["bank"]).unwrap();
            let batch = stages.run(&[bad, bad]).unwrap();
            assert_eq!((batch.records.num_rows(), batch.documents()), (0, 2));
        }
    }

    #[test]
    fn a_document_that_no_generation_can_handle_rolls_none_back() {
        let mut stages = Stages::new("[UNK]");
        stages.swap("[UNK]");
        let new = stages.live.current();
        let batch = stages.run(&["bank", "poison", "unheard goal"]).unwrap();
        assert_eq!((offsets_of(&batch.records), batch.dead_letters.len()), (vec![0, 2], 1));
        assert!(Arc::ptr_eq(&stages.live.current(), &new), "it stays in use");

        stages.swap("[NONE]");
        let batch = stages.run(&["bank", "unheard goal", "nan"]).unwrap();
        assert_eq!((offsets_of(&batch.records), batch.dead_letters.len()), (vec![3, 4], 1));
        assert!(
            Arc::ptr_eq(&stages.live.current(), &new),
            "a document that only the new generation cannot handle rolls it back"
        );
    }

    #[test]
    fn lack_of_memory_loses_no_document() {
        let mut stages = Stages::new("[UNK]");
        let batch = stages.run(&["huge bank", "huge goal", "bank", "huge"]).unwrap();
        assert_eq!(offsets_of(&batch.records), [0, 1, 2, 3]);
        let error = stages.run(&["huge huge"]).unwrap_err().to_string();
        assert!(error.starts_with("inference failed on a batch of 1 rows x 2 tokens"), "{error}");
    }
}
