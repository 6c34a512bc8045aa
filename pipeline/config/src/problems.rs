//! The problems of a configuration, collected so that a user sees all of them at once and not one per attempt.

use std::fmt::{self, Display, Formatter};

use fenliu_engine::Error;

/// One problem: a key and what is wrong with its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Dotted path of the key, such as `model.top_k`; empty for the file as a whole.
    pub key: String,
    /// What is wrong, as the end of a sentence that begins with the key: `is 0 but must be at least 1`.
    pub message: String,
}

/// All problems that were found in one configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problems {
    /// Where the configuration came from: a path, or `command line`.
    pub origin: String,
    /// The problems in the order in which they were found.
    pub problems: Vec<Problem>,
}

impl Problems {
    /// An empty list for the configuration that came from `origin`.
    pub fn new(origin: impl Into<String>) -> Self {
        Problems { origin: origin.into(), problems: vec![] }
    }

    /// A list with the single problem `message` of `key`.
    pub fn one(origin: impl Into<String>, key: &str, message: impl Into<String>) -> Self {
        let mut problems = Problems::new(origin);
        problems.add(key, message);
        problems
    }

    /// Adds a problem.
    pub fn add(&mut self, key: impl Into<String>, message: impl Into<String>) {
        self.problems.push(Problem { key: key.into(), message: message.into() });
    }

    /// Adds the problem that `key` is `value` but must be `bound`, unless `holds`.
    pub fn require(&mut self, holds: bool, key: &str, value: impl Display, bound: impl Display) {
        if !holds {
            self.add(key, format!("is {value} but must be {bound}"));
        }
    }

    /// Returns `value` if no problem was found.
    ///
    /// # Errors
    /// This list, if it is not empty.
    pub fn into_result<T>(self, value: T) -> Result<T, Problems> {
        if self.problems.is_empty() { Ok(value) } else { Err(self) }
    }
}

impl Display for Problems {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let count = self.problems.len();
        write!(f, "{}: {count} problem{}", self.origin, if count == 1 { "" } else { "s" })?;
        for Problem { key, message } in &self.problems {
            match key.as_str() {
                "" => write!(f, "\n  {message}")?,
                key => write!(f, "\n  `{key}` {message}")?,
            }
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

impl From<Problems> for Error {
    fn from(problems: Problems) -> Self {
        Error::usage(problems.to_string())
    }
}
