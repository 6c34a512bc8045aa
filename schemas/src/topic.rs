//! What identifies a Kafka topic beside its name.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// What a sink stores about a topic, in the same commit as its positions.
///
/// A position alone is not enough in two cases. After a topic was deleted and recreated under the same name, its offsets
/// denote other messages. And with `start = "latest"`, partitions that are added later must be read from their beginning.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopicIdentity {
    /// The id that the cluster gave to the topic when it was created (a UUID in base64). `None` if the brokers do not
    /// report it, or if the position was written by a release that did not store it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// How many partitions the topic had when the pipeline first saw it. `start = "latest"` applies to the partitions
    /// below this number; all others are read from their beginning. `None` if it was not stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latest_below: Option<i32>,
}

impl TopicIdentity {
    /// Fills in the values that are missing here from `other`.
    pub fn fill_from(&mut self, other: &TopicIdentity) {
        self.id = self.id.take().or_else(|| other.id.clone());
        self.latest_below = self.latest_below.or(other.latest_below);
    }

    /// Whether both ids are known and differ, which means that the topic was deleted and recreated.
    pub fn contradicts(&self, other: &TopicIdentity) -> bool {
        matches!((&self.id, &other.id), (Some(one), Some(two)) if one != two)
    }
}

/// Identities by topic.
pub type Topics = BTreeMap<Arc<str>, TopicIdentity>;
