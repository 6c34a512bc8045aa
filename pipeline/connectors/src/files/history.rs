//! The places of the documents in files, without their contents: what `fenliu verify` compares outputs with.

use std::sync::Arc;

use fenliu_decode::Decoder;
use fenliu_engine::Result;
use roaring::RoaringTreemap;

use super::config::FilesSourceConfig;
use super::documents::{Documents, readable};
use crate::history::{History, PartitionRange, VisitDocument};

/// The rows of each file, by its name; they are read once, when it is opened.
pub(super) struct Files(Vec<FileHistory>);

/// The rows of one file.
struct FileHistory {
    name: Arc<str>,
    /// The rows that are documents, and not deletions.
    rows: RoaringTreemap,
    /// The number after that of the last row.
    end: u64,
}

impl Files {
    /// The documents of the files of `source`, decoded by `decoder`.
    ///
    /// # Errors
    /// Files that cannot be read.
    pub(super) fn open(source: &FilesSourceConfig, decoder: &Decoder) -> Result<Self> {
        let rules = source.rules(decoder.file_rules());
        let mut decoder = decoder.clone();
        let mut files = vec![];
        for found in readable(&source.paths, &source.storage, &rules)? {
            let name: Arc<str> = found.path.display().to_string().into();
            tracing::info!(file = %name, "reading the source");
            let (mut rows, mut end) = (RoaringTreemap::new(), 0);
            for row in Documents::of(&found, &rules, 0)? {
                let row = row?;
                end = row.number.unsigned_abs() + 1;
                if !decoder.skips_row(&row.content) {
                    rows.insert(row.number.unsigned_abs());
                }
            }
            files.push(FileHistory { name, rows, end });
        }
        Ok(Files(files))
    }
}

impl History for Files {
    fn ranges(&self) -> Result<Vec<PartitionRange>> {
        Ok(self.0.iter().map(|file| (Arc::clone(&file.name), 0, 0..file.end)).collect())
    }

    fn documents(&self, _: &[PartitionRange], visit: &mut VisitDocument<'_>) -> Result<()> {
        for FileHistory { name, rows, .. } in &self.0 {
            rows.iter().for_each(|row| visit(name, 0, row));
        }
        Ok(())
    }
}
