//! Protocol Buffers, read with descriptors that are compiled from `.proto` text at run time.
//!
//! With a registry, the bytes begin with the path to the message's type within its file, as a list of indexes. A field
//! without a value is absent; so is a proto3 field with its default value, since the encoding does not distinguish the
//! two. A value of an enum is read as its name.

use std::collections::HashMap;
use std::path::Path;

use fenliu_schemas::Reject;
use prost_reflect::prost::encoding::decode_varint;
use prost_reflect::{
    self as reflect, DynamicMessage, FieldDescriptor, FileDescriptor, MessageDescriptor, ReflectMessage as _,
};
use protox::Compiler;
use protox::file::{ChainFileResolver, File, FileResolver, GoogleFileResolver, IncludeFileResolver};

use crate::fields::{BestValues, Field, Fields, Shape, Value, ValueKind};
use crate::schema::{Schema, SchemaText};
use crate::undecoded::reject;

/// The name under which a schema's own text is compiled.
const MAIN_FILE: &str = "schema.proto";

/// Deepest nesting of message types that is accepted.
const MAX_PATH: u64 = 32;

/// A compiled `.proto` file, with the message types that have been looked up so far.
#[derive(Clone, Debug)]
pub(super) struct ProtobufSchema {
    label: String,
    file: FileDescriptor,
    /// The type of all messages; `None` if each message names its own.
    message: Option<MessageDescriptor>,
    by_path: HashMap<Vec<usize>, Result<MessageDescriptor, Reject>>,
}

impl Schema for ProtobufSchema {
    const KIND: &'static str = "PROTOBUF";

    fn compile(source: &SchemaText, fields: &Fields) -> Result<Self, String> {
        let file = compile(source)?;
        let message = match &source.message {
            None => None,
            Some(name) => {
                let found = file.parent_pool().get_message_by_name(name.trim_start_matches('.'));
                let found = found.ok_or_else(|| format!("there is no message `{name}`{}", known(&file)))?;
                check(&found, fields)?;
                Some(found)
            }
        };
        Ok(ProtobufSchema { label: source.label.clone(), file, message, by_path: HashMap::new() })
    }
}

impl ProtobufSchema {
    /// Reads the fields of one message into `found`.
    ///
    /// # Errors
    /// Rejects with `invalid_protobuf` if the bytes are not a message of its type, and with `schema_incompatible` if its
    /// type cannot hold a document.
    pub(super) fn read<'m>(
        &mut self,
        mut bytes: &[u8],
        fields: &'m Fields,
        found: &mut BestValues<'m, '_>,
    ) -> Result<(), Reject> {
        let message = match &self.message {
            Some(message) => message.clone(),
            None => {
                let path = read_path(&mut bytes)?;
                self.by_path_or_check(path, fields)?
            }
        };
        let mut message = DynamicMessage::decode(message, bytes)
            .map_err(|error| reject("invalid_protobuf", error.to_string()))?;
        take_fields(&mut message, fields, found);
        Ok(())
    }

    fn by_path_or_check(&mut self, path: Vec<usize>, fields: &Fields) -> Result<MessageDescriptor, Reject> {
        if let Some(known) = self.by_path.get(&path) {
            return known.clone();
        }
        // A path without a type is not remembered: a broken producer can send any number of different ones.
        let found = at_path(&self.file, &path).ok_or_else(|| {
            reject("invalid_protobuf", format!("{} has no message type at {path:?}", self.label))
        })?;
        let checked = check(&found, fields)
            .map_err(|why| reject("schema_incompatible", format!("{}: {why}", self.label)))
            .map(|()| found);
        self.by_path.entry(path).or_insert(checked).clone()
    }
}

/// The texts of a schema and of the files that it imports, by the names that `import` statements use.
struct Texts(HashMap<String, String>);

impl FileResolver for Texts {
    fn resolve_path(&self, path: &Path) -> Option<String> {
        path.to_str().map(ToString::to_string)
    }

    fn open_file(&self, name: &str) -> Result<File, protox::Error> {
        let text = self.0.get(name).ok_or_else(|| protox::Error::file_not_found(name))?;
        File::from_source(name, text)
    }
}

fn compile(source: &SchemaText) -> Result<FileDescriptor, String> {
    let mut texts: HashMap<String, String> = source.references.iter().cloned().collect();
    texts.insert(MAIN_FILE.into(), source.text.clone());
    let mut resolver = ChainFileResolver::new();
    // Resolvers are asked in this order: the schema and its references, Google's well-known types, files beside a
    // schema file.
    resolver.add(Texts(texts));
    resolver.add(GoogleFileResolver::new());
    if let Some(directory) = &source.directory {
        resolver.add(IncludeFileResolver::new(directory.clone()));
    }
    let mut compiler = Compiler::with_file_resolver(resolver);
    compiler.include_imports(true).open_file(MAIN_FILE).map_err(|error| error.to_string())?;
    let pool = compiler.descriptor_pool();
    pool.get_file_by_name(MAIN_FILE).ok_or_else(|| "it defines nothing".into())
}

fn known(file: &FileDescriptor) -> String {
    let names: Vec<_> = file.messages().map(|message| format!("`{}`", message.full_name())).collect();
    if names.is_empty() { String::new() } else { format!(", only {}", names.join(", ")) }
}

/// Reads Confluent's list of indexes: their number, then for each the position among the messages of the file, or of the
/// message that the preceding index named. An empty list means the first message of the file.
fn read_path(bytes: &mut &[u8]) -> Result<Vec<usize>, Reject> {
    let count = read_index(bytes)?;
    // Confluent's short form: the list `[0]`, by far the most frequent, is written as the single byte 0.
    if count == 0 {
        return Ok(vec![0]);
    }
    if count > MAX_PATH {
        return Err(reject("invalid_protobuf", format!("{count} message indexes, at most {MAX_PATH}")));
    }
    (0..count).map(|_| read_index(bytes).map(|index| usize::try_from(index).unwrap_or(usize::MAX))).collect()
}

/// Reads a zigzag-encoded number, which must not be negative.
fn read_index(bytes: &mut &[u8]) -> Result<u64, Reject> {
    match decode_varint(bytes) {
        Ok(number) if number % 2 == 0 => Ok(number / 2),
        Ok(_) => Err(reject("invalid_protobuf", "a message index is negative".into())),
        Err(_) => Err(reject("invalid_protobuf", "the message indexes are cut off".into())),
    }
}

fn at_path(file: &FileDescriptor, path: &[usize]) -> Option<MessageDescriptor> {
    let (first, inner) = path.split_first()?;
    let mut message = file.messages().nth(*first)?;
    for index in inner {
        let child = message.child_messages().nth(*index)?;
        message = child;
    }
    Some(message)
}

fn check(message: &MessageDescriptor, fields: &Fields) -> Result<(), String> {
    let mut shape = Shape::default();
    describe(message, fields, &mut shape);
    shape.check().map_err(|why| format!("message `{}`: {why}", message.full_name()))
}

fn describe<'m>(message: &MessageDescriptor, fields: &'m Fields, shape: &mut Shape<'m>) {
    for (name, wanted) in fields.iter() {
        let Some(field) = message.get_field_by_name(name) else { continue };
        let (kind, type_name) = kind(&field);
        shape.offer(wanted, &[kind], &type_name);
        if let reflect::Kind::Message(inner) = field.kind()
            && !field.is_list()
        {
            describe(&inner, &wanted.inside, shape);
        }
    }
}

fn kind(field: &FieldDescriptor) -> (ValueKind, String) {
    use reflect::Kind as K;
    if field.is_map() {
        return (ValueKind::Other, "map".into());
    }
    let kind = match field.kind() {
        _ if field.is_list() => ValueKind::Other,
        K::String | K::Enum(_) => ValueKind::Text,
        K::Double | K::Float | K::Bool | K::Bytes => ValueKind::Other,
        K::Message(inner) if is_timestamp(&inner) => ValueKind::Time,
        K::Message(_) => ValueKind::Other,
        _ => ValueKind::Integer,
    };
    let name = match field.kind() {
        K::Message(inner) => inner.full_name().to_string(),
        K::Enum(inner) => inner.full_name().to_string(),
        other => format!("{other:?}").to_ascii_lowercase(),
    };
    (kind, if field.is_list() { format!("repeated {name}") } else { name })
}

fn is_timestamp(message: &MessageDescriptor) -> bool {
    message.full_name() == "google.protobuf.Timestamp"
}

fn take_fields<'m>(message: &mut DynamicMessage, fields: &'m Fields, found: &mut BestValues<'m, '_>) {
    for (name, wanted) in fields.iter() {
        let Some(field) = message.descriptor().get_field_by_name(name) else { continue };
        if message.has_field(&field)
            && let Some(value) = message.take_field(&field)
        {
            take_value(value, &field, wanted, found);
        }
    }
}

fn take_value<'m>(
    value: reflect::Value,
    field: &FieldDescriptor,
    wanted: &'m Field,
    found: &mut BestValues<'m, '_>,
) {
    use reflect::Value as V;
    let value = match value {
        V::String(text) => Value::Text(text.into()),
        V::EnumNumber(number) => enum_name(field, number),
        V::I32(number) => Value::Integer(number.into()),
        V::I64(number) => Value::Integer(number),
        V::U32(number) => Value::Integer(number.into()),
        V::U64(number) => {
            i64::try_from(number).map_or(Value::Text(number.to_string().into()), Value::Integer)
        }
        V::F32(number) => Value::Number(number.into()),
        V::F64(number) => Value::Number(number),
        V::Bool(flag) => Value::Boolean(flag),
        V::Bytes(_) => Value::Other("bytes"),
        V::List(_) => Value::Other("a list"),
        V::Map(_) => Value::Other("a map"),
        V::Message(mut inner) => {
            take_fields(&mut inner, &wanted.inside, found);
            timestamp(&inner).map_or(Value::Other("a message"), Value::Time)
        }
    };
    found.offer(wanted, value);
}

fn enum_name<'a>(field: &FieldDescriptor, number: i32) -> Value<'a> {
    let name = match field.kind() {
        reflect::Kind::Enum(names) => names.get_value(number).map(|value| value.name().to_string()),
        _ => None,
    };
    name.map_or(Value::Integer(number.into()), |name| Value::Text(name.into()))
}

/// Milliseconds since the Unix epoch, if the message is a `google.protobuf.Timestamp` that does not overflow.
fn timestamp(message: &DynamicMessage) -> Option<i64> {
    if !is_timestamp(&message.descriptor()) {
        return None;
    }
    let seconds = message.get_field_by_name("seconds")?.as_i64()?;
    let nanos = message.get_field_by_name("nanos")?.as_i32()?;
    seconds.checked_mul(1000)?.checked_add(i64::from(nanos) / 1_000_000)
}
