//! One row in Arrow IPC, as a stream or a file (<https://arrow.apache.org/docs/format/IPC.html>).
//!
//! A document is identified by the offset of its message, so a message must hold exactly one row; any other number is
//! rejected. All buffers are validated when they are read. Compressed buffers are not supported.

use std::borrow::Cow;
use std::panic::{AssertUnwindSafe, catch_unwind};

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StructArray};
use arrow::buffer::Buffer;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type, TimeUnit, TimestampMillisecondType};
use arrow::error::ArrowError;
use arrow::ipc::reader::StreamDecoder;
use fenliu_schemas::Reject;

use crate::fields::{BestValues, Fields, Value};
use crate::undecoded::reject;

/// The first bytes of a file. After them, and zeros up to the writer's alignment, follow a stream and a footer.
const FILE_MAGIC: &[u8] = b"ARROW1";

/// Reads the fields of the only row into `found`.
///
/// # Errors
/// Rejects with `invalid_arrow`, or with `rows` if there is not exactly one row.
pub(super) fn read<'m>(
    payload: &[u8],
    fields: &'m Fields,
    found: &mut BestValues<'m, '_>,
) -> Result<(), Reject> {
    // The decoder returns errors for most broken messages but panics on some, such as one with an unknown type. A panic
    // leaves no state behind, because the decoder is dropped. Memory is no concern: the decoder does not allocate by the
    // lengths that a message claims.
    let row = catch_unwind(AssertUnwindSafe(|| only_row(payload)))
        .map_err(|_| reject("invalid_arrow", "the message is broken".into()))??;
    take_columns(&row.into(), fields, found).map_err(|error| reject("invalid_arrow", error.to_string()))
}

fn only_row(payload: &[u8]) -> Result<RecordBatch, Reject> {
    let mut decoder = StreamDecoder::new();
    let mut buffer = Buffer::from(stream_in(payload));
    let mut only: Option<RecordBatch> = None;
    loop {
        let next = match decoder.decode(&mut buffer) {
            Ok(next) => next,
            // In a file the footer follows the end of the stream. It is not part of the stream and cannot be decoded.
            Err(_) if only.is_some() && decoder.finish().is_ok() => break,
            Err(error) => return Err(reject("invalid_arrow", error.to_string())),
        };
        let Some(batch) = next else { break };
        // Checked after each batch, so that a message with many rows is refused before all of them are decoded.
        let rows = batch.num_rows() + only.as_ref().map_or(0, RecordBatch::num_rows);
        if rows > 1 {
            return Err(reject("rows", format!("at least {rows} rows, but a message must hold one")));
        }
        if batch.num_rows() == 1 {
            only = Some(batch);
        }
    }
    decoder.finish().map_err(|error| reject("invalid_arrow", error.to_string()))?;
    only.ok_or_else(|| reject("rows", "no row, but a message must hold one".into()))
}

fn stream_in(payload: &[u8]) -> &[u8] {
    match payload.strip_prefix(FILE_MAGIC) {
        None => payload,
        Some(rest) => {
            // The writer chooses the alignment, so the number of zeros is not known in advance.
            let padding = rest.iter().take_while(|byte| **byte == 0).count();
            rest.get(padding..).unwrap_or_default()
        }
    }
}

fn take_columns<'m>(
    row: &StructArray,
    fields: &'m Fields,
    found: &mut BestValues<'m, '_>,
) -> Result<(), ArrowError> {
    for (field, column) in row.fields().iter().zip(row.columns()) {
        let Some(wanted) = fields.get(field.name()) else { continue };
        if let Some(inside) = column.as_struct_opt()
            && inside.is_valid(0)
        {
            take_columns(inside, &wanted.inside, found)?;
        }
        if let Some(value) = value(column)? {
            found.offer(wanted, value);
        }
    }
    Ok(())
}

/// The value in the first row; `None` if it is null.
fn value<'a>(column: &ArrayRef) -> Result<Option<Value<'a>>, ArrowError> {
    if column.is_null(0) {
        return Ok(None);
    }
    if let DataType::Dictionary(_, values) = column.data_type() {
        return value(&cast(column, values)?);
    }
    let value = match column.data_type() {
        DataType::Null => return Ok(None),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => {
            let texts = cast(column, &DataType::Utf8)?;
            Value::Text(Cow::Owned(texts.as_string::<i32>().value(0).to_string()))
        }
        DataType::Timestamp(..) | DataType::Date32 | DataType::Date64 => {
            let times = cast(column, &DataType::Timestamp(TimeUnit::Millisecond, None))?;
            // `cast` gives null where the time overflows in milliseconds; null itself was handled above.
            if times.is_null(0) {
                return Ok(Some(Value::Other("a time out of bounds")));
            }
            Value::Time(times.as_primitive::<TimestampMillisecondType>().value(0))
        }
        DataType::UInt64 => {
            let number = column.as_primitive::<arrow::datatypes::UInt64Type>().value(0);
            // Ids above the range of `i64` are kept as their digits.
            i64::try_from(number).map_or(Value::Text(number.to_string().into()), Value::Integer)
        }
        other if other.is_integer() => {
            Value::Integer(cast(column, &DataType::Int64)?.as_primitive::<Int64Type>().value(0))
        }
        DataType::Boolean => Value::Boolean(column.as_boolean().value(0)),
        other if other.is_floating() => Value::Other("a floating-point number"),
        other if other.is_nested() => Value::Other("a nested value"),
        _ => Value::Other("of another type"),
    };
    Ok(Some(value))
}
