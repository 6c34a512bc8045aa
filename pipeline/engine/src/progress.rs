//! How far the partitions of a topic are: what was read, what all sinks have, and where the partition ends. From this
//! follows the lag, in documents and in seconds.
//!
//! The lag counts what is *safe*, not what was fetched: a document that no sink has committed is missing. In seconds it is
//! the age of the last document that all sinks have, by its Kafka timestamp, and so an upper bound that needs no
//! interpolation between offsets.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use fenliu_schemas::{Offsets, Positions, TopicPartition};
use parking_lot::Mutex;

use crate::metrics::Metrics;

/// The partitions that a source reads. The source writes, anyone reads.
#[derive(Debug, Default)]
pub struct Progress {
    partitions: Mutex<BTreeMap<TopicPartition, Partition>>,
}

#[derive(Debug, Default)]
struct Partition {
    /// The next offset to be read.
    read: i64,
    /// The offset after the last message that the broker has, and whether the source was there.
    end: Option<i64>,
    at_end: bool,
    /// The lowest position over all sinks.
    safe: Option<i64>,
    /// Of batches in flight: the offset after the last message, and its timestamp.
    in_flight: VecDeque<(i64, i64)>,
    /// The timestamp of the last document that all sinks have; at first that of the first one that was read.
    safe_timestamp_ms: Option<i64>,
}

/// How far one partition is.
#[derive(Clone, Debug, PartialEq)]
pub struct PartitionState {
    /// Its topic and number.
    pub partition: TopicPartition,
    /// The lowest position over all sinks; `None` until every sink has one.
    pub position: Option<i64>,
    /// The offset after the last message that the broker has; `None` before the first answer.
    pub end: Option<i64>,
    /// Documents that not all sinks have.
    pub lag_documents: Option<i64>,
    /// The same as seconds; `None` where no timestamp is known.
    pub lag_seconds: Option<f64>,
}

impl Progress {
    /// The source has these partitions, to be read from these offsets. All others are forgotten.
    pub fn assign(&self, reading: &Positions) {
        let mut partitions = self.partitions.lock();
        partitions.retain(|(topic, partition), _| reading.get(topic, *partition).is_some());
        for (topic, partition, next) in reading.iter() {
            partitions.entry((Arc::clone(topic), partition)).or_default().read = next;
        }
    }

    /// A batch with these offsets was read. Beside each partition are the timestamps of its first and of its last document,
    /// milliseconds since the Unix epoch; partitions whose documents have none are missing.
    pub fn read(&self, offsets: &Offsets, timestamps: &BTreeMap<TopicPartition, (i64, i64)>) {
        let mut partitions = self.partitions.lock();
        for (topic, partition, next) in offsets.ends().iter() {
            let key = (Arc::clone(topic), partition);
            let Some(state) = partitions.get_mut(&key) else { continue };
            // More may have been read since, for the next batch.
            state.read = state.read.max(next);
            if let Some((first, last)) = timestamps.get(&key) {
                state.safe_timestamp_ms.get_or_insert(*first);
                state.in_flight.push_back((next, *last));
            }
        }
    }

    /// What is known of the end of a partition: the offset after its last message, and whether the source was there.
    pub fn end(&self, partition: &TopicPartition, end: Option<i64>, at_end: bool) {
        if let Some(state) = self.partitions.lock().get_mut(partition) {
            state.end = end.or(state.end);
            state.at_end = at_end;
        }
    }

    /// All sinks have what lies before these positions.
    pub fn settle(&self, positions: &Positions) {
        let mut partitions = self.partitions.lock();
        for (topic, partition, next) in positions.iter() {
            let Some(state) = partitions.get_mut(&(Arc::clone(topic), partition)) else { continue };
            state.safe = Some(next);
            while let Some((_, timestamp_ms)) = state.in_flight.pop_front_if(|(end, _)| *end <= next) {
                state.safe_timestamp_ms = Some(timestamp_ms);
            }
        }
    }

    /// The partitions as they are at `now_ms`, milliseconds since the Unix epoch.
    pub fn states(&self, now_ms: i64) -> Vec<PartitionState> {
        let partitions = self.partitions.lock();
        partitions.iter().map(|(key, partition)| partition.state(key, now_ms)).collect()
    }

    /// Sets the gauges of the lag, and removes those of partitions that this process does not read any more.
    pub fn publish(&self, metrics: &Metrics, now_ms: i64) {
        let states = self.states(now_ms);
        let labels = |state: &PartitionState| [state.partition.0.to_string(), state.partition.1.to_string()];
        let known: Vec<[String; 2]> = states.iter().map(labels).collect();
        let is_known = |labels: &[String]| known.iter().any(|known| known == labels);
        metrics.lag_documents.retain(is_known);
        metrics.lag_seconds.retain(is_known);
        for (state, [topic, partition]) in states.iter().zip(&known) {
            if let Some(documents) = state.lag_documents {
                metrics.lag_documents.with(&[topic, partition]).set(documents as f64);
            }
            if let Some(seconds) = state.lag_seconds {
                metrics.lag_seconds.with(&[topic, partition]).set(seconds);
            }
        }
        metrics.assigned_partitions.set(states.len() as f64);
    }
}

impl Partition {
    fn state(&self, key: &TopicPartition, now_ms: i64) -> PartitionState {
        let lag = self.lag_documents();
        let age = |timestamp_ms: i64| (now_ms - timestamp_ms).max(0) as f64 / 1000.0;
        let lag_seconds = if lag == Some(0) { Some(0.0) } else { self.safe_timestamp_ms.map(age) };
        let end = self.end.map(|end| end.max(self.read));
        PartitionState { partition: key.clone(), position: self.safe, end, lag_documents: lag, lag_seconds }
    }

    /// Transaction markers take offsets too: at the end of the partition nothing is missing although the position is
    /// before the end.
    fn lag_documents(&self) -> Option<i64> {
        let safe = self.safe?;
        if self.at_end && safe >= self.read {
            return Some(0);
        }
        Some((self.end?.max(self.read) - safe).max(0))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn key() -> TopicPartition {
        (Arc::from("news"), 0)
    }

    fn positions(next: i64) -> Positions {
        [(key(), next)].into_iter().collect()
    }

    /// Documents `first` to `last`, the first of which was sent at `first` seconds and so on.
    fn read(progress: &Progress, first: i64, last: i64) {
        let mut offsets = Offsets::default();
        offsets.add(&key().0, 0, first, last);
        progress.read(&offsets, &BTreeMap::from([(key(), (first * 1000, last * 1000))]));
    }

    fn lag(progress: &Progress, now_s: i64) -> (Option<i64>, Option<f64>) {
        let states = progress.states(now_s * 1000);
        (states[0].lag_documents, states[0].lag_seconds)
    }

    #[test]
    fn the_lag_is_what_not_all_sinks_have() {
        let progress = Progress::default();
        progress.assign(&positions(0));
        assert_eq!(lag(&progress, 100), (None, None), "nothing is known yet");
        progress.end(&key(), Some(100), false);
        read(&progress, 0, 9);
        assert_eq!(lag(&progress, 100), (None, Some(100.0)), "no sink has a position");
        progress.settle(&positions(0));
        assert_eq!(lag(&progress, 100), (Some(100), Some(100.0)), "by the first document");
        read(&progress, 10, 19);
        progress.settle(&positions(10));
        assert_eq!(lag(&progress, 100), (Some(90), Some(91.0)), "by document 9");
        progress.settle(&positions(20));
        assert_eq!(lag(&progress, 100), (Some(80), Some(81.0)));
    }

    #[test]
    fn markers_at_the_end_are_no_lag() {
        let progress = Progress::default();
        progress.assign(&positions(0));
        read(&progress, 0, 9);
        progress.end(&key(), Some(11), true);
        progress.settle(&positions(9));
        assert_eq!(lag(&progress, 20), (Some(2), Some(20.0)), "a document is missing");
        progress.settle(&positions(10));
        assert_eq!(lag(&progress, 20), (Some(0), Some(0.0)));
    }

    #[test]
    fn a_revoked_partition_has_no_series() {
        let (progress, metrics) = (Progress::default(), Metrics::default());
        progress.assign(&positions(5));
        progress.end(&key(), Some(8), false);
        progress.settle(&positions(5));
        progress.publish(&metrics, 0);
        assert_eq!(metrics.lag_documents.with(&["news", "0"]).get(), 3.0);
        progress.assign(&Positions::default());
        progress.publish(&metrics, 0);
        assert!(metrics.lag_documents.all().is_empty());
        assert_eq!(metrics.assigned_partitions.get(), 0.0);
    }
}
