//! JSON values one after the other, found by their brackets and strings.

use fenliu_engine::{Error, Result};

use crate::file::text::{MAX_ROW_BYTES, Text};

/// The values of a text that stand one after the other, or in an array.
pub(super) struct Values {
    pub(super) text: Text,
    buffer: Vec<u8>,
    /// Where in the buffer the next value is looked for.
    start: usize,
    /// How many bytes of the text were dropped from the buffer.
    read: u64,
    in_array: bool,
    /// Whether the array has not ended yet.
    is_open: bool,
}

impl Values {
    /// The values of `text`, which are the elements of an array or not.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(super) fn open(text: Text, in_array: bool) -> Result<Self> {
        let mut values = Values { text, buffer: vec![], start: 0, read: 0, in_array, is_open: false };
        values.open_array()?;
        Ok(values)
    }

    /// Skips the bracket at the beginning.
    fn open_array(&mut self) -> Result<()> {
        if self.in_array && self.skip(|byte| byte.is_ascii_whitespace())? == Some(b'[') {
            self.start += 1;
            self.is_open = true;
        }
        Ok(())
    }

    /// The next byte after those that `is_between` says are between values; `None` at the end.
    fn skip(&mut self, is_between: impl Fn(u8) -> bool) -> Result<Option<u8>> {
        loop {
            while let Some(&byte) = self.buffer.get(self.start) {
                if !is_between(byte) {
                    return Ok(Some(byte));
                }
                self.start += 1;
            }
            self.drop_read();
            if !self.text.read_more(&mut self.buffer)? {
                return Ok(None);
            }
        }
    }

    fn drop_read(&mut self) {
        self.read += self.start as u64;
        self.buffer.drain(..self.start);
        self.start = 0;
    }

    /// The next value; `None` at the end, also if the value there is unfinished.
    pub(super) fn next(&mut self) -> Result<Option<Vec<u8>>> {
        let Some(byte) = self.skip(|byte| byte.is_ascii_whitespace() || byte == b',')? else {
            return Ok(None);
        };
        match byte {
            b']' if self.in_array && self.is_open => {
                self.is_open = false;
                self.start += 1;
                return self.after_array();
            }
            b'{' => {}
            other => {
                let at = self.read + self.start as u64;
                let found = char::from(other);
                return Err(
                    self.error(&format_args!("an object should begin at byte {at}, but there is `{found}`"))
                );
            }
        }
        self.drop_read();
        self.value()
    }

    /// Nothing may follow an array.
    fn after_array(&mut self) -> Result<Option<Vec<u8>>> {
        match self.skip(|byte| byte.is_ascii_whitespace())? {
            None => Ok(None),
            Some(_) => {
                let at = self.read + self.start as u64;
                Err(self.error(&format_args!("there is more behind the array, at byte {at}")))
            }
        }
    }

    /// The value at the beginning of the buffer.
    fn value(&mut self) -> Result<Option<Vec<u8>>> {
        let mut scanner = Scanner::default();
        let mut scanned = 0;
        loop {
            if let Some(length) = scanner.end(&self.buffer[scanned..]) {
                self.start = scanned + length;
                return Ok(Some(self.buffer[..self.start].to_vec()));
            }
            scanned = self.buffer.len();
            if scanned > MAX_ROW_BYTES {
                return Err(self.error(&format_args!("an object is longer than {MAX_ROW_BYTES} bytes")));
            }
            if !self.text.read_more(&mut self.buffer)? {
                return Ok(None);
            }
        }
    }

    /// How many bytes at the end are not a whole value.
    pub(super) fn left(&self) -> usize {
        self.buffer.len() - self.start
    }

    pub(super) fn error(&self, error: &dyn std::fmt::Display) -> Error {
        self.text.error(error)
    }
}

/// Finds where an object ends, by its brackets and strings, part by part.
#[derive(Default)]
pub(super) struct Scanner {
    depth: usize,
    in_string: bool,
    is_escaped: bool,
}

impl Scanner {
    /// How many bytes of `part` belong to the object, if it ends there.
    pub(super) fn end(&mut self, part: &[u8]) -> Option<usize> {
        for (index, &byte) in part.iter().enumerate() {
            match byte {
                _ if self.is_escaped => self.is_escaped = false,
                b'\\' if self.in_string => self.is_escaped = true,
                b'"' => self.in_string = !self.in_string,
                _ if self.in_string => {}
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' => {
                    self.depth = self.depth.saturating_sub(1);
                    if self.depth == 0 {
                        return Some(index + 1);
                    }
                }
                _ => {}
            }
        }
        None
    }
}
