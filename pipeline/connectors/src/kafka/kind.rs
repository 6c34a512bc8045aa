//! A Kafka topic as a kind of output.

use std::sync::Arc;

use fenliu_config::Problems;
use fenliu_engine::Result;

use super::client::topic_client_config;
use super::config::{KafkaSinkConfig, check_properties};
use super::letters;
use super::messages::Messages;
use super::output::TopicOutput;
use crate::cluster::{KafkaConfig, MessageKey, Topic};
use crate::kind::{CompiledSink, OpenSink, SinkKind};
use crate::reader::{ReadContext, Reader, VisitLetter};
use crate::resource::Resource;
use crate::selection::{Beside, Role, Selection};

impl SinkKind for KafkaSinkConfig {
    fn columns(&self) -> &[String] {
        &self.columns
    }

    fn filter(&self) -> Option<&str> {
        self.filter.as_deref()
    }

    fn beside(&self, role: Role) -> Vec<Beside> {
        Messages::new(&self.as_topic(), role).beside()
    }

    fn destination(&self) -> String {
        self.topic.clone()
    }

    fn resources(&self, kafka: &KafkaConfig) -> Vec<Resource> {
        vec![Resource::topic(self.brokers.as_ref().unwrap_or(&kafka.brokers), &self.topic)]
    }

    fn check(&self, key: &str, role: Role, problems: &mut Problems) {
        check_properties(&self.properties, &format!("{key}.properties"), problems);
        problems.require(!self.topic.is_empty(), &format!("{key}.topic"), "empty", "a topic");
        if let Some(MessageKey::Sql(sql)) = &self.key {
            problems.require(!sql.trim().is_empty(), &format!("{key}.key.sql"), "empty", "a SQL expression");
        }
        if role == Role::DeadLetters && !self.columns.is_empty() {
            problems.add(
                format!("{key}.columns"),
                "has no meaning for a Kafka topic: the value is the original message",
            );
        }
    }

    fn compile(&self, _: &str, selection: Selection) -> Result<Box<dyn CompiledSink>, Problems> {
        Ok(Box::new(CompiledTopic { topic: self.as_topic(), selection: Arc::new(selection) }))
    }

    fn reader(&self, context: &ReadContext<'_>) -> Result<Option<Box<dyn Reader>>> {
        Ok(Some(Box::new(TopicOutput::new(&self.as_topic(), context))))
    }

    fn letters(&self, kafka: &KafkaConfig, payload: bool, visit: &mut VisitLetter<'_>) -> Result<()> {
        letters::read(topic_client_config(kafka, &self.as_topic()), &self.topic, payload, visit)
    }

    fn topic(&self) -> Option<Topic> {
        Some(self.as_topic())
    }
}

impl KafkaSinkConfig {
    fn as_topic(&self) -> Topic {
        let KafkaSinkConfig { topic, brokers, properties, key, headers, .. } = self.clone();
        Topic { name: topic, brokers, properties, key, headers }
    }
}

#[derive(Debug)]
struct CompiledTopic {
    topic: Topic,
    selection: Arc<Selection>,
}

impl CompiledSink for CompiledTopic {
    fn open(&self, _: &str) -> Result<OpenSink> {
        Ok(OpenSink::Topic(self.topic.clone(), Arc::clone(&self.selection)))
    }

    fn topic(&self) -> Option<(Topic, Arc<Selection>)> {
        Some((self.topic.clone(), Arc::clone(&self.selection)))
    }
}
