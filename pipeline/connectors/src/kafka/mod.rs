//! Kafka: topics as source and as outputs, and a broker inside the process.

mod acknowledged;
mod client;
mod config;
mod consumer;
mod embedded;
mod error;
mod facts;
mod history;
mod kind;
mod leave;
mod letters;
mod messages;
mod output;
mod reader;
mod sink;
mod source;
mod source_kind;
mod topics;
mod transactional;
mod writer;

pub use client::{REQUEST_TIMEOUT, client_config};
pub use config::{Delivery, KafkaSinkConfig, KafkaSourceConfig, Start, check_properties};
pub use consumer::{KafkaConsumer, committed, connect};
pub use embedded::EmbeddedBroker;
pub use reader::{Ends, TopicReader};
pub use sink::TopicsConfig;
pub use writer::MessageWriter;
