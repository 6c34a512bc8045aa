//! A client for the listener of `fenliu run`: one request, one connection.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// A listener at a port of this machine.
#[derive(Clone, Copy, Debug)]
pub struct Site {
    /// The port.
    pub port: u16,
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status, such as 200.
    pub status: u16,
    /// The lines of the head, without the first.
    pub head: String,
    /// The body.
    pub body: String,
}

impl Answer {
    /// The body as JSON; null if it is not JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }
}

impl Site {
    /// A port that is free now, for a process that is about to listen there.
    ///
    /// # Errors
    /// No port is free.
    pub fn free() -> Result<Self> {
        Ok(Site { port: TcpListener::bind("127.0.0.1:0")?.local_addr()?.port() })
    }

    /// The address as a configuration has it.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Asks for a path.
    ///
    /// # Errors
    /// There is no answer.
    pub fn get(&self, path: &str) -> Result<Answer> {
        self.request("GET", path, &[], "")
    }

    /// Sends JSON, as a program does, without the headers of a browser.
    ///
    /// # Errors
    /// There is no answer.
    pub fn post(&self, path: &str, body: &Value) -> Result<Answer> {
        self.request("POST", path, &[("Content-Type", "application/json")], &body.to_string())
    }

    /// Sends a request. A `Host` among `headers` replaces the right one.
    ///
    /// # Errors
    /// There is no answer.
    pub fn request(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Result<Answer> {
        let mut stream = TcpStream::connect(self.address()).context("connect")?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut head =
            format!("{method} {path} HTTP/1.1\r\nConnection: close\r\nContent-Length: {}\r\n", body.len());
        if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
            head += &format!("Host: {}\r\n", self.address());
        }
        headers.iter().for_each(|(name, value)| head += &format!("{name}: {value}\r\n"));
        write!(stream, "{head}\r\n{body}")?;
        let mut text = vec![];
        stream.read_to_end(&mut text).context("read the answer")?;
        let text = String::from_utf8_lossy(&text).into_owned();
        let (head, body) = text.split_once("\r\n\r\n").context("an answer without an end of its head")?;
        let (first, head) = head.split_once("\r\n").unwrap_or((head, ""));
        let status = first.split_whitespace().nth(1).context("an answer without a status")?.parse()?;
        Ok(Answer { status, head: head.to_lowercase(), body: body.into() })
    }

    /// Asks for a path until `is_wanted` accepts the answer.
    ///
    /// # Errors
    /// It does not within `timeout`; the message has the last answer.
    pub fn wait(&self, path: &str, timeout: Duration, is_wanted: impl Fn(&Answer) -> bool) -> Result<Answer> {
        let deadline = Instant::now() + timeout;
        loop {
            let answer = self.get(path);
            if let Ok(answer) = &answer
                && is_wanted(answer)
            {
                return Ok(answer.clone());
            }
            if Instant::now() > deadline {
                bail!("{path}: not the wanted answer after {timeout:?}, but {answer:?}");
            }
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// The value of a series of `/metrics`, such as `name{label="x"}`; `None` if it is not there.
    ///
    /// # Errors
    /// There is no answer.
    pub fn metric(&self, series: &str) -> Result<Option<f64>> {
        let text = self.get("/metrics")?.body;
        let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.map(|value| value.parse().context("a number")).transpose()
    }
}
