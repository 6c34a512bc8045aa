//! Decodes the bytes of a message into a document, or rejects them with a reason.
//!
//! Each format has a file of its own. All formats hand the values that they find to the module `fields`, by field name,
//! so that the mapping of fields, the order of preference and the reasons of rejections are the same for all formats.
//! Start reading at [`Decoder`].
//!
//! Contract: bytes that cannot be read as a document are rejected with a reason; they never cause an error or a panic.
//! While a schema registry does not answer, messages that need it wait. The crate depends neither on Kafka nor on an SQL
//! engine.

mod arrow;
mod avro;
mod cells;
mod config;
mod decoder;
mod fields;
pub mod file;
pub mod http;
mod json;
mod looks;
mod names;
mod part;
mod prefix;
mod preset;
mod protobuf;
mod registry;
mod repair;
mod rows;
mod schema;
mod schemas;
mod shape;
mod strict;
pub mod time;
mod undecoded;
mod value;
mod visit;

pub use config::{Deletions, DocumentsConfig, PayloadFormat, RegistryConfig};
pub use decoder::Decoder;
pub use names::FieldNames;
pub use preset::Preset;
pub use registry::types as registry_types;
pub use rows::{Pushed, RawRows};
pub use undecoded::Undecoded;
