//! The position protocol: nothing lost and nothing twice, in one place for all sinks.
//!
//! Every sink keeps its own *position*, the next offset it wants of each source partition, and moves it in the same
//! atomic commit that adds the rows. The one rule: a commit moves a position from exactly where it stands. Rows
//! before the position are in the sink already and are trimmed away by their lineage; a position that stands before
//! the rows would leave a gap, which is an error.
//!
//! After a commit whose outcome is unknown, the position is read again, and tells whether the commit took effect. No
//! commit is repeated without that.
//!
//! Beside its positions a sink keeps the identity of each topic ([`TopicIdentity`](fenliu_schemas::TopicIdentity)),
//! written by the same commit.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{AsArray, BooleanArray, RecordBatch, StringArray};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{Int32Type, Int64Type};
use fenliu_schemas::{Offsets, Positions, SchemaError, TopicPartition, Topics};

use crate::error::{Error, Kind, Result};

/// What a sink has stored: its positions, and the identities of the topics that they belong to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stored {
    /// The next offset of each partition; a partition that was never written is missing.
    pub positions: Positions,
    /// Identities of topics; a topic is missing where an earlier release wrote the positions.
    pub topics: Topics,
}

impl From<Positions> for Stored {
    fn from(positions: Positions) -> Self {
        Stored { positions, topics: Topics::new() }
    }
}

/// What one commit does to the position of one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Move {
    /// The source topic, or the file's path.
    pub topic: Arc<str>,
    /// Its partition; 0 for files.
    pub partition: i32,
    /// Where the position must stand; `None` where the sink must not have one yet.
    pub from: Option<i64>,
    /// Where it stands afterwards.
    pub to: i64,
}

/// What one commit does to the positions of a sink, and with that, which rows it takes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Moves {
    moves: Vec<Move>,
    /// Whether some of the rows that the moves were made for are in the sink already.
    trims: bool,
    topics: Topics,
}

impl Moves {
    /// The moves of a sink that stands at `stored` for rows that cover `covered`.
    ///
    /// # Errors
    /// [`Kind::Gap`] when the sink stands before the rows: the offsets between would be lost.
    pub fn plan(stored: &Positions, covered: &Offsets) -> Result<Self> {
        let mut plan = Moves::default();
        for (topic, partition, range) in covered.iter() {
            let from = stored.get(topic, partition);
            match from {
                // No move for this partition. Its rows still have to be left out of the commit, if other partitions of
                // the batch move.
                Some(position) if position >= range.next => plan.trims = true,
                Some(position) if position < range.first => {
                    return Err(gap(topic, partition, position, range.first));
                }
                // No position yet, or one within the rows: the rows from it on are taken.
                _ => {
                    plan.trims |= from.is_some_and(|position| position > range.first);
                    plan.moves.push(Move { topic: Arc::clone(topic), partition, from, to: range.next });
                }
            }
        }
        Ok(plan)
    }

    /// Moves without rows: gives a sink its first positions.
    pub fn first(positions: &Positions) -> Self {
        let first = |(topic, partition, to): (&Arc<str>, i32, i64)| Move {
            topic: Arc::clone(topic),
            partition,
            from: None,
            to,
        };
        Moves { moves: positions.iter().map(first).collect(), ..Moves::default() }
    }

    /// Writes these identities of topics in the same commit.
    #[must_use]
    pub fn with_topics(mut self, topics: Topics) -> Self {
        self.topics = topics;
        self
    }

    /// Identities of topics that the commit writes beside the positions.
    pub fn topics(&self) -> &Topics {
        &self.topics
    }

    /// Whether the sink has everything already.
    pub fn is_empty(&self) -> bool {
        self.moves.is_empty()
    }

    /// The single moves.
    pub fn iter(&self) -> impl Iterator<Item = &Move> {
        self.moves.iter()
    }

    /// The partitions that are moved.
    pub fn partitions(&self) -> Vec<TopicPartition> {
        self.moves.iter().map(|m| (Arc::clone(&m.topic), m.partition)).collect()
    }

    /// Whether every move begins at the position in `stored`. A sink must ensure this within the commit itself: between
    /// a look at the positions and the commit, another process could move them.
    pub fn start_at(&self, stored: &Positions) -> bool {
        self.moves.iter().all(|m| stored.get(&m.topic, m.partition) == m.from)
    }

    /// Where the sink stands after the commit.
    pub fn ends(&self) -> Positions {
        self.moves.iter().map(|m| ((Arc::clone(&m.topic), m.partition), m.to)).collect()
    }

    /// Whether the sink still lacks the row at `offset`.
    pub fn takes(&self, topic: &str, partition: i32, offset: i64) -> bool {
        // Without a move for its partition, a row is in the sink already.
        let is_new = |m: &Move| m.from.is_none_or(|from| offset >= from);
        !self.trims
            || self.moves.iter().any(|m| m.partition == partition && m.topic.as_ref() == topic && is_new(m))
    }

    /// The rows of `rows` that the sink does not have yet. `rows` has the columns `topic` (`Utf8`), `partition`
    /// (`Int32`) and `offset` (`Int64`), without nulls.
    ///
    /// # Errors
    /// [`SchemaError::Column`] when one of them is missing.
    pub fn trim(&self, rows: &RecordBatch) -> Result<RecordBatch> {
        if !self.trims {
            return Ok(rows.clone());
        }
        // Row by row, since the rows of a batch come from several partitions, and each has its own position.
        let lineage = Lineage::of(rows)?;
        let new = (0..rows.num_rows()).map(|row| {
            let (topic, partition, offset) = lineage.row(row);
            Some(self.takes(topic, partition, offset))
        });
        Ok(filter_record_batch(rows, &new.collect::<BooleanArray>()).map_err(SchemaError::from)?)
    }
}

fn gap(topic: &str, partition: i32, position: i64, first: i64) -> Error {
    Error::new(
        Kind::Gap,
        format!(
            "{topic}/{partition}: a sink has everything before offset {position}, but the next rows begin at {first}, so \
             the offsets between would be lost"
        ),
    )
    .remedy("was the topic created again, or a sink's position changed by hand?")
}

/// Which position every sink of a pipeline has acknowledged as durable.
///
/// The lowest position over all sinks is where reading starts again, and what is committed as the offset of the
/// consumer group.
#[derive(Clone, Debug)]
pub struct Ledger {
    sinks: Vec<Positions>,
}

impl Ledger {
    /// A ledger of as many sinks, of which nothing is known yet.
    pub fn new(sinks: usize) -> Self {
        Ledger { sinks: vec![Positions::default(); sinks] }
    }

    /// Sink number `sink` stands at `positions`.
    pub fn acknowledge(&mut self, sink: usize, positions: &Positions) {
        self.sinks[sink].update(positions);
    }

    /// Forgets partitions that went to another member: their next owner's position may be a later one.
    pub fn forget(&mut self, partitions: &[TopicPartition]) {
        for sink in &mut self.sinks {
            partitions.iter().for_each(|(topic, partition)| sink.remove(topic, *partition));
        }
    }

    /// Whether every sink has everything before `ends`.
    pub fn reaches(&self, ends: &Positions) -> bool {
        self.sinks.iter().all(|sink| sink.reach(ends))
    }

    /// The lowest position over all sinks, of those of `partitions` in which every sink has one.
    pub fn lowest(&self, partitions: &[TopicPartition]) -> Positions {
        let low = |key: &TopicPartition| {
            // One sink without a position hides the partition: it may still need the earliest rows.
            let positions: Option<Vec<i64>> = self.sinks.iter().map(|sink| sink.get(&key.0, key.1)).collect();
            Some((key.clone(), positions?.into_iter().min()?))
        };
        partitions.iter().filter_map(low).collect()
    }
}

/// The lowest of several sinks' positions in each partition; missing where no sink has one.
pub fn lowest_known<'a>(sinks: impl IntoIterator<Item = &'a Positions>) -> Positions {
    let mut lowest: HashMap<TopicPartition, i64> = HashMap::new();
    for (topic, partition, next) in sinks.into_iter().flat_map(Positions::iter) {
        lowest.entry((Arc::clone(topic), partition)).and_modify(|low| *low = next.min(*low)).or_insert(next);
    }
    lowest.into_iter().collect()
}

/// Where each row of a batch came from.
struct Lineage<'a> {
    topics: &'a StringArray,
    partitions: &'a [i32],
    offsets: &'a [i64],
}

impl<'a> Lineage<'a> {
    fn of(rows: &'a RecordBatch) -> Result<Self> {
        let missing = |column, expected| SchemaError::Column { column, expected };
        let topics = rows.column_by_name("topic").and_then(|c| c.as_string_opt::<i32>());
        let partitions = rows.column_by_name("partition").and_then(|c| c.as_primitive_opt::<Int32Type>());
        let offsets = rows.column_by_name("offset").and_then(|c| c.as_primitive_opt::<Int64Type>());
        Ok(Lineage {
            topics: topics.ok_or(missing("topic", "Utf8"))?,
            partitions: partitions.ok_or(missing("partition", "Int32"))?.values(),
            offsets: offsets.ok_or(missing("offset", "Int64"))?.values(),
        })
    }

    fn row(&self, row: usize) -> (&'a str, i32, i64) {
        (self.topics.value(row), self.partitions[row], self.offsets[row])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Int32Array, Int64Array};
    use proptest::prelude::*;

    fn topic() -> Arc<str> {
        "news".into()
    }

    fn covered(first: i64, next: i64) -> Offsets {
        let mut offsets = Offsets::default();
        offsets.add(&topic(), 0, first, next - 1);
        offsets
    }

    fn stored(next: i64) -> Positions {
        let mut positions = Positions::default();
        positions.set(&topic(), 0, next);
        positions
    }

    fn rows(first: i64, next: i64) -> RecordBatch {
        let count = (next - first) as usize;
        RecordBatch::try_from_iter([
            ("topic", Arc::new(StringArray::from(vec!["news"; count])) as _),
            ("partition", Arc::new(Int32Array::from(vec![0; count])) as _),
            ("offset", Arc::new(Int64Array::from_iter_values(first..next)) as _),
        ])
        .unwrap()
    }

    #[test]
    fn a_hole_is_an_error_that_names_it() {
        let error = Moves::plan(&stored(4), &covered(5, 9)).unwrap_err().to_string();
        assert!(error.contains("news/0") && error.contains('4') && error.contains('5'), "{error}");
    }

    proptest! {
        /// Wherever a sink stands and however often the same rows come: it ends up with each row once.
        #[test]
        fn each_row_is_taken_once(ranges in prop::collection::vec((0..30i64, 1..12i64), 1..40)) {
            let (mut position, mut taken) = (stored(0), vec![]);
            for (first, count) in ranges {
                let Ok(moves) = Moves::plan(&position, &covered(first, first + count)) else { continue };
                prop_assert!(moves.start_at(&position));
                let new = moves.trim(&rows(first, first + count)).unwrap();
                if moves.is_empty() {
                    prop_assert_eq!(new.num_rows(), 0);
                }
                taken.extend_from_slice(Lineage::of(&new).unwrap().offsets);
                position.update(&moves.ends());
            }
            let end = position.get(&topic(), 0).unwrap();
            prop_assert_eq!(taken, (0..end).collect::<Vec<_>>());
        }
    }

    fn at(next: &[i64]) -> Positions {
        next.iter().enumerate().map(|(id, next)| ((topic(), id as i32), *next)).collect()
    }

    #[test]
    fn the_ledger_tells_the_lowest_position_once_every_sink_has_one() {
        let mut ledger = Ledger::new(2);
        let partitions = at(&[0, 0]).partitions();
        ledger.acknowledge(0, &at(&[5, 7]));
        assert!(ledger.lowest(&partitions).is_empty());
        ledger.acknowledge(1, &at(&[3]));
        assert_eq!(ledger.lowest(&partitions), at(&[3]));
        assert!(ledger.reaches(&at(&[3])) && !ledger.reaches(&at(&[4])));
        ledger.forget(&partitions[..1]);
        assert!(ledger.lowest(&partitions).is_empty());
    }

    #[test]
    fn the_lowest_known_position_counts_only_sinks_that_have_one() {
        assert_eq!(lowest_known([&at(&[5, 2]), &at(&[3])]), at(&[3, 2]));
    }
}
