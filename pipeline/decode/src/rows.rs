//! From messages to raw rows.

use ::arrow::array::RecordBatch;
use fenliu_engine::Result;
use fenliu_schemas::{KeyAndHeaders, Origin, RawBuilder};

use crate::decoder::Decoder;
use crate::undecoded::Undecoded;

/// Decodes messages and collects them to a batch of raw rows. A message that is no document is a row with the reason.
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

    /// Adds one message; `message` is what it has beside `payload`, its value. `false`: it was not taken, since the schema registry does not answer; push it again a little
    /// later.
    ///
    /// # Errors
    /// When nothing can be decoded any more.
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

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.builder.len()
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.builder.is_empty()
    }

    /// Hands the rows out and starts with none.
    ///
    /// # Errors
    /// When a text column passes Arrow's bound of 2 GiB.
    pub fn finish(&mut self) -> Result<RecordBatch> {
        Ok(self.builder.finish()?)
    }
}
