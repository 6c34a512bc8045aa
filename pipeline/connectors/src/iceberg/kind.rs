//! Apache Iceberg tables as a kind of output.

use std::time::Duration;

use fenliu_config::Problems;
use fenliu_engine::Result;

use super::config::IcebergSinkConfig;
use crate::cluster::KafkaConfig;
use crate::kind::{CompiledSink, SinkKind};
use crate::reader::{ReadContext, Reader};
use crate::resource::Resource;
use crate::selection::{Role, Selection};

impl SinkKind for IcebergSinkConfig {
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
        format!("{}.{}", self.namespace, self.table)
    }

    fn resources(&self, _: &KafkaConfig) -> Vec<Resource> {
        let IcebergSinkConfig { catalog, namespace, table, .. } = self;
        let parts = [&catalog.uri, &catalog.name, namespace, table].map(String::clone);
        vec![Resource::named("table", self.destination(), parts.to_vec())]
    }

    fn check(&self, key: &str, _: Role, problems: &mut Problems) {
        if !cfg!(feature = "iceberg") {
            problems.add(key, "is of type iceberg, but this binary was built without the feature `iceberg`");
        }
        self.check_values(key, problems);
    }

    fn compile(&self, key: &str, selection: Selection) -> Result<Box<dyn CompiledSink>, Problems> {
        compile(self, key, selection)
    }

    fn reader(&self, context: &ReadContext<'_>) -> Result<Option<Box<dyn Reader>>> {
        reader(self, context)
    }
}

#[cfg(feature = "iceberg")]
use self::with_library::{compile, reader};
#[cfg(not(feature = "iceberg"))]
use self::without_library::{compile, reader};

#[cfg(feature = "iceberg")]
mod with_library {
    use std::sync::Arc;

    use super::super::reader::IcebergReader;
    use super::super::sink::{CompiledTable, IcebergSink};
    use super::*;
    use crate::kind::OpenSink;

    pub(super) fn compile(
        config: &IcebergSinkConfig,
        key: &str,
        selection: Selection,
    ) -> Result<Box<dyn CompiledSink>, Problems> {
        let table = CompiledTable::try_new(config, key, selection.schema())?;
        Ok(Box::new(CompiledIceberg { table, selection: Arc::new(selection) }))
    }

    pub(super) fn reader(
        config: &IcebergSinkConfig,
        context: &ReadContext<'_>,
    ) -> Result<Option<Box<dyn Reader>>> {
        Ok(Some(Box::new(IcebergReader::open(config, context.pipeline)?)))
    }

    #[derive(Debug)]
    struct CompiledIceberg {
        table: CompiledTable,
        selection: Arc<Selection>,
    }

    impl CompiledSink for CompiledIceberg {
        fn open(&self, pipeline: &str) -> Result<OpenSink> {
            let sink = IcebergSink::try_new(self.table.clone(), pipeline, Arc::clone(&self.selection))?;
            Ok(OpenSink::Sink(Box::new(sink)))
        }
    }
}

#[cfg(not(feature = "iceberg"))]
mod without_library {
    use super::*;
    use crate::kind::absent;

    pub(super) fn compile(
        _: &IcebergSinkConfig,
        key: &str,
        _: Selection,
    ) -> Result<Box<dyn CompiledSink>, Problems> {
        Err(absent(key, "iceberg"))
    }

    pub(super) fn reader(_: &IcebergSinkConfig, _: &ReadContext<'_>) -> Result<Option<Box<dyn Reader>>> {
        Err(absent("sinks", "iceberg").into())
    }
}
