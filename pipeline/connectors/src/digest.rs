//! SHA-256 of files, as manifests keep it.

use std::fs::File;
use std::io::{Read, Seek};
use std::path::Path;

use fenliu_engine::{Error, Result};
use sha2::{Digest, Sha256};

/// Length in bytes and SHA-256 (hexadecimal) of a file, from its beginning; `path` is for messages.
///
/// # Errors
/// When it cannot be read.
pub(crate) fn digest(mut file: &File, path: impl AsRef<Path>) -> Result<(u64, String)> {
    let mut read = || {
        file.rewind()?;
        let (mut hasher, mut length, mut buffer) = (Sha256::new(), 0, vec![0; 1 << 16]);
        loop {
            let count = file.read(&mut buffer)?;
            if count == 0 {
                return Ok((length, hex::encode(hasher.finalize())));
            }
            hasher.update(&buffer[..count]);
            length += count as u64;
        }
    };
    read().map_err(Error::file("read", path))
}
