//! A topic with the rows that go to it.

use std::sync::Arc;

use fenliu_engine::position::Moves;
use fenliu_engine::{Result, Rows};

use super::messages::{SendRows, send_dead_letters, send_labelled};
use super::writer::MessageWriter;
use crate::cluster::Topic;
use crate::selection::{Role, Selection};

/// A topic with the rows that go to it.
pub(super) struct TopicRows {
    pub(super) topic: Topic,
    selection: Arc<Selection>,
    send_rows: SendRows,
}

impl TopicRows {
    /// The rows of `selection` go to `topic`.
    pub(super) fn new(topic: Topic, selection: Arc<Selection>) -> Self {
        let send_rows: SendRows = match selection.role() {
            Role::Labelled => send_labelled,
            Role::DeadLetters => send_dead_letters,
        };
        TopicRows { topic, selection, send_rows }
    }

    /// Sends what the topic gets of `epoch`.
    ///
    /// # Errors
    /// An expression that fails on a row; as [`MessageWriter::send`].
    pub(super) fn send(&self, writer: &MessageWriter, epoch: &[Arc<Rows>], moves: &Moves) -> Result<()> {
        for rows in epoch {
            for batch in self.selection.select(rows, moves)? {
                (self.send_rows)(writer, &self.topic.name, &batch)?;
            }
        }
        Ok(())
    }
}
