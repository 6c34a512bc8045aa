//! Selects the documents that the challenger labels too. The sample does not depend on when or where they are read.

use arrow::array::RecordBatch;
use fenliu_schemas::{Lineage, text_at, text_column};
use sha2::{Digest, Sha256};

use crate::error::Result;

/// The rows whose documents belong to a sample of `share` (0 to 1) of all documents.
///
/// The decision is made by a hash of the document's id, or of its position in the source if it has no id. So the same
/// document is either always in the sample or never, even if it is read again. A larger share only adds documents.
///
/// # Errors
/// A column is missing.
pub(super) fn sampled(rows: &RecordBatch, share: f64) -> Result<Vec<usize>> {
    let (ids, lineage) = (text_column(rows, "id")?, Lineage::of(rows)?);
    let position = |row: usize| match text_at(ids, row) {
        Some(id) => position(&[id.as_bytes()]),
        None => {
            let (topic, partition, offset) = lineage.row(row);
            position(&[topic.as_bytes(), &partition.to_le_bytes(), &offset.to_le_bytes()])
        }
    };
    Ok((0..rows.num_rows()).filter(|&row| position(row) < share).collect())
}

/// Hashes `parts` to a number in `0..1`, evenly distributed and the same on every machine.
fn position(parts: &[&[u8]]) -> f64 {
    let mut hasher = Sha256::new();
    parts.iter().for_each(|part| hasher.update(part));
    let digest = hasher.finalize();
    // 32 bits are exact in an `f64`, so the result is below 1 and a share of 1 takes every document.
    let head = digest.iter().take(4).fold(0u32, |head, byte| (head << 8) | u32::from(*byte));
    f64::from(head) / (f64::from(u32::MAX) + 1.0)
}

#[cfg(test)]
mod tests {
    use fenliu_schemas::{Document, Origin, RawBuilder};

    use super::*;

    /// Documents at the offsets from `first` on; `with_ids` gives them ids that do not depend on the offset.
    fn rows(first: i64, with_ids: bool) -> RecordBatch {
        let mut builder = RawBuilder::default();
        for number in 0..2000 {
            let origin = Origin { topic: "news", partition: 3, offset: first + number, timestamp_ms: None };
            let id = with_ids.then(|| format!("doc-{number}").into());
            builder.append(origin, b"{}", &Ok(Document { id, ..Document::default() }));
        }
        builder.finish().unwrap()
    }

    #[test]
    fn the_sample_depends_on_the_document_only_and_has_the_share_asked_for() {
        let here = sampled(&rows(0, true), 0.1).unwrap();
        assert_eq!(here, sampled(&rows(5000, true), 0.1).unwrap(), "wherever it is read");
        assert!((140..260).contains(&here.len()), "{}", here.len());
        let larger = sampled(&rows(0, true), 0.3).unwrap();
        assert!(here.iter().all(|row| larger.contains(row)));
        let by_place = sampled(&rows(0, false), 0.1).unwrap();
        assert!((140..260).contains(&by_place.len()) && by_place != here);
    }

    #[test]
    fn a_share_of_0_takes_no_document_and_of_1_takes_all() {
        assert!(sampled(&rows(0, true), 0.0).unwrap().is_empty());
        assert_eq!(sampled(&rows(0, true), 1.0).unwrap().len(), 2000);
    }
}
