//! The outputs of a pipeline: where each stands, and how to read what is in it.

use std::ops::{ControlFlow, Range};
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use fenliu_schemas::{Positions, dead_letter_schema, labelled_schema};
use indicatif::ProgressBar;

use super::compare::Counts;
use super::directory::Directory;
use super::partitions::{Found, Ranges};
#[cfg(feature = "iceberg")]
use super::rows;
use super::rows::Sole;
use super::topic;
use crate::clean::compile;
#[cfg(feature = "delta")]
use crate::config::DeltaSinkConfig;
#[cfg(feature = "iceberg")]
use crate::config::IcebergSinkConfig;
use crate::config::{
    DeadLetterConfig, FilesSinkConfig, KafkaConfig, KafkaSinkConfig, SinkConfig, SourceConfig, Start,
    ValidatedConfig,
};
use crate::dlq::{Filter, Letters};
use crate::error::Result;
use crate::kafka::{committed, connect};
#[cfg(feature = "iceberg")]
use crate::sink::IcebergReader;
use crate::sink::Selection;

/// A sink or the dead letters, with where it stood when it was opened.
pub(super) struct Output {
    /// The configuration's key and the destination.
    pub(super) name: String,
    /// Whether a predicate keeps documents out.
    pub(super) filtered: bool,
    /// Why its rows cannot be told apart, where that is so.
    pub(super) limit: Option<String>,
    beginning: Beginning,
    /// None where it keeps none: it then counts as having all.
    positions: Option<Positions>,
    sole: Sole,
    place: Place,
}

/// Where an output began with a partition.
enum Beginning {
    /// With the first document.
    Oldest,
    /// Where it says itself.
    Recorded(Positions),
    /// At the end of the topic as it was then; nothing says where that is.
    Unknown,
}

enum Place {
    Directory(Directory),
    #[cfg(feature = "iceberg")]
    Iceberg(IcebergReader),
    #[cfg(feature = "delta")]
    Delta(super::table::Table),
    Topic(KafkaConfig, KafkaSinkConfig),
    Letters(Letters),
}

impl Output {
    /// The offsets of a partition that this output should have, given the source's `range` and the `lowest`
    /// offset that was found.
    pub(super) fn span(
        &self,
        topic: &Arc<str>,
        partition: i32,
        range: &Range<u64>,
        lowest: Option<u64>,
    ) -> Range<u64> {
        let at = |positions: &Positions| positions.get(topic, partition).map_or(0, i64::unsigned_abs);
        let next = self.positions.as_ref().map_or(range.end, at);
        let first = match &self.beginning {
            Beginning::Oldest => 0,
            Beginning::Recorded(beginnings) => at(beginnings),
            Beginning::Unknown => lowest.unwrap_or(next),
        };
        first..next
    }

    /// What may explain that something is lost.
    pub(super) fn note_on_loss(&self, total: &Counts) -> Option<String> {
        let may_be_newer = matches!((&self.place, &self.beginning), (Place::Topic(..), Beginning::Oldest));
        (may_be_newer && total.lost.is_some_and(|lost| lost > 0)).then(|| {
            "nothing records where it began: where it was added later than others, what came before counts as lost".into()
        })
    }

    /// What a reader of the counts must know.
    pub(super) fn notes(&self) -> Vec<String> {
        let mut notes: Vec<_> = self.limit.iter().cloned().collect();
        if self.filtered {
            notes.push("what is lost cannot be told: its `where` may have left a document out".into());
        }
        if matches!(self.beginning, Beginning::Unknown) {
            notes.push("counted from the lowest offset found: nothing records where it began".into());
        }
        if self.positions.is_none() {
            notes.push("it keeps no position: what is still to come counts as lost".into());
        }
        notes
    }

    /// Partitions in which this output stands past the end of the source.
    pub(super) fn past_the_end(&self, ranges: &Ranges) -> Vec<String> {
        let stands = |(topic, partition, range): (&Arc<str>, i32, &Range<u64>)| {
            let next = self.positions.as_ref()?.get(topic, partition)?.unsigned_abs();
            (next > range.end).then(|| {
                let end = range.end;
                format!("{topic}/{partition}: stands at {next}, past the source's end {end}: was the topic made anew?")
            })
        };
        ranges.iter().filter_map(stands).collect()
    }

    /// Notes all rows in `found`, and what is wrong with the output itself.
    ///
    /// # Errors
    /// A broker that does not answer, a topic that is not there.
    pub(super) fn read(&self, found: &mut Found, progress: &ProgressBar) -> Result<()> {
        let sole = self.limit.is_none().then_some(&self.sole);
        match (&self.place, sole) {
            (Place::Directory(directory), _) => directory.read(sole, found, progress)?,
            #[cfg(feature = "iceberg")]
            (Place::Iceberg(table), Some(sole)) => table.read(&rows::PLACES, &mut |batch| {
                progress.inc(batch.num_rows() as u64);
                rows::note(batch, sole, found)
            })?,
            #[cfg(feature = "delta")]
            (Place::Delta(table), Some(sole)) => table.read(sole, found, progress),
            (Place::Topic(kafka, sink), Some(sole)) => topic::read(kafka, sink, sole, found, progress)?,
            (Place::Letters(letters), Some(_)) => {
                letters.read(&Filter::default(), false, &mut |letter| {
                    progress.inc(1);
                    found.add(&letter.topic, letter.partition, letter.offset);
                    Ok(ControlFlow::Continue(()))
                })?;
            }
            (_, None) => {}
        }
        Ok(())
    }
}

/// Opens the outputs of one configuration.
pub(super) struct Outputs<'a> {
    config: &'a ValidatedConfig,
    schema: SchemaRef,
    sole: Sole,
    /// The group's offsets, which are the position of all Kafka outputs.
    committed: Option<Positions>,
    /// The partitions of the source.
    #[cfg(feature = "delta")]
    places: Vec<(Arc<str>, i32)>,
}

impl<'a> Outputs<'a> {
    /// The outputs of `config`, whose source has these `partitions`.
    ///
    /// # Errors
    /// Brokers that do not answer, cleaning steps that do not compile.
    pub(super) fn try_new(config: &'a ValidatedConfig, partitions: &Ranges) -> Result<Self> {
        let schema = labelled_schema(compile(&config.clean)?.schema(), config.labelled_options());
        let places: Vec<_> = partitions.iter().map(|(topic, id, _)| (Arc::clone(topic), id)).collect();
        let committed = match &config.source {
            SourceConfig::Kafka(source) => Some(committed(&connect(config, source)?, &places)?),
            SourceConfig::Files(_) => None,
        };
        Ok(Outputs {
            config,
            schema,
            sole: Sole::of(partitions),
            committed,
            #[cfg(feature = "delta")]
            places,
        })
    }

    /// The sink of that number; none where it keeps no rows.
    ///
    /// # Errors
    /// Manifests that cannot be read.
    pub(super) fn sink(&self, number: usize) -> Result<Option<Output>> {
        let Some(sink) = self.config.sinks.get(number) else { return Ok(None) };
        let key = format!("sinks[{number}]");
        let selection = Selection::labelled(&key, &self.schema, sink.columns(), None)?;
        let limit = self.sole.limit(selection.schema());
        let output = match sink {
            SinkConfig::Files(files) => self.files(&key, files, limit)?,
            #[cfg(feature = "iceberg")]
            SinkConfig::Iceberg(table) => self.iceberg(&key, table, limit)?,
            // Validation has refused it.
            #[cfg(not(feature = "iceberg"))]
            SinkConfig::Iceberg(_) => return Ok(None),
            SinkConfig::Kafka(kafka) => {
                let place = Place::Topic(self.config.kafka.clone(), kafka.clone());
                self.topic(&key, kafka, limit, place)
            }
            #[cfg(feature = "delta")]
            SinkConfig::Delta(delta) => self.delta(&key, delta, limit)?,
            // Validation has refused it.
            #[cfg(not(feature = "delta"))]
            SinkConfig::Delta(_) => return Ok(None),
            SinkConfig::Stdout(_) => return Ok(None),
        };
        Ok(Some(Output { filtered: sink.filter().is_some(), ..output }))
    }

    /// The dead letters.
    ///
    /// # Errors
    /// Manifests that cannot be read.
    pub(super) fn dead_letters(&self) -> Result<Output> {
        match &self.config.dead_letters {
            DeadLetterConfig::Files(files) => {
                let selection = Selection::dead_letters(&dead_letter_schema(), &files.columns)?;
                self.files("dead_letters", files, self.sole.limit(selection.schema()))
            }
            DeadLetterConfig::Kafka(kafka) => {
                let letters = Letters::of(&self.config.dead_letters, &self.config.kafka);
                Ok(self.topic("dead_letters", kafka, None, Place::Letters(letters)))
            }
        }
    }

    fn files(&self, key: &str, files: &FilesSinkConfig, limit: Option<String>) -> Result<Output> {
        let directory = Directory::open(files, &self.config.name)?;
        Ok(Output {
            name: format!("{key} ({})", files.path.display()),
            filtered: false,
            limit,
            beginning: self.recorded(&directory.beginnings),
            positions: Some(directory.positions.clone()),
            sole: self.sole.clone(),
            place: Place::Directory(directory),
        })
    }

    #[cfg(feature = "iceberg")]
    fn iceberg(&self, key: &str, config: &IcebergSinkConfig, limit: Option<String>) -> Result<Output> {
        let table = IcebergReader::open(config, &self.config.name)?;
        Ok(Output {
            name: format!("{key} ({}.{})", config.namespace, config.table),
            filtered: false,
            limit,
            beginning: self.recorded(&table.beginnings),
            positions: Some(table.positions.clone()),
            sole: self.sole.clone(),
            place: Place::Iceberg(table),
        })
    }

    /// Where an output began that says so itself.
    fn recorded(&self, beginnings: &Positions) -> Beginning {
        match &self.config.source {
            SourceConfig::Kafka(_) => Beginning::Recorded(beginnings.clone()),
            SourceConfig::Files(_) => Beginning::Oldest,
        }
    }

    #[cfg(feature = "delta")]
    fn delta(&self, key: &str, delta: &DeltaSinkConfig, limit: Option<String>) -> Result<Output> {
        let table = super::table::Table::open(delta, &self.config.name, &self.places)?;
        Ok(Output {
            name: format!("{key} ({})", delta.path),
            filtered: false,
            limit,
            beginning: self.recorded(&table.beginnings),
            positions: Some(table.positions.clone()),
            sole: self.sole.clone(),
            place: Place::Delta(table),
        })
    }

    fn topic(&self, key: &str, kafka: &KafkaSinkConfig, limit: Option<String>, place: Place) -> Output {
        let beginning = match &self.config.source {
            SourceConfig::Kafka(source) if source.start == Start::Latest => Beginning::Unknown,
            _ => Beginning::Oldest,
        };
        Output {
            name: format!("{key} ({})", kafka.topic),
            filtered: false,
            limit,
            beginning,
            positions: self.committed.clone(),
            sole: self.sole.clone(),
            place,
        }
    }
}
