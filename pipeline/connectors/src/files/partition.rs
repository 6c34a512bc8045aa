//! Splits rows by the values of columns into directories named as Hive, Spark and DuckDB name them:
//! `label=sports/lang=zh`.
//!
//! The columns themselves are in the names and not in the files, as those readers expect; [`fill_in`] brings them back.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, RecordBatchOptions, StringArray, UInt32Array};
use arrow::compute::take_record_batch;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use fenliu_engine::{Error, Kind, Result};
use fenliu_schemas::SchemaError;
use percent_encoding::percent_decode_str;

/// How Hive names the directory of rows without a value.
const NULL: &str = "__HIVE_DEFAULT_PARTITION__";

/// Longest name of a directory on the file systems in use, in bytes.
const LONGEST_NAME: usize = 255;

/// Rows of one directory each, by its path relative to the sink's.
pub(super) type Directories = BTreeMap<String, Vec<RecordBatch>>;

/// Which columns name the directories.
#[derive(Clone, Debug)]
pub(super) struct Partitioning {
    names: Vec<String>,
    columns: Vec<usize>,
    kept: Vec<usize>,
    schema: SchemaRef,
}

impl Partitioning {
    /// Splits rows of `schema` by the columns `names`; if there are none, all rows are in one directory.
    ///
    /// # Errors
    /// A name that is not a column, a column whose values cannot name directories, or no column left for the files.
    pub(super) fn try_new(schema: &SchemaRef, names: &[String]) -> Result<Self, String> {
        let columns = names.iter().map(|name| column(schema, name)).collect::<Result<Vec<_>, _>>()?;
        let kept: Vec<_> = (0..schema.fields().len()).filter(|column| !columns.contains(column)).collect();
        if kept.is_empty() {
            return Err("names every column: the files would have none".into());
        }
        let rest = schema.project(&kept).map_err(|error| error.to_string())?;
        Ok(Partitioning { names: names.to_vec(), columns, kept, schema: Arc::new(rest) })
    }

    /// The schema of the rows in the files.
    pub(super) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Puts rows into their directories; their order stays within each.
    ///
    /// # Errors
    /// [`Kind::Refused`] for a value that is too long for a directory's name.
    pub(super) fn split(&self, batches: Vec<RecordBatch>) -> Result<Directories> {
        let mut directories = Directories::new();
        if self.columns.is_empty() {
            if !batches.is_empty() {
                directories.insert(String::new(), batches);
            }
            return Ok(directories);
        }
        for batch in batches {
            for (directory, rows) in self.rows(&batch)? {
                let rows = take_record_batch(&batch, &UInt32Array::from(rows)).map_err(SchemaError::from)?;
                let rows = rows.project(&self.kept).map_err(SchemaError::from)?;
                directories.entry(directory).or_default().push(rows);
            }
        }
        Ok(directories)
    }

    /// The numbers of the rows that belong into each directory.
    fn rows(&self, batch: &RecordBatch) -> Result<BTreeMap<String, Vec<u32>>> {
        let options = FormatOptions::default();
        let formatters = self.columns.iter().map(|&c| ArrayFormatter::try_new(batch.column(c), &options));
        let formatters = formatters.collect::<Result<Vec<_>, _>>().map_err(SchemaError::from)?;
        let mut rows = BTreeMap::<String, Vec<u32>>::new();
        for row in 0..batch.num_rows() {
            let mut directory = String::new();
            for ((name, &column), formatter) in self.names.iter().zip(&self.columns).zip(&formatters) {
                let is_null = batch.column(column).is_null(row);
                let value = if is_null { NULL.into() } else { escape(&formatter.value(row).to_string()) };
                let segment = format!("{}={value}", escape(name));
                // Checked before the commit: the directory is made when the file gets its name, after the manifest. A
                // name that the disk refuses then would leave a commit that can never be completed.
                if segment.len() > LONGEST_NAME {
                    let message = format!(
                        "`{segment}` is longer than a directory's name may be ({LONGEST_NAME} bytes)"
                    );
                    return Err(Error::new(Kind::Refused, message));
                }
                directory.push_str(&segment);
                directory.push('/');
            }
            rows.entry(directory).or_default().push(row as u32);
        }
        Ok(rows)
    }
}

fn column(schema: &SchemaRef, name: &str) -> Result<usize, String> {
    let (column, field) = schema
        .column_with_name(name)
        .ok_or_else(|| format!("names `{name}`, which is none of the sink's columns"))?;
    let kind = field.data_type();
    let names_directories = kind.is_integer()
        || matches!(kind, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Boolean)
        || matches!(kind, DataType::Date32 | DataType::Date64);
    if names_directories {
        Ok(column)
    } else {
        Err(format!("names `{name}`, a {kind}: only text, integers, booleans and dates name directories"))
    }
}

/// `rows` of a file with the columns that its directories name, as text, where the file has no value of them; `name` is
/// its path in the sink's directory.
///
/// # Errors
/// None that is known of: the columns are as long as the others.
pub(super) fn fill_in(rows: RecordBatch, name: &str) -> Result<RecordBatch, ArrowError> {
    let (schema, mut columns, count) = rows.into_parts();
    let mut fields = schema.fields().to_vec();
    let directories = name.rsplit_once('/').map_or("", |(directories, _)| directories);
    for (name, value) in directories.split('/').filter_map(|directory| directory.split_once('=')) {
        let named: ArrayRef = Arc::new(StringArray::from(vec![unescape(value); count]));
        let field = Arc::new(Field::new(name, DataType::Utf8, true));
        match fields.iter().position(|field| field.name() == name) {
            // JSON Lines are read with all columns of a schema, so a column that only the directory has is there, but
            // null.
            Some(index) if columns.get(index).is_some_and(|column| column.logical_null_count() == count) => {
                columns.splice(index..=index, [named]);
                fields.splice(index..=index, [field]);
            }
            Some(_) => {}
            None => {
                columns.push(named);
                fields.push(field);
            }
        }
    }
    let options = RecordBatchOptions::new().with_row_count(Some(count));
    RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), columns, &options)
}

/// The value before it was escaped; `None` for null.
fn unescape(value: &str) -> Option<String> {
    (value != NULL).then(|| percent_decode_str(value).decode_utf8_lossy().into_owned())
}

/// What Hive escapes, as `%` and two digits a byte; unlike in URLs, letters of all scripts stay as they are.
fn escape(value: &str) -> String {
    let mut escaped = String::with_capacity(value.len());
    for character in value.chars() {
        if character.is_control() || "\"#%'*/:=?\\{}[]^".contains(character) {
            let mut bytes = [0; 4];
            let bytes = character.encode_utf8(&mut bytes).bytes();
            bytes.for_each(|byte| escaped.push_str(&format!("%{byte:02X}")));
        } else {
            escaped.push(character);
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{AsArray, Date32Array, Float64Array, Int64Array};

    fn batch(labels: &[Option<&str>]) -> RecordBatch {
        let count = labels.len();
        RecordBatch::try_from_iter_with_nullable([
            ("label", Arc::new(StringArray::from(labels.to_vec())) as _, true),
            ("day", Arc::new(Date32Array::from(vec![0; count])) as _, false),
            ("n", Arc::new(Int64Array::from_iter_values(0..count as i64)) as _, false),
            ("score", Arc::new(Float64Array::from(vec![0.5; count])) as _, false),
        ])
        .unwrap()
    }

    fn split(labels: &[Option<&str>], by: &[&str]) -> Vec<(String, usize)> {
        let batch = batch(labels);
        let names: Vec<_> = by.iter().map(ToString::to_string).collect();
        let partitioning = Partitioning::try_new(&batch.schema(), &names).unwrap();
        let directories = partitioning.split(vec![batch]).unwrap();
        directories
            .into_iter()
            .map(|(name, rows)| {
                assert!(rows.iter().all(|rows| rows.schema() == *partitioning.schema()));
                (name, rows.iter().map(RecordBatch::num_rows).sum())
            })
            .collect()
    }

    #[test]
    fn rows_go_where_their_values_say() {
        let labels = [Some("体育"), None, Some("a/b=c%"), Some("体育"), Some("")];
        let found = split(&labels, &["label", "day"]);
        let expected = [
            ("label=/day=1970-01-01/", 1),
            ("label=__HIVE_DEFAULT_PARTITION__/day=1970-01-01/", 1),
            ("label=a%2Fb%3Dc%25/day=1970-01-01/", 1),
            ("label=体育/day=1970-01-01/", 2),
        ];
        assert_eq!(found, expected.map(|(name, rows)| (name.to_string(), rows)));
        assert_eq!(split(&labels, &[]), [(String::new(), 5)]);
    }

    #[test]
    fn the_columns_come_back_from_the_names() {
        let batch = batch(&[Some("kept"), Some("too")]);
        let path = "label=other/topic=a%2Fb%3Dc%25体育/lang=__HIVE_DEFAULT_PARTITION__/x=5%/0.parquet";
        let filled = fill_in(batch, path).unwrap();
        let text = |name: &str| {
            let column = filled.column_by_name(name).unwrap().as_string::<i32>();
            column.iter().map(|value| value.map(ToString::to_string)).collect::<Vec<_>>()
        };
        assert_eq!(
            text("label"),
            [Some("kept".to_string()), Some("too".into())],
            "the file's own values count"
        );
        assert_eq!(text("topic"), vec![Some("a/b=c%体育".to_string()); 2]);
        assert_eq!((text("lang"), text("x")), (vec![None; 2], vec![Some("5%".to_string()); 2]));
    }

    #[test]
    fn what_makes_no_directory_is_refused() {
        let schema = batch(&[]).schema();
        for (by, word) in [("lable", "none of"), ("score", "Float64")] {
            let error = Partitioning::try_new(&schema, &[by.to_string()]).err().unwrap();
            assert!(error.contains(by) && error.contains(word), "{error}");
        }
        let long = batch(&[Some(&"长".repeat(100))]);
        let partitioning = Partitioning::try_new(&long.schema(), &["label".into()]).unwrap();
        let error = partitioning.split(vec![long]).unwrap_err().to_string();
        assert!(error.contains("255"), "{error}");
    }
}
