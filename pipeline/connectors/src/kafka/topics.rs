//! A topic with the rows that go to it.

use std::sync::Arc;

use fenliu_engine::position::Moves;
use fenliu_engine::{Result, Rows};

use super::messages::Messages;
use super::writer::MessageWriter;
use crate::cluster::Topic;
use crate::selection::Selection;

/// A topic with the rows that go to it.
pub(super) struct TopicRows {
    pub(super) topic: Topic,
    selection: Arc<Selection>,
    messages: Messages,
}

impl TopicRows {
    /// The rows of `selection` go to `topic`. The selection must have what [`Messages::beside`] asks for.
    pub(super) fn new(topic: Topic, selection: Arc<Selection>) -> Self {
        let messages = Messages::new(&topic, selection.role());
        TopicRows { topic, selection, messages }
    }

    /// The same, in a topic that takes messages of at most `limit` bytes, if that is known.
    pub(super) fn with_limit(self, limit: Option<usize>) -> Self {
        TopicRows { messages: self.messages.with_limit(limit), ..self }
    }

    /// Sends what the topic gets of `epoch`.
    ///
    /// # Errors
    /// An expression that fails on a row; as [`MessageWriter::send`].
    pub(super) fn send(&self, writer: &MessageWriter, epoch: &[Arc<Rows>], moves: &Moves) -> Result<()> {
        for rows in epoch {
            for selected in self.selection.select_beside(rows, moves)? {
                self.messages.send(writer, &self.topic.name, &selected)?;
            }
        }
        Ok(())
    }
}

/// Checks that none of `topics` is compacted whose messages never have a key.
///
/// # Errors
/// One of the topics is compacted, and its messages have no key.
pub(super) fn check_keys(writer: &MessageWriter, topics: &[TopicRows]) -> Result<()> {
    let keyless = topics
        .iter()
        .filter(|rows| rows.messages.are_keyless(rows.selection.schema()))
        .map(|rows| rows.topic.name.clone());
    writer.check_keyless(&keyless.collect::<Vec<_>>())
}
