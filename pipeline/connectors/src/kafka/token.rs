//! Tokens for brokers that ask for `OAUTHBEARER` (RFC 7628).
//!
//! librdkafka asks for a token when a client is made, and again after four fifths of its lifetime. It hands the settings
//! back as the text that is its property `sasl.oauthbearer.config`.

use std::collections::HashMap;
use std::error::Error;
use std::fmt::Display;
use std::io::Read as _;
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use fenliu_decode::http;
use parking_lot::Mutex;
use rdkafka::ClientConfig;
use rdkafka::client::OAuthToken;
use rdkafka::consumer::{BaseConsumer, ConsumerContext};
use serde::Deserialize;

use crate::cluster::OAuthConfig;

/// What errors begin with when no token was given, but may be given later.
pub(super) const FAILED: &str = "no token:";

/// What errors begin with when a token was refused, and will be until something is changed.
pub(super) const REFUSED: &str = "the token was refused:";

/// Why there is no token.
pub(super) type NoToken = Box<dyn Error>;

/// How long a wait for a command sleeps before it looks again.
const STEP: Duration = Duration::from_millis(20);

/// Longest part of an answer that an error quotes, in characters.
const MAX_QUOTE: usize = 300;

/// What a token endpoint answers (RFC 6749, section 5.1). Commands of clouds name the token `token`.
#[derive(Debug, Deserialize)]
struct Answer {
    #[serde(alias = "token", alias = "accessToken")]
    access_token: String,
    /// In seconds from now.
    #[serde(alias = "expiresIn")]
    expires_in: Option<f64>,
}

/// The claims of a token that is a JSON Web Token (RFC 7519).
#[derive(Debug, Default, Deserialize)]
struct Claims {
    sub: Option<String>,
    /// In seconds since 1970.
    exp: Option<f64>,
}

#[derive(Clone, Debug)]
struct Token {
    text: String,
    principal: String,
    given: SystemTime,
    expires: SystemTime,
}

impl Token {
    /// Reads what a server or a command has answered: a JSON object, or the token alone.
    fn read(answer: &str, oauth: &OAuthConfig, now: SystemTime) -> Result<Self, NoToken> {
        let answer = answer.trim();
        let Answer { access_token, expires_in } = if answer.starts_with('{') {
            serde_json::from_str(answer)
                .map_err(|error| format!("{FAILED} the answer is no token response: {error}"))?
        } else {
            Answer { access_token: answer.to_string(), expires_in: None }
        };
        // RFC 6750, section 2.1. Anything else is a message to a human reader, such as a page of a proxy.
        let is_token = |character: char| character.is_ascii_alphanumeric() || "-._~+/=".contains(character);
        if access_token.is_empty() || !access_token.chars().all(is_token) {
            return Err(format!("{FAILED} the answer is no token: {}", quote(&access_token)).into());
        }
        let claims = claims(&access_token);
        let expires = match (expires_in, claims.exp) {
            (Some(seconds), _) => now + duration(seconds),
            (None, Some(seconds)) => SystemTime::UNIX_EPOCH + duration(seconds),
            (None, None) => now + oauth.lifetime,
        };
        if expires <= now {
            return Err(format!("{FAILED} the token has expired already").into());
        }
        let principal = claims.sub.unwrap_or_else(|| oauth.client_id.clone());
        Ok(Token { text: access_token, principal, given: now, expires })
    }

    /// Whether less than half of its lifetime has passed. librdkafka asks after four fifths, so each client gets a new
    /// one, and all clients share it.
    fn is_fresh(&self, now: SystemTime) -> bool {
        let lifetime = self.expires.duration_since(self.given).unwrap_or_default();
        now < self.given + lifetime / 2
    }

    fn into_native(self) -> OAuthToken {
        let lifetime = self.expires.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let principal_name = if self.principal.is_empty() { "fenliu".into() } else { self.principal };
        OAuthToken {
            token: self.text,
            principal_name,
            lifetime_ms: i64::try_from(lifetime.as_millis()).unwrap_or(i64::MAX),
        }
    }
}

/// Sets the properties of clients that get their tokens as `oauth` says. TLS is the default, because a token can be used
/// by all who see it.
pub(super) fn ask_for(oauth: &OAuthConfig, client: &mut ClientConfig) {
    client.set("security.protocol", "sasl_ssl").set("sasl.mechanism", "OAUTHBEARER");
    let settings = serde_json::to_string(oauth).unwrap_or_default();
    client.set("sasl.oauthbearer.config", settings);
}

/// Lets a new consumer get its first token. librdkafka asks for it by an event, which only a poll handles, and a request
/// without a token would fail.
pub(super) fn begin<C: ConsumerContext>(consumer: BaseConsumer<C>) -> BaseConsumer<C> {
    // Nothing is assigned yet, so the poll brings no message.
    let _ = consumer.poll(Duration::ZERO);
    consumer
}

/// A token by the settings that [`ask_for`] wrote: the last one while it is fresh, or a new one.
///
/// # Errors
/// Text that begins with [`REFUSED`] or [`FAILED`].
pub(super) fn token(settings: Option<&str>) -> Result<OAuthToken, NoToken> {
    static TOKENS: Mutex<Option<HashMap<String, Token>>> = Mutex::new(None);
    let settings = settings.unwrap_or_default();
    let oauth: OAuthConfig = serde_json::from_str(settings).map_err(|_| {
        format!(
            "{REFUSED} `sasl.mechanism` is OAUTHBEARER, but `kafka.oauth` does not say where tokens come from"
        )
    })?;
    // Held while a token is asked for, so that clients that start together ask once.
    let mut tokens = TOKENS.lock();
    let tokens = tokens.get_or_insert_default();
    if let Some(token) = tokens.get(settings).filter(|token| token.is_fresh(SystemTime::now())) {
        return Ok(token.clone().into_native());
    }
    let answer = if oauth.command.is_empty() { ask_server(&oauth) } else { run(&oauth) }?;
    let token = Token::read(&answer, &oauth, SystemTime::now())?;
    tracing::debug!(event = "token", principal = token.principal, "a token for Kafka was given");
    tokens.insert(settings.to_string(), token.clone());
    Ok(token.into_native())
}

/// Asks the token endpoint, with the client's name and secret as HTTP basic authentication.
fn ask_server(oauth: &OAuthConfig) -> Result<String, NoToken> {
    let url = &oauth.token_url;
    let failed = |error: &dyn Display| format!("{FAILED} {url}: {error}");
    // RFC 6749, section 2.3.1 and appendix B: both are form-encoded before they are joined.
    let encode = |text: &str| {
        percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
    };
    let pair = format!("{}:{}", encode(&oauth.client_id), encode(&oauth.client_secret));
    let mut form = vec![("grant_type", "client_credentials")];
    if !oauth.scope.is_empty() {
        form.push(("scope", &oauth.scope));
    }
    let mut answer = http::agent(oauth.timeout)
        .post(url)
        .header("Authorization", format!("Basic {}", STANDARD.encode(pair)))
        .header("Accept", "application/json")
        .send_form(form)
        .map_err(|error| failed(&error))?;
    let body = answer.body_mut().read_to_string().map_err(|error| failed(&error))?;
    let status = answer.status();
    match status.as_u16() {
        200..=299 => Ok(body),
        400..=499 if status.as_u16() != 429 => {
            Err(format!("{REFUSED} {url} answered {status}: {}", quote(&body)).into())
        }
        _ => Err(format!("{FAILED} {url} answered {status}: {}", quote(&body)).into()),
    }
}

/// What the command prints. It is killed if it takes too long.
fn run(oauth: &OAuthConfig) -> Result<String, NoToken> {
    let [program, arguments @ ..] = oauth.command.as_slice() else {
        return Err(format!("{REFUSED} `kafka.oauth.command` is empty").into());
    };
    let failed = |why: String| -> NoToken { format!("{FAILED} `{program}` {why}").into() };
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| failed(format!("does not run: {error}")))?;
    let deadline = Instant::now() + oauth.timeout;
    let status: ExitStatus = loop {
        match child.try_wait().map_err(|error| failed(format!("is lost: {error}")))? {
            Some(status) => break status,
            None if Instant::now() < deadline => std::thread::sleep(STEP),
            None => {
                // It may have ended in this moment; then there is nothing left to kill.
                let _ = child.kill();
                let _ = child.wait();
                return Err(failed(format!("took longer than {:?}", oauth.timeout)));
            }
        }
    };
    let mut printed = String::new();
    let mut said = String::new();
    let outcome = child.stdout.take().map_or(Ok(0), |mut output| output.read_to_string(&mut printed));
    outcome.map_err(|error| failed(format!("printed what is no text: {error}")))?;
    if let Some(mut errors) = child.stderr.take() {
        // What it says of its failure is shown as far as it is text.
        let _ = errors.read_to_string(&mut said);
    }
    if status.success() { Ok(printed) } else { Err(failed(format!("ended with {status}: {}", quote(&said)))) }
}

/// The claims of a token; empty where it is no JSON Web Token.
fn claims(token: &str) -> Claims {
    let payload = token.split('.').nth(1).unwrap_or_default().trim_end_matches('=');
    let decoded = URL_SAFE_NO_PAD.decode(payload).unwrap_or_default();
    serde_json::from_slice(&decoded).unwrap_or_default()
}

/// A number of seconds; a negative one, or one that is no number, is none.
fn duration(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}

fn quote(text: &str) -> String {
    text.trim()
        .chars()
        .take(MAX_QUOTE)
        .map(|character| if character.is_control() { ' ' } else { character })
        .collect()
}

#[cfg(test)]
mod tests;
