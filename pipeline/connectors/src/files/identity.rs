//! What tells a file from another one that took its path: a hash of its first bytes, stored beside its position.
//!
//! A file that can grow is known by its first bytes, at most 64 KiB, and by how many these were when it was first read. A
//! file that cannot grow, such as a Parquet file, is known by its length, its first and its last bytes, and
//! an object of a bucket by its tag, which the store changes with its content.

use std::io::{self, Read};

use base64::Engine;
use base64::prelude::BASE64_STANDARD_NO_PAD;
use fenliu_decode::file::{FileKind, Input, Kind};
use fenliu_schemas::TopicIdentity;
use sha2::{Digest, Sha256};

/// How many bytes at an end of a file are hashed.
const HASHED_BYTES: u64 = 64 << 10;

/// How many bytes an id has: those of a UUID, for which sinks have room.
const ID_BYTES: usize = 16;

/// The identity of `input`, which is of `kind`, as it is now. `latest_below` is the number of bytes that were hashed of a
/// file that can grow, and `None` for others.
///
/// # Errors
/// The file cannot be read.
pub(super) fn of(input: &dyn Input, kind: &FileKind) -> io::Result<TopicIdentity> {
    let bytes = i32::try_from(input.length().min(HASHED_BYTES)).unwrap_or_default();
    // Objects are replaced as a whole.
    let hashed = (can_grow(kind) && input.tag().is_none()).then_some(bytes);
    Ok(TopicIdentity { id: Some(id(input, hashed)?), latest_below: hashed })
}

/// Whether `input` is, or has grown from, the file that had the identity `stored`. A position without an identity, which
/// earlier releases wrote, belongs to the file that is there.
///
/// # Errors
/// The file cannot be read.
pub(super) fn is_same(input: &dyn Input, stored: &TopicIdentity) -> io::Result<bool> {
    let Some(known) = &stored.id else { return Ok(true) };
    if stored.latest_below.is_some_and(|bytes| input.length() < u64::from(bytes.unsigned_abs())) {
        return Ok(false);
    }
    Ok(id(input, stored.latest_below)? == *known)
}

/// Whether something can be added to the end of a file of this kind.
fn can_grow(kind: &FileKind) -> bool {
    kind.packing.is_none() && matches!(kind.kind, Kind::Json | Kind::Csv { .. } | Kind::Lines | Kind::Warc)
}

/// The hash of the first `bytes` of a file, or, where that is not said, of its length, beginning and end.
fn id(input: &dyn Input, bytes: Option<i32>) -> io::Result<String> {
    let mut hash = Sha256::new();
    match (bytes, input.tag()) {
        (None, Some(tag)) => hash.update(tag),
        (Some(bytes), _) => hash.update(part(input, 0, u64::from(bytes.unsigned_abs()))?),
        (None, None) => {
            hash.update(input.length().to_le_bytes());
            hash.update(part(input, 0, HASHED_BYTES)?);
            hash.update(part(input, input.length().saturating_sub(HASHED_BYTES), HASHED_BYTES)?);
        }
    }
    Ok(BASE64_STANDARD_NO_PAD.encode(&hash.finalize()[..ID_BYTES]))
}

fn part(input: &dyn Input, from: u64, length: u64) -> io::Result<Vec<u8>> {
    let mut bytes = vec![];
    input.read_from(from)?.take(length).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use fenliu_decode::file::{FileRules, LocalFile, kind_of};
    use std::path::Path;

    fn write(path: &Path, text: &str) -> (LocalFile, TopicIdentity) {
        std::fs::write(path, text).unwrap();
        let input = LocalFile::open(path).unwrap();
        let identity = of(&input, &kind_of(&input, &FileRules::default()).unwrap()).unwrap();
        (input, identity)
    }

    #[test]
    fn a_file_that_grew_is_the_same_and_one_that_was_replaced_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.jsonl");
        let (_, first) = write(&path, "{\"id\":1}\n");
        assert_eq!(first.latest_below, Some(9));
        let (grown, _) = write(&path, "{\"id\":1}\n{\"id\":2}\n");
        assert!(is_same(&grown, &first).unwrap());
        let (replaced, _) = write(&path, "{\"id\":3}\n{\"id\":2}\n");
        assert!(!is_same(&replaced, &first).unwrap());
        let (shorter, _) = write(&path, "{\"id\"");
        assert!(!is_same(&shorter, &first).unwrap());
        assert!(is_same(&shorter, &TopicIdentity::default()).unwrap());
    }

    #[test]
    fn a_long_file_is_known_by_its_first_64_kib() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.jsonl");
        let line = "{\"title\":\"央行宣布降息\"}\n";
        let (_, first) = write(&path, &line.repeat(5000));
        assert_eq!(first.latest_below, Some(64 << 10));
        let (grown, again) = write(&path, &line.repeat(9000));
        assert!(is_same(&grown, &first).unwrap());
        assert_eq!(again, first);
    }
}
