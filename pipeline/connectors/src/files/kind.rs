//! Files as a kind of output.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use fenliu_config::{Problems, check_place};
use fenliu_engine::Result;

use super::config::FilesSinkConfig;
use super::letters;
use super::partition::Partitioning;
use super::reader::DirectoryReader;
use super::sink::FilesSink;
use crate::cluster::KafkaConfig;
use crate::kind::{CompiledSink, OpenSink, SinkKind};
use crate::reader::{ReadContext, Reader, VisitLetter};
use crate::resource::Resource;
use crate::selection::{Role, Selection};

impl SinkKind for FilesSinkConfig {
    fn columns(&self) -> &[String] {
        &self.columns
    }

    fn filter(&self) -> Option<&str> {
        self.filter.as_deref()
    }

    fn max_age(&self) -> Option<Duration> {
        self.max_age
    }

    fn destination(&self) -> String {
        self.path.display().to_string()
    }

    fn resources(&self, _: &KafkaConfig) -> Vec<Resource> {
        vec![Resource::directory(&self.path)]
    }

    fn check(&self, key: &str, _: Role, problems: &mut Problems) {
        check_place(&self.path.to_string_lossy(), &self.storage, cfg!(feature = "s3"), key, problems);
        if Path::new(&self.path).is_file() {
            let shown = self.path.display();
            problems.add(format!("{key}.path"), format!("is {shown}, a file, but must be a directory"));
        }
        let is_never = self.max_age.is_some_and(|age| age.is_zero());
        problems.require(!is_never, &format!("{key}.max_age"), "0s", "longer than 0s");
    }

    fn compile(&self, key: &str, selection: Selection) -> Result<Box<dyn CompiledSink>, Problems> {
        let partitioning = Partitioning::try_new(selection.schema(), &self.partition_by)
            .map_err(|problem| Problems::one("config", &format!("{key}.partition_by"), problem))?;
        let selection = Arc::new(selection);
        Ok(Box::new(CompiledFiles { config: self.clone(), selection, partitioning }))
    }

    fn reader(&self, context: &ReadContext<'_>) -> Result<Option<Box<dyn Reader>>> {
        Ok(Some(Box::new(DirectoryReader::open(self, context.pipeline)?)))
    }

    fn letters(&self, _: &KafkaConfig, payload: bool, visit: &mut VisitLetter<'_>) -> Result<()> {
        letters::read(&self.path, &self.storage, payload, visit)
    }
}

#[derive(Debug)]
struct CompiledFiles {
    config: FilesSinkConfig,
    selection: Arc<Selection>,
    partitioning: Partitioning,
}

impl CompiledSink for CompiledFiles {
    fn open(&self, pipeline: &str) -> Result<OpenSink> {
        let (selection, partitioning) = (Arc::clone(&self.selection), self.partitioning.clone());
        Ok(OpenSink::Sink(Box::new(FilesSink::try_new(&self.config, pipeline, selection, partitioning)?)))
    }
}
