//! Why a client has no connection to its brokers, and what the user can do about it.
//!
//! librdkafka reconnects by itself for ever, and its calls fail with "Broker transport failure" or a time-out only. The
//! cause stands in its log lines and in the texts of its error events alone, so both are read here: the cause is logged
//! once a minute while it lasts (`event = "kafka_unreachable"`), and the errors of calls carry it.
//!
//! Contract: a cause that lasts until someone changes something (a wrong password, a certificate that is not trusted)
//! ends a client that was never connected. A client that has worked before keeps trying, since the cluster may be in
//! the middle of a change.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use fenliu_engine::metrics::Metrics;
use fenliu_engine::{Error, Kind, Result};
use parking_lot::Mutex;
use rdkafka::config::RDKafkaLogLevel as Level;
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode as Code};

use super::client::REQUEST_TIMEOUT;
use super::error::of;
use super::token;

/// How long repeats of the same cause are not logged, for all clients of one kind together. A broker that is away makes
/// many errors a second.
const INTERVAL: Duration = Duration::from_secs(60);

/// How long the first attempt of a question waits; the time doubles with each attempt. Between attempts the log lines
/// that came meanwhile are read.
const FIRST_STEP: Duration = Duration::from_secs(1);

/// How long a question is repeated although a cause is known: another broker of the list may answer.
const GRACE: Duration = Duration::from_secs(3);

/// What a text of librdkafka contains, the remedy, and whether the cause lasts until someone changes something. The
/// first entry that matches counts, so a special text stands before a general one that it contains: "certificate verify
/// failed" before "SSL handshake failed", "mechanism handshake failed" before "SASL".
const CAUSES: &[(&str, &str, bool)] = &[
    // Alerts of the broker about the client's certificate (RFC 8446, section 6.2). With TLS 1.3 they arrive after the
    // handshake, so they stand before what is told by the state of the connection.
    ("alert bad certificate", CLIENT_CERTIFICATE, true),
    ("alert certificate required", CLIENT_CERTIFICATE, true),
    ("alert certificate expired", CLIENT_CERTIFICATE, true),
    ("alert certificate unknown", CLIENT_CERTIFICATE, true),
    ("alert unknown ca", CLIENT_CERTIFICATE, true),
    // Told by the state of the connection. librdkafka means to append a hint to the text, but since 2.12 it compares
    // the format string in place of the message, so the hint is missing.
    (
        "in state APIVERSION_QUERY",
        "if the brokers expect TLS at this port, set `kafka.properties.\"security.protocol\"` to \"ssl\" or \"sasl_ssl\"",
        false,
    ),
    (
        "connecting to a PLAINTEXT broker listener?",
        "if the brokers do not expect TLS at this port, set `kafka.properties.\"security.protocol\"` to \"plaintext\" or \
         \"sasl_plaintext\"",
        false,
    ),
    ("certificate verify failed", CERTIFICATE, true),
    ("certificate could not be verified", CERTIFICATE, true),
    ("client SSL authentication might be required", CLIENT_CERTIFICATE, true),
    (
        "mechanism handshake failed",
        "set `kafka.properties.\"sasl.mechanism\"` to one that the brokers support, and \"security.protocol\" to what they \
         expect at this port",
        true,
    ),
    (
        token::REFUSED,
        "check `kafka.oauth`: its `client_id`, `client_secret` and `scope`, or its `command`",
        true,
    ),
    (token::FAILED, "check `kafka.oauth`, and that the server of tokens can be reached from here", false),
    // The broker's answer to a token that it refuses (RFC 7628, section 3.2.2).
    ("{\"status\":", "check the token that `kafka.oauth` gives: its issuer, audience and scope", true),
    ("SASL", "check `kafka.properties.\"sasl.username\"`, \"sasl.password\" and \"sasl.mechanism\"", true),
    (
        "SSL handshake failed",
        "check `kafka.properties.\"security.protocol\"` and its \"ssl.*\" properties, and the port in `kafka.brokers`",
        false,
    ),
    ("Failed to resolve", "check the host names in `kafka.brokers`", false),
    ("Connect to ", "check `kafka.brokers`, and that the brokers run and can be reached from here", false),
];

/// A first connection that is closed within this time probably lacks a password: a broker that expects one closes the
/// connection of a client without SASL at its first request after ApiVersions. librdkafka uses the same time for its
/// own hint.
const CLOSED_AT_ONCE: Duration = Duration::from_secs(2);

const NO_PASSWORD: &str = "if the brokers expect a password, set `kafka.properties.\"security.protocol\"` to \"sasl_ssl\" or \
    \"sasl_plaintext\", and \"sasl.mechanism\", \"sasl.username\" and \"sasl.password\" beside it";

const CLIENT_CERTIFICATE: &str = "set `kafka.properties.\"ssl.certificate.location\"` and \"ssl.key.location\" to a \
    certificate of this client that the brokers accept, and to its key";

const CERTIFICATE: &str = "set `kafka.properties.\"ssl.ca.location\"` to the certificate (PEM) of the authority that signed \
    the brokers' certificates; these must name the hosts of `kafka.brokers`";

/// Why no connection can be made.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Cause {
    text: String,
    remedy: &'static str,
    lasts: bool,
}

impl Cause {
    /// Reads a text of librdkafka; `None` where it does not say why there is no connection.
    fn of(text: &str) -> Option<Self> {
        let (_, remedy, lasts) = CAUSES.iter().find(|(part, ..)| text.contains(part))?;
        Some(Cause { text: Self::essence(text), remedy, lasts: *lasts })
    }

    /// As [`of`](Self::of), for a client that has not been connected before: a connection that is closed at once may
    /// lack a password. `None` for a connection that lasted longer: brokers close idle ones all the time.
    fn of_first(text: &str) -> Option<Self> {
        // Such texts end with `(after 12ms in state UP)`.
        let (_, end) = text.split_once(" (after ")?;
        let millis = end.split_once("ms in state UP")?.0.parse().ok()?;
        (Duration::from_millis(millis) < CLOSED_AT_ONCE).then(|| Cause {
            text: Self::essence(text),
            remedy: NO_PASSWORD,
            lasts: false,
        })
    }

    fn essence(text: &str) -> String {
        // Log lines begin with the thread. Both log lines and errors end with how long the attempt took. Neither is
        // part of the cause, and the time would make each repeat a different text.
        let text = text
            .strip_prefix("[thrd:")
            .and_then(|text| text.split_once("]: "))
            .map_or(text, |(_, text)| text);
        text.split(" (after ").next().unwrap_or(text).trim().to_string()
    }
}

/// What is known of the connections of one client.
#[derive(Debug)]
pub(super) struct Connections {
    client: &'static str,
    state: Mutex<State>,
    /// Where errors are counted; empty for clients that only look something up.
    metrics: OnceLock<Arc<Metrics>>,
}

#[derive(Debug, Default)]
struct State {
    cause: Option<Cause>,
    /// Whether a broker has answered at any time.
    has_worked: bool,
    /// Whether librdkafka has reported that no broker is connected, and none has answered since.
    all_down: bool,
}

impl Connections {
    /// Nothing is known yet; `client` is the kind of the client, for the log.
    pub(super) fn new(client: &'static str) -> Self {
        Connections { client, state: Mutex::default(), metrics: OnceLock::new() }
    }

    /// Takes in a log line of librdkafka. Lines about connections that were closed without a known cause are logged for
    /// debugging only: brokers close idle connections all the time.
    pub(super) fn log(&self, level: Level, facility: &str, text: &str) {
        // librdkafka logs connections that failed or were closed under this facility.
        if let Some(cause) = (facility == "FAIL").then(|| self.cause(text)).flatten() {
            return self.failed(cause);
        }
        let client = self.client;
        match level {
            _ if facility == "FAIL" => {
                tracing::debug!(event = "librdkafka", client, facility, text, "librdkafka")
            }
            Level::Emerg | Level::Alert | Level::Critical | Level::Error => {
                tracing::error!(event = "librdkafka", client, facility, text, "librdkafka");
            }
            Level::Warning => tracing::warn!(event = "librdkafka", client, facility, text, "librdkafka"),
            Level::Notice | Level::Info | Level::Debug => {
                tracing::debug!(event = "librdkafka", client, facility, text, "librdkafka")
            }
        }
    }

    fn cause(&self, text: &str) -> Option<Cause> {
        let is_first = !self.state.lock().has_worked;
        Cause::of(text).or_else(|| if is_first { Cause::of_first(text) } else { None })
    }

    /// From now on errors are counted in `metrics`.
    pub(super) fn count_errors(&self, metrics: Arc<Metrics>) {
        // Set once: a client belongs to one run.
        let _ = self.metrics.set(metrics);
    }

    /// Takes in an error event of librdkafka. The end of a partition is no error.
    pub(super) fn error(&self, error: &KafkaError, reason: &str) {
        let Some(code) = error.rdkafka_error_code().filter(|code| *code != Code::PartitionEOF) else {
            return;
        };
        if let Some(metrics) = self.metrics.get() {
            metrics.kafka_errors.with(&[self.client, &format!("{code:?}")]).add(1);
        }
        if code == Code::AllBrokersDown {
            let mut state = self.state.lock();
            state.all_down = true;
            if let Some(cause) = state.cause.clone() {
                // `failed` takes the same lock.
                drop(state);
                return self.failed(cause);
            }
        }
        match Cause::of(reason).filter(|_| is_about_connections(code)) {
            Some(cause) => self.failed(cause),
            // The cause that is known says more than this error, which only follows from it.
            None if is_about_connections(code) && self.state.lock().cause.is_some() => {}
            None if is_due(self.client, &code.to_string()) => {
                let client = self.client;
                tracing::warn!(event = "client_error", client, %error, reason, "kafka client error, repeats suppressed for 60 s");
            }
            None => {}
        }
    }

    /// The brokers have answered.
    pub(super) fn works(&self) {
        *self.state.lock() = State { has_worked: true, ..State::default() };
    }

    fn failed(&self, cause: Cause) {
        if is_due(self.client, cause.remedy) {
            let Cause { text, remedy, .. } = &cause;
            tracing::warn!(
                event = "kafka_unreachable",
                client = self.client,
                cause = text,
                remedy,
                "no connection to a broker, trying again; repeats suppressed for 60 s"
            );
        }
        self.state.lock().cause = Some(cause);
    }

    /// Checks that no cause is known that lasts until someone changes something.
    ///
    /// # Errors
    /// There is such a cause, no broker can be reached, and none was reached before.
    pub(super) fn check(&self) -> Result<()> {
        let state = self.state.lock();
        match &state.cause {
            Some(cause) if state.is_hopeless() => {
                Err(explained(Error::new(Kind::Denied, "kafka: cannot connect to the brokers"), cause))
            }
            _ => Ok(()),
        }
    }

    /// The error of a call that was to do `action`, with the cause where the call failed for want of a connection.
    pub(super) fn explain(&self, action: &str, error: KafkaError) -> Error {
        let code = error.rdkafka_error_code();
        let error = of(action, error);
        let state = self.state.lock();
        let Some(cause) = state.cause.as_ref().filter(|_| code.is_some_and(is_about_connections)) else {
            return error;
        };
        // Only a client that was never connected gives up. For one that has worked, the other side may be in the middle
        // of a change, such as an exchange of certificates.
        let kind = match (state.is_hopeless(), cause.lasts && !state.has_worked) {
            (true, _) => Kind::Denied,
            // librdkafka also reports a token that could not be got, and a renewal of the authentication that failed, as
            // refused credentials, although it asks and connects again.
            (false, false) => Kind::Unavailable,
            (false, true) => error.kind(),
        };
        let is_retryable = kind == Kind::Unavailable || (kind == error.kind() && error.is_retryable());
        let told = explained(Error::new(kind, error.to_string()), cause);
        if is_retryable { told.retryable() } else { told }
    }

    /// Asks the brokers something that needs a connection, for [`REQUEST_TIMEOUT`] at most, and for less where a cause
    /// is known. `serve` lets the client hand over its log lines.
    ///
    /// # Errors
    /// The brokers do not answer, or refuse.
    pub(super) fn ask<T>(
        &self,
        action: &str,
        serve: impl Fn(),
        question: impl Fn(Duration) -> KafkaResult<T>,
    ) -> Result<T> {
        let start = Instant::now();
        let mut step = FIRST_STEP;
        loop {
            let error = match question(step) {
                Ok(answer) => {
                    self.works();
                    return Ok(answer);
                }
                Err(error) => error,
            };
            serve();
            let is_unanswered = error.rdkafka_error_code().is_some_and(is_about_connections);
            let waited = start.elapsed();
            // A cause that needs a change of the configuration ends the wait at once.
            let limit = match self.check() {
                Err(_) => Duration::ZERO,
                Ok(()) if self.state.lock().cause.is_some() => GRACE,
                Ok(()) => REQUEST_TIMEOUT,
            };
            if !is_unanswered || waited >= limit {
                return Err(self.explain(action, error));
            }
            step = (step * 2).min(REQUEST_TIMEOUT.saturating_sub(waited)).max(FIRST_STEP);
        }
    }
}

impl State {
    /// Whether only a change of the configuration can help: all brokers are down, none was ever reached, and the cause
    /// lasts.
    fn is_hopeless(&self) -> bool {
        self.all_down && !self.has_worked && self.cause.as_ref().is_some_and(|cause| cause.lasts)
    }
}

fn explained(error: Error, cause: &Cause) -> Error {
    error.with("cause", &cause.text).remedy(cause.remedy)
}

/// Whether a call can fail with `code` because there is no connection.
fn is_about_connections(code: Code) -> bool {
    matches!(
        code,
        Code::Authentication
            | Code::SaslAuthenticationFailed
            | Code::SSL
            | Code::BrokerTransportFailure
            | Code::AllBrokersDown
            | Code::Resolve
            | Code::OperationTimedOut
            | Code::MessageTimedOut
    )
}

/// Whether `what` was not logged within the last minute for clients of this kind; counts it as logged.
fn is_due(client: &'static str, what: &str) -> bool {
    static LOGGED: Mutex<Vec<(&str, String, Instant)>> = Mutex::new(vec![]);
    let mut logged = LOGGED.lock();
    logged.retain(|(.., at)| at.elapsed() < INTERVAL);
    let is_due = logged.iter().all(|(other, known, _)| (*other, known.as_str()) != (client, what));
    if is_due {
        logged.push((client, what.to_string(), Instant::now()));
    }
    is_due
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN_AT_TLS: &str = "localhost:9093/bootstrap: Disconnected: connection closed by peer: receive 0 after \
        POLLIN (after 3ms in state APIVERSION_QUERY)";
    const UNTRUSTED: &str = "ssl://localhost:9093/bootstrap: SSL handshake failed: error:0A000086:SSL \
        routines::certificate verify failed: broker certificate could not be verified (after 9ms in state SSL_HANDSHAKE)";
    const PASSWORD: &str = "sasl_plaintext://localhost:9094/bootstrap: SASL authentication error: Authentication failed: \
        Invalid username or password (after 300ms in state AUTH_REQ)";

    fn remedy_of(text: &str) -> (&'static str, bool) {
        let cause = Cause::of(text).unwrap();
        (cause.remedy, cause.lasts)
    }

    #[test]
    fn each_cause_names_the_setting_that_would_help() {
        for (text, setting, lasts) in [
            (PLAIN_AT_TLS, "security.protocol", false),
            (UNTRUSTED, "ssl.ca.location", true),
            (PASSWORD, "sasl.password", true),
            ("x: Failed to resolve 'x:9092': Name or service not known", "kafka.brokers", false),
            ("x: Connect to ipv4#127.0.0.1:1 failed: Connections refused", "kafka.brokers", false),
            (
                "ssl://x/bootstrap: Receive failed: error:0A000412:SSL routines::sslv3 alert bad certificate: SSL alert \
                 number 42 (after 9ms in state APIVERSION_QUERY)",
                "ssl.certificate.location",
                true,
            ),
            (
                "x: SASL authentication error: {\"status\":\"insufficient_scope\", \"scope\":\"[news]\"}",
                "kafka.oauth",
                true,
            ),
            (
                "x: SASL SCRAM-SHA-256 mechanism handshake failed: Broker: Unsupported SASL mechanism",
                "sasl.mechanism",
                true,
            ),
        ] {
            let (remedy, found) = remedy_of(text);
            assert!(remedy.contains(setting) && found == lasts, "{text}: {remedy}");
        }
        assert_eq!(Cause::of("localhost:9092/1: Disconnected (after 600000ms in state UP)"), None);
    }

    #[test]
    fn a_first_connection_that_is_closed_at_once_may_lack_a_password() {
        let closed =
            |millis: u32| format!("localhost:9094/bootstrap: Disconnected (after {millis}ms in state UP)");
        let connection = Connections::new("test");
        assert_eq!(connection.cause(&closed(12)).map(|cause| cause.remedy), Some(NO_PASSWORD));
        assert_eq!(connection.cause(&closed(2000)), None);
        connection.works();
        assert_eq!(connection.cause(&closed(12)), None, "brokers that stop close their connections too");
    }

    #[test]
    fn how_long_an_attempt_took_is_no_part_of_the_cause() {
        let cause = Cause::of(PASSWORD).unwrap();
        assert!(cause.text.ends_with("Invalid username or password"), "{cause:?}");
        let logged = format!("[thrd:sasl_plaintext://localhost:9094/bootstrap]: {PASSWORD}");
        assert_eq!(Cause::of(&logged), Some(cause), "nor which thread made it");
    }

    fn down(connection: &Connections, text: &str) -> Error {
        let all_down = || KafkaError::Global(Code::AllBrokersDown);
        connection.log(Level::Error, "FAIL", text);
        connection.error(&all_down(), "1/1 brokers are down");
        connection.explain("consume news", all_down())
    }

    #[test]
    fn a_lasting_cause_stops_a_client_that_was_never_connected() {
        let connection = Connections::new("test");
        assert!(connection.check().is_ok());
        let error = down(&connection, UNTRUSTED);
        assert_eq!((error.kind(), error.is_retryable()), (Kind::Denied, false));
        assert!(error.to_string().contains("certificate verify failed"), "{error}");
        assert!(error.to_string().contains("ssl.ca.location"), "{error}");
        assert!(connection.check().is_err());
    }

    #[test]
    fn a_client_that_has_worked_and_one_that_may_connect_yet_go_on() {
        let connection = Connections::new("test");
        connection.works();
        assert!(down(&connection, UNTRUSTED).is_retryable());
        let connection = Connections::new("test");
        let error = down(&connection, PLAIN_AT_TLS);
        assert!(error.is_retryable() && connection.check().is_ok(), "{error}");
        assert!(error.to_string().contains("security.protocol"), "{error}");
    }

    #[test]
    fn an_error_that_has_nothing_to_do_with_connections_names_no_cause_of_theirs() {
        let connection = Connections::new("test");
        down(&connection, PLAIN_AT_TLS);
        let refused = connection.explain("send", KafkaError::MessageProduction(Code::MessageSizeTooLarge));
        assert_eq!((refused.kind(), refused.context("cause")), (Kind::Refused, None));
    }
}
