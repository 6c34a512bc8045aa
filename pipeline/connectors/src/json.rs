//! Rows as JSON objects, the same in every sink that writes JSON.
//!
//! Null columns are left out; times are RFC 3339; binary columns are base64 (the usual form in JSON,
//! where Arrow's own writer would give hexadecimal).

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
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
    let schema = rows.schema();
    let converted =
        schema.fields().iter().zip(rows.columns()).map(|(field, column)| match column.data_type() {
            DataType::Binary => {
                let text: StringArray =
                    column.as_binary::<i32>().iter().map(|bytes| bytes.map(|b| STANDARD.encode(b))).collect();
                (Arc::new(Field::new(field.name(), DataType::Utf8, true)), Arc::new(text) as ArrayRef)
            }
            _ => (Arc::clone(field), Arc::clone(column)),
        });
    let (fields, columns): (Vec<_>, Vec<_>) = converted.unzip();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{BinaryArray, TimestampMillisecondArray};

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
}
