//! Rows that are too large for their topic. They become dead letters before an epoch has them: a transaction with such a
//! row would fail each time.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::DataType;
use fenliu_engine::Result;

use crate::json::json_lines;
use crate::selection::Selection;

/// What a message has beside its value: the batch's header, the record's own fields, and headers that are passed on.
const OVERHEAD_BYTES: usize = 1024;

/// JSON writes a byte of text as at most six (`\u0000`).
const MOST_JSON_BYTES: usize = 6;

/// How large a row of one output may be.
#[derive(Debug)]
pub struct RowLimit {
    topic: String,
    bytes: usize,
    selection: Arc<Selection>,
}

impl RowLimit {
    /// The rows of `selection` in `topic`, which takes messages of at most `bytes`.
    pub(super) fn new(topic: String, bytes: usize, selection: Arc<Selection>) -> Self {
        RowLimit { topic, bytes, selection }
    }

    /// The rows that the topic would refuse, each with a sentence that says why.
    ///
    /// # Errors
    /// An expression that fails on a row.
    pub fn too_large(&self, rows: &RecordBatch) -> Result<Vec<(usize, String)>> {
        let mut found = vec![];
        for (row, bytes) in self.text_bytes(rows).into_iter().enumerate() {
            // Most rows are so small that their size as JSON need not be known.
            if bytes * MOST_JSON_BYTES + OVERHEAD_BYTES <= self.bytes {
                continue;
            }
            let size = json_lines(&self.selection.apply(&rows.slice(row, 1))?)?.len();
            if size + OVERHEAD_BYTES > self.bytes {
                let Self { topic, bytes, .. } = self;
                found.push((
                    row,
                    format!("{size} bytes as a message; topic `{topic}` takes {bytes} (`max.message.bytes`)"),
                ));
            }
        }
        Ok(found)
    }

    /// How many bytes of text each row has in the columns that the output uses.
    fn text_bytes(&self, rows: &RecordBatch) -> Vec<usize> {
        let mut bytes = vec![0; rows.num_rows()];
        let schema = rows.schema();
        let columns = schema.fields().iter().zip(rows.columns());
        for (_, column) in columns.filter(|(field, _)| self.selection.uses(field.name())) {
            match column.data_type() {
                DataType::Utf8 => add(&mut bytes, column.as_string::<i32>().value_offsets()),
                DataType::Binary => add(&mut bytes, column.as_binary::<i32>().value_offsets()),
                DataType::List(_) => {
                    let elements = column.as_list::<i32>();
                    let of_row =
                        |row: usize| elements.value(row).to_data().get_slice_memory_size().unwrap_or(0);
                    bytes.iter_mut().enumerate().for_each(|(row, bytes)| *bytes += of_row(row));
                }
                _ => {}
            }
        }
        bytes
    }
}

fn add(bytes: &mut [usize], offsets: &[i32]) {
    for (bytes, ends) in bytes.iter_mut().zip(offsets.windows(2)) {
        *bytes += usize::try_from(ends[1] - ends[0]).unwrap_or(0);
    }
}

/// The bound that the brokers state for the messages of each topic, from the texts of their settings.
pub(super) fn parsed(settings: impl IntoIterator<Item = (String, String)>) -> HashMap<String, usize> {
    settings.into_iter().filter_map(|(topic, bytes)| Some((topic, bytes.parse().ok()?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{ArrayRef, StringArray};

    #[test]
    fn only_rows_above_the_bound_are_found_by_their_size_as_json() {
        let bodies = ["short".to_owned(), "x".repeat(5_000), "\"".repeat(3_000)];
        let rows = RecordBatch::try_from_iter([
            ("body", Arc::new(StringArray::from_iter_values(&bodies)) as ArrayRef),
            ("other", Arc::new(StringArray::from(vec!["y".repeat(50_000); 3])) as ArrayRef),
        ])
        .unwrap();
        let selection = Selection::compile(
            "sinks[0]",
            crate::selection::Role::Labelled,
            &rows.schema(),
            &["body".to_owned()],
            None,
        )
        .unwrap();
        let limit = |bytes| RowLimit::new("news".into(), bytes, Arc::new(selection.clone()));
        let found = |bytes| {
            limit(bytes).too_large(&rows).unwrap().into_iter().map(|(row, _)| row).collect::<Vec<_>>()
        };
        assert_eq!(found(6_500), [2], "quotation marks are escaped");
        assert_eq!(found(5_500), [1, 2]);
        assert!(found(20_000).is_empty());
        let (_, detail) = limit(5_500).too_large(&rows).unwrap().remove(0);
        assert!(detail.contains("news") && detail.contains("5500"), "{detail}");
    }
}
