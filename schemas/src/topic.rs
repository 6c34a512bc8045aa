//! What identifies a topic beside its name.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// What a sink remembers of a topic, in the same commit as its positions.
///
/// Offsets mean nothing after a topic was deleted and created again under the same name, and `start = "latest"`
/// must not skip messages of partitions that were added later. Both need more than the position.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopicIdentity {
    /// The id that the cluster gave to the topic at its creation (a UUID in base64). `None` where brokers
    /// do not tell it, or where the position was written by a release that did not store it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// How many partitions the topic had when the pipeline first saw it: `start = "latest"` holds for those
    /// below this number; later ones are read from their beginning. `None` where it was not stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latest_below: Option<i32>,
}

impl TopicIdentity {
    /// Takes over what `other` knows and this does not.
    pub fn fill_from(&mut self, other: &TopicIdentity) {
        self.id = self.id.take().or_else(|| other.id.clone());
        self.latest_below = self.latest_below.or(other.latest_below);
    }

    /// Whether both know the id and it differs: the topic was created again.
    pub fn contradicts(&self, other: &TopicIdentity) -> bool {
        matches!((&self.id, &other.id), (Some(one), Some(two)) if one != two)
    }
}

/// Identities by topic.
pub type Topics = BTreeMap<Arc<str>, TopicIdentity>;
