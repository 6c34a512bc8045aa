//! The registry's HTTP interface, as far as reading schemas needs it
//! (<https://docs.confluent.io/platform/current/schema-registry/develop/api.html>).

use std::collections::HashSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use ureq::Agent;

use crate::config::RegistryConfig;
use crate::schema::Source;

/// A larger answer is no schema.
const MAX_ANSWER_BYTES: u64 = 16 << 20;

/// A schema that refers to more than this, directly and indirectly, is refused.
const MAX_REFERENCES: usize = 200;

/// Error codes of the registry that begin with this say that a schema, subject or version is not there;
/// any other 404 comes from something that is no registry.
const NOT_FOUND_CODES: u32 = 404;

/// What a step of a path must not contain unescaped (RFC 3986).
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Why there is no schema.
#[derive(Debug)]
pub(super) enum Failure {
    /// The registry does not have it.
    Absent,
    /// It does not answer for now.
    Outage(String),
    /// It will not answer until someone changes something.
    Refused(String),
}

/// A schema as the registry hands it out.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    schema: String,
    /// Absent for Avro.
    schema_type: Option<String>,
    #[serde(default)]
    references: Vec<Reference>,
}

#[derive(Clone, Debug, Deserialize)]
struct Reference {
    /// The name that the schema uses.
    name: String,
    subject: String,
    version: u32,
}

#[derive(Debug, Deserialize)]
struct Trouble {
    error_code: u32,
    message: Option<String>,
}

/// Asks one registry.
#[derive(Clone, Debug)]
pub(super) struct Client {
    agent: Agent,
    url: String,
    authorization: Option<String>,
}

impl Client {
    /// A client for the registry of `config`; connects to nothing yet.
    pub(super) fn new(config: &RegistryConfig) -> Self {
        let agent = Agent::config_builder()
            .timeout_global(Some(config.timeout))
            .http_status_as_error(false)
            .user_agent("fenliu");
        #[cfg(feature = "tls")]
        let agent = agent.tls_config(
            ureq::tls::TlsConfig::builder()
                .provider(ureq::tls::TlsProvider::NativeTls)
                .root_certs(ureq::tls::RootCerts::PlatformVerifier)
                .build(),
        );
        let authorization = (!config.username.is_empty()).then(|| {
            format!("Basic {}", STANDARD.encode(format!("{}:{}", config.username, config.password)))
        });
        Client {
            agent: agent.build().into(),
            url: config.url.trim_end_matches('/').to_string(),
            authorization,
        }
    }

    /// The registry's address.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// The schema of that number, with all that it refers to.
    pub(super) fn schema(&self, number: u32) -> Result<Source, Failure> {
        let answer: Answer = self.get(&format!("schemas/ids/{number}"))?;
        let references = self.references(&answer.references)?;
        Ok(Source {
            label: format!("schema {number}"),
            kind: answer.schema_type.unwrap_or_else(|| "AVRO".into()),
            text: answer.schema,
            references,
            ..Source::default()
        })
    }

    /// Texts of `wanted` and of what these refer to, each once.
    fn references(&self, wanted: &[Reference]) -> Result<Vec<(String, String)>, Failure> {
        let mut wanted = wanted.to_vec();
        let mut seen = HashSet::new();
        let mut texts = vec![];
        while let Some(reference) = wanted.pop() {
            if !seen.insert(reference.name.clone()) {
                continue;
            }
            if texts.len() == MAX_REFERENCES {
                return Err(Failure::Refused(format!(
                    "a schema refers to more than {MAX_REFERENCES} others"
                )));
            }
            let subject = encoded(&reference.subject);
            let answer: Answer = self.get(&format!("subjects/{subject}/versions/{}", reference.version))?;
            texts.push((reference.name, answer.schema));
            wanted.extend(answer.references);
        }
        Ok(texts)
    }

    /// The types of schemas that it keeps.
    pub(super) fn types(&self) -> Result<Vec<String>, Failure> {
        self.get("schemas/types")
    }

    fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        let url = format!("{}/{path}", self.url);
        let mut request =
            self.agent.get(&url).header("Accept", "application/vnd.schemaregistry.v1+json, application/json");
        if let Some(authorization) = &self.authorization {
            request = request.header("Authorization", authorization);
        }
        let outage = |error: ureq::Error| Failure::Outage(error.to_string());
        let mut response = request.call().map_err(outage)?;
        let status = response.status().as_u16();
        let body = response.body_mut().with_config().limit(MAX_ANSWER_BYTES).read_to_vec().map_err(outage)?;
        judge(status, &body)
    }
}

fn judge<T: DeserializeOwned>(status: u16, body: &[u8]) -> Result<T, Failure> {
    let trouble: Option<Trouble> = serde_json::from_slice(body).ok();
    let code = trouble.as_ref().map_or(0, |trouble| trouble.error_code);
    let said = trouble.and_then(|trouble| trouble.message).unwrap_or_default();
    match status {
        200 => serde_json::from_slice(body).map_err(|error| {
            Failure::Refused(format!("its answer is not that of a schema registry: {error}"))
        }),
        404 if code == NOT_FOUND_CODES || code / 100 == NOT_FOUND_CODES => Err(Failure::Absent),
        401 | 403 => Err(Failure::Refused(format!(
            "HTTP status {status}: it refuses `documents.registry.username` and `password`"
        ))),
        408 | 429 | 500.. => Err(Failure::Outage(format!("HTTP status {status} {said}").trim().into())),
        _ => Err(Failure::Refused(format!(
            "HTTP status {status} {said}: is `documents.registry.url` the address of a schema registry?"
        ))),
    }
}

/// A subject as one step of a path.
fn encoded(subject: &str) -> impl std::fmt::Display + '_ {
    utf8_percent_encode(subject, RESERVED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_tells_a_schema_an_outage_and_a_refusal_apart() {
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
            let given = match judge::<Answer>(status, body.as_bytes()) {
                Ok(_) => "schema",
                Err(Failure::Absent) => "absent",
                Err(Failure::Outage(_)) => "outage",
                Err(Failure::Refused(_)) => "refused",
            };
            assert_eq!(given, expected, "{status} {body}");
        }
    }

    #[test]
    fn a_subject_is_one_step_of_a_path() {
        assert_eq!(encoded("news-value").to_string(), "news-value");
        assert_eq!(encoded("a/b ü.proto").to_string(), "a%2Fb%20%C3%BC.proto");
    }
}
