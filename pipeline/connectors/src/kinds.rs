//! The one list of the kinds of sources and outputs: a line here and a folder beside it are a kind.
//!
//! The tag `type` of a section in the configuration is the name here in lower case.

use std::ops::Deref;

use serde::{Deserialize, Serialize};

use crate::delta::DeltaSinkConfig;
use crate::files::{FilesSinkConfig, FilesSourceConfig};
use crate::iceberg::IcebergSinkConfig;
use crate::kafka::{KafkaSinkConfig, KafkaSourceConfig};
use crate::kind::SinkKind;
use crate::source_kind::SourceKind;
use crate::stdout::StdoutSinkConfig;

macro_rules! kinds {
    ($(#[$list:meta])* $name:ident: $trait:ident { $($(#[$doc:meta])* $kind:ident($config:ty),)+ }) => {
        $(#[$list])*
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(tag = "type", rename_all = "lowercase")]
        pub enum $name { $($(#[$doc])* $kind($config),)+ }

        impl Deref for $name {
            type Target = dyn $trait;

            fn deref(&self) -> &Self::Target {
                match self { $($name::$kind(config) => config,)+ }
            }
        }

        $(impl From<$config> for $name {
            fn from(config: $config) -> Self {
                $name::$kind(config)
            }
        })+
    };
}

kinds! {
    /// The source of documents.
    SourceConfig: SourceKind {
        /// A Kafka consumer group.
        Kafka(KafkaSourceConfig),
        /// JSON Lines, Parquet and Arrow IPC files, read once.
        Files(FilesSourceConfig),
    }
}

impl Default for SourceConfig {
    fn default() -> Self {
        KafkaSourceConfig::default().into()
    }
}

kinds! {
    /// One destination of labelled rows.
    SinkConfig: SinkKind {
        /// Parquet, Arrow IPC or JSON Lines files in a directory or a bucket.
        Files(FilesSinkConfig),
        /// A Delta Lake table.
        Delta(DeltaSinkConfig),
        /// An Apache Iceberg table.
        Iceberg(IcebergSinkConfig),
        /// A Kafka topic, one JSON object a message.
        Kafka(KafkaSinkConfig),
        /// JSON Lines on standard output.
        Stdout(StdoutSinkConfig),
    }
}

kinds! {
    /// Where rejected documents go: with their origin, the reason, and the original bytes.
    DeadLetterConfig: SinkKind {
        /// Files, as for labelled rows.
        Files(FilesSinkConfig),
        /// A Kafka topic: the original bytes as value, origin and reason as headers.
        Kafka(KafkaSinkConfig),
    }
}

impl Default for DeadLetterConfig {
    fn default() -> Self {
        FilesSinkConfig { path: "out/dead-letters".into(), ..FilesSinkConfig::default() }.into()
    }
}
