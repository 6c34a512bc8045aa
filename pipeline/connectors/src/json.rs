//! Rows as JSON objects, the same in every sink that writes JSON.
//!
//! Null columns are left out; times are RFC 3339. Binary values, those inside lists and structs too, are always base64 of
//! the standard alphabet with padding (RFC 4648 §4), also where they are valid UTF-8: so there is one way to read the
//! bytes back, and it gives exactly those that were written. (Arrow's own writer would give hexadecimal.) A null is left
//! out of its object, an empty value is `""`.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, LargeListArray, ListArray, RecordBatch, StringArray, StructArray,
};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema};
use arrow::error::ArrowError;
use arrow::json::LineDelimitedWriter;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use fenliu_engine::{Error, Kind, Result};

/// One JSON object a row, each ended by a line break.
///
/// # Errors
/// [`Kind::Refused`] for column types that JSON cannot hold.
pub(crate) fn json_lines(rows: &RecordBatch) -> Result<Vec<u8>> {
    encode(rows).map_err(|error| Error::new(Kind::Refused, format!("cannot encode JSON: {error}")))
}

fn encode(rows: &RecordBatch) -> std::result::Result<Vec<u8>, ArrowError> {
    let mut writer = LineDelimitedWriter::new(Vec::new());
    writer.write(&binary_as_base64(rows)?)?;
    writer.finish()?;
    Ok(writer.into_inner())
}

fn binary_as_base64(rows: &RecordBatch) -> std::result::Result<RecordBatch, ArrowError> {
    if !rows.schema().fields().iter().any(|field| holds_binary(field.data_type())) {
        return Ok(rows.clone());
    }
    let columns = rows.columns().iter().map(text_of).collect::<std::result::Result<Vec<_>, _>>()?;
    let schema = rows.schema();
    let fields = schema.fields().iter().zip(&columns).map(|(field, column)| with_type(field, column));
    RecordBatch::try_new(Arc::new(Schema::new(fields.collect::<Vec<_>>())), columns)
}

/// Whether values of this type are bytes or have bytes in them.
fn holds_binary(data_type: &DataType) -> bool {
    match data_type {
        DataType::List(item) | DataType::LargeList(item) => holds_binary(item.data_type()),
        DataType::Struct(fields) => fields.iter().any(|field| holds_binary(field.data_type())),
        other => other.is_binary(),
    }
}

/// The column with base64 in place of bytes.
fn text_of(column: &ArrayRef) -> std::result::Result<ArrayRef, ArrowError> {
    Ok(match column.data_type() {
        data_type if !holds_binary(data_type) => Arc::clone(column),
        DataType::List(item) => {
            let (_, offsets, values, nulls) = column.as_list::<i32>().clone().into_parts();
            let values = text_of(&values)?;
            Arc::new(ListArray::try_new(with_type(item, &values), offsets, values, nulls)?)
        }
        DataType::LargeList(item) => {
            let (_, offsets, values, nulls) = column.as_list::<i64>().clone().into_parts();
            let values = text_of(&values)?;
            Arc::new(LargeListArray::try_new(with_type(item, &values), offsets, values, nulls)?)
        }
        DataType::Struct(_) => {
            let (fields, columns, nulls) = column.as_struct().clone().into_parts();
            let columns = columns.iter().map(text_of).collect::<std::result::Result<Vec<_>, _>>()?;
            let fields: Fields =
                fields.iter().zip(&columns).map(|(f, column)| with_type(f, column)).collect();
            Arc::new(StructArray::try_new(fields, columns, nulls)?)
        }
        _ => {
            let bytes = cast(column, &DataType::Binary)?;
            let texts = bytes.as_binary::<i32>().iter().map(|bytes| bytes.map(|b| STANDARD.encode(b)));
            Arc::new(texts.collect::<StringArray>())
        }
    })
}

/// `field` with the type of `column`.
fn with_type(field: &Field, column: &ArrayRef) -> FieldRef {
    Arc::new(field.clone().with_data_type(column.data_type().clone()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{BinaryArray, TimestampMillisecondArray};
    use fenliu_schemas::{Document, KAFKA_HEADERS, KAFKA_KEY, KeyAndHeaders, Origin, RawBuilder};

    #[test]
    fn bytes_are_base64_times_rfc_3339_and_nulls_absent() {
        let rows = RecordBatch::try_from_iter([
            ("at", Arc::new(TimestampMillisecondArray::from(vec![0]).with_timezone("UTC")) as ArrayRef),
            ("payload", Arc::new(BinaryArray::from_vec(vec![b"\xff\x00"])) as ArrayRef),
            ("id", Arc::new(StringArray::from(vec![None::<&str>])) as ArrayRef),
        ])
        .unwrap();
        let line = String::from_utf8(json_lines(&rows).unwrap()).unwrap();
        assert_eq!(line, "{\"at\":\"1970-01-01T00:00:00Z\",\"payload\":\"/wA=\"}\n");
    }

    #[test]
    fn bytes_inside_lists_and_of_other_binary_types_are_base64_too() {
        let mut builder = RawBuilder::default();
        let origin = Origin { topic: "news", partition: 0, offset: 0, timestamp_ms: None };
        let headers = [
            ("a".into(), Some(b"\xff\x00".as_slice())),
            ("a".into(), None),
            ("b".into(), Some(b"".as_slice())),
        ];
        let message = KeyAndHeaders { key: Some(b"text"), headers: &headers };
        builder.append_message(origin, message, Some(b"{}"), &Ok(Document::default()));
        builder.append(origin, b"{}", &Ok(Document::default()));
        let raw = builder.finish().unwrap();
        let column = |name: &str| raw.column_by_name(name).unwrap();
        let rows = RecordBatch::try_from_iter([
            (KAFKA_KEY, Arc::clone(column(KAFKA_KEY))),
            (KAFKA_HEADERS, Arc::clone(column(KAFKA_HEADERS))),
            ("fixed", cast(column("payload"), &DataType::FixedSizeBinary(2)).unwrap()),
            ("view", cast(column("payload"), &DataType::BinaryView).unwrap()),
        ])
        .unwrap();
        let lines = String::from_utf8(json_lines(&rows).unwrap()).unwrap();
        let headers = r#"[{"key":"a","value":"/wA="},{"key":"a"},{"key":"b","value":""}]"#;
        let first =
            format!(r#"{{"kafka_key":"dGV4dA==","kafka_headers":{headers},"fixed":"e30=","view":"e30="}}"#);
        assert_eq!(lines, format!("{first}\n{}\n", r#"{"fixed":"e30=","view":"e30="}"#));
    }
}
