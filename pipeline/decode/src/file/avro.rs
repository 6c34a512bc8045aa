//! Avro containers. A row is an object, as JSON.

use std::fmt;
use std::io::{BufReader, Read};

use fenliu_engine::{Error, Result};
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_avro_fast::de::read::ReaderRead;
use serde_avro_fast::object_container_file_encoding::Reader;
use serde_json::{Map, Value};

use super::kind::FileKind;
use super::row::{Content, FileRows, Row};
use super::rules::failed;
use super::source::Input;
use super::unpack::unpacked;

/// The objects of an Avro container.
pub(super) struct AvroRows {
    name: String,
    reader: Reader<ReaderRead<BufReader<Box<dyn Read + Send>>>>,
    next: i64,
}

impl AvroRows {
    /// The objects from `first` on.
    ///
    /// # Errors
    /// The container cannot be read.
    pub(super) fn open(input: &dyn Input, kind: &FileKind, first: i64) -> Result<Self> {
        let reader = input.read_from(0).and_then(|reader| unpacked(kind.packing, reader));
        let (reader, _) = reader.map_err(|error| failed(input, &error))?;
        let reader = Reader::from_reader(BufReader::new(reader)).map_err(|error| failed(input, &error))?;
        let mut rows = AvroRows { name: input.name().to_owned(), reader, next: 0 };
        while rows.next < first && rows.next_row()?.is_some() {}
        Ok(rows)
    }

    fn error(&self, error: &dyn fmt::Display) -> Error {
        Error::input(format!("{}: row {}: {error}", self.name, self.next))
    }
}

impl FileRows for AvroRows {
    fn next_row(&mut self) -> Result<Option<Row>> {
        let object = self.reader.deserialize_seed_next(AsJson).map_err(|error| self.error(&error))?;
        let Some(object) = object else { return Ok(None) };
        let json = serde_json::to_vec(&object).map_err(|error| self.error(&error))?;
        self.next += 1;
        Ok(Some(Row { number: self.next - 1, content: Content::Bytes(json) }))
    }

    fn next_number(&self) -> i64 {
        self.next
    }
}

/// Any value as JSON. Unlike serde_json's own, it takes bytes, which become text.
struct AsJson;

impl<'de> DeserializeSeed<'de> for AsJson {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for AsJson {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Value, E> {
        Ok(flag.into())
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(number.into())
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        Ok(number.into())
    }

    fn visit_f64<E>(self, number: f64) -> Result<Value, E> {
        Ok(number.into())
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(text.into())
    }

    fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Value, E> {
        Ok(fenliu_text::decode(bytes, None).into())
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Value, A::Error> {
        let mut values = vec![];
        while let Some(value) = sequence.next_element_seed(AsJson)? {
            values.push(value);
        }
        Ok(values.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(name) = map.next_key::<String>()? {
            object.insert(name, map.next_value_seed(AsJson)?);
        }
        Ok(object.into())
    }
}
