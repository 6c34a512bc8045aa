//! The position protocol: nothing lost and nothing twice, in one place for all sinks.
//!
//! Every sink keeps its own *position*, the next offset it wants of each source partition, and moves it
//! in the same atomic commit that adds the rows. The one rule: a commit moves a position from exactly
//! where it stands. What lies before it is in the sink already and is trimmed away by the rows' lineage;
//! a position that stands before the rows would leave a hole, which is an error.
//!
//! After a failed commit, of which nobody knows whether it took effect, the position is read again: it
//! says so. Nothing is ever repeated blindly.

use std::sync::Arc;

use arrow::array::{AsArray, BooleanArray, RecordBatch, StringArray};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{Int32Type, Int64Type};
use fenliu_schemas::{Offsets, Positions, SchemaError};

use crate::classify::text_column;
use crate::error::{PipelineError, Result};

/// What one commit does to the position of one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Move {
    /// The source topic, or the file's path.
    pub topic: Arc<str>,
    /// Its partition; 0 for files.
    pub partition: i32,
    /// Where the position must stand; none where the sink has none yet.
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
}

impl Moves {
    /// The moves of a sink that stands at `stored` for rows that cover `covered`.
    ///
    /// # Errors
    /// [`PipelineError::Gap`] when the sink stands before the rows: offsets between would be lost.
    pub fn plan(stored: &Positions, covered: &Offsets) -> Result<Self> {
        let mut plan = Moves::default();
        for (topic, partition, range) in covered.iter() {
            let from = stored.get(topic, partition);
            match from {
                Some(position) if position >= range.next => plan.trims = true,
                Some(position) if position < range.first => {
                    let topic = topic.to_string();
                    return Err(PipelineError::Gap { topic, partition, position, first: range.first });
                }
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
        Moves { moves: positions.iter().map(first).collect(), trims: false }
    }

    /// Whether the sink has everything already.
    pub fn is_empty(&self) -> bool {
        self.moves.is_empty()
    }

    /// The single moves.
    pub fn iter(&self) -> impl Iterator<Item = &Move> {
        self.moves.iter()
    }

    /// Whether `stored` stands where every move begins.
    pub fn start_at(&self, stored: &Positions) -> bool {
        self.moves.iter().all(|m| stored.get(&m.topic, m.partition) == m.from)
    }

    /// Where the sink stands after the commit.
    pub fn ends(&self) -> Positions {
        self.moves.iter().map(|m| ((Arc::clone(&m.topic), m.partition), m.to)).collect()
    }

    /// Those of `rows` that the sink does not have yet; `rows` has the columns `topic`, `partition` and `offset`.
    ///
    /// # Errors
    /// [`SchemaError::Column`] when one of them is missing.
    pub fn trim(&self, rows: &RecordBatch) -> Result<RecordBatch> {
        if !self.trims {
            return Ok(rows.clone());
        }
        let lineage = Lineage::of(rows)?;
        let is_new = |row: usize| {
            let (topic, partition, offset) = lineage.row(row);
            self.moves.iter().any(|m| {
                m.partition == partition
                    && m.topic.as_ref() == topic
                    && m.from.is_none_or(|from| offset >= from)
            })
        };
        let new: BooleanArray = (0..rows.num_rows()).map(|row| Some(is_new(row))).collect();
        Ok(filter_record_batch(rows, &new).map_err(SchemaError::from)?)
    }
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
        let partitions = rows.column_by_name("partition").and_then(|c| c.as_primitive_opt::<Int32Type>());
        let offsets = rows.column_by_name("offset").and_then(|c| c.as_primitive_opt::<Int64Type>());
        Ok(Lineage {
            topics: text_column(rows, "topic")?,
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
}
