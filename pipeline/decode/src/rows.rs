//! Decodes messages into batches of raw rows.

use ::arrow::array::RecordBatch;
use fenliu_engine::Result;
use fenliu_schemas::{KeyAndHeaders, Origin, RawBuilder};

use crate::decoder::Decoder;
use crate::undecoded::Undecoded;

/// Decodes messages and collects them in a batch of raw rows. A message that cannot be decoded becomes a row with the
/// reason of its rejection.
#[derive(Debug)]
pub struct RawRows {
    decoder: Decoder,
    builder: RawBuilder,
}

impl RawRows {
    /// No rows yet.
    pub fn new(decoder: Decoder) -> Self {
        RawRows { decoder, builder: RawBuilder::default() }
    }

    /// Adds one message: `payload` is its value, `message` its key and headers. Returns false if the message was
    /// not taken, because the schema registry does not answer; the caller has to push it again later.
    ///
    /// # Errors
    /// No message can be decoded any more, for example because the registry refuses the password.
    pub fn push(&mut self, origin: Origin<'_>, message: KeyAndHeaders<'_>, payload: &[u8]) -> Result<bool> {
        let document = match self.decoder.decode(payload) {
            Ok(document) => Ok(document),
            Err(Undecoded::Reject(reject)) => Err(reject),
            Err(Undecoded::Wait) => return Ok(false),
            Err(Undecoded::Failed(error)) => return Err(error),
        };
        // Producers set the timestamp; one that overflows when it is converted to microseconds is dropped.
        let timestamp_ms = origin.timestamp_ms.filter(|time| time.checked_mul(1000).is_some());
        self.builder.append_message(Origin { timestamp_ms, ..origin }, message, payload, &document);
        Ok(true)
    }

    /// The number of rows.
    pub fn len(&self) -> usize {
        self.builder.len()
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.builder.is_empty()
    }

    /// Returns the rows and starts again with none.
    ///
    /// # Errors
    /// A text column is larger than 2 GiB, Arrow's bound for `Utf8`.
    pub fn finish(&mut self) -> Result<RecordBatch> {
        Ok(self.builder.finish()?)
    }
}
