//! Schemas of a Confluent-compatible registry.
//!
//! A schema is fetched when a message first names its id, and then kept: a registry never gives an id to another schema.
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
        LookupFailure::Absent => "it does not list its types of schemas".into(),
        LookupFailure::Outage(why) | LookupFailure::Refused(why) => format!("{}: {why}", client.url()),
    })
}

/// The schemas that were fetched so far, and the client that fetches more.
#[derive(Clone, Debug)]
pub(super) struct SchemaRegistry<S> {
    known: HashMap<u32, Result<S, Reject>>,
    remote: Remote,
}

impl<S: Schema> SchemaRegistry<S> {
    /// A registry that has not been contacted yet.
    pub(super) fn new(config: &RegistryConfig) -> Self {
        let remote = Remote { client: Client::new(config), unknown: HashMap::new(), outage: None };
        SchemaRegistry { known: HashMap::new(), remote }
    }

    /// The schema with the id `number`, fetched if it is not known yet.
    ///
    /// # Errors
    /// Rejects with `unknown_schema` or `schema_incompatible`. Returns [`Undecoded::Wait`] while the registry does not
    /// answer, and [`Undecoded::Failed`] if it refuses to.
    pub(super) fn find(&mut self, number: u32, fields: &Fields) -> Result<&mut S, Undecoded> {
        use std::collections::hash_map::Entry;
        let schema = match self.known.entry(number) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(vacant) => {
                // An error here is not stored: an outage passes, and `Remote` remembers ids that do not exist for a
                // while only.
                let source = self.remote.fetch(number)?;
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
    /// Ids that the registry did not have, with the time of the request.
    unknown: HashMap<u32, Instant>,
    outage: Option<Outage>,
}

#[derive(Clone, Debug)]
struct Outage {
    retry: Retry,
    /// No request is sent before this time.
    retry_at: Instant,
}

impl Remote {
    fn fetch(&mut self, number: u32) -> Result<SchemaText, Undecoded> {
        if self.unknown.get(&number).is_some_and(|since| since.elapsed() < UNKNOWN_FOR) {
            return Err(unknown(number));
        }
        if self.outage.as_ref().is_some_and(|outage| Instant::now() < outage.retry_at) {
            return Err(Undecoded::Wait);
        }
        let answer = self.client.schema(number);
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
            Err(LookupFailure::Absent) => {
                // Forgetting all of them at once costs at most one more request for each.
                if self.unknown.len() >= MAX_UNKNOWN {
                    self.unknown.clear();
                }
                self.unknown.insert(number, Instant::now());
                Err(unknown(number))
            }
            Err(LookupFailure::Refused(why) | LookupFailure::Outage(why)) => {
                let message = format!("schema registry {}: {why}", self.client.url());
                Err(Undecoded::Failed(Error::new(Kind::Refused, message)))
            }
        }
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

fn unknown(number: u32) -> Undecoded {
    reject("unknown_schema", format!("the registry has no schema {number}")).into()
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader, Write as _};
    use std::net::TcpListener;
    use std::sync::mpsc::{Receiver, channel};

    use super::*;
    use crate::avro::AvroSchema;
    use crate::config::FieldNames;

    const STORY: &str = r#"{"schema": "{\"type\": \"record\", \"name\": \"S\", \"fields\": [{\"name\": \"body\", \"type\": \"string\"}]}"}"#;

    /// Answers one request after the other, and hands out their heads.
    fn serve(answers: Vec<(u16, &'static str)>) -> (RegistryConfig, Receiver<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let (sender, requests) = channel();
        std::thread::spawn(move || {
            for (status, body) in answers {
                let (mut stream, _) = listener.accept().unwrap();
                let lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(|line| line.ok());
                let head: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
                sender.send(head.join("\n")).unwrap();
                let length = body.len();
                let answer = format!(
                    "HTTP/1.1 {status} X\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
                );
                stream.write_all(answer.as_bytes()).unwrap();
            }
        });
        (RegistryConfig { url, ..RegistryConfig::default() }, requests)
    }

    fn find(registry: &mut SchemaRegistry<AvroSchema>, number: u32) -> Result<(), Undecoded> {
        registry.find(number, &Fields::new(&FieldNames::default())).map(drop)
    }

    fn reason(answer: Result<(), Undecoded>) -> String {
        match answer {
            Err(Undecoded::Reject(reject)) => reject.reason.into_owned(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_schema_is_asked_for_once_and_with_the_password() {
        let missing = r#"{"error_code": 40403, "message": "Schema not found"}"#;
        let json = r#"{"schemaType": "JSON", "schema": "{}"}"#;
        let (config, requests) = serve(vec![(200, STORY), (404, missing), (200, json)]);
        let config = RegistryConfig { username: "news".into(), password: "hunter2".into(), ..config };
        let mut registry = SchemaRegistry::new(&config);
        for _ in 0..3 {
            find(&mut registry, 7).unwrap();
            assert_eq!(reason(find(&mut registry, 8)), "unknown_schema");
            assert_eq!(reason(find(&mut registry, 9)), "schema_incompatible");
        }
        let requests: Vec<String> = requests.iter().collect();
        let paths: Vec<&str> = requests.iter().filter_map(|head| head.split(' ').nth(1)).collect();
        assert_eq!(paths, ["/schemas/ids/7", "/schemas/ids/8", "/schemas/ids/9"]);
        assert!(requests[0].to_lowercase().contains("authorization: basic bmv3czpodw50zxiy"), "{requests:?}");
    }

    #[test]
    fn what_a_schema_refers_to_is_fetched_too() {
        let outer = r#"{"schema": "{\"type\": \"record\", \"name\": \"S\", \"fields\": [{\"name\": \"head\", \"type\": \"news.Head\"}, {\"name\": \"body\", \"type\": \"string\"}]}",
            "references": [{"name": "news.Head", "subject": "news/head", "version": 2}]}"#;
        let inner = r#"{"schema": "{\"type\": \"record\", \"name\": \"news.Head\", \"fields\": [{\"name\": \"line\", \"type\": \"string\"}]}"}"#;
        let (config, requests) = serve(vec![(200, outer), (200, inner)]);
        find(&mut SchemaRegistry::new(&config), 7).unwrap();
        assert!(requests.iter().nth(1).unwrap().starts_with("GET /subjects/news%2Fhead/versions/2 "));
    }

    #[test]
    fn an_outage_is_waited_for_and_a_refusal_is_not() {
        let (config, requests) = serve(vec![(503, ""), (200, STORY), (401, "")]);
        let mut registry = SchemaRegistry::new(&config);
        assert!(matches!(find(&mut registry, 7), Err(Undecoded::Wait)));
        while matches!(find(&mut registry, 7), Err(Undecoded::Wait)) {
            std::thread::sleep(Duration::from_millis(5));
        }
        find(&mut registry, 7).unwrap();
        match find(&mut registry, 8) {
            Err(Undecoded::Failed(error)) => {
                let error = error.to_string();
                assert!(
                    error.contains(config.url.trim_end_matches('/')) && error.contains("username"),
                    "{error}"
                );
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(requests.iter().count(), 3, "waiting asks nothing");
    }
}
