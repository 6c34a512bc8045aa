//! A real schema registry with Confluent's interface: Apicurio Registry as one child process, its schemas in
//! memory.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, ensure};
use fenliu_skip::{Part, skipped};

use crate::scripts;
use crate::watchdog::Watchdog;

const START_TIMEOUT: Duration = Duration::from_secs(120);

/// A running registry.
#[derive(Debug)]
pub struct SchemaRegistry {
    port: u16,
    _process: Watchdog,
}

/// The registry that all tests share, started on first use; `None`, said aloud, where there is none.
///
/// # Errors
/// If it does not start.
///
/// # Panics
/// If it cannot be had and `FENLIU_REQUIRE` lists `broker`.
pub fn schema_registry() -> Result<Option<&'static SchemaRegistry>> {
    static REGISTRY: OnceLock<Result<Result<SchemaRegistry, String>, String>> = OnceLock::new();
    let found = REGISTRY
        .get_or_init(|| match scripts::run("tests/schema_registry/fetch.sh", &[]) {
            Err(why) => Ok(Err(format!("{why:#}"))),
            Ok(directory) => SchemaRegistry::start(&directory).map(Ok).map_err(|error| format!("{error:#}")),
        })
        .as_ref()
        .map_err(|error| anyhow!("{error}"))?;
    match found {
        Ok(registry) => Ok(Some(registry)),
        Err(why) => {
            skipped(Part::Broker, format_args!("no schema registry: {why}"));
            Ok(None)
        }
    }
}

impl SchemaRegistry {
    fn start(installed: &std::path::Path) -> Result<Self> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let jar = std::fs::read_dir(installed)?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .find(|path| path.to_string_lossy().ends_with("-runner.jar"))
            .with_context(|| format!("no runner jar in {}", installed.display()))?;
        let mut command = Command::new("java");
        command
            .args(["-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-jar"])
            .arg(jar)
            .env("QUARKUS_HTTP_HOST", "127.0.0.1")
            .env("QUARKUS_HTTP_PORT", port.to_string());
        let directory = tempfile::Builder::new().prefix("fenliu-registry-").tempdir()?;
        let process = Watchdog::start(directory, &command)?;
        let deadline = Instant::now() + START_TIMEOUT;
        while !answers(port) {
            ensure!(Instant::now() < deadline, "the registry does not start; its log:\n{}", process.log());
            thread::sleep(Duration::from_millis(200));
        }
        Ok(SchemaRegistry { port, _process: process })
    }

    /// Its port on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its address for clients.
    #[must_use]
    pub fn url(&self) -> String {
        url(self.port)
    }
}

/// The address of a registry on that port.
#[must_use]
pub fn url(port: u16) -> String {
    format!("http://127.0.0.1:{port}/apis/ccompat/v7")
}

fn answers(port: u16) -> bool {
    let ask = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        stream.write_all(b"GET /apis/ccompat/v7/subjects HTTP/1.0\r\nHost: localhost\r\n\r\n")?;
        let mut answer = [0; 15];
        stream.read_exact(&mut answer)?;
        Ok(String::from_utf8_lossy(&answer).into_owned())
    };
    ask().is_ok_and(|answer| answer.contains(" 200"))
}
