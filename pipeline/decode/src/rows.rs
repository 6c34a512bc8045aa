//! Decodes messages into batches of raw rows.

use ::arrow::array::RecordBatch;
use fenliu_engine::Result;
use fenliu_schemas::{KeyAndHeaders, Origin, RawBuilder};

use crate::decoder::Decoder;
use crate::file::{Content, FileRules};
use crate::time::parse_millis;
use crate::undecoded::Undecoded;

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pushed {
    /// It is a row, perhaps one with the reason of its rejection.
    Row,
    /// It deletes a document, and is no row.
    Skipped,
    /// It was not taken, because the schema registry does not answer; it has to be pushed again later.
    NotTaken,
}

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

    /// Adds one message: `payload` is its value, if it has one, and `message` its key and headers.
    ///
    /// # Errors
    /// No message can be decoded any more, for example because the registry refuses the password.
    pub fn push(
        &mut self,
        origin: Origin<'_>,
        message: KeyAndHeaders<'_>,
        payload: Option<&[u8]>,
    ) -> Result<Pushed> {
        let decoded = self.decoder.decode_message(payload);
        let mut document = match decoded {
            Ok(document) => Ok(document),
            Err(why) if self.decoder.is_skipped(&why) => return Ok(Pushed::Skipped),
            Err(Undecoded::Reject(reject)) => Err(reject),
            Err(Undecoded::Wait) => return Ok(Pushed::NotTaken),
            Err(Undecoded::Failed(error)) => return Err(error),
        };
        // Producers set the timestamp, some of them in microseconds, which as milliseconds are no time of any calendar.
        let timestamp_ms = origin.timestamp_ms.filter(|millis| parse_millis(*millis).is_ok());
        if let Ok(document) = &mut document
            && timestamp_ms != origin.timestamp_ms
        {
            document.warnings.add("kafka_timestamp", "unreadable");
        }
        self.builder.append_message(Origin { timestamp_ms, ..origin }, message, payload, &document);
        Ok(Pushed::Row)
    }

    /// Adds one row of a file. It is always taken, since rows of files need no schema registry.
    ///
    /// # Errors
    /// No row can be decoded any more.
    pub fn push_row(&mut self, origin: Origin<'_>, row: &Content) -> Result<Pushed> {
        let document = match self.decoder.decode_row(row) {
            Ok(document) => Ok(document),
            Err(why) if self.decoder.is_skipped(&why) => return Ok(Pushed::Skipped),
            Err(Undecoded::Failed(error)) => return Err(error),
            Err(why) => Err(why.into_reject()),
        };
        self.builder.append(origin, row.payload(), &document);
        Ok(Pushed::Row)
    }

    /// Columns that all rows to come have beside their own.
    pub fn set_columns(&mut self, columns: Vec<(String, String)>) {
        self.decoder.set_columns(columns);
    }

    /// How files are read for what the rows are decoded to.
    pub fn file_rules(&self) -> FileRules {
        self.decoder.file_rules()
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
