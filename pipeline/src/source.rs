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

use fenliu_schemas::Offsets;

use crate::batch::{Batch, Budget};
use crate::config::{SourceConfig, ValidatedConfig};
use crate::error::Result;
use crate::shutdown::Shutdown;
use crate::stage::Meter;

pub use assemble::Assembler;
pub use decode::{Decoder, Undecoded, registry_types};
pub use files::{Documents, FilesSource, data_files, files_in};

/// Makes batches until its input ends or shutdown is asked for.
pub trait Source: Send {
    /// Sends batches to `out`; returns when there is no more, or when `out` is closed.
    ///
    /// # Errors
    /// What makes going on impossible. Documents that are bad are not errors.
    fn run(self: Box<Self>, out: &SyncSender<Batch>, meter: &Meter, shutdown: &Shutdown) -> Result<()>;
}

/// Tells the source that rows are durable, so that they are not read again after a restart.
pub trait Commit: Send {
    /// Everything in `offsets` is durable in all sinks.
    ///
    /// # Errors
    /// What makes going on impossible. A position that could not be stored for now is not: it is stored
    /// with the next.
    fn commit(&mut self, offsets: &Offsets) -> Result<()>;

    /// There will be no more commits: stores what could not be stored before.
    ///
    /// # Errors
    /// When it still cannot be stored; the rows are read again by the next run.
    fn finish(&mut self) -> Result<()>;
}

/// Opens the configured source. With `stop_at_end` it ends where the input ends at present, instead of
/// waiting for more.
///
/// # Errors
/// Unreadable files, a schema that does not suit, Kafka properties that librdkafka refuses.
pub fn open(
    config: &ValidatedConfig,
    budget: Budget,
    stop_at_end: bool,
) -> Result<(Box<dyn Source>, Box<dyn Commit>)> {
    let assembler = Assembler::try_new(config, budget)?;
    match &config.source {
        SourceConfig::Kafka(source) => {
            let consumer = Arc::new(kafka::connect(config, source)?);
            let committer = kafka::KafkaCommit::new(Arc::clone(&consumer));
            let source = kafka::KafkaSource::try_new(consumer, source, assembler, stop_at_end)?;
            Ok((Box::new(source), Box::new(committer)))
        }
        SourceConfig::Files(source) => {
            let source = FilesSource::try_new(&source.paths, assembler)?;
            Ok((Box::new(source), Box::new(files::NothingToCommit)))
        }
    }
}
