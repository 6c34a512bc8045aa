//! Opening the catalog that a configuration names.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use iceberg::io::StorageFactory;
use iceberg::{Catalog, CatalogBuilder, Error, ErrorKind, NamespaceIdent, Result, TableIdent};
use iceberg_catalog_rest::{REST_CATALOG_PROP_URI, REST_CATALOG_PROP_WAREHOUSE, RestCatalogBuilder};
use iceberg_catalog_sql::{
    SQL_CATALOG_PROP_BIND_STYLE, SQL_CATALOG_PROP_URI, SQL_CATALOG_PROP_WAREHOUSE, SqlCatalogBuilder,
};
use iceberg_storage_opendal::OpenDalResolvingStorageFactory;

use super::config::{IcebergCatalogKind, IcebergSinkConfig};
use super::disk::{DiskFactory, plain};

/// The full name of the configured table.
///
/// # Errors
/// A namespace without a name.
pub(super) fn ident(config: &IcebergSinkConfig) -> Result<TableIdent> {
    let levels = config.namespace.split('.').map(str::to_owned).collect();
    Ok(TableIdent::new(NamespaceIdent::from_vec(levels)?, config.table.clone()))
}

/// Connects to the catalog. To be called within a runtime, to which the catalog is bound.
///
/// # Errors
/// A catalog that does not answer, a file that cannot be made.
pub(super) async fn open(config: &IcebergSinkConfig) -> Result<Arc<dyn Catalog>> {
    let catalog = &config.catalog;
    let mut properties: HashMap<String, String> = HashMap::new();
    for (key, value) in catalog.properties.iter().chain(&config.storage) {
        properties.insert(key.clone(), value.clone());
    }
    match catalog.kind {
        IcebergCatalogKind::Sql => {
            properties.insert(SQL_CATALOG_PROP_URI.into(), sqlite_uri(&catalog.uri)?);
            // The library's default is the placeholders of PostgreSQL, which are not those of SQLite.
            properties.insert(SQL_CATALOG_PROP_BIND_STYLE.into(), "QMark".into());
            let (warehouse, files) = warehouse(&catalog.warehouse)?;
            properties.insert(SQL_CATALOG_PROP_WAREHOUSE.into(), warehouse);
            let builder = SqlCatalogBuilder::default().with_storage_factory(files);
            Ok(Arc::new(builder.load(&catalog.name, properties).await?))
        }
        IcebergCatalogKind::Rest => {
            properties.insert(REST_CATALOG_PROP_URI.into(), catalog.uri.clone());
            if !catalog.warehouse.is_empty() {
                properties.insert(REST_CATALOG_PROP_WAREHOUSE.into(), catalog.warehouse.clone());
            }
            let files = Arc::new(OpenDalResolvingStorageFactory::new());
            let builder = RestCatalogBuilder::default().with_storage_factory(files);
            Ok(Arc::new(builder.load(&catalog.name, properties).await?))
        }
    }
}

/// `uri` with the option by which SQLite makes a missing file; without it, opening fails. The directory is made here.
fn sqlite_uri(uri: &str) -> Result<String> {
    let file = uri.trim_start_matches("sqlite:").trim_start_matches("//");
    let file = file.split_once('?').map_or(file, |(file, _)| file);
    if let Some(directory) = Path::new(file).parent() {
        create_directory(directory)?;
    }
    Ok(if uri.contains('?') { uri.to_owned() } else { format!("{uri}?mode=rwc") })
}

/// The place of the tables, as an absolute path, since their metadata name files by full paths; and how files are
/// written there.
fn warehouse(warehouse: &str) -> Result<(String, Arc<dyn StorageFactory>)> {
    if warehouse.contains("://") && !warehouse.starts_with("file://") {
        return Ok((warehouse.to_owned(), Arc::new(OpenDalResolvingStorageFactory::new())));
    }
    let path = plain(warehouse);
    let path = std::path::absolute(path).map_err(|error| of_file(path, &error))?;
    Ok((path.display().to_string(), Arc::new(DiskFactory)))
}

fn create_directory(directory: &Path) -> Result<()> {
    std::fs::create_dir_all(directory).map_err(|error| of_file(&directory.display().to_string(), &error))
}

fn of_file(path: &str, error: &std::io::Error) -> Error {
    Error::new(ErrorKind::Unexpected, format!("{path}: {error}"))
}
