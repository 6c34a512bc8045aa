//! What a kind of source is: everything that the rest of fenliu asks of it, in one trait.

use std::fmt::Debug;
use std::sync::Arc;

use fenliu_config::Problems;
use fenliu_decode::Decoder;
use fenliu_engine::Result;
use fenliu_engine::metrics::Metrics;
use fenliu_engine::progress::Progress;

use crate::assemble::Assembler;
use crate::cluster::KafkaConfig;
use crate::history::History;
use crate::kafka::{KafkaConsumer, KafkaSourceConfig};
use crate::links::SinkLinks;
use crate::resource::Resource;
use crate::source::Source;

/// Where documents come from, as a user configures it.
pub trait SourceKind: Debug + Send + Sync {
    /// Checks all values.
    fn check(&self, problems: &mut Problems);

    /// Whether documents are rows of files and not messages of topics. The format of a file follows from the ending of
    /// its name.
    fn is_of_files(&self) -> bool {
        false
    }

    /// The consumer group, where documents are messages of topics.
    fn group(&self) -> Option<&KafkaSourceConfig> {
        None
    }

    /// Connects to the source, by default in the name of `pipeline`; nothing is read yet. `kafka` is the pipeline's
    /// cluster.
    ///
    /// # Errors
    /// Settings that cannot work together.
    fn connect(&self, kafka: &KafkaConfig, pipeline: &str) -> Result<Box<dyn Connection>>;

    /// The documents that the source has, as the pipeline's `decoder` finds them. `kafka` is the pipeline's cluster.
    ///
    /// # Errors
    /// Files that cannot be read, a broker that is gone.
    fn history(&self, kafka: &KafkaConfig, decoder: &Decoder) -> Result<Box<dyn History>>;

    /// Which fields of the first documents serve which parts, as `decoder` finds them, for whoever checks a
    /// configuration: lines of text. Empty where that cannot be known without reading a topic.
    ///
    /// # Errors
    /// Files that cannot be read.
    fn describe(&self, decoder: &Decoder) -> Result<Vec<String>> {
        let _ = decoder;
        Ok(vec![])
    }

    /// The setting by which the source reads `resource`, if it does: an output there would be an endless loop. `kafka`
    /// is the pipeline's cluster.
    fn reads(&self, resource: &Resource, kafka: &KafkaConfig) -> Option<String> {
        let _ = (resource, kafka);
        None
    }
}

/// A source that is connected. It outlives the thread that reads it: sinks may commit as the same member of a group.
pub trait Connection {
    /// The member of the consumer group; `None` where the source has none.
    fn member(&self) -> Option<&Arc<KafkaConsumer>> {
        None
    }

    /// What reads the documents.
    ///
    /// # Errors
    /// Documents that cannot be read as `feed` wants.
    fn open(&self, feed: Feed) -> Result<Box<dyn Source>>;

    /// Checks that nothing has made the source unusable for good.
    ///
    /// # Errors
    /// Why it is unusable. This is then the reason why a pipeline failed, whichever part noticed it first.
    fn check(&self) -> Result<()> {
        Ok(())
    }

    /// Lets go of the source, when all sinks have ended.
    fn leave(self: Box<Self>) {}
}

/// What a source needs to feed a pipeline.
pub struct Feed {
    /// Makes batches.
    pub assembler: Assembler,
    /// What the source counts.
    pub metrics: Arc<Metrics>,
    /// How far the partitions are, for those who watch the lag.
    pub progress: Arc<Progress>,
    /// The way to the sinks.
    pub links: SinkLinks,
    /// End where the input ends at present, instead of waiting for more.
    pub stop_at_end: bool,
    /// Whether the source stores how far all sinks are, for those who watch its lag; if not, a sink does.
    pub commits_offsets: bool,
    /// Whether the keys of messages are used, and so kept.
    pub keeps_keys: bool,
    /// Whether the headers of messages are used, and so kept.
    pub keeps_headers: bool,
}
