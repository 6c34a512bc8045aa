//! The one error type of the pipeline.
//!
//! A bad document is never an error: it is a row with a reject reason. An [`Error`] means that the pipeline, or one
//! commit of it, cannot go on. Its kind, and whether trying again can help, are set where it arises, since the code
//! there knows best; the callers only read them.

use std::error::Error as StdError;
use std::fmt::{self, Display, Formatter};
use std::io;
use std::path::Path;

use fenliu_schemas::SchemaError;

/// Result of the pipeline's crates.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The class of an error. It decides the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// The configuration or the command line is wrong.
    Usage,
    /// Data that was given cannot serve the purpose: a corpus without labels, a model bundle that was changed.
    Input,
    /// The other side does not answer, or cannot serve at the moment.
    Unavailable,
    /// The other side refuses the credentials, or the right is missing.
    Denied,
    /// A file, topic, table or model is not there.
    NotFound,
    /// The other side refuses what is written, or how it is written: a rule of a table, an invalid record, a bound on
    /// sizes.
    Refused,
    /// A sink's positions are not where a commit begins: another process has committed meanwhile.
    Conflict,
    /// Offsets would be left out: the position of a sink is before the rows that it is given.
    Gap,
    /// A topic was deleted and created again, so that stored offsets mean other messages.
    Recreated,
    /// Partitions went to another member before their rows were durable. What is in flight is dropped, and reading
    /// starts again from the sinks' positions.
    Lost,
    /// Another process uses the same `source.instance`.
    Fenced,
    /// Too many of the newest documents failed.
    Breaker,
    /// A part of fenliu did not do what it promises: a thread panicked, rows lack their columns.
    Internal,
}

/// What went wrong, with everything that helps to find and mend it.
pub struct Error {
    inner: Box<Inner>,
}

#[derive(Debug)]
struct Inner {
    kind: Kind,
    message: String,
    context: Vec<(&'static str, String)>,
    remedy: Option<String>,
    retryable: bool,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    /// An error for which trying again does not help.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        let (message, context) = (message.into(), vec![]);
        Error {
            inner: Box::new(Inner { kind, message, context, remedy: None, retryable: false, source: None }),
        }
    }

    /// The configuration or the command line is wrong.
    pub fn usage(message: impl Into<String>) -> Self {
        Error::new(Kind::Usage, message)
    }

    /// Data that was given cannot serve the purpose.
    pub fn input(message: impl Into<String>) -> Self {
        Error::new(Kind::Input, message)
    }

    /// Something that may work later, without anyone doing anything about it here.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Error::new(Kind::Unavailable, message).retryable()
    }

    /// A part of fenliu did not do what it promises.
    pub fn internal(message: impl Into<String>) -> Self {
        Error::new(Kind::Internal, message)
    }

    /// A sink's positions are not where the moves begin; they are to be read again.
    pub fn conflict(message: impl Into<String>) -> Self {
        Error::new(Kind::Conflict, message).retryable()
    }

    /// A `map_err` adapter: an error of `kind` that says what `source` says.
    pub fn of<E: StdError + Send + Sync + 'static>(kind: Kind) -> impl Fn(E) -> Self {
        // The text of `source` is the message already, so only what caused it is added.
        move |source| Error::new(kind, source.to_string()).with_cause_of(&source)
    }

    /// A `map_err` adapter for file operations: `cannot ACTION PATH: REASON`.
    ///
    /// A missing right and a missing file stay as they are until someone mends them, so they are not retried. A
    /// full disk or a network file system that hangs may recover, so they are.
    pub fn file(action: &'static str, path: impl AsRef<Path>) -> impl FnOnce(io::Error) -> Self {
        let message = format!("cannot {action} {}", path.as_ref().display());
        move |source| {
            let kind = kind_of_io(source.kind());
            let remedy = remedy_of_io(source.kind());
            let mut error = Error::new(kind, message).with_source(source);
            error.inner.remedy = remedy.map(String::from);
            if kind == Kind::Unavailable { error.retryable() } else { error }
        }
    }

    /// Marks the error as one that may pass: the caller tries again.
    #[must_use]
    pub fn retryable(mut self) -> Self {
        self.inner.retryable = true;
        self
    }

    /// Marks the error as one that trying again does not mend.
    #[must_use]
    pub fn permanent(mut self) -> Self {
        self.inner.retryable = false;
        self
    }

    /// Adds where it happened: `table`, `topic`, `offset`, `sink`, ...
    #[must_use]
    pub fn with(mut self, key: &'static str, value: impl Display) -> Self {
        self.inner.context.push((key, value.to_string()));
        self
    }

    /// Adds what the user can do about it: a full clause without a final stop.
    #[must_use]
    pub fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.inner.remedy = Some(remedy.into());
        self
    }

    /// Adds the error that caused this one; its text follows the message.
    #[must_use]
    pub fn with_source(mut self, source: impl StdError + Send + Sync + 'static) -> Self {
        self.inner.source = Some(Box::new(source));
        self
    }

    fn with_cause_of(mut self, source: &dyn StdError) -> Self {
        if let Some(cause) = source.source() {
            self.inner.context.push(("cause", cause.to_string()));
        }
        self
    }

    /// What went wrong, in a word.
    pub fn kind(&self) -> Kind {
        self.inner.kind
    }

    /// Whether trying the same again may succeed.
    pub fn is_retryable(&self) -> bool {
        self.inner.retryable
    }

    /// The context under `key`, as it was added.
    pub fn context(&self, key: &str) -> Option<&str> {
        self.inner.context.iter().find(|(name, _)| *name == key).map(|(_, value)| value.as_str())
    }

    /// The exit code of a command that ends with this error: 2 for wrong usage or configuration, 3 where the
    /// breaker stopped the pipeline, else 1.
    pub fn exit_code(&self) -> u8 {
        match self.inner.kind {
            Kind::Usage => 2,
            Kind::Breaker => 3,
            _ => 1,
        }
    }
}

fn kind_of_io(kind: io::ErrorKind) -> Kind {
    use io::ErrorKind::{InvalidInput, IsADirectory, NotFound, PermissionDenied, ReadOnlyFilesystem};
    match kind {
        PermissionDenied | ReadOnlyFilesystem => Kind::Denied,
        NotFound => Kind::NotFound,
        InvalidInput | IsADirectory => Kind::Refused,
        _ => Kind::Unavailable,
    }
}

/// What helps where the system's own words do not say it.
fn remedy_of_io(kind: io::ErrorKind) -> Option<&'static str> {
    use io::ErrorKind::{NotADirectory, PermissionDenied, ReadOnlyFilesystem};
    match kind {
        PermissionDenied => Some("give the user that runs fenliu the right to do so, or name another path"),
        ReadOnlyFilesystem => Some("mount the file system writable, or name another path"),
        NotADirectory => Some("part of the path is a file: name another path"),
        _ => None,
    }
}

impl From<SchemaError> for Error {
    fn from(error: SchemaError) -> Self {
        Error::internal(error.to_string())
    }
}

/// One line: `MESSAGE [KEY=VALUE, ...]: CAUSE (REMEDY)`.
impl Display for Error {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Inner { message, context, remedy, source, .. } = &*self.inner;
        write!(f, "{message}")?;
        if !context.is_empty() {
            let pairs: Vec<String> = context.iter().map(|(key, value)| format!("{key}={value}")).collect();
            write!(f, " [{}]", pairs.join(", "))?;
        }
        if let Some(source) = source {
            write!(f, ": {source}")?;
        }
        match remedy {
            Some(remedy) => write!(f, " ({remedy})"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.inner.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_names_what_where_why_and_the_remedy() {
        let cause = io::Error::other("connection reset");
        let error = Error::new(Kind::Refused, "cannot commit")
            .with("table", "news")
            .with("version", 7)
            .with_source(cause)
            .remedy("check the table's constraints");
        assert_eq!(
            error.to_string(),
            "cannot commit [table=news, version=7]: connection reset (check the table's constraints)"
        );
        assert_eq!(error.context("version"), Some("7"));
    }

    #[test]
    fn a_missing_right_is_not_retried_and_a_full_disk_is() {
        let failed = |kind: io::ErrorKind| Error::file("write", "a.parquet")(kind.into());
        let denied = failed(io::ErrorKind::PermissionDenied);
        assert_eq!((denied.kind(), denied.is_retryable()), (Kind::Denied, false));
        let text = denied.to_string();
        assert!(text.starts_with("cannot write a.parquet: ") && text.contains("(give the user"), "{text}");
        let read_only = failed(io::ErrorKind::ReadOnlyFilesystem);
        assert_eq!((read_only.kind(), read_only.is_retryable()), (Kind::Denied, false));
        let full = failed(io::ErrorKind::StorageFull);
        assert_eq!((full.kind(), full.is_retryable()), (Kind::Unavailable, true));
        assert!(full.to_string().starts_with("cannot write a.parquet: "));
    }

    #[test]
    fn exit_codes_follow_the_kind() {
        for (kind, code) in [(Kind::Usage, 2), (Kind::Breaker, 3), (Kind::Denied, 1), (Kind::Lost, 1)] {
            assert_eq!(Error::new(kind, "x").exit_code(), code);
        }
    }
}
