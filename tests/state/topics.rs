//! What was in a broker, as text: topics with their messages, and what a consumer group had committed.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use fenliu_tests::kafka::{Broker, NewRecord, Record};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use rdkafka::{Offset, TopicPartitionList};
use serde_json::{Value, json};

const TIMEOUT: Duration = Duration::from_secs(30);

/// Else the broker would soon delete messages as old as those of the fixture.
const KEPT: [(&str, &str); 1] = [("retention.ms", "-1")];

/// Creates a topic that keeps old messages.
pub(super) fn create(broker: &Broker, topic: &str, partitions: usize) {
    broker.create_topic_with(topic, partitions as i32, &KEPT).unwrap();
}

/// A topic with all its messages, as JSON Lines; the first line says how many partitions there are.
pub(super) fn dump(broker: &Broker, topic: &str, partitions: usize) -> String {
    let mut lines = vec![json!({ "topic": topic, "partitions": partitions }).to_string()];
    lines.extend(broker.consume_all(topic).unwrap().iter().map(|record| to_json(record).to_string()));
    lines.join("\n") + "\n"
}

/// Makes the topic that was dumped, each message at its offset; the name of the topic.
pub(super) fn restore(broker: &Broker, dumped: &str) -> String {
    let mut lines = dumped.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let head = lines.next().unwrap();
    let topic = head["topic"].as_str().unwrap();
    create(broker, topic, head["partitions"].as_u64().unwrap() as usize);
    let records: Vec<Record> = lines.map(|line| from_json(&line)).collect();
    produce(broker, topic, &records);
    assert!(broker.consume_all(topic).unwrap() == records, "{topic} is not what was dumped");
    topic.to_owned()
}

fn to_json(record: &Record) -> Value {
    let headers = record.headers.iter().map(|(name, value)| json!([name, bytes_to_json(Some(value))]));
    json!({
        "partition": record.partition, "offset": record.offset, "timestamp_ms": record.timestamp_ms,
        "key": bytes_to_json(record.key.as_ref()), "value": bytes_to_json(record.value.as_ref()),
        "headers": headers.collect::<Vec<_>>(),
    })
}

fn from_json(line: &Value) -> Record {
    let header = |header: &Value| {
        (header[0].as_str().unwrap().to_owned(), bytes_from_json(&header[1]).unwrap_or_default())
    };
    Record {
        partition: line["partition"].as_i64().unwrap() as i32,
        offset: line["offset"].as_i64().unwrap(),
        key: bytes_from_json(&line["key"]),
        value: bytes_from_json(&line["value"]),
        headers: line["headers"].as_array().unwrap().iter().map(header).collect(),
        timestamp_ms: line["timestamp_ms"].as_i64(),
    }
}

fn bytes_to_json(bytes: Option<&Vec<u8>>) -> Value {
    let Some(bytes) = bytes else { return Value::Null };
    match std::str::from_utf8(bytes) {
        Ok(text) => text.into(),
        Err(_) => json!({ "base64": BASE64_STANDARD.encode(bytes) }),
    }
}

fn bytes_from_json(value: &Value) -> Option<Vec<u8>> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone().into_bytes()),
        other => Some(BASE64_STANDARD.decode(other["base64"].as_str().unwrap()).unwrap()),
    }
}

/// Sends `records`, which are in order, so that they get the offsets that they have: where an offset is left out, a
/// transaction ended, whose marker takes it.
fn produce(broker: &Broker, topic: &str, records: &[Record]) {
    let follows = |a: &Record, b: &Record| a.partition != b.partition || a.offset + 1 == b.offset;
    if records.windows(2).all(|pair| follows(&pair[0], &pair[1])) {
        let records: Vec<NewRecord> = records.iter().map(new_record).collect();
        return broker.produce(topic, &records).unwrap();
    }
    let producer: BaseProducer =
        broker.client().set("transactional.id", format!("{topic}-restored")).create().unwrap();
    producer.init_transactions(TIMEOUT).unwrap();
    let in_one = |a: &Record, b: &Record| a.partition == b.partition && a.offset + 1 == b.offset;
    for records in records.chunk_by(in_one) {
        producer.begin_transaction().unwrap();
        for record in records {
            send(&producer, topic, record);
        }
        producer.commit_transaction(TIMEOUT).unwrap();
    }
}

fn new_record(record: &Record) -> NewRecord {
    let Record { partition, key, value, headers, timestamp_ms, .. } = record.clone();
    NewRecord { partition: Some(partition), key, value, headers, timestamp_ms }
}

fn send(producer: &BaseProducer, topic: &str, record: &Record) {
    let mut outgoing: BaseRecord<'_, [u8], [u8]> = BaseRecord::to(topic).partition(record.partition);
    (outgoing.key, outgoing.payload) = (record.key.as_deref(), record.value.as_deref());
    outgoing.timestamp = record.timestamp_ms;
    let headers = record.headers.iter().fold(OwnedHeaders::new(), |headers, (key, value)| {
        headers.insert(Header { key, value: Some(value) })
    });
    producer.send(outgoing.headers(headers)).map_err(|(error, _)| error).unwrap();
}

/// What `group` has committed of `topic`: offsets, with what was written beside them.
pub(super) fn dump_group(broker: &Broker, group: &str, topic: &str) -> Value {
    // It waits for the group's coordinator.
    let offsets = broker.committed(group, topic).unwrap();
    let consumer: BaseConsumer = broker.client().set("group.id", group).create().unwrap();
    let mut wanted = TopicPartitionList::new();
    for partition in offsets.keys() {
        wanted.add_partition(topic, *partition);
    }
    let committed = consumer.committed_offsets(wanted, TIMEOUT).unwrap();
    let metadata: BTreeMap<i32, String> =
        committed.elements().iter().map(|e| (e.partition(), e.metadata().to_owned())).collect();
    let committed = offsets.into_iter().filter_map(|(partition, next)| {
        Some(json!({ "partition": partition, "next": next?, "metadata": metadata[&partition] }))
    });
    json!({ "group": group, "topic": topic, "committed": committed.collect::<Vec<_>>() })
}

/// Commits for a group what it had committed.
pub(super) fn restore_group(broker: &Broker, dumped: &Value) {
    let (group, topic) = (dumped["group"].as_str().unwrap(), dumped["topic"].as_str().unwrap());
    let consumer: BaseConsumer = broker.client().set("group.id", group).create().unwrap();
    let mut offsets = TopicPartitionList::new();
    for committed in dumped["committed"].as_array().unwrap() {
        let partition = committed["partition"].as_i64().unwrap() as i32;
        let mut element = offsets.add_partition(topic, partition);
        element.set_offset(Offset::Offset(committed["next"].as_i64().unwrap())).unwrap();
        element.set_metadata(committed["metadata"].as_str().unwrap());
    }
    consumer.commit(&offsets, CommitMode::Sync).unwrap();
    assert_eq!(dump_group(broker, group, topic), *dumped);
}
