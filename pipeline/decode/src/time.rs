//! Reads times of publication in the notations that news sources use.
//!
//! Contract: a time that is returned is the right one. A text that could mean several moments, or none, gives a
//! [`Flaw`] in place of a guess: a missing time does less harm than a wrong one. Relative times ("3 hours ago") are not
//! read, since a message that is read again later would get another time.

mod calendar;
mod number;
mod text;
mod token;
mod zone;

#[cfg(test)]
mod tests;

pub use number::{parse_millis, parse_number, parse_seconds};
pub use text::parse_text;
pub use zone::{DateOrder, DateRules, Zone};

/// A time that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// Milliseconds since the Unix epoch, within the years 1 to 9999.
    pub millis: i64,
    /// Whether the source gave the month only, so that the time is the beginning of its first day.
    pub is_month: bool,
}

/// Why a value gives no time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// It is in no known notation, or names a date that no calendar has.
    Unreadable,
    /// It could be several moments: the order of day and month, or an abbreviation that several zones share.
    Ambiguous,
}

impl Flaw {
    /// The word for it in `decode_warnings`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Flaw::Unreadable => "unreadable",
            Flaw::Ambiguous => "ambiguous",
        }
    }
}
