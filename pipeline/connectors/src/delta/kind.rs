//! Delta Lake tables as a kind of output.

use std::path::Path;
use std::time::Duration;

use arrow::datatypes::Schema;
use fenliu_config::{Problems, check_place};
use fenliu_engine::Result;

use super::config::DeltaSinkConfig;
use crate::cluster::KafkaConfig;
use crate::kind::{Compacted, CompiledSink, SinkKind, Upkeep};
use crate::reader::{ReadContext, Reader};
use crate::resource::Resource;
use crate::selection::{Role, Selection};

impl SinkKind for DeltaSinkConfig {
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
        self.path.clone()
    }

    fn resources(&self, _: &KafkaConfig) -> Vec<Resource> {
        vec![Resource::directory(Path::new(&self.path))]
    }

    fn check(&self, key: &str, _: Role, problems: &mut Problems) {
        if !cfg!(feature = "delta") {
            problems.add(key, "is of type delta, but this binary was built without the feature `delta`");
        }
        check_place(&self.path, &self.storage, cfg!(feature = "s3"), key, problems);
        let is_never = self.max_age.is_some_and(|age| age.is_zero());
        problems.require(!is_never, &format!("{key}.max_age"), "0s", "longer than 0s");
    }

    fn compile(&self, key: &str, selection: Selection) -> Result<Box<dyn CompiledSink>, Problems> {
        let mut problems = Problems::new("config");
        self.check_columns(key, selection.schema(), &mut problems);
        let compiled = compile(self, key, selection)?;
        problems.into_result(compiled)
    }

    fn reader(&self, context: &ReadContext<'_>) -> Result<Option<Box<dyn Reader>>> {
        reader(self, context)
    }

    fn compact(&self, upkeep: &Upkeep) -> Result<Option<Compacted>> {
        compact(self, upkeep)
    }
}

impl DeltaSinkConfig {
    /// Checks the partitions of a table of rows of `schema`.
    fn check_columns(&self, key: &str, schema: &Schema, problems: &mut Problems) {
        for name in self.partition_by.iter().filter(|name| schema.column_with_name(name).is_none()) {
            problems.add(
                format!("{key}.partition_by"),
                format!("names `{name}`, which is no column of the rows"),
            );
        }
        if self.partition_by.len() >= schema.fields().len() {
            problems.add(format!("{key}.partition_by"), "leaves no column for the files");
        }
    }
}

#[cfg(feature = "delta")]
use self::with_library::{compact, compile, reader};
#[cfg(not(feature = "delta"))]
use self::without_library::{compact, compile, reader};

#[cfg(feature = "delta")]
mod with_library {
    use std::sync::Arc;

    use fenliu_engine::Error;

    use super::super::compact::compact as compact_table;
    use super::super::reader::TableReader;
    use super::super::sink::{DeltaSink, preflight};
    use super::*;
    use crate::kind::OpenSink;

    pub(super) fn compile(
        config: &DeltaSinkConfig,
        _: &str,
        selection: Selection,
    ) -> Result<Box<dyn CompiledSink>, Problems> {
        Ok(Box::new(CompiledDelta { config: config.clone(), selection: Arc::new(selection) }))
    }

    pub(super) fn reader(
        config: &DeltaSinkConfig,
        context: &ReadContext<'_>,
    ) -> Result<Option<Box<dyn Reader>>> {
        Ok(Some(Box::new(TableReader::open(config, context.pipeline, context.partitions)?)))
    }

    pub(super) fn compact(config: &DeltaSinkConfig, upkeep: &Upkeep) -> Result<Option<Compacted>> {
        compact_table(config, upkeep.target, upkeep.vacuum).map(Some)
    }

    #[derive(Debug)]
    struct CompiledDelta {
        config: DeltaSinkConfig,
        selection: Arc<Selection>,
    }

    impl CompiledSink for CompiledDelta {
        fn open(&self, pipeline: &str) -> Result<OpenSink> {
            let sink = DeltaSink::try_new(&self.config, pipeline, Arc::clone(&self.selection))?;
            Ok(OpenSink::Sink(Box::new(sink)))
        }

        fn examine(&self) -> Result<Option<Error>> {
            preflight(&self.config, &self.selection)
        }
    }
}

#[cfg(not(feature = "delta"))]
mod without_library {
    use super::*;
    use crate::kind::absent;

    pub(super) fn compile(
        _: &DeltaSinkConfig,
        key: &str,
        _: Selection,
    ) -> Result<Box<dyn CompiledSink>, Problems> {
        Err(absent(key, "delta"))
    }

    pub(super) fn reader(_: &DeltaSinkConfig, _: &ReadContext<'_>) -> Result<Option<Box<dyn Reader>>> {
        Err(absent("sinks", "delta").into())
    }

    pub(super) fn compact(_: &DeltaSinkConfig, _: &Upkeep) -> Result<Option<Compacted>> {
        Err(absent("sinks", "delta").into())
    }
}
