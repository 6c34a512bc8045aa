//! A token endpoint that gives tokens by client credentials (RFC 6749, section 4.4), as an authorization server does.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

/// The client's name.
pub const CLIENT: &str = "news desk";

/// The client's secret, with characters that must be encoded.
pub const SECRET: &str = "s3cr:et/+%";

/// A running server; it ends with the process.
#[derive(Debug)]
pub struct TokenServer {
    port: u16,
    given: Arc<AtomicUsize>,
}

impl TokenServer {
    /// Starts a server whose tokens have one `scope` and are valid for `lifetime`.
    ///
    /// # Errors
    /// No free port.
    pub fn start(scope: &str, lifetime: Duration) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let port = listener.local_addr()?.port();
        let given = Arc::new(AtomicUsize::new(0));
        let (scope, count) = (scope.to_string(), Arc::clone(&given));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // A client that goes away in the middle has failed its own test.
                if let Ok(true) = answer(stream, &scope, lifetime) {
                    count.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
        Ok(TokenServer { port, given })
    }

    /// The address of the token endpoint.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/oauth2/token", self.port)
    }

    /// How many tokens it has given.
    #[must_use]
    pub fn given(&self) -> usize {
        self.given.load(Ordering::Relaxed)
    }
}

/// A token without a signature, as Kafka's validator for development takes it.
#[must_use]
pub fn token(scope: &str, lifetime: Duration) -> String {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let (issued, expires) = (now.as_secs(), (now + lifetime).as_secs());
    let claims = format!(r#"{{"sub": "desk", "scope": "{scope}", "iat": {issued}, "exp": {expires}}}"#);
    format!("{}.{}.", URL_SAFE_NO_PAD.encode(r#"{"alg": "none"}"#), URL_SAFE_NO_PAD.encode(claims))
}

/// Answers one request; whether with a token.
fn answer(mut stream: TcpStream, scope: &str, lifetime: Duration) -> Result<bool> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let (mut length, mut user, mut line) = (0, String::new(), String::new());
    while reader.read_line(&mut line)? > 2 {
        let (name, value) = line.split_once(':').unwrap_or_default();
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.trim().parse().context("content-length")?,
            "authorization" => value.trim().clone_into(&mut user),
            _ => {}
        }
        line.clear();
    }
    let mut form = vec![0; length];
    reader.read_exact(&mut form)?;
    let form = String::from_utf8(form)?;
    let expected = format!("Basic {}", STANDARD.encode("news%20desk:s3cr%3Aet%2F%2B%25"));
    let is_right = user == expected && form == format!("grant_type=client_credentials&scope={scope}");
    let (status, body) = if is_right {
        let token = token(scope, lifetime);
        ("200 OK", format!(r#"{{"access_token": "{token}", "token_type": "Bearer"}}"#))
    } else {
        ("401 Unauthorized", r#"{"error": "invalid_client"}"#.into())
    };
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )?;
    Ok(is_right)
}
