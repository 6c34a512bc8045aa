//! Vectors that were computed before, by another run or by one that was killed.
//!
//! A file belongs to one encoder and holds records one after another:
//!
//! ```text
//! key: 16 bytes │ vector: width × 4 bytes, little-endian │ check: 8 bytes
//! ```
//!
//! where the key is the start of the SHA-256 of the token ids, and the check the start of that of key and vector.
//!
//! Contract: a record whose check is wrong, such as the last one of a run that was killed, is cut off together with what
//! follows it. Only one process at a time uses a file.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use fenliu_model::{ModelError, Result};
use sha2::{Digest, Sha256};

const KEY: usize = 16;
const CHECK: usize = 8;

/// Names the tokens of a text.
pub(super) type Key = [u8; KEY];

/// The key of these token ids.
pub(super) fn key(ids: &[u32]) -> Key {
    let mut hasher = Sha256::new();
    ids.iter().for_each(|id| hasher.update(id.to_le_bytes()));
    start(hasher)
}

fn start<const BYTES: usize>(hasher: Sha256) -> [u8; BYTES] {
    let digest = hasher.finalize();
    std::array::from_fn(|place| digest[place])
}

fn check(record: &[u8]) -> [u8; CHECK] {
    start(Sha256::new().chain_update(record))
}

/// The vectors of one encoder, in a file.
#[derive(Debug)]
pub(super) struct Cache {
    file: File,
    path: PathBuf,
    width: usize,
    /// Where each record begins.
    places: HashMap<Key, u64>,
    end: u64,
}

impl Cache {
    /// Opens or makes the file of an encoder with vectors of `width` values, and waits until no other process uses it.
    pub(super) fn open(directory: &Path, encoder: &str, width: usize) -> Result<Self> {
        std::fs::create_dir_all(directory).map_err(ModelError::io("create", directory))?;
        let path = directory.join(format!("{encoder}.vectors"));
        let options = File::options().read(true).write(true).create(true).truncate(false).open(&path);
        let file = options.map_err(ModelError::io("open", &path))?;
        file.lock().map_err(ModelError::io("lock", &path))?;
        let mut cache = Self { file, path, width, places: HashMap::new(), end: 0 };
        cache.scan().map_err(ModelError::io("read", &cache.path))?;
        Ok(cache)
    }

    fn record_bytes(&self) -> usize {
        KEY + 4 * self.width + CHECK
    }

    /// Reads all records, and cuts the file off after the last good one.
    fn scan(&mut self) -> std::io::Result<()> {
        let mut record = vec![0; self.record_bytes()];
        let mut reader = BufReader::with_capacity(1 << 20, &self.file);
        while reader.read_exact(&mut record).is_ok() {
            let (body, stored) = record.split_at(record.len() - CHECK);
            if check(body) != stored {
                break;
            }
            self.places.insert(std::array::from_fn(|place| body[place]), self.end);
            self.end += record.len() as u64;
        }
        self.file.set_len(self.end)
    }

    /// Whether there is a vector for these tokens.
    pub(super) fn has(&self, key: &Key) -> bool {
        self.places.contains_key(key)
    }

    /// Adds vectors, one for each key.
    pub(super) fn append<'a>(&mut self, records: impl Iterator<Item = (&'a Key, &'a [f32])>) -> Result<()> {
        let mut bytes = Vec::new();
        for (key, vector) in records {
            let begin = bytes.len();
            self.places.insert(*key, self.end + begin as u64);
            bytes.extend_from_slice(key);
            vector.iter().for_each(|value| bytes.extend_from_slice(&value.to_le_bytes()));
            let check = check(&bytes[begin..]);
            bytes.extend_from_slice(&check);
        }
        let written = self.file.seek(SeekFrom::Start(self.end)).and_then(|_| self.file.write_all(&bytes));
        written.map_err(ModelError::io("write", &self.path))?;
        self.end += bytes.len() as u64;
        Ok(())
    }

    /// The vectors of keys that it has, one after another.
    ///
    /// # Errors
    ///
    /// A key has no vector, or the file cannot be read.
    pub(super) fn vectors(&mut self, keys: &[Key]) -> Result<Vec<f32>> {
        let mut values = Vec::with_capacity(keys.len() * self.width);
        let mut bytes = vec![0; 4 * self.width];
        for key in keys {
            let missing = || ModelError::Training("a text has no vector in the cache".to_owned());
            let place = *self.places.get(key).ok_or_else(missing)? + KEY as u64;
            let read = self.file.seek(SeekFrom::Start(place)).and_then(|_| self.file.read_exact(&mut bytes));
            read.map_err(ModelError::io("read", &self.path))?;
            let value = |bytes: &[u8]| f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
            values.extend(bytes.chunks_exact(4).map(value));
        }
        Ok(values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cache(directory: &Path) -> Cache {
        Cache::open(directory, "encoder", 2).unwrap()
    }

    #[test]
    fn vectors_are_there_after_the_file_is_opened_again_and_a_torn_record_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let keys = [key(&[1, 2]), key(&[1]), key(&[])];
        let vectors: [&[f32]; 3] = [&[0.5, -1.0], &[2.0, 3.0], &[4.0, 5.0]];
        let mut first = cache(directory.path());
        first.append(keys.iter().zip(vectors)).unwrap();
        assert_eq!(first.vectors(&[keys[1], keys[0]]).unwrap(), [2.0, 3.0, 0.5, -1.0]);
        drop(first);

        let path = directory.path().join("encoder.vectors");
        let bytes = std::fs::read(&path).unwrap();
        let record = bytes.len() / 3;
        let mut flipped = bytes.clone();
        flipped[record + KEY] ^= 1;
        for (damaged, left) in [(&bytes[..bytes.len() - 1], 2), (flipped.as_slice(), 1)] {
            std::fs::write(&path, damaged).unwrap();
            let mut opened = cache(directory.path());
            let known = keys.iter().filter(|key| opened.has(key)).count();
            assert_eq!((known, opened.end as usize), (left, left * record));
            assert!(opened.vectors(&keys).unwrap_err().to_string().contains("no vector in the cache"));
            opened.append(keys[left..].iter().zip(vectors[left..].iter().copied())).unwrap();
            assert_eq!(opened.vectors(&keys).unwrap(), vectors.concat());
            drop(opened);
            assert_eq!(std::fs::read(&path).unwrap(), bytes);
        }
    }
}
