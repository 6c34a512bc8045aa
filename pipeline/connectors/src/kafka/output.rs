//! Reads a topic back that rows or dead letters went to: committed messages only.

use std::borrow::Cow;
use std::ops::ControlFlow;

use fenliu_engine::Result;
use fenliu_engine::position::Stored;
use fenliu_schemas::{Positions, Topics};
use rdkafka::{ClientConfig, Message};
use serde::Deserialize;

use super::client::topic_client_config;
use super::letters;
use super::reader::TopicReader;
use crate::cluster::Topic;
use crate::reader::{Beginning, Findings, Place, ReadContext, Reader, VisitPlace};
use crate::selection::Role;

/// A topic, whose position is the consumer group's.
pub(super) struct TopicOutput {
    client: ClientConfig,
    topic: String,
    role: Role,
    beginning: Beginning,
    stored: Option<Stored>,
}

impl TopicOutput {
    /// The topic with the rows of `context.role`; nothing is asked yet.
    pub(super) fn new(topic: &Topic, context: &ReadContext<'_>) -> Self {
        TopicOutput {
            client: topic_client_config(context.kafka, topic),
            topic: topic.name.clone(),
            role: context.role,
            beginning: if context.starts_at_latest { Beginning::Unknown } else { Beginning::Assumed },
            stored: context.committed.cloned(),
        }
    }

    fn rows(&self, visit: &mut VisitPlace<'_>) -> Result<Findings> {
        let reader = TopicReader::try_new(self.client.clone(), &self.topic)?;
        let ends = reader.read(None, &mut |message| {
            // A message that is no JSON object, or does not say where it came from, still counts: as a row without a
            // place.
            let row: Row<'_> =
                serde_json::from_slice(message.payload().unwrap_or_default()).unwrap_or_default();
            visit(Place { topic: row.topic.as_deref(), partition: row.partition, offset: row.offset });
            Ok(ControlFlow::Continue(()))
        })?;
        let deleted: i64 = ends.values().map(|(first, _)| first).sum();
        let mut findings = Findings::default();
        if deleted > 0 {
            findings.notes.push(format!(
                "the topic has deleted its first {deleted} offsets: what was there counts as lost"
            ));
        }
        Ok(findings)
    }
}

/// What a message says of its place.
#[derive(Debug, Default, Deserialize)]
struct Row<'a> {
    #[serde(borrow)]
    topic: Option<Cow<'a, str>>,
    partition: Option<i32>,
    offset: Option<i64>,
}

impl Reader for TopicOutput {
    fn beginning(&self) -> Beginning {
        self.beginning.clone()
    }

    fn positions(&self) -> Option<Positions> {
        self.stored.as_ref().map(|stored| stored.positions.clone())
    }

    fn topics(&self) -> Topics {
        self.stored.as_ref().map_or_else(Topics::new, |stored| stored.topics.clone())
    }

    fn places(&self, visit: Option<&mut VisitPlace<'_>>) -> Result<Findings> {
        let Some(visit) = visit else { return Ok(Findings::default()) };
        if self.role == Role::Labelled {
            return self.rows(visit);
        }
        letters::read(self.client.clone(), &self.topic, false, &mut |letter| {
            let (partition, offset) = (Some(letter.partition), Some(letter.offset));
            visit(Place { topic: Some(&letter.topic), partition, offset });
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(Findings::default())
    }
}
