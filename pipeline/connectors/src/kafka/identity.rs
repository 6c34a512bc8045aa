//! The identity of topics, which is stored with each position: under the same name a topic can be another one.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use fenliu_engine::Result;
use fenliu_schemas::{TopicIdentity, Topics};
use rdkafka::TopicPartitionList;
use rdkafka::client::{Client, ClientContext};
use rdkafka::metadata::{Metadata, MetadataBroker};
use serde::{Deserialize, Serialize};

use super::client::REQUEST_TIMEOUT;
use super::error::failed;
use super::native;

/// The answer of [`look_up`].
pub(super) struct Seen {
    /// With their ids, where the cluster tells them, and the numbers of their partitions.
    pub(super) topics: Topics,
    /// A broker that has answered.
    pub(super) broker: Option<i32>,
}

/// Looks up the topics `names`: their ids and their numbers of partitions.
///
/// # Errors
/// When the brokers do not answer. Ids that they do not tell are missing, without an error.
pub(super) fn look_up<C: ClientContext>(client: &Client<C>, names: &BTreeSet<Arc<str>>) -> Result<Seen> {
    let mut seen = Seen { topics: Topics::new(), broker: None };
    for name in names {
        let metadata = client.fetch_metadata(Some(name), REQUEST_TIMEOUT);
        let metadata = metadata.map_err(failed(format!("read the metadata of topic {name}")))?;
        let count = metadata.topics().first().map(|topic| topic.partitions().len());
        let latest_below = count.and_then(|count| i32::try_from(count).ok());
        seen.topics.insert(Arc::clone(name), TopicIdentity { id: None, latest_below });
        seen.broker = broker_to_ask(&metadata);
    }
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    match native::topic_ids(client, &names, seen.broker) {
        Ok(mut ids) => seen.topics.iter_mut().for_each(|(name, identity)| identity.id = ids.remove(&**name)),
        Err(reason) => tell_unknown(&reason),
    }
    Ok(seen)
}

/// A broker that is there. The one that is named controller need not be: the embedded broker names one that is not.
pub(super) fn broker_to_ask(metadata: &Metadata) -> Option<i32> {
    // An answer that came over the connection to a bootstrap address has no id (-1) until librdkafka knows whose it is.
    let known = Some(metadata.orig_broker_id()).filter(|id| *id >= 0);
    known.or_else(|| metadata.brokers().first().map(MetadataBroker::id))
}

/// Warns once that the brokers do not tell the ids of topics: old ones have none, and others may require a permission.
pub(super) fn tell_unknown(reason: &str) {
    static TOLD: AtomicBool = AtomicBool::new(false);
    if !TOLD.swap(true, Ordering::Relaxed) {
        tracing::warn!(
            event = "topic_ids_unknown",
            reason,
            "the brokers do not tell the ids of topics: a topic that is deleted and created again is noticed only \
             where it has become shorter"
        );
    }
}

/// What is stored in the metadata of a committed offset: the id, and how far `start = "latest"` applied. Kafka removes
/// the offsets together with the topic. Some other brokers keep them; there the id tells the new topic from the old
/// one.
#[derive(Debug, Serialize, Deserialize)]
struct Note {
    /// Says whose note it is: others may write there what they want.
    fenliu_topic: TopicIdentity,
}

/// Puts the identities of `topics` into the metadata of the offsets of `list`.
pub(super) fn note(list: &mut TopicPartitionList, topics: &Topics) {
    for (topic, identity) in topics {
        // It cannot fail: an identity is a text and a number.
        let Ok(text) = serde_json::to_string(&Note { fenliu_topic: identity.clone() }) else { continue };
        let mut elements = list.elements_for_topic(topic);
        elements.iter_mut().for_each(|element| element.set_metadata(&text));
    }
}

/// The identities in the metadata of the offsets of `list`.
pub(super) fn noted(list: &TopicPartitionList) -> Topics {
    let mut topics = Topics::new();
    for (element, metadata) in list.elements().iter().zip(native::metadata(list)) {
        // Metadata that are no note of fenliu were written by other clients of the group, and are ignored.
        if let Ok(Note { fenliu_topic }) = serde_json::from_slice(&metadata) {
            topics.entry(Arc::from(element.topic())).or_default().fill_from(&fenliu_topic);
        }
    }
    topics
}

#[cfg(test)]
mod tests {
    use rdkafka::Offset;

    use super::*;

    #[test]
    fn the_identity_of_a_topic_travels_with_its_offsets_and_other_notes_are_left_alone() {
        let identity = TopicIdentity { id: Some("aWQ".into()), latest_below: Some(3) };
        let mut list = TopicPartitionList::new();
        for partition in 0..2 {
            list.add_partition_offset("news", partition, Offset::Offset(7)).unwrap();
            list.add_partition_offset("other", partition, Offset::Offset(7)).unwrap();
        }
        note(&mut list, &Topics::from([("news".into(), identity.clone())]));
        list.find_partition("other", 0).unwrap().set_metadata("a note of someone else");
        assert_eq!(noted(&list.clone()), Topics::from([("news".into(), identity)]));
    }
}
