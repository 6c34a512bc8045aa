//! The parts of a document, and which values each of them takes.

use std::borrow::Cow;

use crate::value::Value;

/// A part of a document that a field can hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Id,
    Title,
    Body,
    Url,
    Source,
    Lang,
    PublishedAt,
    Label,
    /// What a change event says happened to the document. It is in no column.
    Operation,
}

pub(super) const PARTS: [Part; 9] = [
    Part::Id,
    Part::Title,
    Part::Body,
    Part::Url,
    Part::Source,
    Part::Lang,
    Part::PublishedAt,
    Part::Label,
    Part::Operation,
];

/// Where change events of Debezium say what happened: as they are sent, and flattened by `ExtractNewRecordState`.
pub(super) const OPERATIONS: [&str; 5] = ["op", "payload.op", "__op", "__deleted", "payload.__deleted"];

/// What exporters write for "nothing", beside an empty text. In a title or a body these are words.
const NOTHING: [&str; 4] = ["N/A", "null", "None", "-"];

impl Part {
    /// Its name in `documents.fields` and in warnings.
    pub(super) fn name(self) -> &'static str {
        match self {
            Part::Id => "id",
            Part::Title => "title",
            Part::Body => "body",
            Part::Url => "url",
            Part::Source => "source",
            Part::Lang => "lang",
            Part::PublishedAt => "published_at",
            Part::Label => "label",
            Part::Operation => "operation",
        }
    }

    fn is_text_of_story(self) -> bool {
        matches!(self, Part::Title | Part::Body)
    }

    /// What `value` gives this part, as text; `None` if it says that there is nothing. A list gives a body all of its
    /// texts as lines, and every other part its first usable element, or the one that is marked as the main one.
    ///
    /// # Errors
    /// The value is of a type that says nothing for this part.
    pub(super) fn text<'a>(self, value: Value<'a>) -> Result<Option<Cow<'a, str>>, Unusable> {
        match value {
            Value::Text(text) => Ok(self.present(text)),
            Value::Integer(number) => Ok(Some(number.to_string().into())),
            Value::Digits(digits) if self == Part::Id => Ok(Some(whole(digits))),
            Value::Digits(digits) => Ok(Some(digits)),
            Value::Number(number) if number.is_finite() => Ok(Some(number.to_string().into())),
            Value::Boolean(flag) if matches!(self, Part::Label | Part::Operation) => {
                Ok(Some(flag.to_string().into()))
            }
            Value::Main(value) => self.text(*value),
            Value::List(values) => self.text_of_list(values),
            Value::Number(_) | Value::Boolean(_) | Value::Time(_) | Value::Other(_) => Err(Unusable),
        }
    }

    fn present(self, text: Cow<'_, str>) -> Option<Cow<'_, str>> {
        let is_nothing = says_nothing(&text, self.is_text_of_story());
        match text {
            _ if is_nothing => None,
            Cow::Borrowed(text) if self == Part::Id => Some(Cow::Borrowed(text.trim())),
            Cow::Owned(text) if self == Part::Id => Some(Cow::Owned(text.trim().to_owned())),
            text => Some(text),
        }
    }

    fn text_of_list<'a>(self, values: Vec<Value<'a>>) -> Result<Option<Cow<'a, str>>, Unusable> {
        if values.is_empty() {
            return Ok(None);
        }
        if self == Part::Body {
            let texts: Vec<_> = values.into_iter().filter_map(|value| self.text(value).ok()?).collect();
            return if texts.is_empty() { Err(Unusable) } else { Ok(Some(texts.join("\n").into())) };
        }
        let (main, others): (Vec<_>, Vec<_>) =
            values.into_iter().partition(|value| matches!(value, Value::Main(_)));
        let first = main.into_iter().chain(others).find_map(|value| self.text(value).ok().flatten());
        first.map(Some).ok_or(Unusable)
    }
}

/// Whether `text` is blank, or, unless it `is_story`, what exporters write for "nothing".
fn says_nothing(text: &str, is_story: bool) -> bool {
    let rest = text.trim_start();
    match rest.as_bytes().first() {
        None => true,
        // The first letters of all of them: most texts need no closer look.
        Some(b'N' | b'n' | b'-') => !is_story && NOTHING.contains(&rest.trim_end()),
        Some(_) => false,
    }
}

/// A value says nothing for a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unusable;

/// The digits of an identifier without a fraction or an exponent that changes nothing: `7.0` and `70e-1` are `7`.
/// Digits that are not a whole number stay as they were sent.
fn whole(digits: Cow<'_, str>) -> Cow<'_, str> {
    if !digits.contains(['.', 'e', 'E']) {
        return digits;
    }
    // Up to here every whole number has a float of its own, so that the digits are right.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    match digits.parse::<f64>() {
        Ok(number) if number.fract() == 0.0 && number.abs() < EXACT => format!("{number:.0}").into(),
        _ => digits,
    }
}
