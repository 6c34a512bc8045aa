//! What is in an output, by readers that share no code with fenliu: pyarrow, `deltalake`, pyiceberg, a consumer.

use std::collections::BTreeMap;

use fenliu_tests::kafka::{Broker, Record};
use fenliu_tests::readers::python;
use serde_json::{Value, json};

use super::place::Place;

/// An output of a pipeline.
#[derive(Clone, Copy, Debug)]
pub(super) enum Output {
    /// A directory of files: its path and the format.
    Files(&'static str, &'static str),
    /// A Delta table: its path.
    Delta(&'static str),
    /// An Iceberg table `desk.labelled`: the path of warehouse and catalog.
    Iceberg(&'static str),
    /// The topic of the pipeline with this ending.
    Topic(&'static str),
}

/// A document's topic or file, its partition and its offset.
pub(super) type Origin = (String, i64, i64);

/// What was found in an output.
pub(super) struct Found {
    /// The rows of each document: the label, or null.
    pub(super) rows: BTreeMap<Origin, Vec<Value>>,
    /// Names and types of the columns: of the table, or of every file.
    pub(super) columns: Value,
}

impl Found {
    /// What is kept of it in the fixture.
    pub(super) fn summary(&self) -> Value {
        json!({ "rows": self.rows.values().map(Vec::len).sum::<usize>(), "columns": self.columns })
    }
}

/// Files are read by their names, which those of uncommitted ones hide from every reader.
const READ: &str = r#"
import json, os, sys
kind, path = sys.argv[1:3]
files = kind in ("parquet", "arrow", "json")
if files:
    import pyarrow.dataset as ds
    data = ds.dataset(path, format=kind, partitioning="hive", exclude_invalid_files=False)
    fields = lambda schema: [str(field) for field in schema.remove_metadata()]
    columns = sorted({tuple(fields(part.physical_schema)) for part in data.get_fragments()})
    columns, table = sorted(data.schema.names) if kind == "json" else columns, data
elif kind == "delta":
    import deltalake
    data = deltalake.DeltaTable(path)
    columns, table = [f"{f.name} {f.type}" for f in data.schema().fields], data.to_pyarrow_dataset()
else:
    from pyiceberg.catalog import load_catalog
    catalog = load_catalog("fenliu", type="sql", uri=f"sqlite:///{path}/catalog.db", warehouse=path)
    data = catalog.load_table("desk.labelled")
    columns, table = [str(field) for field in data.schema().fields], data.scan().to_arrow()
names = ["topic", "partition", "offset"] + (["label"] if "label" in table.schema.names else [])
rows = (table.to_table(columns=names) if hasattr(table, "to_table") else table.select(names)).to_pylist()
print(json.dumps({"columns": columns, "rows": rows}))
"#;

impl Output {
    /// What is in it. Topics are those of `pipeline` at the broker.
    pub(super) fn read(self, place: &Place, pipeline: &str, broker: Option<&Broker>) -> Found {
        let (kind, path) = match self {
            Output::Files(path, format) => (if format == "jsonl" { "json" } else { format }, path),
            Output::Delta(path) => ("delta", path),
            Output::Iceberg(path) => ("iceberg", path),
            Output::Topic(ending) => {
                return read_topic(broker.unwrap(), &format!("{pipeline}-{}-{ending}", place.release));
            }
        };
        let path = place.path(path);
        let found = python(READ, &[kind, path.to_str().unwrap()]).unwrap();
        Found {
            rows: by_origin(found["rows"].as_array().unwrap().iter().cloned()),
            columns: found["columns"].clone(),
        }
    }
}

/// Rows are JSON objects; dead letters have their origin in headers and the original message as value.
fn read_topic(broker: &Broker, topic: &str) -> Found {
    let records = broker.consume_all(topic).unwrap();
    let is_letter = |record: &Record| record.headers.iter().any(|(name, _)| name == "fenliu.reason");
    let row = |record: &Record| match is_letter(record) {
        true => letter(record),
        false => serde_json::from_slice(record.value.as_ref().unwrap()).unwrap(),
    };
    let rows: Vec<Value> = records.iter().map(row).collect();
    let mut columns: Vec<Vec<&String>> =
        rows.iter().map(|row| row.as_object().unwrap().keys().collect()).collect();
    columns.sort();
    columns.dedup();
    Found { columns: json!(columns), rows: by_origin(rows.iter().cloned()) }
}

fn letter(record: &Record) -> Value {
    let header = |name: &str| {
        let (_, value) = record.headers.iter().find(|(known, _)| known == name).unwrap();
        std::str::from_utf8(value).unwrap()
    };
    let number = |name: &str| header(name).parse::<i64>().unwrap();
    json!({
        "topic": header("fenliu.topic"), "partition": number("fenliu.partition"), "offset": number("fenliu.offset"),
    })
}

fn by_origin(rows: impl Iterator<Item = Value>) -> BTreeMap<Origin, Vec<Value>> {
    let mut found = BTreeMap::<Origin, Vec<Value>>::new();
    for row in rows {
        let number = |name: &str| row[name].as_i64().unwrap();
        let origin = (row["topic"].as_str().unwrap().to_owned(), number("partition"), number("offset"));
        found.entry(origin).or_default().push(row["label"].clone());
    }
    found
}
