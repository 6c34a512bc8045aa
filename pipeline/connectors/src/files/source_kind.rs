//! Files as a kind of source.

use fenliu_config::Problems;
use fenliu_engine::Result;

use super::config::FilesSourceConfig;
use super::history::Files;
use crate::cluster::KafkaConfig;
use crate::history::History;
use crate::source_kind::SourceKind;

impl SourceKind for FilesSourceConfig {
    fn check(&self, problems: &mut Problems) {
        problems.require(!self.paths.is_empty(), "source.paths", "empty", "a list of files or directories");
        for path in self.paths.iter().filter(|path| !path.exists()) {
            problems.add("source.paths", format!("names {}, which does not exist", path.display()));
        }
    }

    fn history(&self, _: &KafkaConfig) -> Result<Box<dyn History>> {
        Ok(Box::new(Files::open(&self.paths)?))
    }

    fn is_of_files(&self) -> bool {
        true
    }
}
