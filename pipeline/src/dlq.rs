//! Reads dead letters back from the files or the topic that the pipeline wrote them to, and replays them.
//!
//! Contract: only committed dead letters are read (hidden files that no manifest names, and open transactions, are left
//! out), up to the end that the output has when reading starts. Dead letters are visited one by one, so that memory
//! holds only one small batch, however many there are. Reading changes nothing; [`replay`](mod@replay) only adds messages
//! to the topics that dead letters came from.

mod filter;
pub(crate) mod replay;
mod summary;

use std::ops::ControlFlow;
use std::path::PathBuf;

use fenliu_connectors::files::FilesSinkConfig;
use fenliu_connectors::reader::VisitLetter;
use fenliu_connectors::{DeadLetter, DeadLetterConfig, KafkaConfig};

use crate::error::Result;

pub(crate) use filter::Filter;
pub(crate) use summary::{DeadLetterGroup, DeadLetterSummary};

/// The place where dead letters are stored.
#[derive(Clone, Debug)]
pub(crate) struct Letters {
    output: DeadLetterConfig,
    kafka: KafkaConfig,
}

impl Letters {
    /// The dead letters of a pipeline with these settings.
    pub(crate) fn of(output: &DeadLetterConfig, kafka: &KafkaConfig) -> Self {
        Letters { output: output.clone(), kafka: kafka.clone() }
    }

    /// The dead letters in a file, or in a directory and its subdirectories.
    pub(crate) fn at(path: PathBuf) -> Self {
        let files = FilesSinkConfig { path, ..FilesSinkConfig::default() };
        Letters { output: files.into(), kafka: KafkaConfig::default() }
    }

    /// Calls `visit` with each dead letter that matches `filter`. Payloads are read only if `payload` is set, because they
    /// are most of the data.
    ///
    /// # Errors
    /// A file cannot be read or contains no dead letters, a broker does not answer, or `visit` fails.
    pub(crate) fn read(&self, filter: &Filter, payload: bool, visit: &mut VisitLetter<'_>) -> Result<()> {
        self.output.letters(&self.kafka, payload, &mut |letter: DeadLetter| {
            if filter.matches(&letter) { visit(letter) } else { Ok(ControlFlow::Continue(())) }
        })
    }
}
