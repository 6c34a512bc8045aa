//! What is in an output: for `verify`, which compares it with the source, and for looking at dead letters.
//!
//! Contract: reading changes nothing and commits no offset. A reader is an output as it was when it was opened: what is
//! added later may or may not be seen.

use std::ops::ControlFlow;

use arrow::array::{Array, AsArray, RecordBatch, new_null_array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int32Type, Int64Type};
use arrow::error::ArrowError;
use fenliu_engine::Result;
use fenliu_engine::position::Stored;
use fenliu_schemas::{Positions, TopicPartition, Topics, text_at};

use crate::cluster::KafkaConfig;
use crate::dead_letter::DeadLetter;
use crate::selection::Role;

/// The columns that identify the source message of a row.
pub(crate) const PLACES: [&str; 3] = ["topic", "partition", "offset"];

/// What a reader must know beside the output's own configuration.
#[derive(Clone, Copy, Debug)]
pub struct ReadContext<'a> {
    /// What rows the output holds.
    pub role: Role,
    /// The pipeline whose positions are asked for.
    pub pipeline: &'a str,
    /// The cluster that is meant where none is named.
    pub kafka: &'a KafkaConfig,
    /// The partitions of the source.
    pub partitions: &'a [TopicPartition],
    /// The consumer group's offsets, which are the positions of all topics, and what is stored with them; `None` where
    /// the source is no topic.
    pub committed: Option<&'a Stored>,
    /// Whether the source began with the messages that were new at its start.
    pub starts_at_latest: bool,
}

/// Where an output began with the partitions of the source.
#[derive(Clone, Debug, PartialEq)]
pub enum Beginning {
    /// Where it says itself.
    Recorded(Positions),
    /// Nothing records it: most likely with the first document.
    Assumed,
    /// Nothing records it, and it was the end of the topic as it was then.
    Unknown,
}

/// Where a row says that it came from; what it does not say is `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place<'a> {
    /// Topic, or a file's path.
    pub topic: Option<&'a str>,
    /// Its partition.
    pub partition: Option<i32>,
    /// The offset in it.
    pub offset: Option<i64>,
}

/// What was found beside rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// What is wrong with the output itself, such as files that are missing.
    pub problems: Vec<String>,
    /// What a reader of counts must know.
    pub notes: Vec<String>,
}

/// What is done with each row's place.
pub type VisitPlace<'a> = dyn FnMut(Place<'_>) + 'a;

/// What is done with each dead letter; [`ControlFlow::Break`] ends the reading.
pub type VisitLetter<'a> = dyn FnMut(DeadLetter) -> Result<ControlFlow<()>> + 'a;

/// An output that can be read back.
pub trait Reader {
    /// Where the output began.
    fn beginning(&self) -> Beginning;

    /// Where it stands; `None` where it keeps no positions, and so counts as having everything.
    fn positions(&self) -> Option<Positions>;

    /// What it has stored of the topics that its positions belong to; a topic is missing where an earlier release
    /// wrote the positions.
    fn topics(&self) -> Topics;

    /// Shows `visit` the places of all rows; without it only the output itself is looked at.
    ///
    /// # Errors
    /// A destination that does not answer. A file that cannot be read is a problem among the findings.
    fn places(&self, visit: Option<&mut VisitPlace<'_>>) -> Result<Findings>;
}

/// Shows `visit` the place of each row of `batch`.
///
/// # Errors
/// Columns of types that hold no places.
pub(crate) fn visit_places(batch: &RecordBatch, visit: &mut VisitPlace<'_>) -> Result<(), ArrowError> {
    let column = |name: &str, data_type: DataType| match batch.column_by_name(name) {
        Some(column) => cast(column, &data_type),
        None => Ok(new_null_array(&data_type, batch.num_rows())),
    };
    let topics = column("topic", DataType::Utf8)?;
    let partitions = column("partition", DataType::Int32)?;
    let offsets = column("offset", DataType::Int64)?;
    let topics = topics.as_string::<i32>();
    let (partitions, offsets) = (partitions.as_primitive::<Int32Type>(), offsets.as_primitive::<Int64Type>());
    for row in 0..batch.num_rows() {
        visit(Place {
            topic: text_at(topics, row),
            partition: partitions.is_valid(row).then(|| partitions.value(row)),
            offset: offsets.is_valid(row).then(|| offsets.value(row)),
        });
    }
    Ok(())
}
