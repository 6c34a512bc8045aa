//! Maps the fields of a message to the parts of a document.
//!
//! Several fields can be configured for one part, in order of preference. The decoder of a format offers every value
//! that it finds ([`BestValues`]), and the preferred field that is present is used. A name with dots is a field of that
//! name, or the path to a field inside other fields. The same preferences are applied to the fields of a schema
//! ([`Shape`]), so that a schema that cannot hold a document is found before the first message is read.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

use fenliu_schemas::{Document, Reject};

use crate::config::FieldNames;
use crate::time;
use crate::undecoded::reject;

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
}

const PARTS: [Part; 8] =
    [Part::Id, Part::Title, Part::Body, Part::Url, Part::Source, Part::Lang, Part::PublishedAt, Part::Label];

impl Part {
    /// What values the part accepts, as messages name them.
    fn expected(self) -> &'static str {
        match self {
            Part::Id => "a string or a whole number",
            Part::PublishedAt => "a time",
            _ => "a string",
        }
    }

    fn accepts(self, kind: ValueKind) -> bool {
        match self {
            Part::Id => matches!(kind, ValueKind::Text | ValueKind::Integer),
            Part::PublishedAt => matches!(kind, ValueKind::Text | ValueKind::Integer | ValueKind::Time),
            _ => kind == ValueKind::Text,
        }
    }
}

/// The fields that are wanted from one record, by name.
#[derive(Clone, Debug, Default)]
pub(super) struct Fields {
    by_name: HashMap<String, Field>,
}

/// A field that is wanted, with the parts that it may hold.
#[derive(Clone, Debug, Default)]
pub(super) struct Field {
    /// The name as configured, dots included.
    name: String,
    /// The parts that it may hold, each with its rank among the fields of that part (0: most preferred).
    places: Vec<(Part, usize)>,
    /// The fields that are wanted inside it, if it is a record.
    pub(super) inside: Fields,
}

impl Field {
    /// The name as configured, dots included.
    pub(super) fn name(&self) -> &str {
        &self.name
    }
}

impl Fields {
    /// The fields of `names`.
    pub(super) fn new(names: &FieldNames) -> Self {
        let lists = [
            &names.id,
            &names.title,
            &names.body,
            &names.url,
            &names.source,
            &names.lang,
            &names.published_at,
            &names.label,
        ];
        let mut fields = Fields::default();
        for (part, names) in PARTS.into_iter().zip(lists) {
            for (rank, name) in names.iter().enumerate() {
                // A name with dots stands for both: a field of that very name, and a path.
                fields.insert(name, name, (part, rank));
                if let Some((outer, inner)) = name.split_once('.') {
                    fields.by_name.entry(outer.into()).or_default().inside.insert_path(
                        name,
                        inner,
                        (part, rank),
                    );
                }
            }
        }
        fields
    }

    fn insert_path(&mut self, name: &str, path: &str, place: (Part, usize)) {
        match path.split_once('.') {
            None => self.insert(name, path, place),
            Some((outer, inner)) => {
                self.by_name.entry(outer.into()).or_default().inside.insert_path(name, inner, place);
            }
        }
    }

    fn insert(&mut self, name: &str, key: &str, place: (Part, usize)) {
        let field = self.by_name.entry(key.into()).or_default();
        field.name = name.into();
        field.places.push(place);
    }

    /// The wanted field of that name; `None` if it is not wanted.
    pub(super) fn get(&self, name: &str) -> Option<&Field> {
        self.by_name.get(name)
    }

    /// All wanted fields of this record, with their names in the record.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &Field)> {
        self.by_name.iter().map(|(name, field)| (name.as_str(), field))
    }

    /// Whether no field is wanted.
    pub(super) fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }
}

/// Kinds of values and of types, as far as the distinction matters for documents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ValueKind {
    Text,
    Integer,
    Time,
    Other,
}

/// The value of a field, as far as documents need it. Null counts as an absent field, so it is not a value.
#[derive(Debug)]
pub(super) enum Value<'a> {
    Text(Cow<'a, str>),
    Integer(i64),
    /// Milliseconds since the Unix epoch.
    Time(i64),
    Number(f64),
    Boolean(bool),
    /// A value of another type, described by the type's name: `an array`.
    Other(&'static str),
}

impl fmt::Display for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Text(text) => write!(f, "{:?}", text.chars().take(40).collect::<String>()),
            Value::Integer(number) => write!(f, "{number}"),
            Value::Time(_) => f.write_str("a timestamp"),
            Value::Number(number) => write!(f, "{number}"),
            Value::Boolean(flag) => write!(f, "{flag}"),
            Value::Other(name) => f.write_str(name),
        }
    }
}

/// The most preferred of the fields that were seen for one part.
#[derive(Debug)]
struct Best<'m, T> {
    rank: usize,
    name: &'m str,
    what: T,
}

/// For each part of a document, the value of the most preferred field that was seen.
#[derive(Debug, Default)]
pub(super) struct BestValues<'m, 'a> {
    best: [Option<Best<'m, Value<'a>>>; PARTS.len()],
}

impl<'m, 'a> BestValues<'m, 'a> {
    /// Takes `value` of `field`, unless a preferred field was seen before. A later value of the same field replaces an
    /// earlier one.
    pub(super) fn offer(&mut self, field: &'m Field, value: Value<'a>) {
        let better = |&&(part, rank): &&(Part, usize)| {
            self.best[part as usize].as_ref().is_none_or(|known| rank <= known.rank)
        };
        // The configuration may name one field for two parts. It then fills the first part that has nothing better.
        if let Some(&(part, rank)) = field.places.iter().find(better) {
            self.best[part as usize] = Some(Best { rank, name: &field.name, what: value });
        }
    }

    /// Converts the whole number that was found for the time of publication into a time, if `to_millis` knows the unit of
    /// the field with that name.
    pub(super) fn convert_time(&mut self, to_millis: impl FnOnce(&str, i64) -> Option<i64>) {
        if let Some(Best { name, what, .. }) = &mut self.best[Part::PublishedAt as usize]
            && let Value::Integer(number) = what
            && let Some(millis) = to_millis(name, *number)
        {
            *what = Value::Time(millis);
        }
    }

    /// The document that consists of these values.
    ///
    /// # Errors
    /// Rejects with `wrong_type` if a part does not accept its value, and with `missing_text` if there is neither a title
    /// nor a body.
    pub(super) fn into_document(mut self) -> Result<Document<'a>, Reject> {
        let document = Document {
            title: self.text(Part::Title)?,
            body: self.text(Part::Body)?,
            url: self.text(Part::Url)?,
            source: self.text(Part::Source)?,
            lang: self.text(Part::Lang)?,
            label: self.text(Part::Label)?,
            id: self.text(Part::Id)?,
            published_at: self.published_at()?,
        };
        if document.title.is_none() && document.body.is_none() {
            return Err(reject("missing_text", "neither a title nor a body".into()));
        }
        Ok(document)
    }

    fn text(&mut self, part: Part) -> Result<Option<Cow<'a, str>>, Reject> {
        match self.best[part as usize].take() {
            None => Ok(None),
            Some(Best { what: Value::Text(text), .. }) => Ok(Some(text)),
            Some(Best { what: Value::Integer(number), .. }) if part == Part::Id => {
                Ok(Some(number.to_string().into()))
            }
            Some(Best { name, what, .. }) => Err(wrong_type(name, part, &what)),
        }
    }

    fn published_at(&mut self) -> Result<Option<i64>, Reject> {
        let Some(best) = self.best[Part::PublishedAt as usize].take() else { return Ok(None) };
        let time = match &best.what {
            Value::Text(text) if text.trim().is_empty() => return Ok(None),
            Value::Text(text) => time::parse_text(text),
            Value::Integer(number) => time::parse_number(*number),
            Value::Time(time) => Some(*time),
            _ => None,
        };
        // Tables store microseconds, so a time that overflows in that unit is refused here.
        let time = time.filter(|milliseconds| milliseconds.checked_mul(1000).is_some());
        time.map(Some).ok_or_else(|| wrong_type(best.name, Part::PublishedAt, &best.what))
    }
}

fn wrong_type(field: &str, part: Part, value: &Value<'_>) -> Reject {
    reject("wrong_type", format!("`{field}` is {value} but must be {}", part.expected()))
}

/// The type of a field in a schema.
#[derive(Debug)]
struct FieldType {
    /// The kinds of values that it allows.
    kinds: Vec<ValueKind>,
    /// Its name in the schema's language.
    name: String,
}

/// For each part of a document, the type of the most preferred field that a schema has.
#[derive(Debug, Default)]
pub(super) struct Shape<'m> {
    best: [Option<Best<'m, FieldType>>; PARTS.len()],
}

impl<'m> Shape<'m> {
    /// Adds `field`, whose values may be of any of `kinds`. `type_name` is the name of its type, for messages.
    pub(super) fn offer(&mut self, field: &'m Field, kinds: &[ValueKind], type_name: &str) {
        for &(part, rank) in &field.places {
            let best = &mut self.best[part as usize];
            if best.as_ref().is_none_or(|known| rank <= known.rank) {
                let what = FieldType { kinds: kinds.to_vec(), name: type_name.into() };
                *best = Some(Best { rank, name: &field.name, what });
            }
        }
    }

    /// Checks that messages of this schema can hold a document.
    ///
    /// # Errors
    /// Names the first field whose type does not fit its part, or says that there is no field for title and body.
    pub(super) fn check(&self) -> Result<(), String> {
        for (part, best) in PARTS.into_iter().zip(&self.best) {
            if let Some(Best { name, what, .. }) = best
                && !what.kinds.iter().any(|kind| part.accepts(*kind))
            {
                return Err(format!(
                    "field `{name}` is of type {} but must be {}",
                    what.name,
                    part.expected()
                ));
            }
        }
        if self.best[Part::Title as usize].is_none() && self.best[Part::Body as usize].is_none() {
            return Err(
                "it has neither a field for the title nor one for the body (`documents.fields`)".into()
            );
        }
        Ok(())
    }
}
