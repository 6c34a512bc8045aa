//! A prefix of a bucket of S3, or of what speaks like it.
//!
//! Files are written to and read from the temporary directory of the machine, since encoders and decoders need to seek.
//! A file becomes an object when it is complete. The store must support conditional `PUT` (S3, MinIO, R2 do).

use std::fs::File;
use std::io::{Read, Seek, Write};
use std::path::PathBuf;
use std::time::SystemTime;

use fenliu_config::Properties;
use fenliu_engine::{Error, Result};
use object_store::aws::AmazonS3;
use object_store::path::Path;
use object_store::{Error as StoreError, ObjectStore, ObjectStoreExt, PutMode};
use tokio::runtime::Handle;

use super::directory::Directory;
use super::store;
use crate::runtime;

/// Objects are sent and fetched in pieces of this size; S3 wants at least 5 MiB.
const PIECE: usize = 8 << 20;

#[derive(Debug)]
pub(super) struct Bucket {
    /// As it was configured, without a `/` at its end.
    url: String,
    prefix: Path,
    store: AmazonS3,
    runtime: Handle,
}

impl Bucket {
    /// `storage` takes precedence over the environment variables `AWS_...`.
    ///
    /// # Errors
    /// An invalid address or option.
    pub(super) fn open(url: &str, storage: &Properties) -> Result<Self> {
        let refused = |error: StoreError| Error::usage(format!("{url}: {error}"));
        let url = url.trim_end_matches('/');
        let prefix = url.split_once("://").and_then(|(_, place)| place.split_once('/'));
        let prefix = Path::parse(prefix.map_or("", |(_, prefix)| prefix));
        let prefix = prefix.map_err(|error| refused(error.into()))?;
        Ok(Bucket {
            url: url.to_owned(),
            prefix,
            store: store::s3(url, storage)?,
            runtime: runtime::handle()?,
        })
    }

    fn run<T>(
        &self,
        action: &'static str,
        name: &str,
        work: impl Future<Output = object_store::Result<T>>,
    ) -> Result<T> {
        let done = self.runtime.block_on(work);
        done.map_err(|error| Error::file(action, self.path(name))(of_store(error)))
    }

    /// # Errors
    /// A name that no object can have.
    fn key(&self, name: &str) -> object_store::Result<Path> {
        let name = Path::parse(name.trim_end_matches('/'))?;
        Ok(self.prefix.parts().chain(name.parts()).collect())
    }

    async fn upload(&self, name: &str, mut file: File) -> object_store::Result<()> {
        let key = self.key(name)?;
        file.rewind().map_err(local)?;
        let first = piece(&mut file)?;
        if first.len() < PIECE {
            return self.store.put(&key, first.into()).await.map(drop);
        }
        let mut upload = self.store.put_multipart(&key).await?;
        let mut next = first;
        let sent = loop {
            if next.is_empty() {
                break upload.complete().await.map(drop);
            }
            if let Err(error) = upload.put_part(next.into()).await {
                break Err(error);
            }
            next = match piece(&mut file) {
                Ok(next) => next,
                Err(error) => break Err(error),
            };
        };
        if sent.is_err() {
            // Parts of an upload that is not completed are invisible, but cost money. An error is ignored: the failure
            // of the upload is the one to report.
            let _ = upload.abort().await;
        }
        sent
    }

    async fn download(&self, name: &str) -> object_store::Result<File> {
        let key = self.key(name)?;
        let size = self.store.head(&key).await?.size;
        let mut file = tempfile::tempfile().map_err(local)?;
        let mut at = 0;
        // In ranges, so that a large object is never in memory as a whole.
        while at < size {
            let end = size.min(at + PIECE as u64);
            file.write_all(&self.store.get_range(&key, at..end).await?).map_err(local)?;
            at = end;
        }
        file.rewind().map_err(local)?;
        Ok(file)
    }
}

/// The error with the kind that a file system would give it. A missing permission gets a kind of its own, since it is
/// permanent.
fn of_store(error: StoreError) -> std::io::Error {
    match error {
        StoreError::PermissionDenied { .. } | StoreError::Unauthenticated { .. } => {
            std::io::Error::new(std::io::ErrorKind::PermissionDenied, error)
        }
        other => other.into(),
    }
}

impl Directory for Bucket {
    fn path(&self, name: &str) -> PathBuf {
        if name.is_empty() { self.url.clone().into() } else { format!("{}/{name}", self.url).into() }
    }

    fn make(&self) -> Result<()> {
        Ok(())
    }

    fn begin(&self, name: &str) -> Result<File> {
        tempfile::tempfile().map_err(Error::file("create a temporary file for", self.path(name)))
    }

    fn finish(&self, name: &str, file: File) -> Result<()> {
        self.run("write", name, self.upload(name, file))
    }

    fn create(&self, name: &str, bytes: &[u8]) -> Result<bool> {
        self.run("create", name, async {
            let bytes = bytes.to_vec().into();
            match self.store.put_opts(&self.key(name)?, bytes, PutMode::Create.into()).await {
                Err(StoreError::AlreadyExists { .. } | StoreError::Precondition { .. }) => Ok(false),
                outcome => outcome.map(|_| true),
            }
        })
    }

    fn read(&self, name: &str) -> Result<Option<File>> {
        self.run("read", name, async { found(self.download(name).await) })
    }

    fn names(&self, place: &str) -> Result<Vec<String>> {
        self.run("list", place, async {
            let listed = self.store.list_with_delimiter(Some(&self.key(place)?)).await?;
            let places =
                listed.common_prefixes.iter().filter_map(|place| Some(format!("{}/", place.filename()?)));
            let objects = listed.objects.iter().filter_map(|object| object.location.filename());
            Ok(places.chain(objects.map(str::to_owned)).collect())
        })
    }

    fn modified(&self, name: &str) -> Result<Option<SystemTime>> {
        self.run("look for", name, async {
            let object = found(self.store.head(&self.key(name)?).await)?;
            Ok(object.map(|object| object.last_modified.into()))
        })
    }

    fn rename(&self, from: &str, to: &str) -> Result<()> {
        self.run("rename", from, async {
            let hidden = self.key(from)?;
            // S3 has no rename. A crash between the two leaves both names, which `settle` takes into account.
            if found(self.store.copy(&hidden, &self.key(to)?).await)?.is_some() {
                found(self.store.delete(&hidden).await)?;
            }
            Ok(())
        })
    }

    fn remove(&self, name: &str) -> Result<()> {
        self.run("remove", name, async { found(self.store.delete(&self.key(name)?).await).map(drop) })
    }

    fn sync(&self, _: &str) -> Result<()> {
        Ok(())
    }
}

/// The next bytes of a file: [`PIECE`] of them, or what is left.
fn piece(file: &mut File) -> object_store::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(PIECE as u64).read_to_end(&mut bytes).map_err(local)?;
    Ok(bytes)
}

/// An error of the temporary file.
fn local(error: std::io::Error) -> StoreError {
    StoreError::Generic { store: "temporary file", source: error.into() }
}

/// `None` for what does not exist.
fn found<T>(outcome: object_store::Result<T>) -> object_store::Result<Option<T>> {
    match outcome {
        Err(StoreError::NotFound { .. }) => Ok(None),
        outcome => outcome.map(Some),
    }
}
