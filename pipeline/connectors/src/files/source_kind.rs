//! Files as a kind of source.

use fenliu_config::Problems;
use fenliu_engine::Result;

use super::config::FilesSourceConfig;
use super::history::Files;
use super::source::FilesSource;
use crate::cluster::KafkaConfig;
use crate::history::History;
use crate::source::Source;
use crate::source_kind::{Connection, Feed, SourceKind};

impl SourceKind for FilesSourceConfig {
    fn check(&self, problems: &mut Problems) {
        problems.require(!self.paths.is_empty(), "source.paths", "empty", "a list of files or directories");
        for path in self.paths.iter().filter(|path| !path.exists()) {
            problems.add("source.paths", format!("names {}, which does not exist", path.display()));
        }
    }

    fn connect(&self, _: &KafkaConfig, _: &str) -> Result<Box<dyn Connection>> {
        Ok(Box::new(self.clone()))
    }

    fn history(&self, _: &KafkaConfig) -> Result<Box<dyn History>> {
        Ok(Box::new(Files::open(&self.paths)?))
    }

    fn is_of_files(&self) -> bool {
        true
    }
}

impl Connection for FilesSourceConfig {
    fn open(&self, Feed { assembler, links, .. }: Feed) -> Result<Box<dyn Source>> {
        Ok(Box::new(FilesSource::try_new(&self.paths, assembler, links)?))
    }
}
