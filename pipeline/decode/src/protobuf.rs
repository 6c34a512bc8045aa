//! Protocol Buffers, read with descriptors that are compiled from `.proto` text at run time.
//!
//! With a registry, the bytes begin with a [prefix](crate::prefix) and the path to the message's type within its file, as
//! a list of indexes. With a schema file they may, and are checked then. A field without a value is absent; so is a proto3
//! field with its default value, since the encoding does not distinguish the two, unless its type is one of Google's
//! wrappers. A value of an enum is read as its name.

mod compile;
mod values;

use std::collections::HashMap;

use fenliu_schemas::Reject;
use prost_reflect::prost::encoding::decode_varint;
use prost_reflect::{DynamicMessage, FileDescriptor, MessageDescriptor};

use self::compile::compile;
use self::values::{check, take_fields};
use crate::fields::{BestValues, Fields};
use crate::prefix;
use crate::schema::{Schema, SchemaText};
use crate::undecoded::reject;

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
            Some(message) => {
                self.skip_prefix(&mut bytes, message)?;
                message.clone()
            }
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

    /// Skips what a registry's client puts in front of a `message`. A message itself begins with neither 0 nor 1, since
    /// these bytes would be tags of the field number 0, which does not exist.
    fn skip_prefix(&self, bytes: &mut &[u8], message: &MessageDescriptor) -> Result<(), Reject> {
        let Some((_, mut rest)) = prefix::split(bytes) else { return Ok(()) };
        let path = read_path(&mut rest)?;
        // The file may be put together in another way than the one in the registry, so a path without a type is no error.
        match at_path(&self.file, &path) {
            Some(other) if other != *message => {
                let (other, own) = (other.full_name(), message.full_name());
                let detail =
                    format!("its indexes name the type `{other}`, but `documents.message` is `{own}`");
                Err(reject("invalid_protobuf", detail))
            }
            _ => {
                *bytes = rest;
                Ok(())
            }
        }
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
