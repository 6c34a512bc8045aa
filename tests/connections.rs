//! Connections to Kafka that cannot work: the cause and the setting that would help are named within seconds.

use std::path::Path;
use std::time::{Duration, Instant};

use fenliu_tests::binary::{self, Running};
use fenliu_tests::kafka::secure::{Listener, PASSWORD, SCOPE, STORE_PASSWORD, Secure, USER};
use fenliu_tests::kafka::{self, Broker, unique_name};
use fenliu_tests::token_server::{self, CLIENT, SECRET, TokenServer};

use crate::fixtures::{PATIENCE, json, stop};

/// Within this time a cause is named.
const SOON: Duration = Duration::from_secs(5);

const CONFIG: &str = r#"
    [kafka]
    brokers = "BROKERS"
    [kafka.properties]
    PROPERTIES
    [kafka.oauth]
    OAUTH
    [source]
    type = "kafka"
    topics = ["TOPIC"]
    group = "TOPIC"
    [model]
    bundle = ""
    [[sinks]]
    type = "files"
    path = "DIR/labelled"
    [dead_letters]
    type = "files"
    path = "DIR/dead"
    [epoch]
    max_age = "300ms"
"#;

/// How a client tries to connect.
struct Client {
    brokers: String,
    properties: String,
    /// The settings of `kafka.oauth`.
    oauth: String,
    directory: tempfile::TempDir,
    topic: String,
}

impl Client {
    fn new(broker: &Broker, brokers: String, properties: &[(&str, &str)]) -> Self {
        let topic = unique_name("connections");
        broker.create_topic(&topic, 1).unwrap();
        let lines = properties.iter().map(|(name, value)| format!("\"{name}\" = \"{value}\"\n"));
        let (properties, oauth) = (lines.collect(), String::new());
        Client { brokers, properties, oauth, directory: tempfile::tempdir().unwrap(), topic }
    }

    /// Connects with a token.
    fn with_token(broker: &Broker, oauth: String) -> Self {
        let address = broker.secure().unwrap().address(Listener::Token);
        let client = Client::new(broker, address, &[("security.protocol", "sasl_plaintext")]);
        Client { oauth, ..client }
    }

    fn config(&self) -> String {
        let path = self.directory.path().join("fenliu.toml");
        let text = CONFIG.replace("BROKERS", &self.brokers).replace("PROPERTIES", &self.properties);
        let text = text.replace("TOPIC", &self.topic).replace("OAUTH", &self.oauth);
        std::fs::write(&path, text.replace("DIR", &self.directory.path().display().to_string())).unwrap();
        path.display().to_string()
    }

    fn start(&self, arguments: &[&str]) -> Running {
        binary::start(&[arguments, &["-c", &self.config()]].concat()).unwrap()
    }

    /// `run` goes on trying, and has said the cause and the `remedy` in one event.
    fn is_told_and_waits(&self, cause: &str, remedy: &str) {
        let start = Instant::now();
        let mut running = self.start(&["run"]);
        running.wait_for_event("kafka_unreachable", SOON).unwrap();
        println!("{cause}: told after {:.1} s", start.elapsed().as_secs_f64());
        running.wait_for_text(cause, SOON).unwrap();
        running.wait_for_text(remedy, SOON).unwrap();
        assert!(!running.has_ended().unwrap(), "it may pass, so it is tried again");
        let log = stop(running).stderr;
        assert_eq!(log.matches("event=\"kafka_unreachable\"").count(), 1, "once a minute: {log}");
    }

    /// A command ends soon with code 1, and its last words are the cause and the `remedy`.
    fn stops(&self, arguments: &[&str], cause: &str, remedy: &str) {
        let start = Instant::now();
        let finished = self.start(arguments).wait(PATIENCE).unwrap();
        let took = start.elapsed();
        println!("{arguments:?}: {cause}: stopped after {:.1} s", took.as_secs_f64());
        let said = format!("{}{}", finished.stdout, finished.stderr);
        assert_eq!(finished.status.code(), Some(1), "{arguments:?}: {said}");
        for part in [cause, remedy] {
            assert!(said.contains(part), "{arguments:?}: no {part:?} in: {said}");
        }
        assert!(took < SOON * 2, "{arguments:?} took {took:?}: {said}");
    }

    /// The commands that ask the brokers something once.
    fn other_commands_stop(&self, cause: &str, remedy: &str) {
        let data = self.directory.path().join("news.jsonl");
        std::fs::write(&data, "{\"title\": \"x\"}\n").unwrap();
        self.stops(&["doctor"], cause, remedy);
        self.stops(&["verify"], cause, remedy);
        let data = data.to_str().unwrap();
        self.stops(&["produce", "--topic", &self.topic, "--data", data], cause, remedy);
    }

    /// A document is written to the topic and read.
    fn writes_and_reads(&self) {
        let data = self.directory.path().join("news.jsonl");
        std::fs::write(&data, "{\"title\": \"x\"}\n").unwrap();
        for arguments in [&["doctor"][..], &["produce", "--topic", &self.topic, "--data", path(&data)]] {
            let finished = self.start(arguments).wait(PATIENCE).unwrap();
            assert!(finished.status.success(), "{arguments:?}: {}{}", finished.stdout, finished.stderr);
        }
        let finished = self.start(&["run", "--stop-at-end", "--json"]).wait(PATIENCE).unwrap();
        assert!(finished.status.success(), "{}", finished.stderr);
        assert_eq!(json(&finished.stdout)["documents"], 1);
    }

    /// All documents of the topic are read.
    fn works(&self) {
        let finished = self.start(&["run", "--stop-at-end", "--json"]).wait(PATIENCE).unwrap();
        assert!(finished.status.success(), "{}", finished.stderr);
        assert_eq!(json(&finished.stdout)["documents"], 0);
        assert!(!finished.stderr.contains("kafka_unreachable"), "{}", finished.stderr);
    }
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Properties that the listener wants.
fn right(secure: &Secure, listener: Listener, mechanism: &'static str) -> Vec<(&'static str, String)> {
    let authority = path(secure.authority()).to_string();
    let sasl = [
        ("sasl.mechanism", mechanism.into()),
        ("sasl.username", USER.into()),
        ("sasl.password", PASSWORD.into()),
    ];
    match listener {
        Listener::Tls => vec![("security.protocol", "ssl".into()), ("ssl.ca.location", authority)],
        Listener::MutualTls => vec![
            ("security.protocol", "ssl".into()),
            ("ssl.ca.location", authority),
            ("ssl.keystore.location", path(secure.client_key()).into()),
            ("ssl.keystore.password", STORE_PASSWORD.into()),
        ],
        Listener::Token => vec![("security.protocol", "sasl_plaintext".into())],
        Listener::Sasl => [vec![("security.protocol", "sasl_plaintext".into())], sasl.to_vec()].concat(),
        Listener::SaslTls => {
            [vec![("security.protocol", "sasl_ssl".into()), ("ssl.ca.location", authority)], sasl.to_vec()]
                .concat()
        }
    }
}

/// A client of `listener` with its right properties, but for those in `wrong`.
fn client(
    broker: &Broker,
    listener: Listener,
    mechanism: &'static str,
    wrong: &[(&'static str, &str)],
) -> Client {
    let secure = broker.secure().unwrap();
    let mut properties = right(secure, listener, mechanism);
    for (name, value) in wrong {
        properties.retain(|(known, _)| known != name);
        properties.push((name, value.to_string()));
    }
    let properties: Vec<(&str, &str)> =
        properties.iter().map(|(name, value)| (*name, value.as_str())).collect();
    Client::new(broker, secure.address(listener), &properties)
}

#[test]
fn with_the_right_settings_every_listener_is_reached() {
    let Some(broker) = kafka::secured().unwrap() else { return };
    client(broker, Listener::Tls, "", &[]).works();
    client(broker, Listener::Sasl, "PLAIN", &[]).works();
    client(broker, Listener::SaslTls, "SCRAM-SHA-256", &[]).works();
    client(broker, Listener::MutualTls, "", &[]).works();
}

#[test]
fn a_listener_that_wants_a_certificate_of_the_client_says_so() {
    let Some(broker) = kafka::secured().unwrap() else { return };
    let secure = broker.secure().unwrap();
    let authority = path(secure.authority()).to_string();
    let properties = [("security.protocol", "ssl"), ("ssl.ca.location", authority.as_str())];
    let client = Client::new(broker, secure.address(Listener::MutualTls), &properties);
    client.stops(&["run"], "certificate", "ssl.certificate.location");
    client.other_commands_stop("certificate", "ssl.certificate.location");
}

fn credentials(server: &TokenServer, secret: &str) -> String {
    let url = server.url();
    format!("token_url = '{url}'\nclient_id = '{CLIENT}'\nclient_secret = '{secret}'\nscope = '{SCOPE}'")
}

/// All commands, with a token by client credentials and with one that a command prints.
#[test]
fn a_listener_that_wants_a_token_is_reached() {
    let Some(broker) = kafka::secured().unwrap() else { return };
    let lifetime = Duration::from_secs(300);
    let server = TokenServer::start(SCOPE, lifetime).unwrap();
    let by_server = Client::with_token(broker, credentials(&server, SECRET));
    by_server.writes_and_reads();
    assert!(server.given() > 0);
    let printed = token_server::token(SCOPE, lifetime);
    Client::with_token(broker, format!("command = ['echo', '{printed}']")).writes_and_reads();
}

#[test]
fn a_token_that_is_not_given_or_refused_stops_it_and_is_named() {
    let Some(broker) = kafka::secured().unwrap() else { return };
    let lifetime = Duration::from_secs(300);
    let server = TokenServer::start(SCOPE, lifetime).unwrap();
    let wrong_secret = Client::with_token(broker, credentials(&server, "rabbit"));
    wrong_secret.stops(&["run"], "invalid_client", "client_secret");
    wrong_secret.other_commands_stop("invalid_client", "client_secret");
    let wrong_scope = token_server::token("sports", lifetime);
    let client = Client::with_token(broker, format!("command = ['echo', '{wrong_scope}']"));
    client.stops(&["run"], "SASL authentication error", "kafka.oauth");
    let failing = Client::with_token(broker, "command = ['sh', '-c', 'echo who are you >&2; exit 3']".into());
    failing.is_told_and_waits("who are you", "kafka.oauth");
    let nowhere = Client::with_token(broker, String::new());
    let mechanism = "kafka.properties.\"sasl.mechanism\"=\"OAUTHBEARER\"";
    nowhere.stops(&["run", "--set", mechanism], "does not say where tokens come from", "kafka.oauth");
}

/// A token that expires while a pipeline runs is replaced.
#[test]
fn a_token_is_replaced_before_it_expires() {
    let Some(broker) = kafka::secured().unwrap() else { return };
    // Long enough for a busy machine to be in time with the next one.
    let server = TokenServer::start(SCOPE, Duration::from_secs(10)).unwrap();
    let client = Client::with_token(broker, credentials(&server, SECRET));
    let running = client.start(&["run"]);
    let start = Instant::now();
    while server.given() < 2 && start.elapsed() < PATIENCE {
        std::thread::sleep(Duration::from_millis(100));
    }
    let stderr = stop(running).stderr;
    assert!(server.given() >= 2, "{} tokens: {stderr}", server.given());
    assert!(!stderr.contains("kafka_unreachable"), "{stderr}");
}

#[test]
fn a_wrong_protocol_is_named_while_it_is_tried_again() {
    let Some(broker) = kafka::secured().unwrap() else { return };
    let secure = broker.secure().unwrap();
    let plain_at_tls = Client::new(broker, secure.address(Listener::Tls), &[]);
    plain_at_tls.is_told_and_waits("connection closed by peer", "security.protocol");
    plain_at_tls.other_commands_stop("connection closed by peer", "security.protocol");
    let tls_at_plain = Client::new(broker, broker.brokers().into(), &[("security.protocol", "ssl")]);
    tls_at_plain.is_told_and_waits("SSL handshake failed", "security.protocol");
    let no_password = Client::new(broker, secure.address(Listener::Sasl), &[]);
    no_password.is_told_and_waits("connection closed by peer", "sasl.username");
}

#[test]
fn a_wrong_authority_stops_it_and_is_named() {
    let Some(broker) = kafka::secured().unwrap() else { return };
    let stranger = path(broker.secure().unwrap().stranger()).to_string();
    let client = client(broker, Listener::Tls, "", &[("ssl.ca.location", &stranger)]);
    client.stops(&["run"], "certificate verify failed", "ssl.ca.location");
    client.other_commands_stop("certificate verify failed", "ssl.ca.location");
}

#[test]
fn a_wrong_password_stops_it_and_is_named() {
    let Some(broker) = kafka::secured().unwrap() else { return };
    for (listener, mechanism) in [(Listener::Sasl, "PLAIN"), (Listener::SaslTls, "SCRAM-SHA-256")] {
        let client = client(broker, listener, mechanism, &[("sasl.password", "rabbit")]);
        client.stops(&["run"], "SASL authentication error", "sasl.password");
        client.other_commands_stop("SASL authentication error", "sasl.password");
    }
}

#[test]
fn a_mechanism_that_the_brokers_do_not_have_is_named() {
    let Some(broker) = kafka::secured().unwrap() else { return };
    let client = client(broker, Listener::Sasl, "PLAIN", &[("sasl.mechanism", "SCRAM-SHA-512")]);
    client.stops(&["run"], "supported mechanisms", "sasl.mechanism");
}

#[test]
fn a_broker_that_is_not_there_is_named_while_it_is_waited_for() {
    let Some(broker) = kafka::secured().unwrap() else { return };
    // A port that was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let client = Client::new(broker, format!("127.0.0.1:{port}"), &[]);
    client.is_told_and_waits("Connection refused", "kafka.brokers");
}

/// The broker allows 15 minutes.
#[test]
fn a_transaction_timeout_that_the_brokers_refuse_stops_it_with_the_bound() {
    let Some(broker) = kafka::secured().unwrap() else { return };
    let client = Client::new(broker, broker.brokers().into(), &[]);
    broker.create_topic(&format!("{}-labelled", client.topic), 1).unwrap();
    let sink = format!("sinks=[{{type=\"kafka\", topic=\"{}-labelled\"}}]", client.topic);
    let timeout = "kafka.properties.\"transaction.timeout.ms\"=3600000";
    let run = ["run", "--set", &sink, "--set", timeout];
    client.stops(
        &run,
        "transaction.timeout.ms=3600000",
        "`transaction.max.timeout.ms` of the brokers, which is 900000",
    );
}
