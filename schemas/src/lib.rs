//! What a news document is at each stage of fenliu.
//!
//! ```text
//! bytes ─▶ Document ─▶ raw row ─▶ cleaned row ─▶ labelled row
//!                         └───────────┴─────────▶ dead letter
//! ```
//!
//! Every row carries its *lineage* `(topic, partition, offset)`, so any output row can be traced to
//! the one source position it came from. A bad document is a row with a `reject_reason`, never an
//! error: nothing is lost on the way.
//!
//! This crate holds Arrow schemas, their builders and the small types that travel with them. It does
//! no I/O.

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

pub use dead_letter::{dead_letter_schema, dead_letters, model_dead_letters};
pub use disagreement::{Verdict, disagreement_schema, disagreements};
pub use document::Document;
pub use error::SchemaError;
pub use feedback::Feedback;
pub use labelled::{
    LabelledOptions, MODEL_COLUMNS, Prediction, is_settable, label_rows, labelled_schema, unlabelled_rows,
};
pub use message::{Header, Headers, KAFKA_HEADERS, KAFKA_KEY, KeyAndHeaders, kafka_fields, kafka_keys};
pub use offsets::{OffsetRange, Offsets, Positions, TopicPartition};
pub use raw::{Origin, RawBuilder};
pub use reject::{Reject, Stage, split_rejected};
pub use rows::{Lineage, Texts, primitive_column, text_at, text_column};
pub use text::document_text;
pub use topic::{TopicIdentity, Topics};
