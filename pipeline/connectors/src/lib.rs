//! Where documents come from and where rows go: one folder a kind, each with its configuration, its source or sink, its
//! reader and its upkeep.
//!
//! Start reading at [`kind`], which says what a kind is, then at [`kinds`], the one list of them. To add a kind: a folder
//! beside the others, and a line in that list.
//!
//! Contract: a connector knows its destination and the engine's contracts, and neither the other connectors (but for what
//! lies at the top of this crate) nor the run loop.

mod assemble;
mod cluster;
mod dead_letter;
mod digest;
pub mod fault;
pub mod history;
mod json;
pub mod kind;
pub mod kinds;
mod links;
mod meter;
pub mod outputs;
pub mod reader;
pub mod resource;
pub mod runtime;
mod selection;
mod shutdown;
mod source;
mod source_kind;

mod delta;
pub mod files;
mod iceberg;
pub mod kafka;
mod stdout;

pub use assemble::Assembler;
pub use cluster::{EMBEDDED, KafkaConfig, MessageKey, OAuthConfig, Topic};
pub use dead_letter::{DeadLetter, OwnedHeader};
pub use kind::SinkKind;
pub use kinds::{DeadLetterConfig, SinkConfig, SourceConfig};
pub use links::SinkLinks;
pub use meter::Meter;
pub use selection::{Beside, Role, Selected, Selection};
pub use shutdown::Shutdown;
pub use source::Source;
pub use source_kind::{Connection, Feed, SourceKind};
