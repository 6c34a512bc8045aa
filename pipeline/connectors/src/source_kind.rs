//! What a kind of source is: everything that the rest of fenliu asks of it, in one trait.

use std::fmt::Debug;

use fenliu_config::Problems;
use fenliu_engine::Result;

use crate::cluster::KafkaConfig;
use crate::history::History;
use crate::kafka::KafkaSourceConfig;
use crate::resource::Resource;

/// Where documents come from, as a user configures it.
pub trait SourceKind: Debug + Send + Sync {
    /// Checks all values.
    fn check(&self, problems: &mut Problems);

    /// Whether documents are rows of files, which are told by their endings, and not messages.
    fn is_of_files(&self) -> bool {
        false
    }

    /// The consumer group, where documents are messages of topics.
    fn group(&self) -> Option<&KafkaSourceConfig> {
        None
    }

    /// The documents that the source has. `kafka` is the pipeline's cluster.
    ///
    /// # Errors
    /// Files that cannot be read, a broker that is gone.
    fn history(&self, kafka: &KafkaConfig) -> Result<Box<dyn History>>;

    /// By which setting the source reads `resource`, if it does: writing there would be an endless loop. `kafka` is the
    /// pipeline's cluster.
    fn reads(&self, resource: &Resource, kafka: &KafkaConfig) -> Option<String> {
        let _ = (resource, kafka);
        None
    }
}
