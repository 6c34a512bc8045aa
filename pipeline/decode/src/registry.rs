//! Schemas of a Confluent-compatible registry.
//!
//! A schema is fetched when a message first names it, by id or by GUID, and then kept: a registry never gives either to
//! another schema.
//!
//! Contract: while the registry does not answer, messages that need it wait, because an outage says nothing about the
//! messages. A message is rejected if the registry has no schema of its id, or if that schema cannot hold a document.

mod client;

use std::collections::HashMap;
use std::time::{Duration, Instant};

use fenliu_engine::retry::Retry;
use fenliu_engine::{Error, Kind};
use fenliu_schemas::Reject;
use rand::SeedableRng as _;
use rand::rngs::SmallRng;

use self::client::{Client, LookupFailure};
use crate::config::RegistryConfig;
use crate::fields::Fields;
use crate::prefix::SchemaId;
use crate::schema::{Schema, SchemaText};
use crate::undecoded::{Undecoded, reject};

/// How long the registry is not asked again for an id that it did not have.
const UNKNOWN_FOR: Duration = Duration::from_secs(10);

/// Most unknown ids that are remembered. Messages that were not written for a registry can contain any id, so their
/// number has no other bound.
const MAX_UNKNOWN: usize = 10_000;

/// Asks the registry of `config` for its types of schemas, to find out whether it is reachable and accepts the password.
///
/// # Errors
/// Why it is not reachable or refused the request, as a sentence.
pub fn types(config: &RegistryConfig) -> Result<Vec<String>, String> {
    let client = Client::new(config);
    client.types().map_err(|failure| match failure {
        LookupFailure::Absent(_) => "it does not list its types of schemas".into(),
        LookupFailure::Outage(why) | LookupFailure::Refused(why) => format!("{}: {why}", client.url()),
    })
}

/// The schemas that were fetched so far, and the client that fetches more.
#[derive(Clone, Debug)]
pub(super) struct SchemaRegistry<S> {
    known: HashMap<SchemaId, Result<S, Reject>>,
    remote: Remote,
}

impl<S: Schema> SchemaRegistry<S> {
    /// A registry that has not been contacted yet.
    pub(super) fn new(config: &RegistryConfig) -> Self {
        let remote = Remote { client: Client::new(config), unknown: HashMap::new(), outage: None };
        SchemaRegistry { known: HashMap::new(), remote }
    }

    /// The schema that is called `id`, fetched if it is not known yet.
    ///
    /// # Errors
    /// Rejects with `unknown_schema` or `schema_incompatible`. Returns [`Undecoded::Wait`] while the registry does not
    /// answer, and [`Undecoded::Failed`] if it refuses to.
    pub(super) fn find(&mut self, id: SchemaId, fields: &Fields) -> Result<&mut S, Undecoded> {
        use std::collections::hash_map::Entry;
        let schema = match self.known.entry(id) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(vacant) => {
                // An error here is not stored: an outage passes, and `Remote` remembers ids that do not exist for a
                // while only.
                let source = self.remote.fetch(id)?;
                vacant.insert(compile(&source, fields))
            }
        };
        schema.as_mut().map_err(|reject| reject.clone().into())
    }
}

fn compile<S: Schema>(source: &SchemaText, fields: &Fields) -> Result<S, Reject> {
    let compiled = if source.kind == S::KIND {
        S::compile(source, fields)
    } else {
        Err(format!("it is of type {}, but `documents.format` needs {}", source.kind, S::KIND))
    };
    compiled.map_err(|why| {
        tracing::warn!(
            event = "schema_refused",
            schema = source.label,
            why,
            "messages of this schema cannot hold a document and become dead letters"
        );
        reject("schema_incompatible", format!("{}: {why}", source.label))
    })
}

/// The client, with what is known about the state of the registry.
#[derive(Clone, Debug)]
struct Remote {
    client: Client,
    /// Ids whose schemas the registry did not have.
    unknown: HashMap<SchemaId, Unknown>,
    outage: Option<Outage>,
}

/// A schema that the registry did not have.
#[derive(Clone, Debug)]
struct Unknown {
    since: Instant,
    why: String,
}

#[derive(Clone, Debug)]
struct Outage {
    retry: Retry,
    /// No request is sent before this time.
    retry_at: Instant,
}

impl Remote {
    fn fetch(&mut self, id: SchemaId) -> Result<SchemaText, Undecoded> {
        if let Some(unknown) = self.unknown.get(&id).filter(|unknown| unknown.since.elapsed() < UNKNOWN_FOR) {
            return Err(reject("unknown_schema", unknown.why.clone()).into());
        }
        if self.outage.as_ref().is_some_and(|outage| Instant::now() < outage.retry_at) {
            return Err(Undecoded::Wait);
        }
        let answer = self.client.schema(id);
        if let Err(LookupFailure::Outage(why)) = answer {
            self.note_outage(&why);
            return Err(Undecoded::Wait);
        }
        if self.outage.take().is_some() {
            tracing::info!(
                event = "registry_answers",
                url = self.client.url(),
                "the schema registry answers again"
            );
        }
        match answer {
            Ok(source) => Ok(source),
            Err(LookupFailure::Absent(what)) => {
                Err(self.note_unknown(id, format!("the registry has no {what}")))
            }
            Err(LookupFailure::Refused(why) | LookupFailure::Outage(why)) => {
                let message = format!("schema registry {}: {why}", self.client.url());
                Err(Undecoded::Failed(Error::new(Kind::Refused, message)))
            }
        }
    }

    fn note_unknown(&mut self, id: SchemaId, why: String) -> Undecoded {
        // Forgetting all of them at once costs at most one more request for each.
        if self.unknown.len() >= MAX_UNKNOWN {
            self.unknown.clear();
        }
        self.unknown.insert(id, Unknown { since: Instant::now(), why: why.clone() });
        reject("unknown_schema", why).into()
    }

    fn note_outage(&mut self, why: &str) {
        let now = Instant::now();
        let first = || Retry::new(SmallRng::from_rng(&mut rand::rng()));
        let mut retry = self.outage.take().map_or_else(first, |outage| outage.retry);
        let retry_at = retry.after_failure(now).unwrap_or(now);
        let retry_in = retry_at - now;
        tracing::warn!(
            event = "registry_unavailable",
            url = self.client.url(),
            ?retry_in,
            why,
            "the schema registry does not answer, documents wait"
        );
        self.outage = Some(Outage { retry, retry_at });
    }
}

#[cfg(test)]
pub(crate) mod tests;
