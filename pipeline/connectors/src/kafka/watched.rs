//! What others may see of the source: where the partitions end, how far the sinks are, and that it polls.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use arrow::array::{Array, AsArray};
use arrow::datatypes::{Int32Type, TimestampMillisecondType};
use fenliu_engine::batch::Batch;
use fenliu_engine::metrics::Metrics;
use fenliu_engine::progress::Progress;
use fenliu_engine::reader::Reader;
use fenliu_schemas::{Positions, TopicPartition};
use rdkafka::consumer::Consumer;

use super::consumer::KafkaConsumer;
use super::native::cached_end;

/// How often the positions are looked at.
const EVERY: Duration = Duration::from_millis(500);

/// The source's side of [`Progress`], and its metrics.
pub(super) struct Watched {
    metrics: Arc<Metrics>,
    progress: Arc<Progress>,
    looked_at: Instant,
    /// The next offset to be read when the source was last at the end of a partition.
    ends: HashMap<TopicPartition, i64>,
}

impl Watched {
    pub(super) fn new(metrics: Arc<Metrics>, progress: Arc<Progress>) -> Self {
        Watched { metrics, progress, looked_at: Instant::now(), ends: HashMap::new() }
    }

    /// Counts a rebalance that the group has begun.
    pub(super) fn count_rebalance(&self) {
        self.metrics.rebalances.add(1);
    }

    /// Counts that reading waits for the schema registry.
    pub(super) fn count_registry_failure(&self) {
        self.metrics.schema_registry_failures.add(1);
    }

    /// Notes what a batch has of each partition.
    pub(super) fn read(&self, batch: &Batch) {
        self.progress.read(&batch.offsets, &timestamps(batch).unwrap_or_default());
    }

    /// Notes that the source was at the end of a partition, of which librdkafka tells the number only. Where several
    /// topics have one of that number, it is not known whose end it is.
    pub(super) fn reached_end(&mut self, reading: &Positions, partition: i32) {
        let mut of_number = reading.iter().filter(|(_, number, _)| *number == partition);
        if let (Some((topic, _, next)), None) = (of_number.next(), of_number.next()) {
            self.ends.insert((Arc::clone(topic), partition), next);
        }
    }

    /// Notes where everything is, twice a second.
    pub(super) fn look(&mut self, consumer: &KafkaConsumer, reader: &Reader, is_paused: bool) {
        let since = self.looked_at.elapsed();
        if since < EVERY {
            return;
        }
        self.looked_at = Instant::now();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.metrics.last_poll.set(now.as_secs_f64());
        if is_paused {
            self.metrics.source_paused.add(since);
        }
        let reading = reader.reading();
        self.progress.assign(reading);
        for (topic, partition, next) in reading.iter() {
            let key = (Arc::clone(topic), partition);
            // An end counts until the next message is read.
            let at_end = self.ends.get(&key) == Some(&next);
            self.progress.end(&key, cached_end(consumer.client(), topic, partition), at_end);
        }
        self.progress.settle(&reader.settled());
    }
}

/// The Kafka timestamps of the first and the last document of each partition in a batch; `None` if the rows lack a column.
fn timestamps(batch: &Batch) -> Option<BTreeMap<TopicPartition, (i64, i64)>> {
    let column = |name| batch.records.column_by_name(name);
    let topics = column("topic")?.as_string_opt::<i32>()?;
    let partitions = column("partition")?.as_primitive_opt::<Int32Type>()?;
    let times = column("kafka_timestamp")?.as_primitive_opt::<TimestampMillisecondType>()?;
    let mut found: BTreeMap<TopicPartition, (i64, i64)> = BTreeMap::new();
    for (topic, partition, _) in batch.offsets.ends().iter() {
        let is_of = |row: &usize| partitions.value(*row) == partition && topics.value(*row) == &**topic;
        let is_timed = |row: &usize| times.is_valid(*row) && is_of(row);
        let rows = 0..batch.records.num_rows();
        if let (Some(first), Some(last)) = (rows.clone().find(is_timed), rows.rev().find(is_timed)) {
            found.insert((Arc::clone(topic), partition), (times.value(first), times.value(last)));
        }
    }
    Some(found)
}
