//! Where the bytes of a file come from: a disk, or whatever can be read by ranges.

use std::fmt::Debug;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// The bytes of a file, wherever it lies.
pub trait Input: Debug + Send + Sync {
    /// Its path or address, for messages and for what its name says of its kind.
    fn name(&self) -> &str;

    /// Its length in bytes when it was opened. A file that is being written may be longer by now.
    fn length(&self) -> u64;

    /// What its store says changes with its content (an ETag); `None` for files of a disk.
    fn tag(&self) -> Option<&str> {
        None
    }

    /// Reads from `offset` to the end.
    ///
    /// # Errors
    /// The file cannot be read.
    fn read_from(&self, offset: u64) -> io::Result<Box<dyn Read + Send>>;
}

/// A file on a disk.
#[derive(Debug)]
pub struct LocalFile {
    path: PathBuf,
    name: String,
    length: u64,
}

impl LocalFile {
    /// The file at `path`.
    ///
    /// # Errors
    /// There is no such file.
    pub fn open(path: &Path) -> io::Result<Self> {
        let length = path.metadata()?.len();
        Ok(LocalFile { path: path.to_owned(), name: path.display().to_string(), length })
    }
}

impl Input for LocalFile {
    fn name(&self) -> &str {
        &self.name
    }

    fn length(&self) -> u64 {
        self.length
    }

    fn read_from(&self, offset: u64) -> io::Result<Box<dyn Read + Send>> {
        let mut file = File::open(&self.path)?;
        file.seek(SeekFrom::Start(offset))?;
        Ok(Box::new(file))
    }
}

/// An input with a position, for readers that seek.
pub(super) struct Seekable<I> {
    input: I,
    position: u64,
    /// The open reader, which stands at `position`.
    reader: Option<Box<dyn Read + Send>>,
}

impl<I: AsRef<dyn Input>> Seekable<I> {
    pub(super) fn new(input: I) -> Self {
        Seekable { input, position: 0, reader: None }
    }
}

impl<I: AsRef<dyn Input>> Read for Seekable<I> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let reader = match &mut self.reader {
            Some(reader) => reader,
            None => self.reader.insert(self.input.as_ref().read_from(self.position)?),
        };
        let read = reader.read(buffer)?;
        self.position += read as u64;
        Ok(read)
    }
}

impl<I: AsRef<dyn Input>> Seek for Seekable<I> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let position = match to {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::End(distance) => self.input.as_ref().length().checked_add_signed(distance),
            SeekFrom::Current(distance) => self.position.checked_add_signed(distance),
        };
        let position = position.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        if position != self.position {
            self.reader = None;
        }
        self.position = position;
        Ok(position)
    }
}
