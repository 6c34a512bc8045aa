//! What a user configures of Apache Iceberg tables.

use std::time::Duration;

use fenliu_config::{Problems, Properties, properties};
use serde::{Deserialize, Serialize};

/// An Iceberg table; it is made when missing, with its namespace.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct IcebergSinkConfig {
    /// The namespace; levels are parted by dots.
    pub namespace: String,
    /// The table's name in it.
    pub table: String,
    /// What a new table is partitioned by: columns, or `year(COLUMN)`, `month(COLUMN)`, `day(COLUMN)`,
    /// `hour(COLUMN)`. A table that exists keeps its own partitions and must have these, unless this is empty.
    pub partition_by: Vec<String>,
    /// Columns or SQL expressions; empty: all.
    pub columns: Vec<String>,
    /// SQL predicate; rows for which it is not true are not written here.
    #[serde(rename = "where")]
    pub filter: Option<String>,
    /// Freshness of this sink, in place of `epoch.max_age`: the longer, the larger its files.
    #[serde(with = "humantime_serde")]
    pub max_age: Option<Duration>,
    /// Who knows the table's newest version.
    pub catalog: IcebergCatalogConfig,
    /// Options of the store that the files lie in: `s3.endpoint`, `s3.region`, `s3.access-key-id`,
    /// `s3.secret-access-key`, `s3.path-style-access`.
    #[serde(deserialize_with = "properties")]
    pub storage: Properties,
}

impl Default for IcebergSinkConfig {
    fn default() -> Self {
        IcebergSinkConfig {
            namespace: "news".into(),
            table: "labelled".into(),
            partition_by: vec![],
            columns: vec![],
            filter: None,
            max_age: None,
            catalog: IcebergCatalogConfig::default(),
            storage: Properties::new(),
        }
    }
}

impl IcebergSinkConfig {
    /// Checks all values; `key` names the sink in messages.
    pub(super) fn check_values(&self, key: &str, problems: &mut Problems) {
        problems.require(!self.table.is_empty(), &format!("{key}.table"), "empty", "a name");
        let has_levels = self.namespace.split('.').all(|level| !level.is_empty());
        let levels = "a name, or several parted by dots";
        problems.require(has_levels, &format!("{key}.namespace"), format!("`{}`", self.namespace), levels);
        let is_never = self.max_age.is_some_and(|age| age.is_zero());
        problems.require(!is_never, &format!("{key}.max_age"), "0s", "longer than 0s");
        self.catalog.check(&format!("{key}.catalog"), problems);
    }
}

/// A catalog of Iceberg tables.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct IcebergCatalogConfig {
    /// `sql`: a SQLite file. `rest`: a server that speaks Iceberg's REST protocol.
    #[serde(rename = "type")]
    pub kind: IcebergCatalogKind,
    /// The name of the catalog: a SQLite file can hold several.
    pub name: String,
    /// `sqlite:FILE`, made when missing, or the address of the server.
    pub uri: String,
    /// Where new tables lie: a directory or `s3://BUCKET/PREFIX`; for a server, its name of the warehouse.
    pub warehouse: String,
    /// Other properties of the catalog, such as a server's `token`, `credential`, `oauth2-server-uri`, `scope`.
    #[serde(deserialize_with = "properties")]
    pub properties: Properties,
}

impl Default for IcebergCatalogConfig {
    fn default() -> Self {
        IcebergCatalogConfig {
            kind: IcebergCatalogKind::Sql,
            name: "fenliu".into(),
            uri: "sqlite:out/iceberg/catalog.db".into(),
            warehouse: "out/iceberg/warehouse".into(),
            properties: Properties::new(),
        }
    }
}

impl IcebergCatalogConfig {
    fn check(&self, key: &str, problems: &mut Problems) {
        problems.require(!self.name.trim().is_empty(), &format!("{key}.name"), "empty", "a name");
        let uri = self.uri.as_str();
        let (fits, wanted) = match self.kind {
            IcebergCatalogKind::Sql => {
                (uri.strip_prefix("sqlite:").is_some_and(|file| !file.is_empty()), "sqlite:FILE")
            }
            IcebergCatalogKind::Rest => {
                (uri.starts_with("http://") || uri.starts_with("https://"), "http://HOST or https://HOST")
            }
        };
        problems.require(fits, &format!("{key}.uri"), format!("`{uri}`"), wanted);
        if self.kind == IcebergCatalogKind::Rest && uri.contains('@') {
            problems.add(
                format!("{key}.uri"),
                "holds a user: put it into `properties`, as `credential` or a header",
            );
        }
        let has_place = self.kind == IcebergCatalogKind::Rest || !self.warehouse.is_empty();
        let wanted = "a directory or s3://BUCKET/PREFIX";
        problems.require(has_place, &format!("{key}.warehouse"), "empty", wanted);
        for name in self.properties.keys().filter(|name| name.starts_with("pool.")) {
            problems.add(format!("{key}.properties.\"{name}\""), "is set by fenliu itself");
        }
    }
}

/// The kinds of catalogs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IcebergCatalogKind {
    /// A SQLite file.
    Sql,
    /// A REST server.
    Rest,
}
