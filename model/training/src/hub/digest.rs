//! Digests of files: SHA-256, which identifies a large file of the hub, and the name that git gives to a small one.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use fenliu_model::{ModelError, Result};
use sha1::Sha1;
use sha2::{Digest, Sha256};

const BUFFER_BYTES: usize = 1 << 20;

/// What the hub says about the content of a file. It is the file's `ETag`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Expected {
    /// SHA-256 of the content, in hexadecimal digits: for files in git-lfs.
    Sha256(String),
    /// SHA-1 of `blob SIZE\0` and the content, in hexadecimal digits: for files in git itself.
    GitBlob(String),
    /// Another hub may give tags that say nothing about the content.
    Unknown,
}

impl Expected {
    /// What an `ETag` says. The two digests are told apart by their lengths.
    pub(super) fn of_etag(etag: &str) -> Self {
        let is_hexadecimal = etag.bytes().all(|byte| byte.is_ascii_hexdigit());
        match etag.len() {
            64 if is_hexadecimal => Self::Sha256(etag.to_lowercase()),
            40 if is_hexadecimal => Self::GitBlob(etag.to_lowercase()),
            _ => Self::Unknown,
        }
    }

    /// The SHA-256 of `path` in hexadecimal digits, if the content is the expected one; or what is wrong, naming
    /// both digests.
    ///
    /// # Errors
    ///
    /// The file cannot be read.
    pub(super) fn check(&self, path: &Path) -> Result<Result<String, String>> {
        let found = Found::read(path, matches!(self, Self::GitBlob(_)))?;
        let (name, expected, actual) = match self {
            Self::Sha256(expected) => ("SHA-256", expected, &found.sha256),
            Self::GitBlob(expected) => ("git's SHA-1", expected, &found.git_blob),
            Self::Unknown => return Ok(Ok(found.sha256)),
        };
        if expected == actual {
            return Ok(Ok(found.sha256));
        }
        Ok(Err(format!("{name} is {actual} but must be {expected}")))
    }
}

/// The digests of a file.
struct Found {
    sha256: String,
    /// Empty if it was not asked for.
    git_blob: String,
}

impl Found {
    fn read(path: &Path, with_git: bool) -> Result<Self> {
        let mut file = File::open(path).map_err(ModelError::io("open", path))?;
        let bytes = file.metadata().map_err(ModelError::io("read", path))?.len();
        let (mut sha256, mut git) = (Sha256::new(), with_git.then(Sha1::new));
        if let Some(git) = &mut git {
            git.update(format!("blob {bytes}\0"));
        }
        let mut buffer = vec![0; BUFFER_BYTES];
        loop {
            let read = file.read(&mut buffer).map_err(ModelError::io("read", path))?;
            let part = buffer.get(..read).unwrap_or_default();
            if part.is_empty() {
                break;
            }
            sha256.update(part);
            if let Some(git) = &mut git {
                git.update(part);
            }
        }
        let git_blob = git.map(|git| hex::encode(git.finalize())).unwrap_or_default();
        Ok(Self { sha256: hex::encode(sha256.finalize()), git_blob })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_kinds_of_digest_are_recognised_and_compared() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        std::fs::write(&path, "hello\n").unwrap();
        // `sha256sum` and `git hash-object` of a file with this line.
        let sha256 = "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03";
        let git = "ce013625030ba8dba906f756967f9e9ca394464a";
        for etag in [sha256, git, "\"other\""] {
            assert_eq!(Expected::of_etag(etag).check(&path).unwrap(), Ok(sha256.to_owned()));
        }
        std::fs::write(&path, "hallo\n").unwrap();
        for (etag, name) in [(sha256, "SHA-256 is "), (git, "git's SHA-1 is ")] {
            let problem = Expected::of_etag(etag).check(&path).unwrap().unwrap_err();
            assert!(
                problem.starts_with(name) && problem.ends_with(&format!("but must be {etag}")),
                "{problem}"
            );
        }
    }
}
