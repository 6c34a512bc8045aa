//! A client for the registry's HTTP interface, limited to the requests that read schemas
//! (<https://docs.confluent.io/platform/current/schema-registry/develop/api.html>).

use std::collections::HashSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use ureq::Agent;

use crate::config::RegistryConfig;
use crate::http::agent;
use crate::prefix::SchemaId;
use crate::schema::SchemaText;

/// Largest answer that is read.
const MAX_ANSWER_BYTES: u64 = 16 << 20;

/// Most schemas that one schema may refer to, directly and indirectly.
const MAX_REFERENCES: usize = 200;

/// The error codes of the registry that begin with this mean that a schema, subject or version does not exist. A 404
/// without such a code comes from a server that is not a schema registry.
const NOT_FOUND_CODES: u32 = 404;

/// Characters that are percent-encoded in a segment of a URL's path (RFC 3986).
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Why a request gave no result.
#[derive(Debug)]
pub(super) enum LookupFailure {
    /// The registry does not have this.
    Absent(String),
    /// The registry does not answer at present; the same request may succeed later.
    Outage(String),
    /// The registry refuses the request; it will do so until the configuration or the registry is changed.
    Refused(String),
}

/// A schema as the registry returns it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    schema: String,
    /// Absent if the type is Avro.
    schema_type: Option<String>,
    #[serde(default)]
    references: Vec<Reference>,
}

#[derive(Clone, Debug, Deserialize)]
struct Reference {
    /// The name that the referring schema uses.
    name: String,
    subject: String,
    version: u32,
}

#[derive(Debug, Deserialize)]
struct ErrorAnswer {
    error_code: u32,
    message: Option<String>,
}

/// Sends requests to one registry.
#[derive(Clone, Debug)]
pub(super) struct Client {
    agent: Agent,
    url: String,
    authorization: Option<String>,
}

impl Client {
    /// A client for the registry of `config`. It does not connect yet.
    pub(super) fn new(config: &RegistryConfig) -> Self {
        let authorization = (!config.username.is_empty()).then(|| {
            format!("Basic {}", STANDARD.encode(format!("{}:{}", config.username, config.password)))
        });
        Client {
            agent: agent(config.timeout),
            url: config.url.trim_end_matches('/').to_string(),
            authorization,
        }
    }

    /// The registry's address.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// The schema that is called `id`, and all schemas that it refers to.
    pub(super) fn schema(&self, id: SchemaId) -> Result<SchemaText, LookupFailure> {
        let answer = self.answer(id)?;
        let references = self.references(id, &answer.references)?;
        Ok(SchemaText {
            label: format!("schema {id}"),
            kind: answer.schema_type.unwrap_or_else(|| "AVRO".into()),
            text: answer.schema,
            references,
            ..SchemaText::default()
        })
    }

    fn answer(&self, id: SchemaId) -> Result<Answer, LookupFailure> {
        match id {
            SchemaId::Number(number) => {
                let (status, body) = self.ask(&format!("schemas/ids/{number}"))?;
                interpret(status, &body, &format!("schema {id}"))
            }
            SchemaId::Guid(_) => {
                let what = format!("schema {id}, or does not find schemas by GUID");
                let (status, body) = self.ask(&format!("schemas/guids/{id}"))?;
                match interpret(status, &body, &what) {
                    // Registries that do not know this request refuse it in their own ways. That must not stop the
                    // pipeline, since any message that begins with a 1 causes the request.
                    Err(_) if matches!(status, 400 | 404 | 405 | 422 | 501) => {
                        Err(LookupFailure::Absent(what))
                    }
                    answer => answer,
                }
            }
        }
    }

    /// Names and texts of the schemas in `wanted`, to which the schema `id` refers, and of those that they refer to, each
    /// once.
    fn references(&self, id: SchemaId, wanted: &[Reference]) -> Result<Vec<(String, String)>, LookupFailure> {
        let mut wanted = wanted.to_vec();
        let mut seen = HashSet::new();
        let mut texts = vec![];
        while let Some(reference) = wanted.pop() {
            if !seen.insert(reference.name.clone()) {
                continue;
            }
            if texts.len() == MAX_REFERENCES {
                return Err(LookupFailure::Refused(format!(
                    "a schema refers to more than {MAX_REFERENCES} others"
                )));
            }
            let answer = self.referred(id, &reference)?;
            texts.push((reference.name, answer.schema));
            wanted.extend(answer.references);
        }
        Ok(texts)
    }

    fn referred(&self, id: SchemaId, reference: &Reference) -> Result<Answer, LookupFailure> {
        let Reference { name, subject, version } = reference;
        // A schema whose subject was deleted is still given out by its id, as long as there may be messages of it. What it
        // refers to is found only so.
        let (status, body) =
            self.ask(&format!("subjects/{}/versions/{version}?deleted=true", encoded(subject)))?;
        let what = format!("version {version} of `{subject}`, which schema {id} refers to as `{name}`");
        interpret(status, &body, &what)
    }

    /// The types of schemas that the registry supports.
    pub(super) fn types(&self) -> Result<Vec<String>, LookupFailure> {
        let (status, body) = self.ask("schemas/types")?;
        interpret(status, &body, "list of types")
    }

    /// Status and body of the answer to a request.
    fn ask(&self, path: &str) -> Result<(u16, Vec<u8>), LookupFailure> {
        let url = format!("{}/{path}", self.url);
        let mut request =
            self.agent.get(&url).header("Accept", "application/vnd.schemaregistry.v1+json, application/json");
        if let Some(authorization) = &self.authorization {
            request = request.header("Authorization", authorization);
        }
        let outage = |error: ureq::Error| LookupFailure::Outage(error.to_string());
        let mut response = request.call().map_err(outage)?;
        let status = response.status().as_u16();
        let body = response.body_mut().with_config().limit(MAX_ANSWER_BYTES).read_to_vec().map_err(outage)?;
        Ok((status, body))
    }
}

/// The meaning of an answer to the question for `what`.
fn interpret<T: DeserializeOwned>(status: u16, body: &[u8], what: &str) -> Result<T, LookupFailure> {
    let error: Option<ErrorAnswer> = serde_json::from_slice(body).ok();
    let code = error.as_ref().map_or(0, |error| error.error_code);
    let said = error.and_then(|error| error.message).unwrap_or_default();
    match status {
        200 => serde_json::from_slice(body).map_err(|error| {
            LookupFailure::Refused(format!("its answer is not that of a schema registry: {error}"))
        }),
        404 if code == NOT_FOUND_CODES || code / 100 == NOT_FOUND_CODES => {
            Err(LookupFailure::Absent(what.into()))
        }
        401 | 403 => Err(LookupFailure::Refused(format!(
            "HTTP status {status}: it refuses `documents.registry.username` and `password`"
        ))),
        408 | 429 | 500.. => Err(LookupFailure::Outage(format!("HTTP status {status} {said}").trim().into())),
        _ => Err(LookupFailure::Refused(format!(
            "HTTP status {status} {said}: is `documents.registry.url` the address of a schema registry?"
        ))),
    }
}

/// A subject, percent-encoded as one segment of a path.
fn encoded(subject: &str) -> impl std::fmt::Display + '_ {
    utf8_percent_encode(subject, RESERVED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_as_a_schema_an_absence_an_outage_or_a_refusal() {
        let schema = r#"{"schema":"\"string\"","schemaType":"AVRO"}"#;
        let cases = [
            (200, schema, "schema"),
            (200, "<html>", "refused"),
            (404, r#"{"error_code":40403,"message":"Schema not found"}"#, "absent"),
            (404, r#"{"error_code":404,"message":"HTTP 404 Not Found"}"#, "absent"),
            (404, "<html>not found</html>", "refused"),
            (401, "", "refused"),
            (403, r#"{"error_code":40301,"message":"denied"}"#, "refused"),
            (302, "", "refused"),
            (429, "", "outage"),
            (500, r#"{"error_code":50001,"message":"backend"}"#, "outage"),
            (503, "", "outage"),
        ];
        for (status, body, expected) in cases {
            let given = match interpret::<Answer>(status, body.as_bytes(), "schema 7") {
                Ok(_) => "schema",
                Err(LookupFailure::Absent(what)) => {
                    assert_eq!(what, "schema 7");
                    "absent"
                }
                Err(LookupFailure::Outage(_)) => "outage",
                Err(LookupFailure::Refused(_)) => "refused",
            };
            assert_eq!(given, expected, "{status} {body}");
        }
    }

    #[test]
    fn a_subject_is_encoded_as_one_segment_of_the_path() {
        assert_eq!(encoded("news-value").to_string(), "news-value");
        assert_eq!(encoded("a/b ü.proto").to_string(), "a%2Fb%20%C3%BC.proto");
    }
}
