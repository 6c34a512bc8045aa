//! Apache Kafka as one child process: broker and KRaft controller in one JVM, on loopback ports,
//! with its log in a temporary directory.
//!
//! The broker and its directory go when the [`Process`] is dropped and when the test process ends
//! in whatever way.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};

use super::secure::{LISTENERS, PROTOCOLS, Secure};
use crate::proxy::{Proxy, kafka_request};
use crate::scripts;
use crate::watchdog::Watchdog;

const START_TIMEOUT: Duration = Duration::from_secs(90);

/// What Kafka logs when it cannot listen.
const PORT_TAKEN: &str = "Address already in use";

/// A small heap, and the quick compiler only: tests need a broker soon, not a fast one.
const JVM_OPTIONS: [&str; 5] = [
    "-Xmx512m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-Djava.awt.headless=true",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
];

/// A running broker.
#[derive(Debug)]
pub(super) struct Process {
    brokers: String,
    proxy: Proxy,
    secure: Option<Secure>,
    watchdog: Watchdog,
}

impl Process {
    /// Starts a broker and waits until it answers. Its ports were free before it started; where another process has
    /// taken one since, it is tried with others. `secured`: it listens with TLS and for passwords too.
    pub(super) fn start(jars: &Path, secured: bool) -> Result<Self> {
        let mut tries = 1;
        loop {
            match Self::try_start(jars, secured) {
                Err(error) if tries < 4 && error.to_string().contains(PORT_TAKEN) => tries += 1,
                outcome => return outcome,
            }
        }
    }

    /// Formats a log directory, starts the broker on it and waits until it answers.
    fn try_start(jars: &Path, secured: bool) -> Result<Self> {
        let directory = tempfile::Builder::new().prefix("fenliu-kafka-").tempdir()?;
        let [broker_port, controller_port, proxied_port, secured_ports @ ..] =
            free_ports::<{ 3 + LISTENERS }>()?;
        let proxy = Proxy::start(proxied_port, kafka_request)?;
        let ports = Ports { broker_port, controller_port, proxied_port };
        let make = || Secure::make(directory.path(), secured_ports);
        let secure = secured.then(make).transpose()?;
        let properties = directory.path().join("server.properties");
        let text = server_properties(directory.path(), &ports, &proxy.address(), secure.as_ref());
        fs::write(&properties, text)?;
        format_log_directory(jars, &properties, secured)?;

        let mut command = Command::new("java");
        command.args(JVM_OPTIONS).arg("-cp").arg(jars.join("*")).arg("kafka.Kafka").arg(&properties);
        let watchdog = Watchdog::start(directory, &command)?;
        let process = Self { brokers: format!("127.0.0.1:{broker_port}"), proxy, secure, watchdog };
        wait_until_it_answers(&process.brokers, || process.watchdog.log().contains(PORT_TAKEN))
            .with_context(|| format!("Apache Kafka does not start; its log:\n{}", process.watchdog.log()))?;
        Ok(process)
    }

    /// Sends the broker's process a signal.
    pub(super) fn signal(&self, name: &str) -> Result<()> {
        self.watchdog.signal(name)
    }

    /// The proxy before it, for clients that are to be disturbed.
    pub(super) fn proxy(&self) -> &Proxy {
        &self.proxy
    }

    /// The listeners with TLS and passwords, where it has any.
    pub(super) fn secure(&self) -> Option<&Secure> {
        self.secure.as_ref()
    }

    /// Bootstrap servers, `host:port`.
    pub(super) fn brokers(&self) -> &str {
        &self.brokers
    }
}

/// The ports of a broker.
struct Ports {
    broker_port: u16,
    controller_port: u16,
    /// Where the broker listens for the proxy.
    proxied_port: u16,
}

/// The directory of Kafka's jars, fetched with Maven on first use; the error says what is missing.
pub(super) fn find_jars() -> Result<PathBuf> {
    // Asked for its version, since on macOS a `java` is there that only says there is none.
    let java = Command::new("java").arg("-version").output().context("java does not run")?;
    ensure!(java.status.success(), "java: {}", String::from_utf8_lossy(&java.stderr).trim());
    scripts::run("tests/kafka/fetch.sh", &[])
}

/// Waits until `brokers` answers a metadata request, or it `is_in_vain`.
pub(super) fn wait_until_it_answers(brokers: &str, is_in_vain: impl Fn() -> bool) -> Result<()> {
    let client: BaseConsumer = ClientConfig::new().set("bootstrap.servers", brokers).create()?;
    let deadline = Instant::now() + START_TIMEOUT;
    loop {
        match client.fetch_metadata(None, Duration::from_secs(1)) {
            Ok(metadata) if !metadata.brokers().is_empty() => return Ok(()),
            Err(error) if Instant::now() >= deadline || is_in_vain() => {
                bail!("no answer from {brokers}: {error}")
            }
            _ => {}
        }
    }
}

/// Ports that were free a moment ago: Kafka must know its own before it binds them.
fn free_ports<const N: usize>() -> Result<[u16; N]> {
    let mut listeners = vec![];
    let mut ports = [0; N];
    for port in &mut ports {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        *port = listener.local_addr()?.port();
        listeners.push(listener);
    }
    Ok(ports)
}

/// Clients that came through the proxy are told its address, so that they stay there.
fn server_properties(directory: &Path, ports: &Ports, proxy: &str, secure: Option<&Secure>) -> String {
    let listeners = secure.map_or(String::new(), Secure::listeners);
    let settings = secure.map_or(String::new(), Secure::settings);
    let Ports { broker_port, controller_port, proxied_port } = ports;
    format!(
        "process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller_port}
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://127.0.0.1:{broker_port},PROXIED://127.0.0.1:{proxied_port},CONTROLLER://127.0.0.1:{controller_port}{listeners}
advertised.listeners=PLAINTEXT://127.0.0.1:{broker_port},PROXIED://{proxy}{listeners}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,PROXIED:PLAINTEXT,CONTROLLER:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT,SASL_SSL:SASL_SSL{PROTOCOLS}
inter.broker.listener.name=PLAINTEXT
log.dirs={directory}/log
auto.create.topics.enable=false
# One broker holds every replica, and a group need not wait for members that will not come.
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
group.initial.rebalance.delay.ms=0
{settings}",
        directory = directory.display(),
    )
}

fn format_log_directory(jars: &Path, properties: &Path, secured: bool) -> Result<()> {
    let user = Secure::scram_user();
    let users: &[&str] = if secured { &["--add-scram", &user] } else { &[] };
    // Kafka takes 22 characters of URL-safe base64; the process id keeps two runs apart.
    let cluster_id = format!("fenliu-tests-{:09}", std::process::id());
    let output = Command::new("java")
        .args(JVM_OPTIONS)
        .arg("-cp")
        .arg(jars.join("*"))
        .args(["kafka.tools.StorageTool", "format", "--cluster-id", &cluster_id, "--config"])
        .arg(properties)
        .args(users)
        .output()
        .context("cannot run java")?;
    ensure!(
        output.status.success(),
        "Kafka's StorageTool: {}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    Ok(())
}
