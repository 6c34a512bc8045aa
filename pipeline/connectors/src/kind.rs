//! What a kind of output is: everything that the rest of fenliu asks of it, in one trait.
//!
//! A kind is a folder whose configuration type implements [`SinkKind`], and a line in [`kinds`](crate::kinds).

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use bytesize::ByteSize;
use fenliu_config::Problems;
use fenliu_engine::{Error, Result, Sink};
use serde::Serialize;

use crate::cluster::{KafkaConfig, Topic};
use crate::reader::{ReadContext, Reader, VisitLetter};
use crate::resource::Resource;
use crate::selection::{Beside, Role, Selection};

/// One destination of rows, as a user configures it.
pub trait SinkKind: Debug + Send + Sync {
    /// Columns or SQL expressions to write; empty: all.
    fn columns(&self) -> &[String];

    /// SQL predicate over labelled rows; absent: all rows.
    fn filter(&self) -> Option<&str>;

    /// What the output needs of each row beside its columns, such as the key of a message.
    fn beside(&self, role: Role) -> Vec<Beside> {
        let _ = role;
        vec![]
    }

    /// When an epoch of this output closes at the latest, in place of the general bound.
    fn max_age(&self) -> Option<Duration> {
        None
    }

    /// Where rows go, for messages: a path, a table's name.
    fn destination(&self) -> String;

    /// The places that are written to: two outputs in one place would lose or mix rows. `kafka` is the cluster that is
    /// meant where none is named.
    fn resources(&self, kafka: &KafkaConfig) -> Vec<Resource>;

    /// Checks all values that need no rows; `key` is the output's in the configuration.
    fn check(&self, key: &str, role: Role, problems: &mut Problems);

    /// Compiles all that depends on the columns of the rows.
    ///
    /// # Errors
    /// Every column that the destination cannot have.
    fn compile(&self, key: &str, selection: Selection) -> Result<Box<dyn CompiledSink>, Problems>;

    /// What is in the output, for reading it back; `None` where it keeps nothing.
    ///
    /// # Errors
    /// A destination that does not answer or cannot be read.
    fn reader(&self, context: &ReadContext<'_>) -> Result<Option<Box<dyn Reader>>>;

    /// Shows `visit` all dead letters in the output, with the bytes of their messages if `payload`. `kafka` is the
    /// cluster that is meant where none is named.
    ///
    /// # Errors
    /// An output that holds no dead letters or cannot be read; the error of `visit`.
    fn letters(&self, kafka: &KafkaConfig, payload: bool, visit: &mut VisitLetter<'_>) -> Result<()> {
        let _ = (kafka, payload, visit);
        Err(Error::usage("outputs of this kind take no dead letters"))
    }

    /// Rewrites small files as large ones; `None` where the kind has no such upkeep.
    ///
    /// # Errors
    /// A destination that is not there or does not answer.
    fn compact(&self, upkeep: &Upkeep) -> Result<Option<Compacted>> {
        let _ = upkeep;
        Ok(None)
    }

    /// The topic, where the output is one: all topics of a cluster are written by one producer.
    fn topic(&self) -> Option<Topic> {
        None
    }
}

/// An output whose columns, partitions and predicates are compiled. It can be opened again and again: a pipeline that
/// loses its partitions starts over.
pub trait CompiledSink: Debug + Send + Sync {
    /// Opens the output; `pipeline` tells the positions of several pipelines apart.
    ///
    /// # Errors
    /// A destination that cannot be made or used.
    fn open(&self, pipeline: &str) -> Result<OpenSink>;

    /// The topic with the rows that go to it, where the output is one.
    fn topic(&self) -> Option<(Topic, Arc<Selection>)> {
        None
    }

    /// Checks what exists at the destination, for seconds at most and without making anything there. Returns an error
    /// if the destination does not answer, so that nothing is known of it.
    ///
    /// # Errors
    /// A destination that refuses the rows.
    fn examine(&self) -> Result<Option<Error>> {
        Ok(None)
    }
}

/// An open output.
pub enum OpenSink {
    /// It keeps positions of its own.
    Sink(Box<dyn Sink>),
    /// It is written together with the other topics, whose positions are the consumer group's offsets.
    Topic(Topic, Arc<Selection>),
    /// It can keep no position, so it is written before rows go to any output that does: a crash then repeats rows
    /// and loses none.
    Stream(Box<dyn Stream>),
}

/// An output without positions.
pub trait Stream: Send {
    /// Writes labelled rows and flushes.
    ///
    /// # Errors
    /// When the output was closed by its reader, or an expression fails on a row.
    fn write(&mut self, rows: &RecordBatch) -> Result<()>;
}

/// How to look after an output.
#[derive(Clone, Copy, Debug)]
pub struct Upkeep {
    /// About how large files become.
    pub target: ByteSize,
    /// Also remove files that have not been part of the data for so long; `None`: remove none.
    pub vacuum: Option<Duration>,
}

/// What compaction did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Compacted {
    /// The table.
    pub place: String,
    /// Files that were replaced.
    pub replaced: u64,
    /// Their bytes.
    pub bytes_replaced: u64,
    /// Files that took their place.
    pub added: u64,
    /// Their bytes.
    pub bytes_added: u64,
    /// Other files that were removed: old versions of a table, leftovers of failed commits.
    pub removed: u64,
}

/// The error of a kind that this binary was built without. The check of the configuration has reported it before.
#[cfg(not(all(feature = "delta", feature = "iceberg")))]
pub(crate) fn absent(key: &str, feature: &str) -> Problems {
    Problems::one(
        "config",
        key,
        format!("is of type {feature}, but this binary was built without the feature `{feature}`"),
    )
}
