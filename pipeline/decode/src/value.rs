//! The value of a field, whatever the format that it came in.

use std::borrow::Cow;
use std::fmt;

/// Names of fields inside an object that hold its value, the most telling first: what databases, feeds and news APIs
/// wrap a value in.
pub(super) const WRAPPERS: [&str; 16] = [
    "$oid",
    "$date",
    "$numberLong",
    "$numberInt",
    "$numberDouble",
    "$t",
    "#text",
    "_",
    "value",
    "rendered",
    "name",
    "title",
    "main",
    "string",
    "text",
    "href",
];

/// The most elements of an array that are looked at.
pub(super) const MOST_ELEMENTS: usize = 1000;

/// The deepest value that is looked at; 0 is that of a wanted field.
pub(super) const DEEPEST: usize = 8;

/// Kinds of values and of types, as far as the distinction matters for documents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ValueKind {
    Text,
    /// A number that is written as its digits where a text is wanted.
    Number,
    Time,
    /// A record or a list, which may hold a value of another kind.
    Nested,
    Other,
}

/// The value of a field, as far as documents need it. Null counts as an absent field, so it is not a value.
#[derive(Clone, Debug)]
pub(super) enum Value<'a> {
    Text(Cow<'a, str>),
    Integer(i64),
    /// Milliseconds since the Unix epoch.
    Time(i64),
    /// A number that may have lost digits.
    Number(f64),
    /// A number, by the digits that were sent.
    Digits(Cow<'a, str>),
    Boolean(bool),
    /// The elements of an array that are not null.
    List(Vec<Value<'a>>),
    /// What an object holds whose field `role` says that it is the main one of several.
    Main(Box<Value<'a>>),
    /// A value of another type, described by the type's name: `bytes`.
    Other(&'static str),
}

impl fmt::Display for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Text(text) => write!(f, "{:?}", text.chars().take(40).collect::<String>()),
            Value::Integer(number) => write!(f, "{number}"),
            Value::Time(_) => f.write_str("a timestamp"),
            Value::Number(number) => write!(f, "{number}"),
            Value::Digits(digits) => f.write_str(digits),
            Value::Boolean(flag) => write!(f, "{flag}"),
            Value::List(_) => f.write_str("an array"),
            Value::Main(value) => value.fmt(f),
            Value::Other(name) => f.write_str(name),
        }
    }
}

impl Value<'_> {
    /// The same, independent of where it was read.
    pub(super) fn into_owned(self) -> Value<'static> {
        match self {
            Value::Text(text) => Value::Text(Cow::Owned(text.into_owned())),
            Value::Digits(digits) => Value::Digits(Cow::Owned(digits.into_owned())),
            Value::List(values) => Value::List(values.into_iter().map(Value::into_owned).collect()),
            Value::Main(value) => Value::Main(Box::new(value.into_owned())),
            Value::Integer(number) => Value::Integer(number),
            Value::Time(millis) => Value::Time(millis),
            Value::Number(number) => Value::Number(number),
            Value::Boolean(flag) => Value::Boolean(flag),
            Value::Other(name) => Value::Other(name),
        }
    }

    /// What it is, for values of which some parts take nothing; `None` for texts and whole numbers.
    pub(super) fn description_if_unusable(&self) -> Option<String> {
        match self {
            Value::Text(_) | Value::Integer(_) | Value::Digits(_) => None,
            other => Some(other.to_string()),
        }
    }
}
