//! What identifies a topic, as application transactions of a table.
//!
//! The library looks an application up by its exact name only, and names are never removed from a table. So the name
//! holds the pipeline and the topic, and the *versions*, which are signed 64-bit numbers, hold what is stored:
//! `fenliu-topic/PIPELINE/TOPIC` the number of partitions that the topic had at first (-1 where it is not known), and
//! `fenliu-topic-id-1/...` and `fenliu-topic-id-2/...` the halves of its id, a UUID. All are in the commit that moves
//! the positions, and each look-up finds the newest.

use base64::Engine;
use base64::prelude::BASE64_STANDARD_NO_PAD;
use deltalake::DeltaTable;
use deltalake::kernel::Transaction;
use fenliu_engine::Result;
use fenliu_schemas::{TopicIdentity, Topics};

use super::lake::Lake;

/// The transactions that store `topics` of `pipeline`.
pub(super) fn transactions(pipeline: &str, topics: &Topics) -> Vec<Transaction> {
    let mut transactions = vec![];
    for (topic, identity) in topics {
        let latest_below = identity.latest_below.map_or(-1, i64::from);
        transactions.push(Transaction::new(name("fenliu-topic", pipeline, topic), latest_below));
        if let Some([first, second]) = identity.id.as_deref().and_then(halves) {
            transactions.push(Transaction::new(name("fenliu-topic-id-1", pipeline, topic), first));
            transactions.push(Transaction::new(name("fenliu-topic-id-2", pipeline, topic), second));
        }
    }
    transactions
}

/// What `pipeline` has stored of `topic`; `None` where an earlier release wrote its positions.
///
/// # Errors
/// A log that cannot be read.
pub(super) fn read(
    lake: &Lake,
    table: &DeltaTable,
    pipeline: &str,
    topic: &str,
) -> Result<Option<TopicIdentity>> {
    let version = |kind| lake.transaction(table, name(kind, pipeline, topic));
    let Some(latest_below) = version("fenliu-topic")? else { return Ok(None) };
    let halves = version("fenliu-topic-id-1")?.zip(version("fenliu-topic-id-2")?);
    Ok(Some(TopicIdentity {
        id: halves.map(|(first, second)| whole([first, second])),
        latest_below: i32::try_from(latest_below).ok().filter(|below| *below >= 0),
    }))
}

fn name(kind: &str, pipeline: &str, topic: &str) -> String {
    format!("{kind}/{pipeline}/{topic}")
}

/// The halves of an id; `None` where it is not a UUID in base64, the form in which librdkafka gives it.
fn halves(id: &str) -> Option<[i64; 2]> {
    let bytes: [u8; 16] = BASE64_STANDARD_NO_PAD.decode(id).ok()?.try_into().ok()?;
    let bits = u128::from_be_bytes(bytes);
    let halves = [((bits >> 64) as u64).cast_signed(), (bits as u64).cast_signed()];
    // Several texts decode to the same bytes. An id that would come back as another text would look like another topic,
    // so it is not stored.
    (whole(halves) == id).then_some(halves)
}

fn whole([first, second]: [i64; 2]) -> String {
    let bits = u128::from(first.cast_unsigned()) << 64 | u128::from(second.cast_unsigned());
    BASE64_STANDARD_NO_PAD.encode(bits.to_be_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delta::config::DeltaSinkConfig;

    #[test]
    fn an_id_is_the_same_after_it_was_taken_apart() {
        for bytes in std::iter::repeat_with(rand::random::<[u8; 16]>).take(1000) {
            let id = BASE64_STANDARD_NO_PAD.encode(bytes);
            assert_eq!(halves(&id).map(whole), Some(id));
        }
    }

    #[test]
    fn what_is_no_uuid_is_not_stored() {
        for id in ["", "aWQ", "not base64!", "AAAAAAAAAAAAAAAAAAAAAB"] {
            assert_eq!(halves(id), None, "{id}");
        }
    }

    /// A real table: the newest identity is found, also where the new id is the smaller number, and after a checkpoint.
    #[test]
    fn the_newest_identity_of_a_topic_is_found_in_a_table() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("table").display().to_string();
        let lake = Lake::make(&DeltaSinkConfig { path, ..DeltaSinkConfig::default() }).unwrap();
        let schema = fenliu_schemas::labelled_schema(&fenliu_schemas::raw::schema(), Default::default());
        let mut table = lake.create(&schema, &[]).unwrap();
        assert_eq!(read(&lake, &table, "p", "news").unwrap(), None);
        for (id, latest_below) in [([0xff; 16], Some(3)), ([0x01; 16], None), ([0x80; 16], Some(0))] {
            let identity = TopicIdentity { id: Some(BASE64_STANDARD_NO_PAD.encode(id)), latest_below };
            let topics = Topics::from([("news".into(), identity.clone())]);
            let version = lake.commit(&table, vec![], transactions("p", &topics), &[]).unwrap().unwrap();
            table = lake.open().unwrap().unwrap();
            assert_eq!(table.version(), Some(version));
            assert_eq!(read(&lake, &table, "p", "news").unwrap(), Some(identity.clone()));
            lake.block_on(deltalake::protocol::checkpoints::create_checkpoint(&table, None)).unwrap();
            let reopened = lake.open().unwrap().unwrap();
            assert_eq!(read(&lake, &reopened, "p", "news").unwrap(), Some(identity));
            assert_eq!(read(&lake, &reopened, "q", "news").unwrap(), None);
        }
    }
}
