//! From the bytes of a message to a document, or to the reason why it is none.
//!
//! One file a format. Whatever the format, values are offered to `fields` under their names there, so that the mapping
//! of fields, preferences and reasons are the same for all. Start reading at [`Decoder`].
//!
//! Contract: bytes that are no document are rejected with a reason and never make decoding fail or panic; while a
//! schema registry does not answer, messages that need it wait. No Kafka and no SQL engine is needed.

mod arrow;
mod avro;
mod config;
mod decoder;
mod fields;
mod json;
mod protobuf;
mod registry;
mod rows;
mod schema;
mod schemas;
pub mod time;
mod undecoded;
mod visit;

pub use config::{DocumentsConfig, FieldNames, PayloadFormat, RegistryConfig};
pub use decoder::Decoder;
pub use registry::types as registry_types;
pub use rows::RawRows;
pub use undecoded::Undecoded;
