//! The places of the documents in files, without their contents: what `fenliu verify` compares outputs with.

use std::path::PathBuf;
use std::sync::Arc;

use fenliu_engine::Result;
use roaring::RoaringTreemap;

use super::documents::{Documents, data_files};
use crate::history::{History, PartitionRange, VisitDocument};

/// The rows of each file, by its name; they are read once, when it is opened.
pub(super) struct Files(Vec<(Arc<str>, RoaringTreemap)>);

impl Files {
    /// The documents of the files among `paths`.
    ///
    /// # Errors
    /// Files that cannot be read.
    pub(super) fn open(paths: &[PathBuf]) -> Result<Self> {
        let mut files = vec![];
        for path in data_files(paths)? {
            let name: Arc<str> = path.display().to_string().into();
            tracing::info!(file = %name, "reading the source");
            let mut rows = RoaringTreemap::new();
            for document in Documents::open(&path)? {
                rows.insert(document?.0.unsigned_abs());
            }
            files.push((name, rows));
        }
        Ok(Files(files))
    }
}

impl History for Files {
    fn ranges(&self) -> Result<Vec<PartitionRange>> {
        let range = |(name, rows): &(Arc<str>, RoaringTreemap)| {
            (Arc::clone(name), 0, 0..rows.max().map_or(0, |last| last + 1))
        };
        Ok(self.0.iter().map(range).collect())
    }

    fn documents(&self, _: &[PartitionRange], visit: &mut VisitDocument<'_>) -> Result<()> {
        for (name, rows) in &self.0 {
            rows.iter().for_each(|row| visit(name, 0, row));
        }
        Ok(())
    }
}
