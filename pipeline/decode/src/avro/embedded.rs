//! Messages that are [container files](super::container): each brings the schema that it was written with.
//!
//! Contract: the schema is as little trusted as the data. The work for a message is bounded by its size.

use fenliu_schemas::{Document, Reject};
use serde_avro_fast::schema::{RegularType, SchemaKey, SchemaMut};

use super::container::Container;
use super::datum::AvroSchema;
use crate::fields::{Fields, Wanted};
use crate::schema::{Schema as _, SchemaText};
use crate::time::DateRules;
use crate::undecoded::reject;

/// How the detail of a refusal calls the schema.
const LABEL: &str = "the schema in the message";

/// Most fields of a schema whose values take no bytes.
const MAX_EMPTY_FIELDS: usize = 100;

/// Decodes messages that contain their schema.
#[derive(Clone, Debug)]
pub(super) struct Embedded {
    /// The text of the last schema and what became of it: the messages of one producer all have the same.
    last: Option<(String, Result<AvroSchema, Reject>)>,
    max_bytes: u64,
}

impl Embedded {
    /// A decoder for records of at most `max_bytes`.
    pub(super) fn new(max_bytes: u64) -> Self {
        Embedded { last: None, max_bytes }
    }

    /// The document in the only record of a container.
    ///
    /// # Errors
    /// As [`Container::open`] and [`Container::datum`]; with `schema_incompatible` if documents cannot be read with the
    /// schema.
    pub(super) fn document<'a>(
        &mut self,
        payload: &'a [u8],
        wanted: Wanted<'_>,
        dates: &DateRules,
    ) -> Result<Document<'a>, Reject> {
        let container = Container::open(payload)?;
        let datum = container.datum(self.max_bytes)?;
        let schema = self.schema(container.schema, wanted.fields)?;
        // Unpacked bytes end with this function, so the document is made independent of them.
        let found = schema.read(&datum, wanted)?;
        found.into_document(dates).map(Document::into_owned)
    }

    fn schema(&mut self, text: &str, fields: &Fields) -> Result<&AvroSchema, Reject> {
        let last = match self.last.take() {
            Some(last) if last.0 == text => last,
            _ => (text.into(), compile(text, fields)),
        };
        self.last.insert(last).1.as_ref().map_err(Clone::clone)
    }
}

fn compile(text: &str, fields: &Fields) -> Result<AvroSchema, Reject> {
    let source = SchemaText { label: LABEL.into(), text: text.into(), ..SchemaText::default() };
    let schema: Result<SchemaMut, _> = text.parse();
    schema
        .map_err(|error| error.to_string())
        .and_then(|schema| check_work(&schema))
        .and_then(|()| AvroSchema::compile(&source, fields))
        .map_err(|why| reject("schema_incompatible", format!("{LABEL}: {why}")))
}

/// Checks that the work for a datum is bounded by its size. Values without bytes are not: an array can claim any number
/// of nulls, and records of records of nulls double their number at each level.
fn check_work(schema: &SchemaMut) -> Result<(), String> {
    let is_empty = |key: SchemaKey| match schema.get(key).map(|node| &node.type_) {
        Some(RegularType::Null) => true,
        Some(RegularType::Fixed(fixed)) => fixed.size == 0,
        _ => false,
    };
    let mut empty_fields = 0;
    for node in schema.nodes() {
        let is_refused = match &node.type_ {
            RegularType::Array(array) => is_empty(array.items),
            RegularType::Record(record) => {
                let empty = record.fields.iter().filter(|field| is_empty(field.type_)).count();
                empty_fields += empty;
                empty == record.fields.len()
            }
            _ => false,
        };
        if is_refused || empty_fields > MAX_EMPTY_FIELDS {
            return Err("it has values that take no bytes, in any number".into());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schemas_whose_values_take_no_bytes_are_refused() {
        let nulls = |count: usize| {
            let fields: Vec<_> =
                (0..count).map(|n| format!(r#"{{"name": "f{n}", "type": "null"}}"#)).collect();
            format!(
                r#"{{"type": "record", "name": "R", "fields": [{}, {{"name": "body", "type": "string"}}]}}"#,
                fields.join(", ")
            )
        };
        for (schema, is_fine) in [
            (nulls(3), true),
            (nulls(MAX_EMPTY_FIELDS), true),
            (nulls(MAX_EMPTY_FIELDS + 1), false),
            (r#"{"type": "array", "items": "string"}"#.into(), true),
            (r#"{"type": "array", "items": ["null", "string"]}"#.into(), true),
            (r#"{"type": "array", "items": "null"}"#.into(), false),
            (r#"{"type": "array", "items": {"type": "fixed", "name": "F", "size": 0}}"#.into(), false),
            (r#"{"type": "record", "name": "R", "fields": []}"#.into(), false),
            (
                r#"{"type": "array", "items": {"type": "record", "name": "R", "fields": [
                    {"name": "a", "type": {"type": "record", "name": "Q", "fields": [{"name": "b", "type": "null"}]}},
                    {"name": "c", "type": "Q"}]}}"#
                    .into(),
                false,
            ),
        ] {
            let schema: SchemaMut = schema.parse().unwrap();
            assert_eq!(check_work(&schema).is_ok(), is_fine, "{schema:?}");
        }
    }
}
