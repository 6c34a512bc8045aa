//! The columns and partitions of the table.
//!
//! A new table gets the sink's columns, in Iceberg's types. A table that exists must have each of them, of
//! the same type; columns beside them are left null.

use std::str::FromStr;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Fields, Schema as ArrowSchema, TimeUnit};
use iceberg::arrow::{arrow_schema_to_schema_auto_assign_ids, schema_to_arrow_schema};
use iceberg::spec::{PartitionField, PartitionSpec, Schema, Transform};
use iceberg::table::Table;
use iceberg::{Catalog, Error, ErrorKind, Result, TableCreation, TableIdent};

/// The table that the configuration asks for.
#[derive(Clone, Debug)]
pub(super) struct Shape {
    schema: Schema,
    spec: PartitionSpec,
    /// The columns as the table is expected to have them.
    columns: Fields,
}

impl Shape {
    /// A table of rows of `schema`, partitioned by `partition_by`.
    ///
    /// # Errors
    /// A column that Iceberg has no type for, a partition by something that is not a column.
    pub(super) fn try_new(schema: &ArrowSchema, partition_by: &[String]) -> Result<Self> {
        let fields: Fields = schema.fields().iter().map(|field| lake_field(field)).collect();
        let schema = arrow_schema_to_schema_auto_assign_ids(&ArrowSchema::new(fields))?;
        let columns = plain_columns(&schema)?;
        let mut spec = PartitionSpec::builder(schema.clone());
        for partition in partition_by {
            let (column, transform) = parse_partition(partition)?;
            let name = match transform {
                Transform::Identity => column.to_owned(),
                _ => format!("{column}_{transform}"),
            };
            spec = spec.add_partition_field(column, name, transform)?;
        }
        Ok(Shape { spec: spec.build()?, schema, columns })
    }

    /// Checks that rows fit into `table`.
    ///
    /// # Errors
    /// Names what differs, and what to do.
    pub(super) fn check(&self, table: &Table) -> fenliu_engine::Result<()> {
        let mismatch = match plain_columns(table.metadata().current_schema()) {
            Ok(columns) => self.column_mismatch(&columns).or_else(|| self.partition_mismatch(table)),
            Err(error) => Some(format!("has columns that cannot be written: {error}")),
        };
        let Some(mismatch) = mismatch else { return Ok(()) };
        let message = format!("the table {} {mismatch}", table.identifier());
        Err(fenliu_engine::Error::new(fenliu_engine::Kind::Refused, message))
    }

    fn column_mismatch(&self, columns: &Fields) -> Option<String> {
        for field in &self.columns {
            let (name, writes) = (field.name(), field.data_type());
            let Some((_, found)) = columns.find(name) else {
                return Some(format!(
                    "has no column `{name}`: add it to the table, or leave it out in the sink's `columns`"
                ));
            };
            let has = found.data_type();
            if has != writes {
                return Some(format!(
                    "has a column `{name}` of type {has}, but the sink writes {writes}: cast it in the sink's `columns`"
                ));
            }
            if field.is_nullable() && !found.is_nullable() {
                return Some(format!("requires a value in `{name}`, which can be null here"));
            }
        }
        let is_missing = |field: &&Arc<Field>| self.columns.find(field.name()).is_none();
        let required = columns.iter().filter(|field| !field.is_nullable()).find(is_missing)?;
        Some(format!("requires a value in `{}`, which the sink does not write", required.name()))
    }

    fn partition_mismatch(&self, table: &Table) -> Option<String> {
        let metadata = table.metadata();
        let wanted = partitions(&self.spec, &self.schema);
        let has = partitions(metadata.default_partition_spec(), metadata.current_schema());
        (!wanted.is_empty() && wanted != has).then(|| {
            format!("is partitioned by {has:?}, but `partition_by` says {wanted:?}: leave it empty to keep the table's")
        })
    }
}

/// The table, made if it is missing.
///
/// # Errors
/// A catalog that does not answer.
pub(super) async fn load_or_create(
    catalog: &dyn Catalog,
    ident: &TableIdent,
    shape: &Shape,
) -> Result<Table> {
    if catalog.table_exists(ident).await? {
        return catalog.load_table(ident).await;
    }
    let namespace = ident.namespace();
    if !catalog.namespace_exists(namespace).await? {
        catalog.create_namespace(namespace, Default::default()).await?;
    }
    let creation = TableCreation::builder()
        .name(ident.name().to_owned())
        .schema(shape.schema.clone())
        .partition_spec(shape.spec.clone())
        .build();
    // Should another process make the table at this moment, this fails, and the next attempt finds it.
    tracing::info!(event = "table_created", table = %ident, "making the table");
    catalog.create_table(namespace, creation).await
}

/// `COLUMN` or `TRANSFORM(COLUMN)`.
fn parse_partition(text: &str) -> Result<(&str, Transform)> {
    match text.split_once('(') {
        None => Ok((text, Transform::Identity)),
        Some((transform, column)) => {
            let column = column.strip_suffix(')').ok_or_else(|| {
                Error::new(ErrorKind::DataInvalid, format!("partition_by: `{text}` has no closing bracket"))
            })?;
            Ok((column.trim(), Transform::from_str(transform.trim())?))
        }
    }
}

/// The columns of `schema` without Iceberg's field numbers.
fn plain_columns(schema: &Schema) -> Result<Fields> {
    Ok(schema_to_arrow_schema(schema)?.fields().iter().map(|field| lake_field(field)).collect())
}

/// Column and transform of each partition.
fn partitions(spec: &PartitionSpec, schema: &Schema) -> Vec<String> {
    let partition = |field: &PartitionField| {
        let column = schema.name_by_field_id(field.source_id).unwrap_or_default();
        match field.transform {
            Transform::Identity => column.to_owned(),
            transform => format!("{transform}({column})"),
        }
    };
    spec.fields().iter().map(partition).collect()
}

/// The field in the types that Iceberg has, without field numbers: a table that exists has its own.
fn lake_field(field: &Field) -> Field {
    Field::new(field.name(), lake_type(field.data_type()), field.is_nullable())
}

/// The nearest type that Iceberg has: instants in microseconds, no encodings, no unsigned numbers.
fn lake_type(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Timestamp(_, zone) => {
            DataType::Timestamp(TimeUnit::Microsecond, zone.as_ref().map(|_| "+00:00".into()))
        }
        DataType::Date64 => DataType::Date32,
        DataType::Time32(_) | DataType::Time64(_) => DataType::Time64(TimeUnit::Microsecond),
        DataType::Int8 | DataType::Int16 => DataType::Int32,
        DataType::UInt64 => DataType::Int64,
        DataType::Float16 => DataType::Float32,
        DataType::Dictionary(_, values) => lake_type(values),
        DataType::List(item) | DataType::LargeList(item) | DataType::ListView(item) => {
            DataType::List(lake_field(item).into())
        }
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(|field| lake_field(field)).collect()),
        other => other.clone(),
    }
}
