//! Files as a kind of source.

use fenliu_config::{Problems, is_object};
use fenliu_decode::Decoder;
use fenliu_engine::Result;

use super::config::FilesSourceConfig;
use super::describe::describe;
use super::find::is_pattern;
use super::history::Files;
use super::source::FilesSource;
use crate::cluster::KafkaConfig;
use crate::history::History;
use crate::source::Source;
use crate::source_kind::{Connection, Feed, SourceKind};

impl SourceKind for FilesSourceConfig {
    fn check(&self, problems: &mut Problems) {
        problems.require(!self.paths.is_empty(), "source.paths", "empty", "a list of files or directories");
        for path in self
            .paths
            .iter()
            .filter(|path| !path.exists() && !is_pattern(path) && !path.to_str().is_some_and(is_object))
        {
            problems.add("source.paths", format!("names {}, which does not exist", path.display()));
        }
    }

    fn connect(&self, _: &KafkaConfig, _: &str) -> Result<Box<dyn Connection>> {
        Ok(Box::new(self.clone()))
    }

    fn history(&self, _: &KafkaConfig, decoder: &Decoder) -> Result<Box<dyn History>> {
        Ok(Box::new(Files::open(self, decoder)?))
    }

    fn describe(&self, decoder: &Decoder) -> Result<Vec<String>> {
        describe(self, decoder)
    }

    fn is_of_files(&self) -> bool {
        true
    }
}

impl Connection for FilesSourceConfig {
    fn open(&self, Feed { assembler, links, .. }: Feed) -> Result<Box<dyn Source>> {
        Ok(Box::new(FilesSource::try_new(self, assembler, links)?))
    }
}
