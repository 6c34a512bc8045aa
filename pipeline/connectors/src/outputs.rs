//! All outputs of a pipeline: compiled once, opened as often as reading starts over.

use std::sync::Arc;
use std::time::Duration;

use arrow::datatypes::SchemaRef;
use fenliu_config::Problems;
use fenliu_engine::{Error, Result, Sink};

use crate::kafka::{KafkaConsumer, RowLimit, TopicsConfig};
use crate::kind::{CompiledSink, OpenSink, SinkKind, Stream};
use crate::selection::{Role, Selection};

/// The rows that outputs are compiled for.
#[derive(Clone, Copy, Debug)]
pub struct RowColumns<'a> {
    /// All columns that the rows have, which `columns` and `where` may use.
    pub schema: &'a SchemaRef,
    /// The names of those that an output without `columns` gets.
    pub default: &'a [String],
}

/// A compiled output, which can be opened.
#[derive(Debug)]
pub struct Output {
    /// For messages: the configuration's key and the destination.
    name: String,
    max_age: Option<Duration>,
    compiled: Box<dyn CompiledSink>,
    /// For asking what the output uses.
    selection: Selection,
}

impl Output {
    /// Compiles the output `kind` at `key` for `rows`.
    ///
    /// # Errors
    /// All that is wrong with its columns, its predicate and its partitions.
    pub fn compile(
        key: &str,
        kind: &dyn SinkKind,
        role: Role,
        rows: RowColumns<'_>,
    ) -> Result<Self, Problems> {
        let columns = if kind.columns().is_empty() { rows.default } else { kind.columns() };
        let selection = Selection::compile(key, role, rows.schema, columns, kind.filter())?
            .with_beside(key, kind.beside(role))?;
        let compiled = kind.compile(key, selection.clone())?;
        let name = format!("{key} ({})", kind.destination());
        Ok(Output { name, max_age: kind.max_age(), compiled, selection })
    }

    /// Whether the output depends on the column `name` of the rows.
    pub fn uses(&self, name: &str) -> bool {
        self.selection.uses(name)
    }

    /// Checks what exists at the destination, as a pipeline does at its start, without making anything there. Returns
    /// an error if the destination does not answer.
    ///
    /// # Errors
    /// A destination that refuses the rows.
    pub fn examine(&self) -> Result<Option<Error>> {
        self.compiled.examine()
    }
}

/// Asks the brokers whether the topics among `outputs` take what is to be sent to them; brokers that do not answer at
/// once are not waited for.
///
/// # Errors
/// A compacted topic whose messages would have no key.
pub fn check_topics(outputs: &[Output], topics: &TopicsConfig) -> Result<()> {
    let mut rows = outputs.iter().filter_map(|output| output.compiled.topic());
    rows.try_for_each(|(topic, selection)| topics.check_keys(topic, selection))
}

/// Asks the brokers how large the messages of each topic among `outputs` may be, and returns the bounds of those with
/// labelled rows. Brokers that do not answer at once are not waited for.
///
/// # Errors
/// Properties that librdkafka refuses.
pub fn row_limits(outputs: &[Output], topics: &mut TopicsConfig) -> Result<Vec<RowLimit>> {
    let of_topics: Vec<_> = outputs.iter().filter_map(|output| output.compiled.topic()).collect();
    topics.ask_limits(&of_topics.iter().map(|(topic, _)| topic.clone()).collect::<Vec<_>>())?;
    let labelled = of_topics.into_iter().filter(|(_, selection)| selection.role() == Role::Labelled);
    Ok(labelled.filter_map(|(topic, selection)| topics.row_limit(&topic, selection)).collect())
}

/// A sink under its name for messages.
pub struct NamedSink {
    /// The configuration's key and the destination.
    pub name: String,
    /// When an epoch of this sink closes at the latest, in place of the general bound.
    pub max_age: Option<Duration>,
    /// The sink.
    pub sink: Box<dyn Sink>,
}

/// All outputs, open.
#[derive(Default)]
pub struct OpenOutputs {
    /// Those that keep positions.
    pub sinks: Vec<NamedSink>,
    /// Those that keep none: they are written before rows go to any sink.
    pub streams: Vec<Box<dyn Stream>>,
}

/// Opens all `outputs` of `pipeline`.
///
/// All topics on the source's cluster are one sink, so that one transaction has their rows and the group's offsets;
/// `consumer` is the source's where that is a topic.
///
/// # Errors
/// Directories that cannot be made, Kafka properties that librdkafka refuses.
pub fn open(
    outputs: &[Output],
    pipeline: &str,
    topics: &TopicsConfig,
    consumer: Option<&Arc<KafkaConsumer>>,
) -> Result<OpenOutputs> {
    let mut open = OpenOutputs::default();
    let mut rows = vec![];
    for Output { name, max_age, compiled, .. } in outputs {
        match compiled.open(pipeline)? {
            OpenSink::Sink(sink) => {
                open.sinks.push(NamedSink { name: name.clone(), max_age: *max_age, sink });
            }
            OpenSink::Topic(topic, selection) => rows.push((topic, selection)),
            OpenSink::Stream(stream) => open.streams.push(stream),
        }
    }
    if let Some((name, sink)) = topics.open(rows, consumer)? {
        open.sinks.push(NamedSink { name, max_age: Some(topics.max_age), sink });
    }
    Ok(open)
}
