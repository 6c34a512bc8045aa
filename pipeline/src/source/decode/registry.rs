//! Schemas of a Confluent-compatible registry, fetched when a message first names them and then kept:
//! a number stands for the same schema for ever.
//!
//! An outage is not the documents' fault: while the registry does not answer, messages that need it wait.
//! A number that the registry does not have, or whose schema cannot hold documents, is: those messages are
//! rejected.

mod client;

use std::collections::HashMap;
use std::time::{Duration, Instant};

use rand::Rng as _;

use self::client::{Client, Failure};
use super::fields::Fields;
use super::schema::{Schema, Source};
use super::{Undecoded, reject};
use crate::config::RegistryConfig;
use crate::error::PipelineError;
use fenliu_schemas::Reject;

/// How long a number that the registry does not have is not asked for again.
const UNKNOWN_FOR: Duration = Duration::from_secs(10);

/// Most unknown numbers remembered: bytes that are no messages at all can name any.
const MAX_UNKNOWN: usize = 10_000;

/// Pauses between tries while the registry does not answer: doubled up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// The schemas known so far and the way to the others.
#[derive(Debug)]
pub(super) struct Registry<S> {
    known: HashMap<u32, Result<S, Reject>>,
    remote: Remote,
}

impl<S: Schema> Registry<S> {
    /// A registry that was not asked anything yet.
    pub(super) fn new(config: &RegistryConfig) -> Self {
        let remote = Remote { client: Client::new(config), unknown: HashMap::new(), outage: None };
        Registry { known: HashMap::new(), remote }
    }

    /// The schema of that number.
    ///
    /// # Errors
    /// `unknown_schema`, `schema_incompatible`; [`Undecoded::Wait`] while the registry does not answer;
    /// [`Undecoded::Failed`] when it refuses to.
    pub(super) fn find(&mut self, number: u32, fields: &Fields) -> Result<&mut S, Undecoded> {
        use std::collections::hash_map::Entry;
        let schema = match self.known.entry(number) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(vacant) => {
                let source = self.remote.fetch(number)?;
                vacant.insert(compile(&source, fields))
            }
        };
        schema.as_mut().map_err(|reject| reject.clone().into())
    }
}

fn compile<S: Schema>(source: &Source, fields: &Fields) -> Result<S, Reject> {
    let compiled = if source.kind == S::KIND {
        S::compile(source, fields)
    } else {
        Err(format!("it is of type {}, but `documents.format` needs {}", source.kind, S::KIND))
    };
    compiled.map_err(|why| {
        tracing::warn!(schema = source.label, why, "documents of this schema become dead letters");
        reject("schema_incompatible", format!("{}: {why}", source.label))
    })
}

/// The client and what is known of the registry's state.
#[derive(Debug)]
struct Remote {
    client: Client,
    unknown: HashMap<u32, Instant>,
    outage: Option<Outage>,
}

#[derive(Debug)]
struct Outage {
    pause: Duration,
    again_at: Instant,
}

impl Remote {
    fn fetch(&mut self, number: u32) -> Result<Source, Undecoded> {
        if self.unknown.get(&number).is_some_and(|since| since.elapsed() < UNKNOWN_FOR) {
            return Err(unknown(number));
        }
        if self.outage.as_ref().is_some_and(|outage| Instant::now() < outage.again_at) {
            return Err(Undecoded::Wait);
        }
        let answer = self.client.schema(number);
        if let Err(Failure::Outage(why)) = answer {
            self.note_outage(&why);
            return Err(Undecoded::Wait);
        }
        if self.outage.take().is_some() {
            tracing::info!(url = self.client.url(), "the schema registry answers again");
        }
        match answer {
            Ok(source) => Ok(source),
            Err(Failure::Absent) => {
                if self.unknown.len() >= MAX_UNKNOWN {
                    self.unknown.clear();
                }
                self.unknown.insert(number, Instant::now());
                Err(unknown(number))
            }
            Err(Failure::Refused(why) | Failure::Outage(why)) => {
                let url = self.client.url().to_string();
                Err(Undecoded::Failed(PipelineError::Registry { url, message: why }))
            }
        }
    }

    fn note_outage(&mut self, why: &str) {
        let pause = self.outage.as_ref().map_or(FIRST_PAUSE, |o| (o.pause * 2).min(LONGEST_PAUSE));
        // Several pipelines that lost the same registry should not come back at the same moment.
        let wait = pause.mul_f64(rand::rng().random_range(0.5..1.0));
        tracing::warn!(url = self.client.url(), retry_in = ?wait, why, "the schema registry does not answer, documents wait");
        self.outage = Some(Outage { pause, again_at: Instant::now() + wait });
    }
}

fn unknown(number: u32) -> Undecoded {
    reject("unknown_schema", format!("the registry has no schema {number}")).into()
}
