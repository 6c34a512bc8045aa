//! Rows of columns: which columns are read, and each row as a JSON object.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, StringArray, StructArray};
use arrow::datatypes::{DataType, Field, Schema};
use arrow::error::ArrowError;
use arrow::json::LineDelimitedWriter;
use arrow::util::display::array_value_to_string;

use super::rules::FileRules;
use crate::cells::{Table, bytes_as_text};
use crate::fields::{BestValues, Fields};

/// Some rows of a file that stores columns.
#[derive(Debug)]
pub struct TableRows {
    table: Table,
    /// All rows as JSON objects, one behind the other.
    json: Vec<u8>,
    /// Where each row ends in `json`, before its line break.
    ends: Vec<usize>,
}

impl TableRows {
    /// The rows of `batch`.
    ///
    /// # Errors
    /// A column that cannot be converted.
    pub(super) fn try_new(batch: &RecordBatch) -> Result<Self, ArrowError> {
        let table = Table::try_new(&StructArray::from(batch.clone()))?;
        let mut writer = LineDelimitedWriter::new(Vec::new());
        writer.write(&writable(batch)?)?;
        writer.finish()?;
        let json = writer.into_inner();
        let ends = memchr::memchr_iter(b'\n', &json).collect();
        Ok(TableRows { table, json, ends })
    }

    /// How many rows there are.
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// A row as a JSON object.
    pub(crate) fn json(&self, row: usize) -> &[u8] {
        let end = self.ends.get(row).copied().unwrap_or_default();
        let start = row.checked_sub(1).and_then(|before| self.ends.get(before)).map_or(0, |end| end + 1);
        self.json.get(start..end).unwrap_or_default()
    }

    /// Offers the wanted fields of `row` to `found`.
    pub(crate) fn take<'m, 'a>(&'a self, row: usize, fields: &'m Fields, found: &mut BestValues<'m, 'a>) {
        self.table.take(row, fields, found);
    }
}

/// The batch with columns that JSON can hold: bytes become text, and values of odd types what they are shown as.
fn writable(batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let columns = batch.columns().iter().map(writable_column).collect::<Result<Vec<_>, _>>()?;
    let schema = batch.schema();
    let fields = schema.fields().iter().zip(&columns);
    let fields: Vec<Field> =
        fields.map(|(field, column)| Field::new(field.name(), column.data_type().clone(), true)).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)
}

fn writable_column(column: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    let column = bytes_as_text(column)?;
    if is_writable(column.data_type()) {
        return Ok(column);
    }
    let shown = (0..column.len()).map(|row| {
        column
            .is_valid(row)
            .then(|| array_value_to_string(&column, row).unwrap_or_else(|error| error.to_string()))
    });
    Ok(Arc::new(shown.collect::<StringArray>()))
}

/// Whether JSON can hold values of this type.
fn is_writable(kind: &DataType) -> bool {
    match kind {
        DataType::Union(..) | DataType::Interval(_) | DataType::Duration(_) => false,
        DataType::Map(entries, _) => match entries.data_type() {
            DataType::Struct(fields) => {
                matches!(
                    fields.first().map(|key| key.data_type()),
                    Some(DataType::Utf8 | DataType::LargeUtf8)
                ) && fields.iter().all(|field| is_writable(field.data_type()))
            }
            _ => false,
        },
        DataType::Struct(fields) => fields.iter().all(|field| is_writable(field.data_type())),
        DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
            is_writable(item.data_type())
        }
        _ => true,
    }
}

/// Which of the columns of `schema` are wanted, by their places.
pub(super) fn wanted_columns(schema: &Schema, rules: &FileRules) -> Vec<usize> {
    let names = schema.fields().iter().enumerate();
    names.filter(|(_, field)| is_wanted(field.name(), rules)).map(|(index, _)| index).collect()
}

fn is_wanted(name: &str, rules: &FileRules) -> bool {
    rules.wanted.as_ref().is_none_or(|fields| fields.get(name).is_some())
}

/// Checks that one of the `columns` can hold a title or a body.
///
/// # Errors
/// Names the columns that there are.
pub(super) fn wants_text(columns: &[String], rules: &FileRules) -> Result<(), String> {
    let Some(fields) = &rules.wanted else { return Ok(()) };
    if columns.iter().any(|name| fields.is_text(name)) {
        return Ok(());
    }
    let mut seen = HashSet::new();
    let shown: Vec<&str> =
        columns.iter().map(String::as_str).filter(|name| seen.insert(*name)).take(50).collect();
    Err(format!("no column is a title or a body by `documents.fields`; the columns are {}", shown.join(", ")))
}
