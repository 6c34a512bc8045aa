//! A catalog wrapper that refuses a commit if the positions of the table are not where its moves begin.
//!
//! `Transaction::commit` loads the table before each of its attempts, and applies its actions to what it finds. Here
//! that load fails once the positions have moved, and so does the transaction. Between load and update the catalog
//! itself compares: the update requires the snapshot that was loaded.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use fenliu_engine::position::Moves;
use iceberg::table::Table;
use iceberg::{
    Catalog, Error, ErrorKind, Namespace, NamespaceIdent, Result, TableCommit, TableCreation, TableIdent,
};

use super::position::positions;
use crate::fault;

/// The catalog for one commit.
#[derive(Debug)]
pub(super) struct FencedCatalog<'a> {
    catalog: &'a dyn Catalog,
    pipeline: &'a str,
    moves: &'a Moves,
    moved: AtomicBool,
}

impl<'a> FencedCatalog<'a> {
    /// `catalog`, for as long as its tables are where `moves` of `pipeline` begin.
    pub(super) fn new(catalog: &'a dyn Catalog, pipeline: &'a str, moves: &'a Moves) -> Self {
        FencedCatalog { catalog, pipeline, moves, moved: AtomicBool::new(false) }
    }

    /// Whether a load has found other positions.
    pub(super) fn has_moved(&self) -> bool {
        self.moved.load(Ordering::Relaxed)
    }
}

#[async_trait]
impl Catalog for FencedCatalog<'_> {
    async fn load_table(&self, ident: &TableIdent) -> Result<Table> {
        let table = self.catalog.load_table(ident).await?;
        let stored = positions(&table, self.pipeline)
            .map_err(|error| Error::new(ErrorKind::DataInvalid, error.to_string()))?;
        if self.moves.start_at(&stored) {
            return Ok(table);
        }
        // The error is not retryable, so it ends the attempts of the library.
        self.moved.store(true, Ordering::Relaxed);
        Err(Error::new(ErrorKind::PreconditionFailed, "another process has moved the positions"))
    }

    async fn update_table(&self, commit: TableCommit) -> Result<Table> {
        let asked_for = |error: fenliu_engine::Error| Error::new(ErrorKind::Unexpected, error.to_string());
        fault::point("iceberg-before-commit").map_err(asked_for)?;
        let updated = self.catalog.update_table(commit).await?;
        fault::point("iceberg-after-commit").map_err(asked_for)?;
        Ok(updated)
    }

    async fn list_namespaces(&self, parent: Option<&NamespaceIdent>) -> Result<Vec<NamespaceIdent>> {
        self.catalog.list_namespaces(parent).await
    }

    async fn create_namespace(
        &self,
        namespace: &NamespaceIdent,
        properties: HashMap<String, String>,
    ) -> Result<Namespace> {
        self.catalog.create_namespace(namespace, properties).await
    }

    async fn get_namespace(&self, namespace: &NamespaceIdent) -> Result<Namespace> {
        self.catalog.get_namespace(namespace).await
    }

    async fn namespace_exists(&self, namespace: &NamespaceIdent) -> Result<bool> {
        self.catalog.namespace_exists(namespace).await
    }

    async fn update_namespace(
        &self,
        namespace: &NamespaceIdent,
        properties: HashMap<String, String>,
    ) -> Result<()> {
        self.catalog.update_namespace(namespace, properties).await
    }

    async fn drop_namespace(&self, namespace: &NamespaceIdent) -> Result<()> {
        self.catalog.drop_namespace(namespace).await
    }

    async fn list_tables(&self, namespace: &NamespaceIdent) -> Result<Vec<TableIdent>> {
        self.catalog.list_tables(namespace).await
    }

    async fn create_table(&self, namespace: &NamespaceIdent, creation: TableCreation) -> Result<Table> {
        self.catalog.create_table(namespace, creation).await
    }

    async fn drop_table(&self, table: &TableIdent) -> Result<()> {
        self.catalog.drop_table(table).await
    }

    async fn purge_table(&self, table: &TableIdent) -> Result<()> {
        self.catalog.purge_table(table).await
    }

    async fn table_exists(&self, table: &TableIdent) -> Result<bool> {
        self.catalog.table_exists(table).await
    }

    async fn rename_table(&self, from: &TableIdent, to: &TableIdent) -> Result<()> {
        self.catalog.rename_table(from, to).await
    }

    async fn register_table(&self, table: &TableIdent, metadata_location: String) -> Result<Table> {
        self.catalog.register_table(table, metadata_location).await
    }
}
