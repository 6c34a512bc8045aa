//! The 64-bit name of a feature: XXH3 with seed 0 of a byte for its kind and its n-gram in UTF-8.
//!
//! Two n-grams of one text or of one model share a name so rarely (2^20 names among 2^64) that nothing is done
//! about it. Trained experts store these names, so they must not change.

use xxhash_rust::xxh3::xxh3_64;

/// What an n-gram consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Adjacent characters.
    Characters,
    /// Adjacent letters of a word, with the spaces around it.
    Letters,
    /// Adjacent words, with a space between two.
    Words,
}

impl Kind {
    fn byte(self) -> u8 {
        match self {
            Self::Characters => b'c',
            Self::Letters => b'l',
            Self::Words => b'w',
        }
    }
}

/// Names n-grams of one kind.
pub(super) struct Keys {
    /// The kind, and then the n-gram; kept for its memory.
    bytes: Vec<u8>,
}

impl Keys {
    pub(super) fn new(kind: Kind) -> Self {
        Self { bytes: vec![kind.byte()] }
    }

    /// The name of an n-gram.
    pub(super) fn key(&mut self, gram: &str) -> u64 {
        self.bytes.truncate(1);
        self.bytes.extend_from_slice(gram.as_bytes());
        xxh3_64(&self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values of the reference implementation, `XXH3_64bits`.
    #[test]
    fn keys_are_those_of_the_reference_implementation() {
        assert_eq!(xxh3_64(b""), 0x2d06_8005_38d3_94c2);
    }

    #[test]
    fn kinds_have_names_of_their_own() {
        assert_ne!(Keys::new(Kind::Characters).key("银行"), Keys::new(Kind::Words).key("银行"));
        let mut keys = Keys::new(Kind::Words);
        let first = keys.key("银行");
        assert_ne!(keys.key("降息"), first);
        assert_eq!(keys.key("银行"), first, "nothing is left of the n-gram before");
    }
}
