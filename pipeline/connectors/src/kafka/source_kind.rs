//! Topics as a kind of source.

use std::sync::Arc;
use std::time::Duration;

use fenliu_config::Problems;
use fenliu_decode::Decoder;
use fenliu_engine::Result;
use rdkafka::consumer::Consumer;
use regex::Regex;

use super::config::{KafkaSourceConfig, check_properties};
use super::consumer::{KafkaConsumer, check_usable, connect};
use super::history::Topics;
use super::leave::leave;
use super::source::{KafkaSource, KafkaSourceOptions, drain_limit};
use super::watch::refresh_interval;
use super::watched::Watched;
use crate::cluster::KafkaConfig;
use crate::history::History;
use crate::resource::Resource;
use crate::source::Source;
use crate::source_kind::{Connection, Feed, SourceKind};

impl SourceKind for KafkaSourceConfig {
    fn check(&self, problems: &mut Problems) {
        problems.require(!self.topics.is_empty(), "source.topics", "empty", "a list of topics");
        if self.topics.iter().any(String::is_empty) {
            problems.add("source.topics", "has an empty name");
        }
        check_properties(&self.properties, "source.properties", problems);
        // librdkafka takes POSIX expressions, the crate `regex` a dialect of its own. Most patterns mean the same in
        // both; one that `regex` refuses cannot be compared with the topics of outputs.
        for topic in self.topics.iter().filter(|topic| topic.starts_with('^')) {
            if let Err(error) = Regex::new(topic) {
                let problem = format!("has `{topic}`, which cannot be compared with the outputs: {error}");
                problems.add("source.topics", problem);
            }
        }
    }

    fn group(&self) -> Option<&KafkaSourceConfig> {
        Some(self)
    }

    fn connect(&self, kafka: &KafkaConfig, pipeline: &str) -> Result<Box<dyn Connection>> {
        let consumer = Arc::new(connect(kafka, self, pipeline)?);
        let (drain_limit, refresh) = (drain_limit(kafka, self), refresh_interval(kafka, self));
        Ok(Box::new(Member { consumer, config: self.clone(), drain_limit, refresh }))
    }

    fn history(&self, kafka: &KafkaConfig, decoder: &Decoder) -> Result<Box<dyn History>> {
        Ok(Box::new(Topics::open(self, kafka, decoder)?))
    }

    fn reads(&self, resource: &Resource, kafka: &KafkaConfig) -> Option<String> {
        let topic = resource.topic_at(&kafka.brokers)?;
        self.topics.iter().find(|wanted| means(wanted, topic)).cloned()
    }
}

/// A member of the consumer group.
struct Member {
    consumer: Arc<KafkaConsumer>,
    config: KafkaSourceConfig,
    drain_limit: Duration,
    /// How often topics are looked at.
    refresh: Duration,
}

impl Connection for Member {
    fn member(&self) -> Option<&Arc<KafkaConsumer>> {
        Some(&self.consumer)
    }

    fn open(&self, feed: Feed) -> Result<Box<dyn Source>> {
        let Feed {
            assembler,
            metrics,
            progress,
            links,
            stop_at_end,
            commits_offsets,
            keeps_keys,
            keeps_headers,
        } = feed;
        let (drain_limit, refresh) = (self.drain_limit, self.refresh);
        let options = KafkaSourceOptions {
            stop_at_end,
            commits_offsets,
            keeps_keys,
            keeps_headers,
            drain_limit,
            refresh,
        };
        let consumer = Arc::clone(&self.consumer);
        consumer.context().connection().count_errors(Arc::clone(&metrics));
        let watched = Watched::new(metrics, progress);
        Ok(Box::new(KafkaSource::try_new(consumer, &self.config, assembler, links, watched, options)?))
    }

    fn check(&self) -> Result<()> {
        check_usable(&self.consumer)
    }

    fn leave(self: Box<Self>) {
        leave(self.consumer);
    }
}

/// Whether `wanted`, a name or from `^` on a regular expression, means `topic`.
fn means(wanted: &str, topic: &str) -> bool {
    let is_match = || Regex::new(wanted).is_ok_and(|expression| expression.is_match(topic));
    !topic.is_empty() && if wanted.starts_with('^') { is_match() } else { wanted == topic }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_is_read_by_its_name_or_by_a_pattern_on_the_same_cluster() {
        let kafka = KafkaConfig::default();
        let topics = |topics: &[&str]| KafkaSourceConfig {
            topics: topics.iter().map(ToString::to_string).collect(),
            ..KafkaSourceConfig::default()
        };
        let here = Resource::topic(&kafka.brokers, "news-labelled");
        assert_eq!(topics(&["a", "^news.*"]).reads(&here, &kafka).as_deref(), Some("^news.*"));
        assert_eq!(topics(&["news"]).reads(&here, &kafka), None);
        let elsewhere = Resource::topic("other:9092", "news-labelled");
        assert_eq!(topics(&["news-labelled"]).reads(&elsewhere, &kafka), None);
    }
}
