//! The real broker does what tests rely on: partitions, order, whole records, group offsets,
//! transactions.

use std::collections::BTreeMap;
use std::time::{Duration, UNIX_EPOCH};

use fenliu_tests::kafka::{self, Broker, NewRecord, unique_name};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use rdkafka::{Offset, TopicPartitionList};

const TIMEOUT: Duration = Duration::from_secs(30);

fn numbered(numbers: std::ops::Range<i32>) -> Vec<NewRecord> {
    let now = UNIX_EPOCH.elapsed().unwrap().as_millis() as i64;
    numbers
        .map(|number| NewRecord {
            partition: Some(number % 4),
            key: (number % 3 != 0).then(|| format!("key {number}").into_bytes()),
            value: (number % 5 != 0).then(|| format!("新闻 {number}").into_bytes()),
            headers: vec![("number".to_owned(), number.to_be_bytes().to_vec())],
            timestamp_ms: Some(now + i64::from(number)),
        })
        .collect()
}

#[test]
fn a_thousand_records_come_back_whole_and_in_partition_order() {
    let Some(broker) = kafka::broker().unwrap() else { return };
    let topic = unique_name("whole");
    broker.create_topic(&topic, 4).unwrap();
    let sent = numbered(0..1_000);
    broker.produce(&topic, &sent).unwrap();

    let received = broker.consume_all(&topic).unwrap();

    assert_eq!(received.len(), 1_000);
    for (index, record) in received.iter().enumerate() {
        let (partition, offset) = (index / 250, index % 250);
        assert_eq!((record.partition, record.offset), (partition as i32, offset as i64));
        let expected = &sent[offset * 4 + partition];
        assert_eq!((&record.key, &record.value), (&expected.key, &expected.value));
        assert_eq!((&record.headers, record.timestamp_ms), (&expected.headers, expected.timestamp_ms));
    }
}

#[test]
fn group_offsets_are_those_that_were_committed() {
    let Some(broker) = kafka::broker().unwrap() else { return };
    let (topic, group) = (unique_name("offsets"), unique_name("group"));
    broker.create_topic(&topic, 2).unwrap();
    assert_eq!(broker.committed(&group, &topic).unwrap(), BTreeMap::from([(0, None), (1, None)]));

    let consumer: BaseConsumer = broker.client().set("group.id", &group).create().unwrap();
    let mut offsets = TopicPartitionList::new();
    offsets.add_partition_offset(&topic, 1, Offset::Offset(42)).unwrap();
    consumer.commit(&offsets, CommitMode::Sync).unwrap();

    assert_eq!(broker.committed(&group, &topic).unwrap(), BTreeMap::from([(0, None), (1, Some(42))]));
}

#[test]
fn only_committed_transactions_are_read() {
    let Some(broker) = kafka::broker().unwrap() else { return };
    let topic = unique_name("transactions");
    broker.create_topic(&topic, 1).unwrap();
    let producer = transactional_producer(broker);
    for (value, commit) in [("kept", true), ("aborted", false), ("kept too", true)] {
        producer.begin_transaction().unwrap();
        producer.send(BaseRecord::<(), _>::to(&topic).payload(value)).unwrap();
        if commit {
            producer.commit_transaction(TIMEOUT).unwrap();
        } else {
            producer.flush(TIMEOUT).unwrap();
            producer.abort_transaction(TIMEOUT).unwrap();
        }
    }
    producer.begin_transaction().unwrap();
    producer.send(BaseRecord::<(), _>::to(&topic).payload("open")).unwrap();
    producer.flush(TIMEOUT).unwrap();

    let values: Vec<_> = broker.consume_all(&topic).unwrap().into_iter().filter_map(|r| r.value).collect();

    assert_eq!(values, [b"kept".to_vec(), b"kept too".to_vec()]);
}

#[test]
fn a_topic_that_is_not_there_is_an_error_that_names_it() {
    let Some(broker) = kafka::broker().unwrap() else { return };
    let topic = unique_name("missing");
    let error = broker.consume_all(&topic).unwrap_err().to_string();
    assert!(error.contains(&topic), "{error}");
}

fn transactional_producer(broker: &Broker) -> BaseProducer {
    let producer: BaseProducer =
        broker.client().set("transactional.id", unique_name("producer")).create().unwrap();
    producer.init_transactions(TIMEOUT).unwrap();
    producer
}
