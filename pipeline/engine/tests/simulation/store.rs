//! Scripted sinks: two kinds of destination, whose commits are atomic and whose answers may fail or come late.

use std::collections::BTreeMap;
use std::sync::Arc;

use fenliu_engine::position::{Moves, Stored};
use fenliu_engine::{Error, Kind, Result};

use crate::Sabotage;
use crate::TOPIC;
use crate::group::{Group, Membership};
use crate::member::SimRows;

/// How a destination keeps others from committing in between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Guard {
    /// Compare and set of the positions, as a manifest or a table's log does.
    Compare,
    /// The group's generation, as a Kafka transaction does; the group's offsets are the positions.
    Generation,
}

/// One destination, which all instances share.
#[derive(Debug)]
pub(crate) struct Store {
    pub(crate) guard: Guard,
    pub(crate) stored: Stored,
    /// How often each row is there, by partition and offset.
    pub(crate) rows: BTreeMap<(i32, i64), u32>,
    pub(crate) commits: u64,
    sabotage: Sabotage,
}

impl Store {
    pub(crate) fn new(guard: Guard, sabotage: Sabotage) -> Self {
        Store { guard, stored: Stored::default(), rows: BTreeMap::new(), commits: 0, sabotage }
    }

    pub(crate) fn positions(&self, group: &Group) -> Stored {
        match self.guard {
            Guard::Compare => self.stored.clone(),
            Guard::Generation => group.committed.clone(),
        }
    }

    /// Takes effect as a whole or not at all, at one moment.
    pub(crate) fn commit(
        &mut self,
        group: &mut Group,
        writer: Membership,
        rows: &[Arc<SimRows>],
        moves: &Moves,
    ) -> Result<()> {
        match self.guard {
            Guard::Compare => {
                if self.sabotage != Sabotage::PositionCheck && !moves.start_at(&self.stored.positions) {
                    return Err(Error::conflict("the positions have moved"));
                }
                self.stored.positions.update(&moves.ends());
                self.stored.topics.extend(moves.topics().clone());
            }
            Guard::Generation => {
                if self.sabotage != Sabotage::Fence {
                    group.check(writer, moves)?;
                }
                group.committed.positions.update(&moves.ends());
                group.committed.topics.extend(moves.topics().clone());
            }
        }
        self.commits += u64::from(!rows.is_empty());
        for (partition, offset) in rows.iter().flat_map(|batch| batch.rows.iter()) {
            if moves.takes(TOPIC, *partition, *offset) || self.sabotage == Sabotage::Trim {
                *self.rows.entry((*partition, *offset)).or_default() += 1;
            }
        }
        Ok(())
    }
}

/// The failure of an operation, whether before or after its effect.
pub(crate) fn failure() -> Error {
    Error::new(Kind::Unavailable, "the destination does not answer").retryable()
}
