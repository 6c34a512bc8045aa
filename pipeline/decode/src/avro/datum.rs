//! One datum in Avro's binary encoding (<https://avro.apache.org/docs/1.12.0/specification/#binary-encoding>).
//!
//! A datum is read with the schema that it was written with. The fields are visited one by one, so no tree of values is
//! built, and texts are borrowed from the message. The library bounds depth and lengths, so that hostile bytes give an
//! error and do not exhaust memory or stack.

use std::collections::HashMap;
use std::sync::Arc;

use fenliu_schemas::Reject;
use serde::de::DeserializeSeed as _;
use serde_avro_fast::de::read::{Read as _, SliceRead};
use serde_avro_fast::de::{DeserializerConfig, DeserializerState};
use serde_avro_fast::schema::{LogicalType, RegularType, SchemaKey, SchemaMut};

use crate::fields::{BestValues, Field, Fields, Wanted};
use crate::schema::{Schema, SchemaText};
use crate::shape::Shape;
use crate::undecoded::reject;
use crate::value::ValueKind;
use crate::visit::Record;

/// Most elements of one array or map. Elements of type null take no bytes, so the size of a message does not bound their
/// number.
const MAX_ELEMENTS: usize = 1 << 24;

const DAY_MILLIS: i64 = 86_400_000;

/// A compiled schema whose root is a record.
#[derive(Clone, Debug)]
pub(crate) struct AvroSchema {
    schema: Arc<serde_avro_fast::Schema>,
    /// The unit of each field that has a logical type for times, by the field's configured name.
    units: HashMap<String, Unit>,
}

/// The unit of a number that counts from the Unix epoch.
#[derive(Clone, Copy, Debug)]
enum Unit {
    Days,
    Millis,
    Micros,
}

impl Unit {
    fn to_millis(self, number: i64) -> Option<i64> {
        match self {
            Unit::Days => number.checked_mul(DAY_MILLIS),
            Unit::Millis => Some(number),
            Unit::Micros => Some(number.div_euclid(1000)),
        }
    }
}

/// What [`describe`] collects from a schema.
#[derive(Default)]
struct Description<'m> {
    shape: Shape<'m>,
    units: HashMap<String, Unit>,
}

impl Schema for AvroSchema {
    const KIND: &'static str = "AVRO";

    fn compile(source: &SchemaText, fields: &Fields) -> Result<Self, String> {
        // The names of references are not needed: Avro types are found by their full names, which the texts
        // contain.
        let references = source.references.iter().map(|(_, text)| text);
        let schema = SchemaMut::from_schemata(&source.text, references).map_err(|error| error.to_string())?;
        if !matches!(schema.root().type_, RegularType::Record(_)) {
            return Err(format!(
                "it is of type {} but must be a record",
                type_name(&schema, SchemaKey::root())
            ));
        }
        let mut description = Description::default();
        describe(&schema, SchemaKey::root(), fields, &mut description);
        let Description { shape, units } = description;
        shape.check()?;
        let schema = schema.freeze().map_err(|error| error.to_string())?;
        Ok(AvroSchema { schema: Arc::new(schema), units })
    }
}

impl AvroSchema {
    /// The CRC-64-AVRO fingerprint of the schema's Parsing Canonical Form
    /// (<https://avro.apache.org/docs/1.12.0/specification/#schema-fingerprints>).
    pub(super) fn fingerprint(&self) -> u64 {
        u64::from_le_bytes(*self.schema.rabin_fingerprint())
    }

    /// Reads the wanted fields of one datum.
    ///
    /// # Errors
    /// Rejects with `invalid_avro` if the bytes were not written with this schema.
    pub(super) fn read<'m, 'a>(
        &self,
        datum: &'a [u8],
        wanted: Wanted<'m>,
    ) -> Result<BestValues<'m, 'a>, Reject> {
        let mut found = wanted.start();
        let mut config = DeserializerConfig::new(&self.schema);
        config.max_seq_size = MAX_ELEMENTS;
        let mut state = DeserializerState::with_config(SliceRead::new(datum), config);
        Record { fields: wanted.fields, found: &mut found, keeps_digits: false }
            .deserialize(state.deserializer())
            .map_err(|error| reject("invalid_avro", error.to_string()))?;
        // serde gives a plain number for a logical type; only the schema knows its unit.
        found.convert_time(|name, number| self.units.get(name)?.to_millis(number));
        // A datum ends with its last field. Bytes after it show that the message was written with another schema.
        match state.skip_bytes(1) {
            Ok(()) => Err(reject("invalid_avro", "there are bytes after the last field".into())),
            Err(_) => Ok(found),
        }
    }
}

/// Collects the wanted fields inside the type `key`, if it is a record, a map, or a union that contains one of these.
fn describe<'m>(schema: &SchemaMut, key: SchemaKey, fields: &'m Fields, to: &mut Description<'m>) {
    if fields.is_empty() {
        return;
    }
    match schema.get(key).map(|node| &node.type_) {
        Some(RegularType::Record(record)) => {
            for field in &record.fields {
                if let Some(wanted) = fields.get(&field.name) {
                    offer(schema, field.type_, wanted, to);
                }
            }
        }
        Some(RegularType::Map(map)) => {
            fields.iter().for_each(|wanted| offer(schema, map.values, wanted, to));
        }
        Some(RegularType::Union(union)) => {
            union.variants.iter().for_each(|variant| describe(schema, *variant, fields, to));
        }
        _ => {}
    }
}

fn offer<'m>(schema: &SchemaMut, key: SchemaKey, wanted: &'m Field, to: &mut Description<'m>) {
    let alternatives = match schema.get(key).map(|node| &node.type_) {
        Some(RegularType::Union(union)) => union.variants.clone(),
        _ => vec![key],
    };
    let kinds: Vec<ValueKind> = alternatives.iter().map(|key| kind(schema, *key)).collect();
    to.shape.offer(wanted, &kinds, &type_name(schema, key));
    if let Some(unit) = alternatives.iter().find_map(|key| unit(schema, *key)) {
        to.units.insert(wanted.name().into(), unit);
    }
    describe(schema, key, &wanted.inside, to);
}

fn kind(schema: &SchemaMut, key: SchemaKey) -> ValueKind {
    let Some(node) = schema.get(key) else { return ValueKind::Other };
    let is_plain = matches!(node.logical_type, None | Some(LogicalType::Unknown(_) | LogicalType::Uuid));
    match node.type_ {
        RegularType::String | RegularType::Enum(_) if is_plain => ValueKind::Text,
        RegularType::Int | RegularType::Long | RegularType::Float | RegularType::Double if is_plain => {
            ValueKind::Number
        }
        RegularType::Record(_) | RegularType::Map(_) | RegularType::Array(_) => ValueKind::Nested,
        _ if unit(schema, key).is_some() => ValueKind::Time,
        _ => ValueKind::Other,
    }
}

fn unit(schema: &SchemaMut, key: SchemaKey) -> Option<Unit> {
    match schema.get(key)?.logical_type.as_ref()? {
        LogicalType::Date => Some(Unit::Days),
        LogicalType::TimestampMillis => Some(Unit::Millis),
        LogicalType::TimestampMicros => Some(Unit::Micros),
        _ => None,
    }
}

/// The type's name in the Avro specification, with its logical type if it has one.
fn type_name(schema: &SchemaMut, key: SchemaKey) -> String {
    let Some(node) = schema.get(key) else { return "unknown".into() };
    let name = match &node.type_ {
        RegularType::Null => "null",
        RegularType::Boolean => "boolean",
        RegularType::Int => "int",
        RegularType::Long => "long",
        RegularType::Float => "float",
        RegularType::Double => "double",
        RegularType::Bytes => "bytes",
        RegularType::String => "string",
        RegularType::Array(_) => "array",
        RegularType::Map(_) => "map",
        RegularType::Record(_) => "record",
        RegularType::Enum(_) => "enum",
        RegularType::Fixed(_) => "fixed",
        RegularType::Union(union) => {
            let names: Vec<_> = union.variants.iter().map(|key| type_name(schema, *key)).collect();
            return names.join(" or ");
        }
    };
    match &node.logical_type {
        None | Some(LogicalType::Unknown(_)) => name.into(),
        Some(logical) => format!("{name} ({logical:?})"),
    }
}
