//! Reads the wanted fields from any format that serde can deserialise: JSON and Avro.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize as _;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::fields::{BestValues, Field, Fields};
use crate::value::{DEEPEST, MOST_ELEMENTS, Value, WRAPPERS};

/// Reads one record or object and keeps only the wanted fields.
pub(super) struct Record<'r, 'm, 'a> {
    pub(super) fields: &'m Fields,
    pub(super) found: &'r mut BestValues<'m, 'a>,
    /// Whether numbers keep the digits that were sent. Only JSON can do that, and it takes longer.
    pub(super) keeps_digits: bool,
}

impl<'de> DeserializeSeed<'de> for Record<'_, '_, 'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Record<'_, '_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(field) = map.next_key_seed(Name(self.fields))? {
            let Some(field) = field else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            let slot = Slot {
                inside: Some(&field.inside),
                found: self.found,
                keeps_digits: self.keeps_digits,
                depth: 0,
            };
            if let Some(value) = map.next_value_seed(slot)? {
                self.found.offer(field, value);
            }
        }
        Ok(())
    }
}

/// Reads the name of a field and looks it up, without copying it.
struct Name<'m>(&'m Fields);

impl<'de, 'm> DeserializeSeed<'de> for Name<'m> {
    type Value = Option<&'m Field>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'m> Visitor<'_> for Name<'m> {
    type Value = Option<&'m Field>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a field's name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok(self.0.get(name))
    }
}

/// What a name inside a value is.
enum Inner<'m> {
    /// A field that is wanted by its path.
    Wanted(&'m Field),
    /// A wrapper, with its place in [`WRAPPERS`].
    Wrapper(usize),
    /// Says what the value is for.
    Role,
    Unknown,
}

/// Reads the name of a field inside a value.
struct InnerName<'m>(Option<&'m Fields>);

impl<'de, 'm> DeserializeSeed<'de> for InnerName<'m> {
    type Value = Inner<'m>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'m> Visitor<'_> for InnerName<'m> {
    type Value = Inner<'m>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a field's name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        if let Some(field) = self.0.and_then(|fields| fields.get(name)) {
            return Ok(Inner::Wanted(field));
        }
        Ok(match WRAPPERS.iter().position(|wrapper| *wrapper == name) {
            Some(rank) => Inner::Wrapper(rank),
            None if name == "role" => Inner::Role,
            None => Inner::Unknown,
        })
    }
}

/// Reads the value of one wanted field; `None` if it is null. The fields that are wanted inside it are added to `found`
/// directly.
struct Slot<'r, 'm, 'a> {
    inside: Option<&'m Fields>,
    found: &'r mut BestValues<'m, 'a>,
    keeps_digits: bool,
    depth: usize,
}

impl<'m, 'a> Slot<'_, 'm, 'a> {
    fn deeper<'s>(&'s mut self, inside: Option<&'m Fields>) -> Slot<'s, 'm, 'a> {
        Slot { inside, found: self.found, keeps_digits: self.keeps_digits, depth: self.depth + 1 }
    }
}

impl<'de> DeserializeSeed<'de> for Slot<'_, '_, 'de> {
    type Value = Option<Value<'de>>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        if self.depth > DEEPEST {
            IgnoredAny::deserialize(deserializer)?;
            return Ok(Some(Value::Other("a value that is nested too deeply")));
        }
        if !self.keeps_digits {
            return deserializer.deserialize_any(self);
        }
        let text = <&RawValue>::deserialize(deserializer)?.get();
        if text.starts_with(|c: char| c == '-' || c.is_ascii_digit()) {
            return Ok(Some(Value::Digits(Cow::Borrowed(text))));
        }
        serde_json::Deserializer::from_str(text).deserialize_any(self).map_err(D::Error::custom)
    }
}

impl<'de> Visitor<'de> for Slot<'_, '_, 'de> {
    type Value = Option<Value<'de>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Some(Value::Text(Cow::Borrowed(text))))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Some(Value::Text(Cow::Owned(text.to_string()))))
    }

    fn visit_bytes<E>(self, _: &[u8]) -> Result<Self::Value, E> {
        Ok(Some(Value::Other("bytes")))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Self::Value, E> {
        Ok(Some(Value::Integer(number)))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Self::Value, E> {
        Ok(Some(i64::try_from(number).map_or(Value::Digits(number.to_string().into()), Value::Integer)))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Self::Value, E> {
        Ok(Some(Value::Number(number)))
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Self::Value, E> {
        Ok(Some(Value::Boolean(flag)))
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut sequence: A) -> Result<Self::Value, A::Error> {
        let mut values = vec![];
        // Of an array of records, the first is the one that a path leads into.
        let mut inside = self.inside.take();
        while values.len() < MOST_ELEMENTS {
            match sequence.next_element_seed(self.deeper(inside.take()))? {
                Some(value) => values.extend(value),
                None => return Ok(Some(Value::List(values))),
            }
        }
        while sequence.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Some(Value::List(values)))
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut wrapped: Option<(usize, Value<'de>)> = None;
        let mut is_main = false;
        while let Some(inner) = map.next_key_seed(InnerName(self.inside))? {
            match inner {
                Inner::Wanted(field) => {
                    if let Some(value) = map.next_value_seed(self.deeper(Some(&field.inside)))? {
                        self.found.offer(field, value);
                    }
                }
                Inner::Wrapper(rank) if wrapped.as_ref().is_none_or(|(known, _)| rank < *known) => {
                    if let Some(value) = map.next_value_seed(self.deeper(None))? {
                        wrapped = Some((rank, value));
                    }
                }
                Inner::Role => {
                    let role = map.next_value_seed(self.deeper(None))?;
                    is_main = matches!(role, Some(Value::Text(text)) if text == "main");
                }
                Inner::Wrapper(_) | Inner::Unknown => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(Some(match wrapped {
            Some((_, value)) if is_main => Value::Main(Box::new(value)),
            Some((_, value)) => value,
            None => Value::Other("an object"),
        }))
    }
}
