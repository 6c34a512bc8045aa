//! Dead letters, read back: from the files or the topic that the pipeline wrote them to.
//!
//! Contract: what is read is what is committed (hidden files that no manifest names and open transactions are not),
//! up to where it ends at the start. Letters are shown one by one, so that memory holds one small batch of them
//! however many there are. Reading changes nothing; [`replay`](mod@replay) only adds messages to the topics that letters
//! came from.

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

/// Where dead letters are.
#[derive(Clone, Debug)]
pub(crate) struct Letters {
    output: DeadLetterConfig,
    kafka: KafkaConfig,
}

impl Letters {
    /// The letters that a pipeline with these settings writes.
    pub(crate) fn of(output: &DeadLetterConfig, kafka: &KafkaConfig) -> Self {
        Letters { output: output.clone(), kafka: kafka.clone() }
    }

    /// The letters in a file, or in a directory with all below it.
    pub(crate) fn at(path: PathBuf) -> Self {
        let files = FilesSinkConfig { path, ..FilesSinkConfig::default() };
        Letters { output: files.into(), kafka: KafkaConfig::default() }
    }

    /// Shows `visit` the letters that `filter` lets through, with their payloads if `payload`.
    ///
    /// # Errors
    /// Files that cannot be read or hold no dead letters, a broker that does not answer, the error of `visit`.
    pub(crate) fn read(&self, filter: &Filter, payload: bool, visit: &mut VisitLetter<'_>) -> Result<()> {
        self.output.letters(&self.kafka, payload, &mut |letter: DeadLetter| {
            if filter.matches(&letter) { visit(letter) } else { Ok(ControlFlow::Continue(())) }
        })
    }
}
