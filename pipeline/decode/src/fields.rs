//! Maps the fields of a message to the parts of a document.
//!
//! Several fields can be configured for one part, in order of preference. The decoder of a format offers every value
//! that it finds ([`BestValues`]), and the preferred field with a usable value is used. A name with dots is a field of
//! that name, or the path to a field inside other fields. Names match as they are written or, with less preference,
//! without regard to case, `_`, `-` and blanks. The same preferences are applied to the fields of a schema
//! ([`Shape`](crate::shape::Shape)), so that a schema that cannot hold a document is found before the first message is
//! read.
//!
//! Contract: a document is refused only for want of a text. Any other part whose field cannot be used is absent, and a
//! warning of the document says so.

use std::borrow::Cow;
use std::collections::HashMap;
use std::time::{Duration, Instant};

use fenliu_schemas::{Document, Reject, Warnings};
use foldhash::fast::RandomState;
use parking_lot::Mutex;

use crate::names::{FieldNames, is_summary};
use crate::part::{OPERATIONS, PARTS, Part, Unusable};
use crate::time::{self, DateRules, Flaw, Moment};
use crate::undecoded::reject;
use crate::value::Value;

/// The reason of a message that says that its document was deleted.
pub(super) const DELETION: &str = "deletion";

/// How long the same warning is not logged again.
const LOG_INTERVAL: Duration = Duration::from_secs(60);

/// Fields by name. Every field of every message is looked up here, so the hash is a fast one; messages add no names, which
/// could be made to collide.
type ByName<N> = HashMap<N, Field, RandomState>;

/// The fields that are wanted from one record, by name.
#[derive(Clone, Debug, Default)]
pub(super) struct Fields {
    by_name: ByName<String>,
    /// The same by [`folded`] name. Exact names are looked up first.
    by_folded: ByName<Vec<u8>>,
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

    fn is_text(&self) -> bool {
        let is_text = |(part, _): &(Part, usize)| matches!(part, Part::Title | Part::Body);
        self.places.iter().any(is_text) || self.inside.by_name.values().any(Field::is_text)
    }

    /// The parts that it may hold, each with its rank.
    pub(super) fn places(&self) -> &[(Part, usize)] {
        &self.places
    }
}

/// The longest name that is folded, in bytes. Longer ones match exactly or not at all.
const LONGEST_FOLDED: usize = 64;

impl Fields {
    /// The fields of `names`.
    pub(super) fn new(names: &FieldNames) -> Self {
        let mut fields = Fields::default();
        for (rank, name) in OPERATIONS.iter().enumerate() {
            fields.insert_path(name, (Part::Operation, 2 * rank));
        }
        for part in PARTS {
            for (rank, name) in names.of(part).iter().enumerate() {
                // An exact match is preferred to a folded one of the same name, and both to the next name.
                fields.insert_path(name, (part, 2 * rank));
            }
        }
        fields
    }

    /// Adds a field by its name and, where that has dots, by its path.
    fn insert_path(&mut self, name: &str, place: (Part, usize)) {
        self.insert(name, name, place);
        if let Some((outer, inner)) = name.split_once('.') {
            self.insert_inside(outer, name, inner, place);
        }
    }

    fn insert_inside(&mut self, outer: &str, name: &str, path: &str, place: (Part, usize)) {
        let exact = self.by_name.entry(outer.into()).or_default();
        let folded = self.by_folded.entry(folded(outer)).or_default();
        for inside in [&mut exact.inside, &mut folded.inside] {
            match path.split_once('.') {
                None => inside.insert(name, path, place),
                Some((outer, path)) => inside.insert_inside(outer, name, path, place),
            }
        }
    }

    fn insert(&mut self, name: &str, key: &str, (part, rank): (Part, usize)) {
        for (field, rank) in [
            (self.by_name.entry(key.into()).or_default(), rank),
            (self.by_folded.entry(folded(key)).or_default(), rank + 1),
        ] {
            if field.places.is_empty() {
                field.name = name.into();
            }
            // Of several names of one part that fold to the same, the first is the most preferred.
            if field.places.iter().all(|(known, _)| *known != part) {
                field.places.push((part, rank));
            }
        }
    }

    /// The wanted field of that name; `None` if it is not wanted.
    pub(super) fn get(&self, name: &str) -> Option<&Field> {
        if let Some(field) = self.by_name.get(name) {
            return Some(field);
        }
        if name.len() > LONGEST_FOLDED {
            return None;
        }
        let mut buffer = [0; LONGEST_FOLDED];
        let length = fold(name, &mut buffer);
        self.by_folded.get(&buffer[..length])
    }

    /// Whether the field of that name can be a title or a body, or has such a field inside.
    pub(super) fn is_text(&self, name: &str) -> bool {
        self.get(name).is_some_and(Field::is_text)
    }

    /// Whether something is wanted of the column with this path: the column itself, or what is around it or inside.
    pub(super) fn covers(&self, path: &[String]) -> bool {
        let Some((name, inner)) = path.split_first() else { return false };
        self.get(name).is_some_and(|field| !field.places.is_empty() || field.inside.covers(inner))
    }

    /// All wanted fields of this record, by the names that were configured.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Field> {
        self.by_name.values()
    }

    /// Whether no field is wanted.
    pub(super) fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }
}

/// What is wanted of each message, and what is known of its document before it is read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted<'m> {
    pub(super) fields: &'m Fields,
    /// Values that every document has beside its own fields, by name.
    pub(super) columns: &'m [(String, String)],
}

impl<'m> Wanted<'m> {
    /// The values that are known before the message is read.
    pub(super) fn start<'a>(self) -> BestValues<'m, 'a> {
        let mut found = BestValues::default();
        for (name, value) in self.columns {
            if let Some(field) = self.fields.get(name) {
                found.offer(field, Value::Text(value.clone().into()));
            }
        }
        found
    }
}

/// Writes `name`, of [`LONGEST_FOLDED`] bytes at most, without `_`, `-` and blanks and with ASCII letters in lower case; returns
/// how many bytes there are.
fn fold(name: &str, buffer: &mut [u8; LONGEST_FOLDED]) -> usize {
    let mut length = 0;
    for byte in name.bytes().filter(|byte| is_kept(*byte)).take(LONGEST_FOLDED) {
        buffer[length] = byte.to_ascii_lowercase();
        length += 1;
    }
    length
}

fn folded(name: &str) -> Vec<u8> {
    name.bytes().filter(|byte| is_kept(*byte)).map(|byte| byte.to_ascii_lowercase()).collect()
}

/// Whether a byte of a name counts when names are compared without regard to their spelling.
fn is_kept(byte: u8) -> bool {
    !matches!(byte, b'_' | b'-' | b' ')
}

/// The most preferred of the fields that were seen for one part.
#[derive(Clone, Debug)]
struct Best<'m, T> {
    rank: usize,
    name: &'m str,
    what: T,
}

/// For each part of a document, the value of the most preferred field that was seen.
#[derive(Clone, Debug, Default)]
pub(super) struct BestValues<'m, 'a> {
    /// Texts, as the parts take them.
    texts: [Option<Best<'m, Cow<'a, str>>>; PARTS.len()],
    published_at: Option<Best<'m, Value<'a>>>,
    /// The fields whose value could not be used, each with its part and the value. Few messages have any.
    unusable: Vec<(Part, &'m str, String)>,
    /// Whether a number was used whose digits are not known exactly.
    is_inexact: bool,
    /// Whether there was a title or a body, but an empty one.
    has_empty_text: bool,
    warnings: Warnings,
}

impl<'m, 'a> BestValues<'m, 'a> {
    /// Takes `value` of `field` for each part that it may hold, unless a preferred field with a usable value was seen
    /// before. A later value of the same field replaces an earlier one.
    pub(super) fn offer(&mut self, field: &'m Field, value: Value<'a>) {
        let (last, others) = match field.places.split_last() {
            Some((last, others)) => (*last, others),
            None => return,
        };
        for &place in others {
            self.place(place, field, value.clone());
        }
        self.place(last, field, value);
    }

    fn place(&mut self, (part, rank): (Part, usize), field: &'m Field, value: Value<'a>) {
        if part == Part::PublishedAt {
            let is_better = self.published_at.as_ref().is_none_or(|known| rank <= known.rank);
            if is_better && !is_absent_time(&value) {
                self.published_at = Some(Best { rank, name: &field.name, what: value });
            }
            return;
        }
        let best = &self.texts[part as usize];
        if best.as_ref().is_some_and(|known| rank > known.rank) {
            return;
        }
        let is_number = matches!(value, Value::Number(_));
        let shown = value.description_if_unusable();
        match part.text(value) {
            Ok(None) => self.has_empty_text |= matches!(part, Part::Title | Part::Body),
            Ok(Some(text)) => {
                self.is_inexact |= is_number;
                self.texts[part as usize] = Some(Best { rank, name: &field.name, what: text });
            }
            Err(Unusable) => self.unusable.push((part, &field.name, shown.unwrap_or_default())),
        }
    }

    /// Whether a number was used whose digits are not known exactly, so that the message should be read again.
    pub(super) fn is_inexact(&self) -> bool {
        self.is_inexact
    }

    /// Adds a warning about the whole message.
    pub(super) fn warn(&mut self, what: &'static str, reason: &'static str) {
        self.warnings.add(what, reason);
    }

    /// Converts the whole number that was found for the time of publication into a time, if `to_millis` knows the unit of
    /// the field with that name.
    pub(super) fn convert_time(&mut self, to_millis: impl FnOnce(&str, i64) -> Option<i64>) {
        if let Some(Best { name, what, .. }) = &mut self.published_at
            && let Value::Integer(number) = what
            && let Some(millis) = to_millis(name, *number)
        {
            *what = Value::Time(millis);
        }
    }

    /// The parts that were found, each with the field that it was found in.
    pub(super) fn served(&self) -> Vec<(&'static str, String)> {
        let texts = PARTS.iter().zip(&self.texts);
        let texts = texts.filter_map(|(part, best)| Some((*part, best.as_ref()?.name)));
        let time = self.published_at.iter().map(|best| (Part::PublishedAt, best.name));
        let shown = texts.chain(time).filter(|(part, _)| *part != Part::Operation);
        shown.map(|(part, field)| (part.name(), field.to_owned())).collect()
    }

    /// Adds a warning about `part`, and logs it with the value as it was sent.
    fn warn_of(&mut self, part: Part, reason: &'static str, field: &str, value: &str) {
        self.warnings.add(part.name(), reason);
        if is_due(part, reason) {
            tracing::warn!(
                event = "decode_warning",
                warning = format_args!("{}:{reason}", part.name()),
                field,
                value,
                "a field of a document was not used as it was sent; repeats suppressed for 60 s"
            );
        }
    }

    /// The document that consists of these values. Times are read by `rules`.
    ///
    /// # Errors
    /// Rejects with `deletion` if the document was deleted, and with `missing_text` if there is neither a title nor a body.
    pub(super) fn into_document(mut self, rules: &DateRules) -> Result<Document<'a>, Reject> {
        let has_text = [Part::Title, Part::Body].iter().any(|part| self.texts[*part as usize].is_some());
        if self.is_deletion(has_text) {
            return Err(reject(DELETION, "a change event says that the document was deleted".into()));
        }
        if !has_text && !self.has_empty_text {
            return Err(reject("missing_text", self.why_no_text()));
        }
        if !has_text {
            // A story without words is one that cleaning rejects, by a reason that is no failure of the producer.
            self.texts[Part::Body as usize] = Some(Best { rank: 0, name: "", what: Cow::Borrowed("") });
        }
        if self.texts[Part::Body as usize].as_ref().is_some_and(|best| is_summary(best.name)) {
            self.warnings.add(Part::Body.name(), "summary");
        }
        let published_at = self.read_time(rules);
        self.warn_of_unusable();
        self.repair_texts();
        self.check_language();
        let mut text = |part: Part| self.texts[part as usize].take().map(|best| best.what);
        Ok(Document {
            title: text(Part::Title),
            body: text(Part::Body),
            url: text(Part::Url),
            source: text(Part::Source),
            lang: text(Part::Lang),
            label: text(Part::Label),
            id: text(Part::Id),
            published_at,
            warnings: self.warnings,
        })
    }

    /// Warns of the parts that only unusable values were found for, by the first of them.
    fn warn_of_unusable(&mut self) {
        for (part, field, value) in std::mem::take(&mut self.unusable) {
            if self.texts[part as usize].is_none() && part != Part::Operation {
                self.warn_of(part, "type", field, &value);
            }
        }
    }

    /// Undoes a wrong decoding by whoever made the message.
    fn repair_texts(&mut self) {
        for part in [Part::Title, Part::Body] {
            let mut repaired = String::new();
            if let Some(best) = &mut self.texts[part as usize]
                && fenliu_text::repair_mojibake(&best.what, &mut repaired)
            {
                best.what = Cow::Owned(repaired);
                self.warnings.add("charset", "mojibake");
            }
        }
    }

    /// Warns of a declared language that does not exist. It stays in the column, for the cleaning steps to judge by the text.
    fn check_language(&mut self) {
        let Some(Best { name, what, .. }) = &self.texts[Part::Lang as usize] else { return };
        if !fenliu_text::declares_language(what) {
            let (name, what) = (*name, what.clone().into_owned());
            self.warn_of(Part::Lang, "unknown", name, &what);
        }
    }

    /// Whether the message says that its document was deleted: by a flag, or by its operation, beside which a deleted
    /// document has no text.
    fn is_deletion(&self, has_text: bool) -> bool {
        let operation = self.texts[Part::Operation as usize].as_ref().map(|best| &*best.what);
        operation.is_some_and(|what| match what.to_ascii_lowercase().as_str() {
            "true" => true,
            "d" | "delete" => !has_text,
            _ => false,
        })
    }

    fn why_no_text(&self) -> String {
        let of = |wanted: Part| self.unusable.iter().find(|(part, ..)| *part == wanted);
        match of(Part::Title).or_else(|| of(Part::Body)) {
            Some((_, name, value)) => format!("neither a title nor a body: `{name}` is {value}"),
            None => "neither a title nor a body".into(),
        }
    }

    fn read_time(&mut self, rules: &DateRules) -> Option<i64> {
        let Best { name, what, .. } = self.published_at.take()?;
        match moment(&what, rules) {
            Ok(Moment { millis, is_month }) => {
                if is_month {
                    self.warnings.add(Part::PublishedAt.name(), "month");
                }
                Some(millis)
            }
            Err(flaw) => {
                self.warn_of(Part::PublishedAt, flaw.name(), name, &what.to_string());
                None
            }
        }
    }
}

/// Whether this warning was not logged within the last minute; counts it as logged.
fn is_due(part: Part, reason: &'static str) -> bool {
    static LOGGED: Mutex<Vec<(Part, &str, Instant)>> = Mutex::new(vec![]);
    let mut logged = LOGGED.lock();
    logged.retain(|(.., at)| at.elapsed() < LOG_INTERVAL);
    let is_due = logged.iter().all(|(known, because, _)| (*known, *because) != (part, reason));
    if is_due {
        logged.push((part, reason, Instant::now()));
    }
    is_due
}

/// Whether a value says that there is no time.
fn is_absent_time(value: &Value<'_>) -> bool {
    match value {
        Value::Text(text) => matches!(Part::Url.text(Value::Text(Cow::Borrowed(text))), Ok(None)),
        Value::List(values) => values.is_empty(),
        _ => false,
    }
}

fn moment(value: &Value<'_>, rules: &DateRules) -> Result<Moment, Flaw> {
    match value {
        Value::Text(text) | Value::Digits(text) => time::parse_text(text, rules),
        Value::Integer(number) => time::parse_number(*number, rules),
        Value::Number(number) => time::parse_seconds(*number, rules),
        Value::Time(millis) => time::parse_millis(*millis),
        Value::Main(value) => moment(value, rules),
        Value::List(values) => {
            let mut times = values.iter().map(|value| moment(value, rules));
            let first = times.next().unwrap_or(Err(Flaw::Unreadable));
            first.or_else(|flaw| times.find_map(Result::ok).ok_or(flaw))
        }
        Value::Boolean(_) | Value::Other(_) => Err(Flaw::Unreadable),
    }
}
