//! A small HTTP server, and a hub made of it.

use std::collections::{BTreeMap, HashMap};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};

use serde_json::{Value, json};
use sha1::Sha1;
use sha2::{Digest, Sha256};

/// A request as it arrived.
#[derive(Clone, Debug)]
pub(super) struct Received {
    pub(super) method: String,
    pub(super) path: String,
    /// By names in lower case.
    pub(super) headers: HashMap<String, String>,
}

/// An answer.
#[derive(Clone, Debug, Default)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
    /// The connection is cut after this many bytes of the body.
    pub(super) cut: Option<usize>,
}

impl Reply {
    pub(super) fn status(status: u16) -> Self {
        Self { status, ..Self::default() }
    }

    pub(super) fn with(mut self, name: &str, value: &impl ToString) -> Self {
        self.headers.push((name.to_owned(), value.to_string()));
        self
    }
}

/// A file of the hub.
#[derive(Clone, Debug)]
pub(super) struct Stored {
    pub(super) content: Vec<u8>,
    /// Whether it is in git-lfs, and so on the storage.
    pub(super) is_large: bool,
}

/// What the hub has, and how it behaves.
#[derive(Default)]
pub(super) struct State {
    pub(super) commit: String,
    pub(super) revisions: Vec<String>,
    pub(super) files: BTreeMap<String, Stored>,
    /// The token that may read; `None` = everyone.
    pub(super) token: Option<String>,
    /// Whether the licence has not been accepted.
    pub(super) is_gated: bool,
    /// Address of the storage, to which large files are redirected; empty = the hub itself has them.
    pub(super) storage: String,
    /// Answers with 503 before everything works.
    pub(super) outages: usize,
    /// The next answer with this content ends after this many bytes.
    pub(super) cut: Option<(String, usize)>,
    /// Content that is sent in place of what the digests are of.
    pub(super) forged: BTreeMap<String, Vec<u8>>,
    /// Whether ranges are ignored.
    pub(super) ignores_ranges: bool,
    pub(super) received: Vec<Received>,
}

/// A hub, or a storage of one, that listens until the tests end.
#[derive(Clone)]
pub(super) struct Hub {
    pub(super) url: String,
    state: Arc<Mutex<State>>,
}

impl Hub {
    /// A hub with `owner/name` at the revision `main`.
    pub(super) fn start(commit: &str, files: &[(&str, &[u8], bool)]) -> Self {
        let files = files.iter().map(|(name, content, is_large)| {
            ((*name).to_owned(), Stored { content: content.to_vec(), is_large: *is_large })
        });
        let state = State {
            commit: commit.to_owned(),
            revisions: vec!["main".into(), commit.to_owned()],
            files: files.collect(),
            ..State::default()
        };
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(Mutex::new(state));
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let state = Arc::clone(&shared);
                std::thread::spawn(move || serve(stream.unwrap(), &state));
            }
        });
        Self { url, state }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// The requests so far, which are forgotten.
    pub(super) fn received(&self) -> Vec<Received> {
        std::mem::take(&mut self.state().received)
    }
}

fn serve(stream: TcpStream, state: &Mutex<State>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) == 0 || line == "\r\n" {
            break;
        }
        lines.push(line.trim_end().to_owned());
    }
    let Some(first) = lines.first() else { return };
    let mut words = first.split(' ').map(str::to_owned);
    let headers = lines[1..].iter().filter_map(|line| line.split_once(": "));
    let request = Received {
        method: words.next().unwrap(),
        path: words.next().unwrap(),
        headers: headers.map(|(name, value)| (name.to_lowercase(), value.to_owned())).collect(),
    };
    let reply = {
        let mut state = state.lock().unwrap();
        state.received.push(request.clone());
        answer(&mut state, &request)
    };
    write(stream, &request, &reply);
}

fn write(mut stream: TcpStream, request: &Received, reply: &Reply) {
    let mut head = format!("HTTP/1.1 {} Status\r\nConnection: close\r\n", reply.status);
    let named = |name: &str| reply.headers.iter().any(|(other, _)| other == name);
    let mut headers = reply.headers.clone();
    if !named("Content-Length") {
        headers.push(("Content-Length".into(), reply.body.len().to_string()));
    }
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    let _ = stream.write_all(format!("{head}\r\n").as_bytes());
    if request.method == "GET" {
        let end = reply.cut.unwrap_or(reply.body.len());
        let _ = stream.write_all(&reply.body[..end]);
    }
    let _ = stream.shutdown(std::net::Shutdown::Write);
    // Closing a connection with unread bytes would discard what was written.
    let _ = stream.read(&mut [0; 64]);
}

fn answer(state: &mut State, request: &Received) -> Reply {
    if state.outages > 0 {
        state.outages -= 1;
        return Reply::status(503).with("Retry-After", &0);
    }
    let token = state.token.as_ref().map(|token| format!("Bearer {token}"));
    if token.is_some() && request.headers.get("authorization") != token.as_ref() {
        return Reply::status(401).with("X-Error-Code", &"RepoNotFound");
    }
    if let Some(revision) = request.path.strip_prefix("/api/models/owner/name/revision/") {
        return list(state, revision.trim_end_matches("?blobs=true"));
    }
    let prefix = format!("/owner/name/resolve/{}/", state.commit);
    match request.path.strip_prefix(&prefix).or_else(|| request.path.strip_prefix("/storage/")) {
        Some(file) => resolve(state, request, file),
        None => Reply::status(404).with("X-Error-Code", &"RepoNotFound"),
    }
}

fn list(state: &State, revision: &str) -> Reply {
    if !state.revisions.iter().any(|known| known == revision) {
        return Reply::status(404).with("X-Error-Code", &"RevisionNotFound");
    }
    let entry = |(name, stored): (&String, &Stored)| -> Value {
        let size = stored.content.len();
        let mut entry = json!({ "rfilename": name, "size": size, "blobId": "0" });
        if stored.is_large {
            entry["lfs"] = json!({ "sha256": sha256(&stored.content), "size": size, "pointerSize": 134 });
        }
        entry
    };
    let siblings: Vec<Value> = state.files.iter().map(entry).collect();
    let body = json!({ "id": "owner/name", "sha": state.commit, "siblings": siblings });
    Reply { body: serde_json::to_vec(&body).unwrap(), ..Reply::status(200) }
}

fn resolve(state: &mut State, request: &Received, file: &str) -> Reply {
    let Some(stored) = state.files.get(file).cloned() else {
        return Reply::status(404).with("X-Error-Code", &"EntryNotFound");
    };
    if state.is_gated {
        return Reply::status(403).with("X-Error-Code", &"GatedRepo");
    }
    if stored.is_large && !state.storage.is_empty() {
        return Reply::status(302)
            .with("Location", &format!("{}/storage/{file}", state.storage))
            .with("X-Linked-Etag", &format!("\"{}\"", sha256(&stored.content)))
            .with("X-Linked-Size", &stored.content.len());
    }
    let etag = if stored.is_large { sha256(&stored.content) } else { git_blob(&stored.content) };
    let content = state.forged.get(file).unwrap_or(&stored.content).clone();
    let mut reply = part(state, request, &content).with("ETag", &format!("\"{etag}\""));
    if request.method == "HEAD" {
        return reply;
    }
    if let Some((_, bytes)) = state.cut.take_if(|(name, _)| name == file) {
        reply.cut = Some(bytes);
    }
    reply
}

/// The content from the byte that the request asks for.
fn part(state: &State, request: &Received, content: &[u8]) -> Reply {
    let range = request.headers.get("range").filter(|_| !state.ignores_ranges);
    let from = range.map(|range| range["bytes=".len()..range.len() - 1].parse().unwrap());
    match from {
        None => Reply { body: content.to_vec(), ..Reply::status(200) },
        Some(from) => {
            let (last, total) = (content.len() - 1, content.len());
            let reply = Reply { body: content[from..].to_vec(), ..Reply::status(206) };
            reply.with("Content-Range", &format!("bytes {from}-{last}/{total}"))
        }
    }
}

pub(super) fn sha256(content: &[u8]) -> String {
    hex::encode(Sha256::digest(content))
}

pub(super) fn git_blob(content: &[u8]) -> String {
    let mut hash = Sha1::new();
    hash.update(format!("blob {}\0", content.len()));
    hash.update(content);
    hex::encode(hash.finalize())
}
