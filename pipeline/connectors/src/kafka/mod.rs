//! Kafka: topics as source and as outputs, and a broker inside the process.

mod acknowledged;
mod client;
mod config;
mod connection;
mod consumer;
mod embedded;
mod error;
mod facts;
mod headers;
mod history;
mod identity;
mod kind;
mod leave;
mod letters;
mod limits;
mod messages;
mod native;
mod output;
mod reader;
mod sink;
mod source;
mod source_kind;
mod topics;
mod transaction_timeout;
mod transactional;
mod watch;
mod writer;

pub use client::{REQUEST_TIMEOUT, client_config};
pub use config::{Delivery, KafkaSinkConfig, KafkaSourceConfig, Start, check_properties};
pub use consumer::{KafkaConsumer, committed, connect};
pub use embedded::EmbeddedBroker;
pub use headers::{header, headers_of, without_own};
pub use limits::RowLimit;
pub use reader::{Ends, TopicReader, look_up_cluster};
pub use sink::TopicsConfig;
pub use writer::{MessageWriter, NewMessage, keyless};
