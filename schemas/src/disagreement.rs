//! Disagreements: documents to which the champion and the challenger gave different labels.

use std::sync::{Arc, LazyLock};

use arrow::array::{
    Array, ArrayRef, Float32Array, RecordBatch, StringArray, TimestampMillisecondArray, UInt32Array,
};
use arrow::compute::take_record_batch;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};

use crate::SchemaError;
use crate::raw::timestamp_type;

/// The label that one model gave to one document.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ScoredLabel<'a> {
    /// The label with the highest probability.
    pub label: &'a str,
    /// The probability of that label.
    pub score: f32,
    /// The difference to the probability of the second label; near 0 if the model is uncertain.
    pub margin: f32,
}

/// The schema of disagreements.
///
/// `topic`, `partition`, `offset` and `id` (null if the document has none) identify the document. For each of the two
/// models there are its version, the label that it gave, the probability of that label, and the margin to the second.
/// `compared_at` is the time of the comparison.
pub fn disagreement_schema() -> SchemaRef {
    static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
        let mut fields = vec![
            Field::new("topic", DataType::Utf8, false),
            Field::new("partition", DataType::Int32, false),
            Field::new("offset", DataType::Int64, false),
            Field::new("id", DataType::Utf8, true),
        ];
        for model in ["champion", "challenger"] {
            let field = |name, kind| Field::new(format!("{model}_{name}"), kind, false);
            fields.extend([
                field("version", DataType::Utf8),
                field("label", DataType::Utf8),
                field("score", DataType::Float32),
                field("margin", DataType::Float32),
            ]);
        }
        fields.push(Field::new("compared_at", timestamp_type(), false));
        Arc::new(Schema::new(fields))
    });
    Arc::clone(&SCHEMA)
}

/// The rows of `labelled`, which the champion labelled, to which the challenger gave another label.
///
/// For each row, `margins` has the champion's margin and `challenger` the challenger's label. `version` is the
/// challenger's version, and `compared_at_ms` the time of the comparison in milliseconds since the Unix epoch.
///
/// # Errors
/// [`SchemaError`] if `margins` or `challenger` do not have one value for each row, or if a column is missing.
pub fn disagreements(
    labelled: &RecordBatch,
    margins: &[f32],
    challenger: &[ScoredLabel<'_>],
    version: &str,
    compared_at_ms: i64,
) -> Result<RecordBatch, SchemaError> {
    let rows = labelled.num_rows();
    for (what, got) in [("champion margins", margins.len()), ("challenger labels", challenger.len())] {
        if got != rows {
            return Err(SchemaError::Length { what, got, rows });
        }
    }
    let labels = labelled.column(labelled.schema().index_of("label")?);
    let labels = labels
        .as_any()
        .downcast_ref::<StringArray>()
        .ok_or(SchemaError::Column { column: "label", expected: "Utf8" })?;
    let differing: Vec<usize> = (0..rows).filter(|&row| labels.value(row) != challenger[row].label).collect();
    let indices = UInt32Array::from_iter_values(differing.iter().map(|row| *row as u32));
    let champion = take_record_batch(labelled, &indices)?;

    let column = |name: &str| -> Result<ArrayRef, SchemaError> {
        Ok(Arc::clone(champion.column(champion.schema().index_of(name)?)))
    };
    let floats = |value: &dyn Fn(usize) -> f32| -> ArrayRef {
        Arc::new(Float32Array::from_iter_values(differing.iter().map(|row| value(*row))))
    };
    let challenger_labels = differing.iter().map(|row| challenger[*row].label);
    let times = TimestampMillisecondArray::from(vec![compared_at_ms; differing.len()]).with_timezone("UTC");
    let columns = vec![
        column("topic")?,
        column("partition")?,
        column("offset")?,
        column("id")?,
        column("model_version")?,
        column("label")?,
        column("score")?,
        floats(&|row| margins[row]),
        Arc::new(StringArray::from(vec![version; differing.len()])),
        Arc::new(StringArray::from_iter_values(challenger_labels)),
        floats(&|row| challenger[row].score),
        floats(&|row| challenger[row].margin),
        Arc::new(times),
    ];
    Ok(RecordBatch::try_new(disagreement_schema(), columns)?)
}

#[cfg(test)]
mod tests {
    use arrow::array::AsArray;
    use arrow::datatypes::{Float32Type, Int64Type};

    use super::*;
    use crate::{Document, LabelledOptions, Origin, Prediction, RawBuilder, label_rows, labelled_schema};

    fn labelled() -> RecordBatch {
        let mut builder = RawBuilder::default();
        for offset in 0..3 {
            let document = Document { title: Some("t".into()), ..Document::default() };
            let origin = Origin { topic: "news", partition: 0, offset, timestamp_ms: None };
            builder.append(origin, b"{}", &Ok(document));
        }
        let rows = builder.finish().unwrap();
        let schema = labelled_schema(&rows.schema(), LabelledOptions::default());
        let predictions = ["a", "b", "a"].map(|label| Prediction {
            top: vec![(label, 0.75)],
            abstained: false,
            threshold: None,
            truncated: false,
        });
        label_rows(&rows, &predictions, &schema, ("m", "v1"), 1).unwrap()
    }

    fn scored(label: &str) -> ScoredLabel<'_> {
        ScoredLabel { label, score: 0.5, margin: 0.25 }
    }

    #[test]
    fn only_rows_with_different_labels_are_kept_with_both_sides() {
        let challenger = ["a", "a", "c"].map(scored);
        let rows = disagreements(&labelled(), &[0.1, 0.2, 0.3], &challenger, "v2", 7).unwrap();
        let text = |name: &str| -> Vec<String> {
            let column = rows.column_by_name(name).unwrap().as_string::<i32>();
            column.iter().map(|value| value.unwrap().to_string()).collect()
        };
        assert_eq!(rows.column_by_name("offset").unwrap().as_primitive::<Int64Type>().values(), &[1, 2]);
        assert_eq!(
            (text("champion_label"), text("challenger_label")),
            (vec!["b".to_string(), "a".into()], vec!["a".to_string(), "c".into()])
        );
        assert_eq!(
            (&text("champion_version")[0], &text("challenger_version")[1]),
            (&"v1".into(), &"v2".into())
        );
        let margins = rows.column_by_name("champion_margin").unwrap().as_primitive::<Float32Type>();
        assert_eq!(margins.values(), &[0.2, 0.3]);
    }

    #[test]
    fn a_missing_margin_or_label_is_an_error() {
        assert!(disagreements(&labelled(), &[0.0; 3], &[scored("a")], "v2", 7).is_err());
        assert!(disagreements(&labelled(), &[0.0; 2], &["a"; 3].map(scored), "v2", 7).is_err());
    }
}
