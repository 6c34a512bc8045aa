//! One row in Arrow IPC, as a stream or a file (<https://arrow.apache.org/docs/format/IPC.html>).
//!
//! A document is identified by the offset of its message, so a message must hold exactly one row; any other number is
//! rejected. All buffers are validated when they are read. Compressed buffers are not supported.

use std::panic::{AssertUnwindSafe, catch_unwind};

use arrow::array::RecordBatch;
use arrow::buffer::Buffer;
use arrow::ipc::reader::StreamDecoder;
use fenliu_schemas::Reject;

use crate::cells::Table;
use crate::undecoded::reject;

/// The first bytes of a file. After them, and zeros up to the writer's alignment, follow a stream and a footer.
const FILE_MAGIC: &[u8] = b"ARROW1";

/// The only row of a message.
///
/// # Errors
/// Rejects with `invalid_arrow`, or with `rows` if there is not exactly one row.
pub(super) fn read(payload: &[u8]) -> Result<Table, Reject> {
    // The decoder returns errors for most broken messages but panics on some, such as one with an unknown type. A panic
    // leaves no state behind, because the decoder is dropped. Memory is no concern: the decoder does not allocate by the
    // lengths that a message claims.
    let row = catch_unwind(AssertUnwindSafe(|| only_row(payload)))
        .map_err(|_| reject("invalid_arrow", "the message is broken".into()))??;
    Table::try_new(&row.into()).map_err(|error| reject("invalid_arrow", error.to_string()))
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
