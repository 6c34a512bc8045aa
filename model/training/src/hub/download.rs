//! Fetching the content of one file.
//!
//! Contract: an interrupted download continues where it ended, in this process or a later one. Content gets its name
//! in the cache only after size and digest were compared with those that the hub gives.

use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use fenliu_model::ModelError;
use ureq::http::{StatusCode, header};

use super::cache::{Cache, create_parent};
use super::client::{Ask, Client, Response, header_text};
use super::digest::Expected;
use super::failure::Failure;
use super::remote::Remote;

const BUFFER_BYTES: usize = 256 << 10;
/// An attempt that got this far does not count as failed: large files also arrive over lines that break often.
const PROGRESS_BYTES: u64 = 1 << 20;

/// How much of a file has arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress<'a> {
    /// The file's path in the repository.
    pub file: &'a str,
    /// Bytes that have arrived, those of earlier calls included.
    pub bytes: u64,
    /// Its size in bytes.
    pub total: u64,
}

/// The download of one file.
pub(super) struct Download<'a> {
    client: &'a Client<'a>,
    remote: &'a Remote,
    incomplete: PathBuf,
    progress: &'a mut dyn FnMut(Progress<'_>),
}

impl<'a> Download<'a> {
    /// That of `remote` into `cache`, whose lock the caller holds.
    pub(super) fn new(
        client: &'a Client<'a>,
        remote: &'a Remote,
        cache: &Cache,
        progress: &'a mut dyn FnMut(Progress<'_>),
    ) -> Self {
        Self { client, remote, incomplete: cache.incomplete(&remote.etag), progress }
    }

    /// Fetches the content and gives it the name `blob`. Returns its SHA-256 in hexadecimal digits.
    pub(super) fn run(&mut self, blob: &Path) -> Result<String, Failure> {
        create_parent(blob)?;
        let is_resumed = self.open()?.1 > 0;
        let digest = match self.receive_and_check() {
            // Another program may have left a file with gaps.
            Err(Failure::Lasting { problem, .. }) if is_resumed => {
                tracing::warn!(problem, "a download that was resumed is started again");
                self.receive_and_check()?
            }
            result => result?,
        };
        let (file, _) = self.open()?;
        file.sync_all().map_err(ModelError::io("sync", &self.incomplete))?;
        std::fs::rename(&self.incomplete, blob).map_err(ModelError::io("rename", &self.incomplete))?;
        Ok(digest)
    }

    fn receive_and_check(&mut self) -> Result<String, Failure> {
        self.receive_all()?;
        let Remote { name, expected, .. } = self.remote;
        if *expected == Expected::Unknown {
            tracing::warn!(file = name, "the hub gives no digest of this file: only its size was compared");
        }
        expected.check(&self.incomplete)?.map_err(|problem| {
            // Otherwise the next call would continue with what is wrong.
            let removed = std::fs::remove_file(&self.incomplete);
            let end = if removed.is_ok() { "it was removed" } else { "remove its .incomplete file" };
            Failure::unusable(format!("{name}: {problem}; {end}"))
        })
    }

    /// Requests what is missing until the file has its size.
    fn receive_all(&mut self) -> Result<(), Failure> {
        let mut attempts = self.client.attempts();
        loop {
            let before = self.open()?.1;
            if before == self.remote.size {
                return Ok(());
            }
            let Err(failure) = self.receive() else { continue };
            if self.open()?.1.saturating_sub(before) >= PROGRESS_BYTES {
                attempts.reset();
            }
            attempts.wait_after(failure)?;
        }
    }

    /// Sends one request and appends what arrives.
    fn receive(&mut self) -> Result<(), Failure> {
        let (mut file, mut bytes) = self.open()?;
        if bytes > self.remote.size {
            bytes = self.restart(&file)?;
        }
        let response = self.client.once(Ask::Content(bytes), &self.remote.url)?;
        if bytes > 0 && !continues_at(&response, bytes) {
            bytes = self.restart(&file)?;
            if response.status() == StatusCode::PARTIAL_CONTENT {
                return Err(Failure::passing(format!("{}: the hub sent another part", self.remote.name)));
            }
        }
        self.append(&mut file, bytes, response)
    }

    fn append(&mut self, file: &mut File, mut bytes: u64, response: Response) -> Result<(), Failure> {
        let Remote { name, size: total, .. } = self.remote;
        let mut body = response.into_body().into_reader();
        let mut buffer = vec![0; BUFFER_BYTES];
        loop {
            let read = body.read(&mut buffer);
            let read = read.map_err(|error| interrupted(name, bytes, *total, &error.to_string()))?;
            let part = buffer.get(..read).unwrap_or_default();
            if part.is_empty() {
                break;
            }
            bytes += part.len() as u64;
            if bytes > *total {
                self.restart(file)?;
                return Err(Failure::unusable(format!("{name}: the hub sends more than its {total} bytes")));
            }
            file.write_all(part).map_err(ModelError::io("write", &self.incomplete))?;
            (self.progress)(Progress { file: name, bytes, total: *total });
        }
        if bytes < *total {
            Err(interrupted(name, bytes, *total, "the connection was closed"))
        } else {
            Ok(())
        }
    }

    /// The file for what arrives, and its size in bytes.
    fn open(&self) -> Result<(File, u64), Failure> {
        let file = File::options().append(true).create(true).open(&self.incomplete);
        let file = file.map_err(ModelError::io("open", &self.incomplete))?;
        let bytes = file.metadata().map_err(ModelError::io("read", &self.incomplete))?.len();
        Ok((file, bytes))
    }

    /// Empties the file; returns its size.
    fn restart(&self, file: &File) -> Result<u64, Failure> {
        file.set_len(0).map_err(ModelError::io("truncate", &self.incomplete))?;
        Ok(0)
    }
}

/// Whether an answer continues at the byte that was asked for. Not every server can do that.
fn continues_at(response: &Response, byte: u64) -> bool {
    let range = header_text(response, header::CONTENT_RANGE.as_str()).unwrap_or_default();
    response.status() == StatusCode::PARTIAL_CONTENT && range.starts_with(&format!("bytes {byte}-"))
}

fn interrupted(name: &str, bytes: u64, total: u64, why: &str) -> Failure {
    Failure::passing(format!("{name}: {bytes} of {total} bytes arrived: {why}"))
}
