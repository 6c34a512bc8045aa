//! Files on the local disk that outlive a crash of the machine.
//!
//! The library's own storage syncs neither a table's metadata nor directories, while the catalog that names the
//! metadata is on disk at once: after a crash of the machine the table could not be opened.

use std::fs::File;
use std::io::ErrorKind::AlreadyExists;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use iceberg::io::{
    FileMetadata, FileRead, FileWrite, InputFile, LocalFsStorage, OutputFile, Storage, StorageConfig,
    StorageFactory,
};
use iceberg::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};

/// Makes [`Disk`]s.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct DiskFactory;

#[typetag::serde(name = "fenliu.disk-factory")]
impl StorageFactory for DiskFactory {
    fn build(&self, _: &StorageConfig) -> Result<Arc<dyn Storage>> {
        Ok(Arc::new(Disk(LocalFsStorage::new())))
    }
}

/// The local disk. A file is on it, with its name, when its writer was closed.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Disk(LocalFsStorage);

#[async_trait]
#[typetag::serde(name = "fenliu.disk")]
impl Storage for Disk {
    async fn write(&self, path: &str, bytes: Bytes) -> Result<()> {
        // Through the writer, whose `close` syncs. The library's own `write` does not.
        let mut writer = self.writer(path).await?;
        writer.write(bytes).await?;
        writer.close().await
    }

    async fn writer(&self, path: &str) -> Result<Box<dyn FileWrite>> {
        let directory = Path::new(plain(path)).parent().unwrap_or(Path::new("/")).to_path_buf();
        make_directory(&directory).map_err(failed("make directory", &directory))?;
        Ok(Box::new(NewFile { file: self.0.writer(path).await?, directory }))
    }

    async fn exists(&self, path: &str) -> Result<bool> {
        self.0.exists(path).await
    }

    async fn metadata(&self, path: &str) -> Result<FileMetadata> {
        self.0.metadata(path).await
    }

    async fn read(&self, path: &str) -> Result<Bytes> {
        self.0.read(path).await
    }

    async fn reader(&self, path: &str) -> Result<Box<dyn FileRead>> {
        self.0.reader(path).await
    }

    async fn delete(&self, path: &str) -> Result<()> {
        self.0.delete(path).await
    }

    async fn delete_prefix(&self, path: &str) -> Result<()> {
        self.0.delete_prefix(path).await
    }

    async fn delete_stream(&self, paths: BoxStream<'static, String>) -> Result<()> {
        self.0.delete_stream(paths).await
    }

    fn new_input(&self, path: &str) -> Result<InputFile> {
        Ok(InputFile::new(Arc::new(self.clone()), path.to_owned()))
    }

    fn new_output(&self, path: &str) -> Result<OutputFile> {
        Ok(OutputFile::new(Arc::new(self.clone()), path.to_owned()))
    }
}

/// A file that is being written. Closing it syncs its content, and the directory that has its name.
struct NewFile {
    file: Box<dyn FileWrite>,
    directory: PathBuf,
}

#[async_trait]
impl FileWrite for NewFile {
    async fn write(&mut self, bytes: Bytes) -> Result<()> {
        self.file.write(bytes).await
    }

    async fn close(&mut self) -> Result<()> {
        self.file.close().await?;
        sync(&self.directory).map_err(failed("sync", &self.directory))
    }
}

/// The path without the scheme that other engines write before it.
pub(super) fn plain(path: &str) -> &str {
    path.strip_prefix("file://").or_else(|| path.strip_prefix("file:")).unwrap_or(path)
}

/// Makes a directory and those above it, each with its name on disk.
fn make_directory(directory: &Path) -> std::io::Result<()> {
    if directory.is_dir() {
        return Ok(());
    }
    let Some(parent) = directory.parent() else { return Ok(()) };
    make_directory(parent)?;
    match std::fs::create_dir(directory) {
        // A directory that another process has made meanwhile is synced, too: that process may not have come to it.
        Err(error) if error.kind() != AlreadyExists => Err(error),
        _ => sync(parent),
    }
}

fn sync(directory: &Path) -> std::io::Result<()> {
    File::open(directory)?.sync_all()
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Error + use<> {
    let path = path.display().to_string();
    move |error| Error::new(ErrorKind::Unexpected, format!("cannot {action} {path}: {error}"))
}
