//! All that is wrong with a configuration, at once.

use std::fmt::{self, Display, Formatter};

use fenliu_engine::Error;

/// One thing that is wrong: the key, and what is wrong with its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Dotted path of the key, such as `model.top_k`; empty for the file as a whole.
    pub key: String,
    /// The value found and the bound it breaks.
    pub message: String,
}

/// Every problem found, and where they were found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problems {
    /// The file, or what stands for it.
    pub origin: String,
    /// The problems, in the order of the file's sections.
    pub problems: Vec<Problem>,
}

impl Problems {
    /// No problem yet in `origin`.
    pub fn new(origin: impl Into<String>) -> Self {
        Problems { origin: origin.into(), problems: vec![] }
    }

    /// One problem that concerns `key`.
    pub fn one(origin: impl Into<String>, key: &str, message: impl Into<String>) -> Self {
        let mut problems = Problems::new(origin);
        problems.add(key, message);
        problems
    }

    /// Notes a problem.
    pub fn add(&mut self, key: impl Into<String>, message: impl Into<String>) {
        self.problems.push(Problem { key: key.into(), message: message.into() });
    }

    /// Notes a problem unless `holds`: `key` is `value` but must be `bound`.
    pub fn require(&mut self, holds: bool, key: &str, value: impl Display, bound: impl Display) {
        if !holds {
            self.add(key, format!("is {value} but must be {bound}"));
        }
    }

    /// `Ok(value)` when nothing is wrong.
    ///
    /// # Errors
    /// These problems, if there are any.
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
