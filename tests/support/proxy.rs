//! A TCP proxy before a server, which does to connections what networks do: it cuts, refuses, delays and holds
//! them, and loses a request or its answer.
//!
//! Contract: bytes are passed on unchanged and in order until a connection is cut, and then no more of them. It
//! cuts a client's bytes at requests, so it must know where these end: see [`kafka_request`] and
//! [`http_request`]. It knows nothing else of what it carries.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, BufRead as _, BufReader, Read, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::Result;

/// How often a held connection looks whether it may go on.
const HOLD: Duration = Duration::from_millis(10);

/// How long a server is listened to after the answer that is lost: it must not notice.
const AFTERMATH: Duration = Duration::from_secs(1);

/// Reads one request with all its bytes; none at the end of a connection.
type ReadRequest = fn(&mut BufReader<TcpStream>) -> io::Result<Option<Vec<u8>>>;

/// Decides what becomes of a request, given all its bytes.
type Judge = Box<dyn FnMut(&[u8]) -> Fate + Send>;

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fate {
    /// It is passed on, and so is its answer.
    Passes,
    /// It never arrives: its connection is cut before.
    NoEffect,
    /// It arrives, and its connection is cut when the answer comes.
    NoAnswer,
    /// It never arrives, and this is the answer.
    Answered(&'static str),
}

/// What is done to all connections; the default is nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Weather {
    /// New connections are closed at once.
    pub refuses: bool,
    /// Nothing passes, in either direction, and new connections are accepted. What was sent meanwhile arrives
    /// when this ends, unless the connection is cut before.
    pub holds: bool,
    /// How long each chunk waits before it is passed on.
    pub delay: Duration,
    /// A connection is cut after so many bytes of answers.
    pub cut_after: Option<u64>,
}

/// A running proxy. Its connections are cut when it is dropped.
pub struct Proxy {
    port: u16,
    shared: Arc<Shared>,
}

struct Shared {
    target: u16,
    read_request: ReadRequest,
    weather: Mutex<Weather>,
    judge: Mutex<Judge>,
    /// Both ends of every connection.
    open: Mutex<BTreeMap<u64, [TcpStream; 2]>>,
    /// How many connections there were so far.
    accepted: AtomicU64,
    is_closed: AtomicBool,
}

impl Proxy {
    /// Listens on a free port, for the server on the port `target` of this machine.
    ///
    /// # Errors
    /// If there is no free port.
    pub fn start(target: u16, read_request: ReadRequest) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let port = listener.local_addr()?.port();
        let shared = Arc::new(Shared {
            target,
            read_request,
            weather: Mutex::default(),
            judge: Mutex::new(Box::new(|_| Fate::Passes)),
            open: Mutex::default(),
            accepted: AtomicU64::new(0),
            is_closed: AtomicBool::new(false),
        });
        let accepting = Arc::clone(&shared);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if accepting.is_closed.load(Ordering::Relaxed) {
                    return;
                }
                let shared = Arc::clone(&accepting);
                // A connection that breaks is what a proxy is for.
                thread::spawn(move || shared.serve(&client).ok());
            }
        });
        Ok(Proxy { port, shared })
    }

    /// Where it listens: `host:port`.
    #[must_use]
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// From now on this is done to all connections, open ones included.
    pub fn set(&self, weather: Weather) {
        *lock(&self.shared.weather) = weather;
    }

    /// From now on `judge` decides on each request.
    pub fn judge(&self, judge: impl FnMut(&[u8]) -> Fate + Send + 'static) {
        *lock(&self.shared.judge) = Box::new(judge);
    }

    /// Cuts all connections; says how many there were.
    pub fn cut(&self) -> usize {
        let open = std::mem::take(&mut *lock(&self.shared.open));
        open.values().flatten().for_each(close);
        open.len()
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proxy on port {} for {}", self.port, self.shared.target)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.is_closed.store(true, Ordering::Relaxed);
        self.set(Weather::default());
        self.cut();
        // Wakes the thread that accepts, so that it ends.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

impl Shared {
    fn serve(&self, client: &TcpStream) -> io::Result<()> {
        let number = self.accepted.fetch_add(1, Ordering::Relaxed);
        if lock(&self.weather).refuses {
            return Ok(());
        }
        let server = TcpStream::connect(("127.0.0.1", self.target))?;
        client.set_nodelay(true)?;
        server.set_nodelay(true)?;
        lock(&self.open).insert(number, [client.try_clone()?, server.try_clone()?]);
        let loses_answer = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                // However it ends, the client must hear of it.
                let _ = self.pass_answers(&server, client, &loses_answer);
                close(client);
                close(&server);
            });
            let _ = self.pass_requests(client, &server, &loses_answer);
            close(client);
            if !loses_answer.load(Ordering::SeqCst) {
                close(&server);
            }
        });
        lock(&self.open).remove(&number);
        Ok(())
    }

    fn pass_requests(
        &self,
        mut client: &TcpStream,
        mut server: &TcpStream,
        loses_answer: &AtomicBool,
    ) -> io::Result<()> {
        let mut reader = BufReader::new(client.try_clone()?);
        while let Some(request) = (self.read_request)(&mut reader)? {
            self.wait();
            let fate = (lock(&self.judge))(&request);
            match fate {
                Fate::Passes => {}
                Fate::NoEffect => return Ok(()),
                Fate::NoAnswer => loses_answer.store(true, Ordering::SeqCst),
                Fate::Answered(answer) => {
                    client.write_all(answer.as_bytes())?;
                    continue;
                }
            }
            server.write_all(&request)?;
        }
        Ok(())
    }

    fn pass_answers(
        &self,
        mut server: &TcpStream,
        mut client: &TcpStream,
        loses_answer: &AtomicBool,
    ) -> io::Result<()> {
        let mut buffer = vec![0; 1 << 16];
        let mut passed = 0;
        loop {
            let count = server.read(&mut buffer)?;
            self.wait();
            if count > 0 && loses_answer.load(Ordering::SeqCst) {
                close(client);
                server.set_read_timeout(Some(AFTERMATH))?;
                return io::copy(&mut server, &mut io::sink()).map(drop);
            }
            let room = lock(&self.weather).cut_after.map_or(u64::MAX, |limit| limit.saturating_sub(passed));
            let allowed = count.min(usize::try_from(room).unwrap_or(usize::MAX));
            client.write_all(&buffer[..allowed])?;
            passed += allowed as u64;
            if count == 0 || allowed < count {
                return Ok(());
            }
        }
    }

    /// Delays a chunk as the weather is.
    fn wait(&self) {
        let delay = lock(&self.weather).delay;
        thread::sleep(delay);
        while lock(&self.weather).holds {
            thread::sleep(HOLD);
        }
    }
}

fn close(stream: &TcpStream) {
    // Fails only if it is closed already.
    let _ = stream.shutdown(Shutdown::Both);
}

fn lock<T>(value: &Mutex<T>) -> MutexGuard<'_, T> {
    value.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Reads a request of Kafka's protocol: its length in four bytes, then as many.
///
/// # Errors
/// A connection that breaks.
pub fn kafka_request(reader: &mut BufReader<TcpStream>) -> io::Result<Option<Vec<u8>>> {
    if reader.fill_buf()?.is_empty() {
        return Ok(None);
    }
    let mut length = [0; 4];
    reader.read_exact(&mut length)?;
    let mut request = length.to_vec();
    read(reader, u32::from_be_bytes(length).into(), &mut request)?;
    Ok(Some(request))
}

/// What a request of Kafka's protocol asks for: its API key, such as 26 for the end of a transaction.
#[must_use]
pub fn kafka_api(request: &[u8]) -> Option<i16> {
    Some(i16::from_be_bytes([*request.get(4)?, *request.get(5)?]))
}

/// Reads a request of HTTP/1.1 whose body, if any, has a `content-length`.
///
/// # Errors
/// A connection that breaks, a body without a length.
pub fn http_request(reader: &mut BufReader<TcpStream>) -> io::Result<Option<Vec<u8>>> {
    let mut request = vec![];
    let mut length = 0;
    loop {
        let begin = request.len();
        if reader.read_until(b'\n', &mut request)? == 0 {
            return Ok(None);
        }
        let line = String::from_utf8_lossy(&request[begin..]).trim().to_ascii_lowercase();
        if line.starts_with("transfer-encoding:") {
            return Err(io::Error::other("a body without a length"));
        }
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().map_err(io::Error::other)?;
        }
        if line.is_empty() {
            break;
        }
    }
    read(reader, length, &mut request)?;
    Ok(Some(request))
}

/// Appends exactly `length` bytes.
fn read(reader: &mut BufReader<TcpStream>, length: u64, request: &mut Vec<u8>) -> io::Result<()> {
    let count = reader.take(length).read_to_end(request)?;
    if count as u64 == length { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}
