//! The schemas of news documents at each stage of fenliu.
//!
//! ```text
//! bytes ─▶ Document ─▶ raw row ─▶ cleaned row ─▶ labelled row
//!                         └───────────┴─────────▶ dead letter
//! ```
//!
//! Every row contains its *lineage* `(topic, partition, offset)`, so that each row of an output can be traced to the
//! message that it came from. An invalid document is not an error but a row with a `reject_reason`, so that no document
//! is lost on the way.
//!
//! This crate contains Arrow schemas, their builders, and small types that are used together with them. It does no I/O.

mod dead_letter;
mod disagreement;
mod document;
mod error;
mod feedback;
mod labelled;
mod message;
mod offsets;
pub mod raw;
mod reject;
mod rows;
mod text;
mod topic;

pub use dead_letter::{dead_letter_schema, dead_letters, model_dead_letters, set_aside};
pub use disagreement::{ScoredLabel, disagreement_schema, disagreements};
pub use document::{Document, Warning, Warnings};
pub use error::SchemaError;
pub use feedback::Feedback;
pub use labelled::{
    LabelledOptions, MODEL_COLUMNS, Prediction, THRESHOLD, TRUNCATED, adds, is_settable, label_rows,
    labelled_schema, unlabelled_rows,
};
pub use message::{Header, Headers, KAFKA_HEADERS, KAFKA_KEY, KeyAndHeaders, kafka_fields, kafka_keys};
pub use offsets::{OffsetRange, Offsets, Positions, TopicPartition};
pub use raw::{DECODE_WARNINGS, Origin, RawBuilder};
pub use reject::{Reject, Stage, split_rejected};
pub use rows::{Lineage, Texts, primitive_column, text_at, text_column};
pub use text::document_text;
pub use topic::{TopicIdentity, Topics};
