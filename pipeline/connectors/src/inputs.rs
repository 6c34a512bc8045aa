//! Sources: where documents come from.
//!
//! A source turns messages into [`Batch`]es of raw rows and remembers, in each batch's offsets, which
//! positions it covers. It draws each batch's bytes from the [`Budget`] *before* handing it on, so
//! memory is bounded however far the stages behind lag. It never drops a message: one that cannot be
//! decoded becomes a row with a reject reason.
//!
//! To add a source: a variant of [`SourceConfig`], a file here, an arm in [`open`].

mod assemble;
mod decode;
mod files;
mod kafka;
pub(crate) mod time;

use std::sync::Arc;
use std::sync::mpsc::SyncSender;

use fenliu_schemas::Positions;

use crate::batch::{Batch, Budget};
use crate::config::{SourceConfig, ValidatedConfig};
use crate::error::{PipelineError, Result};
use crate::kafka::KafkaConsumer;
use crate::ledger::Ledger;
use crate::shutdown::Shutdown;
use crate::stage::Meter;

pub use assemble::Assembler;
pub use decode::{Decoder, Undecoded, registry_types};
pub use files::{Documents, FilesSource, data_files, files_in};
pub use kafka::{KafkaCommit, leave};

/// Makes batches until its input ends or shutdown is asked for.
pub trait Source: Send {
    /// Sends batches to `out`; returns when there is no more, or when `out` is closed.
    ///
    /// # Errors
    /// What makes going on impossible. Documents that are bad are not errors.
    fn run(self: Box<Self>, out: &SyncSender<Batch>, meter: &Meter, shutdown: &Shutdown) -> Result<()>;
}

/// Tells the source what all sinks have, for those who watch its lag.
pub trait Commit: Send {
    /// Every sink has everything before `positions`. What cannot be stored for now is stored with the next.
    fn commit(&mut self, positions: &Positions);

    /// There will be no more commits: stores what could not be stored before.
    ///
    /// # Errors
    /// When it still cannot be stored.
    fn finish(&mut self) -> Result<()>;
}

/// For sources that nobody watches, and where a sink stores the positions itself.
pub struct NothingToCommit;

impl Commit for NothingToCommit {
    fn commit(&mut self, _: &Positions) {}

    fn finish(&mut self) -> Result<()> {
        Ok(())
    }
}

/// Opens the configured source; `consumer` is that of a Kafka source. It begins where the sinks in `ledger`
/// stand. With `stop_at_end` it ends where the input ends at present, instead of waiting for more.
///
/// # Errors
/// Unreadable files, a schema that does not suit, topics that Kafka does not allow.
pub fn open(
    config: &ValidatedConfig,
    consumer: Option<Arc<KafkaConsumer>>,
    ledger: Arc<Ledger>,
    stop_at_end: bool,
) -> Result<Box<dyn Source>> {
    let assembler = Assembler::try_new(config, Budget::new(config.limits.memory.as_u64()))?;
    Ok(match (&config.source, consumer) {
        (SourceConfig::Kafka(source), Some(consumer)) => {
            let drain_limit = kafka::drain_limit(&config.kafka, source);
            Box::new(kafka::KafkaSource::try_new(
                consumer,
                source,
                assembler,
                ledger,
                stop_at_end,
                drain_limit,
            )?)
        }
        (SourceConfig::Kafka(_), None) => {
            return Err(PipelineError::Data("a Kafka source without a consumer".into()));
        }
        (SourceConfig::Files(source), _) => Box::new(FilesSource::try_new(&source.paths, assembler, ledger)?),
    })
}
