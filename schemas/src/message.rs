//! The key and the headers of a Kafka message, as columns of rows.
//!
//! Contract: bytes are kept as they are. A message without a key has a null in `kafka_key`, which an empty key has not;
//! a message without headers has a null in `kafka_headers`; headers keep their order and may repeat a name, and a header
//! without a value has a null there, which an empty value has not. Rows that come from files have nulls in both columns.

use std::borrow::Cow;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BinaryBuilder, ListArray, ListBuilder, RecordBatch};
use arrow::array::{BinaryArray, StringArray, StringBuilder, StructBuilder};
use arrow::datatypes::{DataType, Field, Fields};

use crate::SchemaError;

/// The column with the key of the Kafka message: Binary.
pub const KAFKA_KEY: &str = "kafka_key";

/// The column with the headers of the Kafka message: List\<Struct\<key Utf8, value Binary\>\>.
pub const KAFKA_HEADERS: &str = "kafka_headers";

/// A header of a Kafka message: its name, and its value, which may be null.
pub type Header<'a> = (Cow<'a, str>, Option<&'a [u8]>);

/// What a Kafka message has beside its value. The default is a message without key and headers.
#[derive(Clone, Copy, Debug, Default)]
pub struct KeyAndHeaders<'a> {
    /// Its key; `None` where it has none, or where nothing uses keys.
    pub key: Option<&'a [u8]>,
    /// Its headers in order; empty where it has none, or where nothing uses headers.
    pub headers: &'a [Header<'a>],
}

impl KeyAndHeaders<'_> {
    /// The bytes of key and headers.
    pub fn len(&self) -> usize {
        let headers = self.headers.iter().map(|(name, value)| name.len() + value.map_or(0, <[u8]>::len));
        self.key.map_or(0, <[u8]>::len) + headers.sum::<usize>()
    }

    /// Whether there are no bytes of either.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The fields of the columns [`KAFKA_KEY`] and [`KAFKA_HEADERS`], both nullable.
pub fn kafka_fields() -> [Field; 2] {
    let headers = DataType::List(Arc::new(Field::new("item", DataType::Struct(header_fields()), true)));
    [Field::new(KAFKA_KEY, DataType::Binary, true), Field::new(KAFKA_HEADERS, headers, true)]
}

fn header_fields() -> Fields {
    vec![Field::new("key", DataType::Utf8, false), Field::new("value", DataType::Binary, true)].into()
}

/// Collects keys and headers, row by row.
#[derive(Debug)]
pub(crate) struct KafkaColumnsBuilder {
    keys: BinaryBuilder,
    headers: ListBuilder<StructBuilder>,
}

impl KafkaColumnsBuilder {
    /// No row yet.
    pub(crate) fn new() -> Self {
        let (names, values) = (StringBuilder::new(), BinaryBuilder::new());
        let header = StructBuilder::new(header_fields(), vec![Box::new(names), Box::new(values)]);
        KafkaColumnsBuilder { keys: BinaryBuilder::new(), headers: ListBuilder::new(header) }
    }

    /// Adds the row of one message.
    pub(crate) fn append(&mut self, message: KeyAndHeaders<'_>) {
        self.keys.append_option(message.key);
        for (name, value) in message.headers {
            let header = self.headers.values();
            if let Some(names) = header.field_builder::<StringBuilder>(0) {
                names.append_value(name);
            }
            if let Some(values) = header.field_builder::<BinaryBuilder>(1) {
                values.append_option(*value);
            }
            header.append(true);
        }
        self.headers.append(!message.headers.is_empty());
    }

    /// The columns of [`kafka_fields`].
    pub(crate) fn finish(&mut self) -> [ArrayRef; 2] {
        [Arc::new(self.keys.finish()), Arc::new(self.headers.finish())]
    }
}

/// The keys of the rows of `rows`.
///
/// # Errors
/// [`SchemaError::Column`] when there is no Binary column of that name.
pub fn kafka_keys<'a>(rows: &'a RecordBatch, column: &'static str) -> Result<&'a BinaryArray, SchemaError> {
    let keys = rows.column_by_name(column).and_then(|keys| keys.as_binary_opt::<i32>());
    keys.ok_or(SchemaError::Column { column, expected: "Binary" })
}

/// The headers of rows.
#[derive(Clone, Copy, Debug)]
pub struct Headers<'a> {
    lists: &'a ListArray,
    names: &'a StringArray,
    values: &'a BinaryArray,
}

impl<'a> Headers<'a> {
    /// The headers in a column of the type of [`KAFKA_HEADERS`].
    ///
    /// # Errors
    /// [`SchemaError::Column`] when it is of another type.
    pub fn of(column: &'a ArrayRef) -> Result<Self, SchemaError> {
        let of = || {
            let lists = column.as_list_opt::<i32>()?;
            let header = lists.values().as_struct_opt()?;
            let [names, values] = header.columns() else { return None };
            Some(Headers {
                lists,
                names: names.as_string_opt::<i32>()?,
                values: values.as_binary_opt::<i32>()?,
            })
        };
        let expected = "List<Struct<key Utf8, value Binary>>";
        of().ok_or(SchemaError::Column { column: KAFKA_HEADERS, expected })
    }

    /// The headers of one row, in order; none where there are none.
    pub fn row(&self, row: usize) -> impl Iterator<Item = (&'a str, Option<&'a [u8]>)> + use<'a> {
        let Headers { lists, names, values } = *self;
        let offsets = lists.value_offsets();
        let range = if lists.is_valid(row) { offsets[row] as usize..offsets[row + 1] as usize } else { 0..0 };
        range.map(move |at| (names.value(at), values.is_valid(at).then(|| values.value(at))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_headers_come_back_as_they_were() {
        let messages: [(Option<&[u8]>, Vec<Header<'_>>); 4] = [
            (Some(b"\xff\x00"), vec![("a".into(), Some(b"1")), ("a".into(), None), ("a".into(), Some(b""))]),
            (None, vec![]),
            (Some(b""), vec![("b".into(), Some(b"\xfe"))]),
            (None, vec![("".into(), Some(b"no name"))]),
        ];
        let mut builder = KafkaColumnsBuilder::new();
        messages.iter().for_each(|(key, headers)| builder.append(KeyAndHeaders { key: *key, headers }));
        let columns = builder.finish();
        let types = columns.each_ref().map(|column| column.data_type().clone());
        assert_eq!(types, kafka_fields().map(|field| field.data_type().clone()));
        let [keys, headers] = columns;
        let (keys, read) = (keys.as_binary::<i32>(), Headers::of(&headers).unwrap());
        for (row, (key, expected)) in messages.iter().enumerate() {
            assert_eq!(keys.is_valid(row).then(|| keys.value(row)), *key);
            let found: Vec<Header<'_>> = read.row(row).map(|(name, value)| (name.into(), value)).collect();
            assert_eq!(&found, expected);
            assert_eq!(headers.is_valid(row), !expected.is_empty());
        }
        let sliced = headers.slice(2, 1);
        assert_eq!(Headers::of(&sliced).unwrap().row(0).next(), Some(("b", Some(b"\xfe".as_slice()))));
    }

    #[test]
    fn a_column_of_another_type_is_no_headers() {
        let column: ArrayRef = Arc::new(StringArray::from(vec!["a"]));
        assert!(Headers::of(&column).unwrap_err().to_string().contains(KAFKA_HEADERS));
    }
}
