//! Typed access to the columns of a batch: the texts, and the position in the source that each row came from.
//!
//! Contract: a column that is missing or of another type is reported as [`SchemaError::Column`]. Values are borrowed and
//! never copied, with the one exception of a text that consists of headline and body.

use std::borrow::Cow;

use arrow::array::{Array, ArrowPrimitiveType, AsArray, PrimitiveArray, RecordBatch, StringArray};
use arrow::datatypes::{Int32Type, Int64Type};

use crate::error::SchemaError;
use crate::text::document_text;

/// The Utf8 column `name` of `rows`.
///
/// # Errors
/// [`SchemaError::Column`] if there is no such column.
pub fn text_column<'a>(rows: &'a RecordBatch, name: &'static str) -> Result<&'a StringArray, SchemaError> {
    let column = rows.column_by_name(name).and_then(|column| column.as_string_opt::<i32>());
    column.ok_or(SchemaError::Column { column: name, expected: "Utf8" })
}

/// The column `name` of `rows` with values of type `T`; `expected` is the name of that type for messages.
///
/// # Errors
/// [`SchemaError::Column`] if there is no such column.
pub fn primitive_column<'a, T: ArrowPrimitiveType>(
    rows: &'a RecordBatch,
    name: &'static str,
    expected: &'static str,
) -> Result<&'a PrimitiveArray<T>, SchemaError> {
    let column = rows.column_by_name(name).and_then(|column| column.as_primitive_opt::<T>());
    column.ok_or(SchemaError::Column { column: name, expected })
}

/// The value of a text column in one row; `None` if it is null.
pub fn text_at(column: &StringArray, row: usize) -> Option<&str> {
    column.is_valid(row).then(|| column.value(row))
}

/// The position in the source of each row: the columns `topic`, `partition` and `offset`.
#[derive(Clone, Copy, Debug)]
pub struct Lineage<'a> {
    topics: &'a StringArray,
    partitions: &'a [i32],
    offsets: &'a [i64],
}

impl<'a> Lineage<'a> {
    /// The lineage of `rows`.
    ///
    /// # Errors
    /// [`SchemaError::Column`] if one of the three columns is missing or of another type.
    pub fn of(rows: &'a RecordBatch) -> Result<Self, SchemaError> {
        Ok(Lineage {
            topics: text_column(rows, "topic")?,
            partitions: primitive_column::<Int32Type>(rows, "partition", "Int32")?.values(),
            offsets: primitive_column::<Int64Type>(rows, "offset", "Int64")?.values(),
        })
    }

    /// Topic (or path of the file), partition and offset of one row.
    pub fn row(&self, row: usize) -> (&'a str, i32, i64) {
        (self.topics.value(row), self.partitions[row], self.offsets[row])
    }

    /// The offsets of all rows.
    pub fn offsets(&self) -> &'a [i64] {
        self.offsets
    }
}

/// The text of each row as the model reads it: headline and body, joined with [`document_text`].
#[derive(Clone, Copy, Debug)]
pub struct Texts<'a> {
    titles: &'a StringArray,
    bodies: &'a StringArray,
}

impl<'a> Texts<'a> {
    /// The texts of `rows`.
    ///
    /// # Errors
    /// [`SchemaError::Column`] if `rows` have no Utf8 columns `title` and `body`.
    pub fn of(rows: &'a RecordBatch) -> Result<Self, SchemaError> {
        Ok(Texts { titles: text_column(rows, "title")?, bodies: text_column(rows, "body")? })
    }

    /// The text of one row; it is borrowed if the row has only a headline or only a body.
    pub fn row(&self, row: usize) -> Cow<'a, str> {
        document_text(text_at(self.titles, row), text_at(self.bodies, row))
    }

    /// The texts of all rows, in order.
    pub fn iter(&self) -> impl Iterator<Item = Cow<'a, str>> + use<'a> {
        let texts = *self;
        (0..texts.titles.len()).map(move |row| texts.row(row))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Document, Origin, RawBuilder};

    fn rows() -> RecordBatch {
        let mut builder = RawBuilder::default();
        let documents = [
            Document { title: Some("题".into()), body: Some("文".into()), ..Document::default() },
            Document { body: Some("文".into()), ..Document::default() },
        ];
        for (offset, document) in (7..).zip(documents) {
            let origin = Origin { topic: "news", partition: 3, offset, timestamp_ms: None };
            builder.append(origin, b"{}", &Ok(document));
        }
        builder.finish().unwrap()
    }

    #[test]
    fn lineage_and_texts_are_read_row_by_row() {
        let rows = rows();
        let lineage = Lineage::of(&rows).unwrap();
        assert_eq!(lineage.row(1), ("news", 3, 8));
        assert_eq!(lineage.offsets(), [7, 8]);
        let texts = Texts::of(&rows).unwrap();
        assert_eq!(texts.iter().collect::<Vec<_>>(), ["题\n文", "文"]);
        assert!(matches!(texts.row(1), Cow::Borrowed(_)), "a single part is borrowed");
    }

    #[test]
    fn a_missing_column_and_one_of_another_type_are_named() {
        let rows = rows();
        let error = text_column(&rows, "offset").unwrap_err().to_string();
        assert!(error.contains("offset") && error.contains("Utf8"), "{error}");
        let without = rows.project(&[0, 1]).unwrap();
        assert!(Lineage::of(&without).unwrap_err().to_string().contains("offset"));
    }
}
