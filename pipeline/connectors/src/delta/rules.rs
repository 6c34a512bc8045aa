//! What a table demands of its rows: constraints, and columns whose values are not free.
//!
//! A table that has expressions which rows must satisfy is refused before a data file is written, whatever its protocol
//! says: they are in the SQL of another engine, and rows are not checked against them.

use std::collections::{BTreeMap, HashMap};

use arrow::datatypes::SchemaRef;
use deltalake::DeltaTable;
use deltalake::kernel::{DataType, Metadata, MetadataValue, Protocol, StructField};
use deltalake::table::state::DeltaTableState;
use fenliu_engine::{Error, Kind, Result};

use super::columns;
use super::features::{self, Use};

const CONSTRAINT: &str = "delta.constraints.";
const IDENTITY: &str = "delta.identity.";

/// What decides whether and how rows are written, and may change from one version of a table to the next.
#[derive(Clone, PartialEq)]
pub(super) struct Terms {
    protocol: Protocol,
    metadata: Metadata,
}

impl Terms {
    /// The terms of the version that `table` is at.
    ///
    /// # Errors
    /// A table that was not loaded.
    pub(super) fn of(table: &DeltaTable) -> Result<Self> {
        let state = state(table)?;
        Ok(Terms { protocol: state.protocol().clone(), metadata: state.metadata().clone() })
    }
}

/// Checks that rows of `schema` can be added to `table` as it is, and that everything it demands is honoured.
///
/// # Errors
/// All obstacles, by name, and what to do.
pub(super) fn admit(table: &DeltaTable, schema: &SchemaRef, partition_by: &[String]) -> Result<()> {
    let state = state(table)?;
    let mut obstacles = features::obstacles(state.protocol(), Use::Append);
    properties(state.metadata().configuration(), &mut obstacles);
    for field in state.schema().fields() {
        let is_written = schema.column_with_name(field.name()).is_some();
        column(field, field.name(), is_written, &mut obstacles);
    }
    refuse(Use::Append, &obstacles)?;
    columns::check(table, schema, partition_by).map_err(|why| Error::new(Kind::Refused, why))
}

/// Checks that the protocol of `table` allows `wanted`.
///
/// # Errors
/// All obstacles, by name, and what to do.
pub(super) fn allow(table: &DeltaTable, wanted: Use) -> Result<()> {
    let state = state(table)?;
    refuse(wanted, &features::obstacles(state.protocol(), wanted))
}

fn refuse(wanted: Use, obstacles: &[String]) -> Result<()> {
    if obstacles.is_empty() {
        return Ok(());
    }
    let obstacles = obstacles.join("; and ");
    let why = format!("the table cannot be {}, because it has {obstacles}", wanted.participle());
    Err(Error::new(Kind::Refused, why).remedy(wanted.remedy()))
}

fn state(table: &DeltaTable) -> Result<&DeltaTableState> {
    table.snapshot().map_err(|error| Error::internal(error.to_string()))
}

/// Adds constraints, and properties that switch on something that is not honoured, even where the protocol does not
/// name it.
fn properties(configuration: &HashMap<String, String>, obstacles: &mut Vec<String>) {
    // In the order of their names: the order of a hash map would make the message differ from one time to the next.
    for (name, value) in configuration.iter().collect::<BTreeMap<_, _>>() {
        if let Some(constraint) = name.strip_prefix(CONSTRAINT) {
            obstacles.push(format!(
                "the CHECK constraint `{constraint}` ({value}), which rows are not checked against"
            ));
        } else if !is_harmless(name, value) {
            obstacles.push(format!("the property `{name}` with the value `{value}`, which is not honoured"));
        }
    }
}

/// Whether a property demands nothing of a writer that only adds rows. Properties under `delta.` that are not named
/// here tune readers, checkpoints and the clean-up.
fn is_harmless(name: &str, value: &str) -> bool {
    match name {
        // These demand something only of writers that change or remove rows, or of the clean-up of the log.
        "delta.enableChangeDataFeed" | "delta.enableDeletionVectors" | "delta.enableExpiredLogCleanup" => {
            true
        }
        "delta.columnMapping.mode" => value == "none",
        _ if name.starts_with("delta.coordinatedCommits.") => false,
        // Any other switch turns on something that this sink does not honour, or does not know.
        _ if name.starts_with("delta.enable") => value.eq_ignore_ascii_case("false"),
        _ => true,
    }
}

/// Adds what the metadata of a column, or of a field within it, demand of its values.
fn column(field: &StructField, path: &str, is_written: bool, obstacles: &mut Vec<String>) {
    let metadata: BTreeMap<_, _> = field.metadata().iter().collect();
    // An identity column has several keys under this prefix; it is reported once.
    if metadata.keys().any(|key| key.starts_with(IDENTITY)) {
        obstacles.push(format!("the identity column `{path}`, whose values are not generated"));
    }
    obstacles.extend(metadata.iter().filter_map(|(key, value)| demand(key, value, path, is_written)));
    nested(field.data_type(), path, is_written, obstacles);
}

/// What one entry of a column's metadata demands of its values; `None` if nothing, or if the sink satisfies it.
fn demand(key: &str, value: &MetadataValue, path: &str, is_written: bool) -> Option<String> {
    match key {
        "delta.invariants" => Some(format!(
            "the column `{path}` with the invariant {value}, which rows are not checked against"
        )),
        "delta.generationExpression" => {
            Some(format!("the generated column `{path}` ({value}), which is not computed"))
        }
        "CURRENT_DEFAULT" => (!is_written).then(|| {
            format!(
                "the column `{path}` with the default `{value}`, which is not filled in: add it to `columns`"
            )
        }),
        "__CHAR_VARCHAR_TYPE_STRING" => is_written
            .then(|| format!("the column `{path}` of type {value}, to which values are not cut or padded")),
        // Names and ids of column mapping take effect only with its feature and property, which are checked elsewhere.
        // Identity columns were reported by the caller.
        _ if key.starts_with("delta.columnMapping.") || key.starts_with(IDENTITY) => None,
        // An unknown key may be a demand of a later release of Delta Lake, so it is refused.
        _ if key.starts_with("delta.") => {
            Some(format!("the column `{path}` with the metadata `{key}` ({value}), which is not known"))
        }
        _ => None,
    }
}

fn nested(kind: &DataType, path: &str, is_written: bool, obstacles: &mut Vec<String>) {
    match kind {
        DataType::Struct(fields) => {
            for field in fields.fields() {
                column(field, &format!("{path}.{}", field.name()), is_written, obstacles);
            }
        }
        DataType::Array(array) => nested(array.element_type(), path, is_written, obstacles),
        DataType::Map(map) => {
            nested(map.key_type(), path, is_written, obstacles);
            nested(map.value_type(), path, is_written, obstacles);
        }
        DataType::Primitive(_) | DataType::Variant(_) => {}
    }
}
