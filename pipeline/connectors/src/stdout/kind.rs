//! Standard output as a kind of output.

use fenliu_config::Problems;
use fenliu_engine::Result;

use super::config::StdoutSinkConfig;
use super::sink::StdoutSink;
use crate::cluster::KafkaConfig;
use crate::kind::{CompiledSink, OpenSink, SinkKind};
use crate::reader::{ReadContext, Reader};
use crate::resource::Resource;
use crate::selection::{Role, Selection};

impl SinkKind for StdoutSinkConfig {
    fn columns(&self) -> &[String] {
        &self.columns
    }

    fn filter(&self) -> Option<&str> {
        self.filter.as_deref()
    }

    fn destination(&self) -> String {
        "stdout".into()
    }

    fn resources(&self, _: &KafkaConfig) -> Vec<Resource> {
        vec![Resource::named("output", "standard output".into(), vec!["stdout".into()])]
    }

    fn check(&self, _: &str, _: Role, _: &mut Problems) {}

    fn compile(&self, _: &str, selection: Selection) -> Result<Box<dyn CompiledSink>, Problems> {
        Ok(Box::new(CompiledStdout { selection }))
    }

    fn reader(&self, _: &ReadContext<'_>) -> Result<Option<Box<dyn Reader>>> {
        Ok(None)
    }
}

#[derive(Debug)]
struct CompiledStdout {
    selection: Selection,
}

impl CompiledSink for CompiledStdout {
    fn open(&self, _: &str) -> Result<OpenSink> {
        Ok(OpenSink::Stream(Box::new(StdoutSink::new(self.selection.clone()))))
    }
}
