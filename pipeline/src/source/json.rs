//! From a message's bytes to a document, or to the reason why not.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

use fenliu_schemas::{Document, Reject, Stage};
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::time;
use crate::config::{DocumentsConfig, FieldNames, PayloadFormat};

/// Parts of a document that JSON fields can hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Id,
    Title,
    Body,
    Url,
    Source,
    Lang,
    PublishedAt,
    Label,
}

const PARTS: usize = 8;

/// Decodes messages by the configured format and field names.
#[derive(Debug)]
pub struct Decoder {
    format: PayloadFormat,
    max_bytes: u64,
    /// JSON field → the part it may hold and its rank among that part's fields (0: preferred).
    fields: HashMap<String, Vec<(Part, usize)>>,
}

impl Decoder {
    /// A decoder for `config`.
    pub fn new(config: &DocumentsConfig) -> Self {
        Decoder {
            format: config.format,
            max_bytes: config.max_bytes.as_u64(),
            fields: fields_by_name(&config.fields),
        }
    }

    /// Decodes one message. Reasons: `too_large`, `invalid_utf8`, `invalid_json`, `wrong_type`,
    /// `missing_text`.
    ///
    /// # Errors
    /// Why the message is not a document.
    pub fn decode<'a>(&self, payload: &'a [u8]) -> Result<Document<'a>, Reject> {
        if payload.len() as u64 > self.max_bytes {
            let detail = format!("{} bytes, `documents.max_bytes` is {}", payload.len(), self.max_bytes);
            return Err(reject("too_large", detail));
        }
        match self.format {
            PayloadFormat::Bytes => Ok(Document::default()),
            PayloadFormat::Json => self.decode_json(payload),
        }
    }

    fn decode_json<'a>(&self, payload: &'a [u8]) -> Result<Document<'a>, Reject> {
        let text = std::str::from_utf8(payload)
            .map_err(|error| reject("invalid_utf8", format!("at byte {}", error.valid_up_to())))?;
        let mut parser = serde_json::Deserializer::from_str(text.trim_start_matches('\u{feff}'));
        let found = ObjectSeed { fields: &self.fields }
            .deserialize(&mut parser)
            .and_then(|found| parser.end().map(|()| found))
            .map_err(|error| reject("invalid_json", error.to_string()))?;
        document(found)
    }
}

fn reject(reason: &'static str, detail: String) -> Reject {
    Reject::new(Stage::Decode, reason, Some(detail))
}

fn fields_by_name(names: &FieldNames) -> HashMap<String, Vec<(Part, usize)>> {
    let parts = [
        (Part::Id, &names.id),
        (Part::Title, &names.title),
        (Part::Body, &names.body),
        (Part::Url, &names.url),
        (Part::Source, &names.source),
        (Part::Lang, &names.lang),
        (Part::PublishedAt, &names.published_at),
        (Part::Label, &names.label),
    ];
    let mut fields: HashMap<String, Vec<(Part, usize)>> = HashMap::new();
    for (part, names) in parts {
        for (rank, name) in names.iter().enumerate() {
            fields.entry(name.clone()).or_default().push((part, rank));
        }
    }
    fields
}

/// The best value seen for each part: its rank, the JSON field's name and the value.
type Found<'a> = [Option<(usize, String, Value<'a>)>; PARTS];

fn document(mut found: Found<'_>) -> Result<Document<'_>, Reject> {
    let mut text = |part: Part| take_text(&mut found, part);
    let mut document = Document {
        title: text(Part::Title)?,
        body: text(Part::Body)?,
        url: text(Part::Url)?,
        source: text(Part::Source)?,
        lang: text(Part::Lang)?,
        label: text(Part::Label)?,
        ..Document::default()
    };
    document.id = match found[Part::Id as usize].take() {
        None => None,
        Some((_, _, Value::Text(text))) => Some(text),
        Some((_, _, Value::Integer(number))) => Some(number.to_string().into()),
        Some((_, field, value)) => return Err(wrong_type(&field, "a string or a whole number", &value)),
    };
    document.published_at = published_at(found[Part::PublishedAt as usize].take())?;
    if document.title.is_none() && document.body.is_none() {
        return Err(reject("missing_text", "neither a title nor a body".into()));
    }
    Ok(document)
}

fn take_text<'a>(found: &mut Found<'a>, part: Part) -> Result<Option<Cow<'a, str>>, Reject> {
    match found[part as usize].take() {
        None => Ok(None),
        Some((_, _, Value::Text(text))) => Ok(Some(text)),
        Some((_, field, value)) => Err(wrong_type(&field, "a string", &value)),
    }
}

fn published_at(found: Option<(usize, String, Value<'_>)>) -> Result<Option<i64>, Reject> {
    let Some((_, field, value)) = found else { return Ok(None) };
    let time = match &value {
        Value::Text(text) if text.trim().is_empty() => return Ok(None),
        Value::Text(text) => time::parse_text(text),
        Value::Integer(number) => time::parse_number(*number),
        _ => None,
    };
    time.map(Some).ok_or_else(|| wrong_type(&field, "a time", &value))
}

fn wrong_type(field: &str, expected: &str, value: &Value<'_>) -> Reject {
    reject("wrong_type", format!("`{field}` is {value} but must be {expected}"))
}

/// A JSON value, as far as documents need it. JSON's `null` is an absent field.
#[derive(Debug)]
enum Value<'a> {
    Text(Cow<'a, str>),
    Integer(i64),
    Number(f64),
    Boolean(bool),
    Array,
    Object,
}

impl fmt::Display for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Text(text) => write!(f, "{:?}", text.chars().take(40).collect::<String>()),
            Value::Integer(number) => write!(f, "{number}"),
            Value::Number(number) => write!(f, "{number}"),
            Value::Boolean(flag) => write!(f, "{flag}"),
            Value::Array => f.write_str("an array"),
            Value::Object => f.write_str("an object"),
        }
    }
}

/// Reads one JSON object, keeping only the fields that documents need.
struct ObjectSeed<'m> {
    fields: &'m HashMap<String, Vec<(Part, usize)>>,
}

impl<'de> DeserializeSeed<'de> for ObjectSeed<'_> {
    type Value = Found<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Found<'de>, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for ObjectSeed<'_> {
    type Value = Found<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Found<'de>, A::Error> {
        let mut found: Found<'de> = Default::default();
        while let Some(name) = map.next_key::<Cow<'de, str>>()? {
            let Some(places) = self.fields.get(name.as_ref()) else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            let value = map.next_value_seed(ValueSeed)?;
            if let Some(value) = value {
                keep_best(&mut found, &name, value, places);
            }
        }
        Ok(found)
    }
}

fn keep_best<'a>(found: &mut Found<'a>, name: &str, value: Value<'a>, places: &[(Part, usize)]) {
    let better = |&&(part, rank): &&(Part, usize)| {
        found[part as usize].as_ref().is_none_or(|(known, ..)| rank <= *known)
    };
    // A field may serve two parts only by configuration; the first that wants it has it.
    if let Some(&(part, rank)) = places.iter().find(better) {
        found[part as usize] = Some((rank, name.to_string(), value));
    }
}

/// Reads any JSON value; `None` for null.
struct ValueSeed;

impl<'de> DeserializeSeed<'de> for ValueSeed {
    type Value = Option<Value<'de>>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<Value<'de>>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ValueSeed {
    type Value = Option<Value<'de>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Some(Value::Text(Cow::Borrowed(text))))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Some(Value::Text(Cow::Owned(text.to_string()))))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Self::Value, E> {
        Ok(Some(Value::Integer(number)))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Self::Value, E> {
        Ok(Some(i64::try_from(number).map_or(Value::Text(number.to_string().into()), Value::Integer)))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Self::Value, E> {
        Ok(Some(Value::Number(number)))
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Self::Value, E> {
        Ok(Some(Value::Boolean(flag)))
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Self::Value, A::Error> {
        while sequence.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Some(Value::Array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Some(Value::Object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytesize::ByteSize;
    use proptest::prelude::*;

    fn decoder() -> Decoder {
        Decoder::new(&DocumentsConfig { max_bytes: ByteSize::b(200), ..DocumentsConfig::default() })
    }

    #[test]
    fn each_bad_message_has_its_reason() {
        let long = format!(r#"{{"body": "{}"}}"#, "x".repeat(300));
        let cases: [(&[u8], &str, &str); 11] = [
            (b"", "invalid_json", "EOF"),
            (b"{\"body\": \"x\"", "invalid_json", "EOF"),
            (b"{\"body\": \"x\"} trailing", "invalid_json", "trailing"),
            (b"[1]", "invalid_json", "a JSON object"),
            (b"{\"body\": \"\\ud800\"}", "invalid_json", "hex escape"),
            (b"{\"body\": \"\xff\"}", "invalid_utf8", "at byte 10"),
            (b"{\"body\": 5}", "wrong_type", "`body` is 5"),
            (b"{\"text\": [\"x\"]}", "wrong_type", "`text` is an array"),
            (b"{\"body\": \"x\", \"published_at\": \"soon\"}", "wrong_type", "\"soon\""),
            (b"{\"id\": 1, \"body\": null}", "missing_text", "neither"),
            (long.as_bytes(), "too_large", "312 bytes, `documents.max_bytes` is 200"),
        ];
        for (payload, reason, detail) in cases {
            let rejected = decoder().decode(payload).unwrap_err();
            assert_eq!(rejected.reason, reason, "{}", String::from_utf8_lossy(payload));
            let given = rejected.detail.unwrap();
            assert!(given.contains(detail), "{given}");
        }
    }

    #[test]
    fn a_document_is_read_whatever_the_order_of_its_fields() {
        let payload = br#"{"text":"t","extra":{"body":[1]},"body":"b","id":7,"title":"\u6807","published_at":1700000000}"#;
        let decoder = decoder();
        let document = decoder.decode(payload).unwrap();
        assert_eq!(document.body.as_deref(), Some("b"), "`body` is preferred to `text`");
        assert_eq!(document.title.as_deref(), Some("标"));
        assert_eq!(document.id.as_deref(), Some("7"));
        assert_eq!(document.published_at, Some(1_700_000_000_000));
    }

    #[test]
    fn a_byte_order_mark_is_no_error() {
        assert!(decoder().decode("\u{feff}{\"body\":\"x\"}".as_bytes()).is_ok());
    }

    proptest! {
        #[test]
        fn any_bytes_give_an_answer(payload in prop::collection::vec(any::<u8>(), 0..150)) {
            let _ = decoder().decode(&payload);
        }

        #[test]
        fn any_text_survives(body in any::<String>()) {
            let decoder = Decoder::new(&DocumentsConfig::default());
            let payload = serde_json::to_vec(&serde_json::json!({ "body": body })).unwrap();
            let document = decoder.decode(&payload).unwrap();
            prop_assert_eq!(document.body.as_deref(), Some(body.as_str()));
        }
    }
}
