//! Labelled rows, which sinks write.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Float32Array, Float32Builder, ListBuilder, RecordBatch, StringArray,
    StringBuilder, StructBuilder, TimestampMillisecondArray,
};
use arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef};

use crate::SchemaError;
use crate::message::{KAFKA_HEADERS, KAFKA_KEY, kafka_fields};
use crate::raw::{LINEAGE, schema as raw_schema, timestamp_type, warnings_field};

/// Which optional columns labelled rows carry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LabelledOptions {
    /// `title` is always there; this adds the cleaned `body`.
    pub body: bool,
    /// The words of the `segment` operator, if it ran.
    pub tokens: bool,
    /// The key of the Kafka message.
    pub kafka_key: bool,
    /// The headers of the Kafka message.
    pub kafka_headers: bool,
    /// The bytes of the message.
    pub payload: bool,
    /// What decoding left out or mended.
    pub decode_warnings: bool,
    /// The confidence from which on a label of the document's source is trusted. Not where cleaning has added a
    /// column of this name.
    pub threshold: bool,
    /// Whether a part of the text was not read by the model, as with the threshold.
    pub truncated: bool,
    /// There is no model: without [`MODEL_COLUMNS`].
    pub unlabelled: bool,
}

/// The columns of labelled rows that a model fills.
pub const MODEL_COLUMNS: &[&str] = &["label", "score", "top_k", "abstained", "model_name", "model_version"];

/// The optional column with the threshold that `abstained` was decided by.
pub const THRESHOLD: &str = "threshold";

/// The optional column that says whether the model did not read a part of the text.
pub const TRUNCATED: &str = "truncated";

/// The prediction of a model for one document: its best labels with their probabilities.
///
/// There is at least one label; probabilities are in `0..=1`.
#[derive(Clone, Debug, PartialEq)]
pub struct Prediction<'a> {
    /// `(label, score)`, best first.
    pub top: Vec<(&'a str, f32)>,
    /// Whether the best label should not be trusted: a person should look at the document.
    pub abstained: bool,
    /// The score from which on the best label is trusted, from 0 to 1; `None` if there is no threshold per source.
    pub threshold: Option<f32>,
    /// Whether the text was cut off, because it has more tokens than the model reads.
    pub truncated: bool,
}

/// The labelled schema for cleaned rows of schema `cleaned`.
///
/// | column | type | null when |
/// |---|---|---|
/// | `id`, `title`, `url`, `source`, `lang` | Utf8 | the document has none |
/// | `published_at` | Timestamp(ms, UTC) | the document has none |
/// | `body` (optional) | Utf8 | the document has none |
/// | `tokens` (optional) | List\<Utf8\> | `title` and `body` are null |
/// | `label`, `score` | Utf8, Float32 | never |
/// | `top_k` | List\<Struct\<label Utf8, score Float32\>\> | never; best first |
/// | `abstained` | Boolean | never; true: `label` should not be trusted |
/// | `threshold` (optional) | Float32 | there are no thresholds per source; `abstained` is `score < threshold` |
/// | `truncated` (optional) | Boolean | never; true: the encoder has not read the end of the text |
/// | `source_label` | Utf8 | the document came without a label |
/// | `model_name`, `model_version` | Utf8 | never |
/// | `topic`, `partition`, `offset` | Utf8, Int32, Int64 | never |
/// | `kafka_timestamp` | Timestamp(ms, UTC) | the source has none |
/// | `kafka_key` (optional) | Binary | the message has none |
/// | `kafka_headers` (optional) | List\<Struct\<key Utf8, value Binary\>\> | the message has none |
/// | `payload` (optional) | Binary | the message has no value |
/// | `decode_warnings` (optional) | List\<Utf8\> | the document was read as it was sent |
/// | `processed_at` | Timestamp(ms, UTC) | never |
///
/// With [`LabelledOptions::unlabelled`] there are no [`MODEL_COLUMNS`]. Other columns that cleaning added follow at the
/// end.
pub fn labelled_schema(cleaned: &Schema, options: LabelledOptions) -> SchemaRef {
    let text = |name| Field::new(name, DataType::Utf8, true);
    let named = |name| Field::new(name, DataType::Utf8, false);
    let mut fields = vec![text("id"), text("title"), text("url"), text("source"), text("lang")];
    fields.push(Field::new("published_at", timestamp_type(), true));
    if options.body {
        fields.push(text("body"));
    }
    if let (true, Ok(tokens)) = (options.tokens, cleaned.field_with_name("tokens")) {
        fields.push(tokens.clone());
    }
    fields.extend([
        named("label"),
        Field::new("score", DataType::Float32, false),
        Field::new_list("top_k", Field::new("item", DataType::Struct(top_k_fields()), true), false),
        Field::new("abstained", DataType::Boolean, false),
    ]);
    if options.threshold && !options.unlabelled && adds(cleaned, THRESHOLD) {
        fields.push(Field::new(THRESHOLD, DataType::Float32, true));
    }
    if options.truncated && !options.unlabelled && adds(cleaned, TRUNCATED) {
        fields.push(Field::new(TRUNCATED, DataType::Boolean, false));
    }
    fields.extend([
        text("source_label"),
        named("model_name"),
        named("model_version"),
        named("topic"),
        Field::new("partition", DataType::Int32, false),
        Field::new("offset", DataType::Int64, false),
        Field::new("kafka_timestamp", timestamp_type(), true),
    ]);
    let of_kafka = |name: &str| match name {
        KAFKA_KEY => options.kafka_key,
        KAFKA_HEADERS => options.kafka_headers,
        _ => false,
    };
    fields.extend(kafka_fields().into_iter().filter(|field| of_kafka(field.name())));
    if options.payload {
        fields.push(Field::new("payload", DataType::Binary, true));
    }
    if options.decode_warnings {
        fields.push(warnings_field());
    }
    fields.push(Field::new("processed_at", timestamp_type(), false));
    if options.unlabelled {
        fields.retain(|field| !MODEL_COLUMNS.contains(&field.name().as_str()));
    }
    fields.extend(added_columns(cleaned).map(|i| cleaned.field(i).clone()));
    Arc::new(Schema::new(fields))
}

/// Whether labelling can add the column `name`, [`THRESHOLD`] or [`TRUNCATED`], to rows of schema `cleaned`: earlier
/// releases did not have them, so a cleaning step may have added one of this name.
pub fn adds(cleaned: &Schema, name: &str) -> bool {
    cleaned.field_with_name(name).is_err()
}

/// The indexes of the columns that cleaning added to the raw schema, except `tokens`.
fn added_columns(cleaned: &Schema) -> impl Iterator<Item = usize> {
    let known = raw_schema();
    (0..cleaned.fields().len()).filter(move |&i| {
        let name = cleaned.field(i).name();
        name != "tokens" && known.field_with_name(name).is_err()
    })
}

fn top_k_fields() -> Fields {
    vec![Field::new("label", DataType::Utf8, false), Field::new("score", DataType::Float32, false)].into()
}

/// Joins cleaned rows with the model's predictions, row by row.
///
/// `schema` is the [`labelled_schema`] of these rows, `model` the name and the version of the model, and `processed_at_ms`
/// the time of labelling in milliseconds since the Unix epoch.
///
/// # Errors
/// [`SchemaError::Length`] unless there is exactly one prediction with at least one label for each row.
pub fn label_rows(
    cleaned: &RecordBatch,
    predictions: &[Prediction<'_>],
    schema: &SchemaRef,
    model: (&str, &str),
    processed_at_ms: i64,
) -> Result<RecordBatch, SchemaError> {
    let rows = cleaned.num_rows();
    let best: Vec<(&str, f32)> = predictions.iter().filter_map(|p| p.top.first().copied()).collect();
    if best.len() != rows || predictions.len() != rows {
        return Err(SchemaError::Length { what: "predictions", got: best.len(), rows });
    }
    let same = |value: &str| -> ArrayRef { Arc::new(StringArray::from(vec![value; rows])) };
    let columns = schema.fields().iter().map(|field| -> Result<ArrayRef, SchemaError> {
        Ok(match field.name().as_str() {
            "label" => Arc::new(StringArray::from_iter_values(best.iter().map(|(label, _)| label))),
            "score" => Arc::new(Float32Array::from_iter_values(best.iter().map(|(_, score)| *score))),
            "top_k" => top_k(predictions),
            "abstained" => Arc::new(BooleanArray::from_iter(predictions.iter().map(|p| Some(p.abstained)))),
            THRESHOLD if adds(&cleaned.schema(), THRESHOLD) => {
                Arc::new(Float32Array::from_iter(predictions.iter().map(|p| p.threshold)))
            }
            TRUNCATED if adds(&cleaned.schema(), TRUNCATED) => {
                Arc::new(BooleanArray::from_iter(predictions.iter().map(|p| Some(p.truncated))))
            }
            "model_name" => same(model.0),
            "model_version" => same(model.1),
            name => cleaned_column(cleaned, name, processed_at_ms)?,
        })
    });
    let columns = columns.collect::<Result<Vec<_>, _>>()?;
    Ok(RecordBatch::try_new(Arc::clone(schema), columns)?)
}

/// Turns cleaned rows into rows that are written without labels, if there is no model.
///
/// `schema` is the [`labelled_schema`] of these rows with [`LabelledOptions::unlabelled`], and `processed_at_ms` the time
/// of writing in milliseconds since the Unix epoch.
///
/// # Errors
/// [`SchemaError::Arrow`] if `schema` is not the schema of these rows.
pub fn unlabelled_rows(
    cleaned: &RecordBatch,
    schema: &SchemaRef,
    processed_at_ms: i64,
) -> Result<RecordBatch, SchemaError> {
    let columns = schema.fields().iter().map(|field| cleaned_column(cleaned, field.name(), processed_at_ms));
    let columns = columns.collect::<Result<Vec<_>, _>>()?;
    Ok(RecordBatch::try_new(Arc::clone(schema), columns)?)
}

/// The column `name` of labelled rows, which is not one of [`MODEL_COLUMNS`].
fn cleaned_column(cleaned: &RecordBatch, name: &str, processed_at_ms: i64) -> Result<ArrayRef, SchemaError> {
    let source = match name {
        "processed_at" => {
            let times = TimestampMillisecondArray::from(vec![processed_at_ms; cleaned.num_rows()]);
            return Ok(Arc::new(times.with_timezone("UTC")));
        }
        "source_label" => "label",
        name => name,
    };
    Ok(Arc::clone(cleaned.column(cleaned.schema().index_of(source)?)))
}

fn top_k(predictions: &[Prediction<'_>]) -> ArrayRef {
    let entries = StructBuilder::new(
        top_k_fields(),
        vec![Box::new(StringBuilder::new()), Box::new(Float32Builder::new())],
    );
    let mut list = ListBuilder::new(entries);
    for prediction in predictions {
        for &(label, score) in &prediction.top {
            let entry = list.values();
            if let Some(labels) = entry.field_builder::<StringBuilder>(0) {
                labels.append_value(label);
            }
            if let Some(scores) = entry.field_builder::<Float32Builder>(1) {
                scores.append_value(score);
            }
            entry.append(true);
        }
        list.append(true);
    }
    Arc::new(list.finish())
}

/// Columns of labelled rows that cleaning must not set, because labelling fills them.
const RESERVED: &[&str] =
    &["score", "top_k", "abstained", "source_label", "model_name", "model_version", "processed_at"];

/// Whether a cleaning step may set the column `name`. It may not set the lineage of a row, nor a column that labelling
/// fills.
pub fn is_settable(name: &str) -> bool {
    !LINEAGE.contains(&name) && !RESERVED.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Document, Headers, KeyAndHeaders, Origin, RawBuilder, kafka_keys};
    use arrow::array::AsArray;
    use arrow::datatypes::Float32Type;

    fn cleaned() -> RecordBatch {
        let mut builder = RawBuilder::default();
        for offset in 0..2 {
            let document =
                Document { title: Some("题".into()), label: Some("sports".into()), ..Document::default() };
            builder.append(
                Origin { topic: "news", partition: 0, offset, timestamp_ms: None },
                b"{}",
                &Ok(document),
            );
        }
        builder.finish().unwrap()
    }

    #[test]
    fn each_row_gets_its_own_prediction() {
        let rows = cleaned();
        let schema = labelled_schema(&rows.schema(), LabelledOptions::default());
        let predictions = [
            Prediction {
                top: vec![("sports", 0.75), ("tech", 0.25)],
                abstained: false,
                threshold: None,
                truncated: false,
            },
            Prediction { top: vec![("tech", 0.5)], abstained: true, threshold: Some(0.75), truncated: true },
        ];
        let labelled = label_rows(&rows, &predictions, &schema, ("m", "v1"), 1).unwrap();
        let labels = labelled.column_by_name("label").unwrap().as_string::<i32>();
        assert_eq!((labels.value(0), labels.value(1)), ("sports", "tech"));
        let top_k = labelled.column_by_name("top_k").unwrap().as_list::<i32>();
        assert_eq!((top_k.value(0).len(), top_k.value(1).len()), (2, 1));
        let abstained = labelled.column_by_name("abstained").unwrap().as_boolean();
        assert_eq!((abstained.value(0), abstained.value(1)), (false, true));
        assert_eq!(labelled.column_by_name("source_label").unwrap().as_string::<i32>().value(1), "sports");
    }

    fn prediction(top: Vec<(&str, f32)>) -> Prediction<'_> {
        Prediction { top, abstained: false, threshold: None, truncated: false }
    }

    #[test]
    fn a_missing_prediction_is_an_error() {
        let rows = cleaned();
        let schema = labelled_schema(&rows.schema(), LabelledOptions::default());
        let one = [prediction(vec![("sports", 1.0)])];
        assert!(label_rows(&rows, &one, &schema, ("m", "v1"), 1).is_err());
        let empty = [prediction(vec![("sports", 1.0)]), prediction(vec![])];
        assert!(label_rows(&rows, &empty, &schema, ("m", "v1"), 1).is_err());
    }

    #[test]
    fn a_text_that_was_cut_off_says_so() {
        let rows = cleaned();
        let options = LabelledOptions { truncated: true, ..LabelledOptions::default() };
        let with = |truncated| Prediction { truncated, ..prediction(vec![("sports", 0.5)]) };
        let schema = labelled_schema(&rows.schema(), options);
        let labelled = label_rows(&rows, &[with(true), with(false)], &schema, ("m", "v1"), 1).unwrap();
        let truncated = labelled.column_by_name(TRUNCATED).unwrap().as_boolean();
        assert_eq!(truncated.iter().collect::<Vec<_>>(), [Some(true), Some(false)]);
    }

    #[test]
    fn the_threshold_is_optional_and_gives_way_to_a_column_of_cleaning() {
        let rows = cleaned();
        let options = LabelledOptions { threshold: true, ..LabelledOptions::default() };
        let with = |threshold| Prediction { threshold, ..prediction(vec![("sports", 0.5)]) };
        let predictions = [with(Some(0.75)), with(None)];
        let schema = labelled_schema(&rows.schema(), options);
        let labelled = label_rows(&rows, &predictions, &schema, ("m", "v1"), 1).unwrap();
        let thresholds = labelled.column_by_name(THRESHOLD).unwrap().as_primitive::<Float32Type>();
        assert_eq!(thresholds.iter().collect::<Vec<_>>(), [Some(0.75), None]);
        let unlabelled = LabelledOptions { unlabelled: true, ..options };
        for options in [LabelledOptions::default(), unlabelled] {
            assert!(labelled_schema(&rows.schema(), options).field_with_name(THRESHOLD).is_err());
        }

        let mut fields: Vec<_> = rows.schema().fields().iter().cloned().collect();
        fields.push(Arc::new(Field::new(THRESHOLD, DataType::Utf8, true)));
        let columns = [rows.columns(), &[Arc::new(StringArray::from(vec!["mine"; 2])) as ArrayRef]].concat();
        let rows = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap();
        let schema = labelled_schema(&rows.schema(), options);
        let labelled = label_rows(&rows, &predictions, &schema, ("m", "v1"), 1).unwrap();
        assert_eq!(labelled.column_by_name(THRESHOLD).unwrap().as_string::<i32>().value(1), "mine");
    }

    #[test]
    fn rows_without_a_model_are_labelled_rows_without_its_columns() {
        let rows = cleaned();
        let options = LabelledOptions { body: true, ..LabelledOptions::default() };
        let labelled = labelled_schema(&rows.schema(), options);
        let schema = labelled_schema(&rows.schema(), LabelledOptions { unlabelled: true, ..options });
        let names =
            |schema: &Schema| schema.fields().iter().map(|f| f.name().to_string()).collect::<Vec<_>>();
        let expected = names(&labelled).into_iter().filter(|name| !MODEL_COLUMNS.contains(&name.as_str()));
        assert_eq!(names(&schema), expected.collect::<Vec<_>>());
        assert_eq!(schema.fields().len() + MODEL_COLUMNS.len(), labelled.fields().len());

        let unlabelled = unlabelled_rows(&rows, &schema, 1).unwrap();
        assert_eq!(unlabelled.num_rows(), 2);
        assert_eq!(unlabelled.column_by_name("title").unwrap().as_string::<i32>().value(1), "题");
        assert_eq!(unlabelled.column_by_name("source_label").unwrap().as_string::<i32>().value(1), "sports");
        assert!(unlabelled_rows(&rows, &labelled, 1).is_err(), "there is no column `score`");
    }

    #[test]
    fn key_and_headers_of_the_message_are_included_if_asked_for() {
        let mut builder = RawBuilder::default();
        let origin = Origin { topic: "news", partition: 0, offset: 0, timestamp_ms: None };
        let headers = [("trace".into(), Some(b"1".as_slice()))];
        let message = KeyAndHeaders { key: Some(b"\xff"), headers: &headers };
        builder.append_message(origin, message, Some(b"{}"), &Ok(Document::default()));
        let rows = builder.finish().unwrap();
        let options = LabelledOptions { unlabelled: true, ..LabelledOptions::default() };
        let without = labelled_schema(&rows.schema(), options);
        assert!([KAFKA_KEY, KAFKA_HEADERS].iter().all(|name| without.field_with_name(name).is_err()));
        let both = LabelledOptions { kafka_key: true, kafka_headers: true, ..options };
        let with = labelled_schema(&rows.schema(), both);
        assert_eq!(with.fields().len(), without.fields().len() + 2);
        let labelled = unlabelled_rows(&rows, &with, 1).unwrap();
        assert_eq!(kafka_keys(&labelled, KAFKA_KEY).unwrap().value(0), b"\xff");
        let read = Headers::of(labelled.column_by_name(KAFKA_HEADERS).unwrap()).unwrap();
        assert_eq!(read.row(0).collect::<Vec<_>>(), [("trace", Some(b"1".as_slice()))]);
    }

    #[test]
    fn columns_added_by_cleaning_are_kept() {
        let rows = cleaned();
        let mut fields: Vec<_> = rows.schema().fields().iter().cloned().collect();
        fields.push(Arc::new(Field::new("channel", DataType::Utf8, true)));
        let extended = Schema::new(fields);
        let schema = labelled_schema(
            &extended,
            LabelledOptions { body: true, tokens: true, ..LabelledOptions::default() },
        );
        assert_eq!(schema.fields().last().unwrap().name(), "channel");
        assert!(schema.field_with_name("body").is_ok());
        assert!(schema.field_with_name("payload").is_err());
        assert!(schema.field_with_name("tokens").is_err(), "no `segment` step, no tokens");
    }
}
