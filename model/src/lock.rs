//! Locks between processes. The operating system releases them when the process that holds them ends, however
//! it ends, so that no lock becomes stale. Lock files are never removed: otherwise two processes could lock
//! two different files of the same name.

use std::fs::{File, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::Path;

use crate::error::{ModelError, Result};

const CHANGE_FILE: &str = ".lock";
const LEASE_FILE: &str = ".lease";

/// The exclusive right to change aliases and to add or remove version directories, until it is dropped.
#[derive(Debug)]
pub(crate) struct ChangeLock {
    _file: File,
}

impl ChangeLock {
    /// Waits for the lock of a model's directory, which is held only during a change.
    pub(crate) fn wait(model: &Path) -> Result<Self> {
        let path = model.join(CHANGE_FILE);
        let file = open(&path)?;
        file.lock().map_err(ModelError::io("lock", &path))?;
        Ok(Self { _file: file })
    }
}

/// The exclusive right to run a fine-tuning job of a model, until it is dropped.
#[derive(Debug)]
pub struct Lease {
    _file: File,
}

impl Lease {
    /// Takes the lease of a model's directory. If it is taken, the error says by whom.
    pub(crate) fn take(model: &Path, purpose: &str) -> Result<Self> {
        let path = model.join(LEASE_FILE);
        let mut file = open(&path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                file.read_to_string(&mut holder).map_err(ModelError::io("read", &path))?;
                return Err(ModelError::Leased { path: model.to_path_buf(), holder });
            }
            Err(TryLockError::Error(error)) => return Err(ModelError::io("lock", &path)(error)),
        }
        let holder = format!("{purpose}, process {}, since {}", std::process::id(), crate::time::now());
        // Emptied only with the lock held; `open` does not truncate, because that would erase the name of the
        // present holder.
        file.set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| file.write_all(holder.as_bytes()))
            .map_err(ModelError::io("write", &path))?;
        Ok(Self { _file: file })
    }
}

/// Locks a directory until the result is dropped; `None` if another process has locked it.
pub(crate) fn try_lock_directory(directory: &Path) -> Result<Option<File>> {
    let file = File::open(directory).map_err(ModelError::io("open", directory))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(ModelError::io("lock", directory)(error)),
    }
}

fn open(path: &Path) -> Result<File> {
    File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
        .map_err(ModelError::io("open", path))
}
