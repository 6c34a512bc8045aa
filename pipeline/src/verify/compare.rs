//! Compares one partition: takes sets of offsets and returns counts.

use std::ops::{AddAssign, Range};

use roaring::RoaringTreemap;
use serde::Serialize;

use super::partitions::StoredOffsets;

/// Counts of documents and rows, in one partition or in several.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct DeliveryCounts {
    /// Documents of the source that were compared.
    pub documents: u64,
    /// Rows of the output, including repeated ones.
    pub rows: u64,
    /// Dead letters, including repeated ones; 0 for the dead letters themselves.
    pub dead_lettered: u64,
    /// Documents that are neither in the sink nor among the dead letters; `None` if that cannot be determined.
    pub lost: Option<u64>,
    /// Superfluous rows: repeated rows of the sink, and rows of documents for which there is also a dead letter.
    pub duplicated: u64,
    /// Offsets that the sink or the dead letters have not reached yet. Some of them may have no document.
    pub not_reached: u64,
}

impl AddAssign<&DeliveryCounts> for DeliveryCounts {
    fn add_assign(&mut self, other: &DeliveryCounts) {
        self.documents += other.documents;
        self.rows += other.rows;
        self.dead_lettered += other.dead_lettered;
        self.lost = self.lost.zip(other.lost).map(|(one, another)| one + another);
        self.duplicated += other.duplicated;
        self.not_reached += other.not_reached;
    }
}

/// One partition of one sink, with the documents of the source and the dead letters that it is compared with.
pub(super) struct Compared<'a> {
    /// Offsets of the documents of the source.
    pub(super) documents: Option<&'a RoaringTreemap>,
    /// The offsets that the source still has and that both the sink and the dead letters have passed.
    pub(super) scope: Range<u64>,
    /// The offsets in the sink.
    pub(super) rows: Option<&'a StoredOffsets>,
    /// The offsets among the dead letters.
    pub(super) dead_letters: Option<&'a StoredOffsets>,
    /// Whether a document that is in neither of the two must have been lost.
    pub(super) can_lose: bool,
}

impl Compared<'_> {
    /// The offsets of the documents within the scope.
    pub(super) fn documents(&self) -> RoaringTreemap {
        let mut documents = self.documents.cloned().unwrap_or_default();
        documents.remove_range(..self.scope.start);
        documents.remove_range(self.scope.end..);
        documents
    }

    /// The number of offsets in `gone` (a range that the source has deleted) for which there is neither a row nor a
    /// dead letter. Only offsets above the lowest row or dead letter are counted, because older rows may have been
    /// removed from the output by now.
    pub(super) fn holes(&self, gone: Range<u64>) -> u64 {
        let mut held = RoaringTreemap::new();
        [self.rows, self.dead_letters].into_iter().flatten().for_each(|other| held |= &other.once);
        held.remove_range(..gone.start);
        held.remove_range(gone.end..);
        held.min().map_or(0, |lowest| gone.end - lowest - held.len())
    }

    /// Whether each offset in scope is a document. If not, the source has transactions or is compacted, and a missing
    /// offset is no loss.
    pub(super) fn is_dense(&self) -> bool {
        !self.scope.is_empty() && self.documents().len() == self.scope.end - self.scope.start
    }

    /// The offsets of lost documents; `None` if they cannot be determined.
    pub(super) fn lost(&self) -> Option<RoaringTreemap> {
        let mut lost = self.can_lose.then(|| self.documents())?;
        [self.rows, self.dead_letters].into_iter().flatten().for_each(|held| lost -= &held.once);
        Some(lost)
    }

    /// The offsets of documents that have several rows, or a row and a dead letter.
    pub(super) fn duplicated(&self) -> RoaringTreemap {
        let mut duplicated = self.both();
        if let Some(rows) = self.rows {
            duplicated |= &rows.again;
        }
        duplicated
    }

    /// The offsets of documents that have a row and a dead letter.
    fn both(&self) -> RoaringTreemap {
        match (self.rows, self.dead_letters) {
            (Some(rows), Some(letters)) => &rows.once & &letters.once,
            _ => RoaringTreemap::new(),
        }
    }

    /// The counts; `next` is one past the last offset of the source.
    pub(super) fn counts(&self, next: u64) -> DeliveryCounts {
        // Each row beyond the first counts, also of a document with three rows; `again` contains its offset only
        // once.
        let copies = self.rows.map_or(0, |rows| rows.rows - rows.once.len());
        DeliveryCounts {
            documents: self.documents().len(),
            rows: self.rows.map_or(0, |rows| rows.rows),
            dead_lettered: self.dead_letters.map_or(0, |letters| letters.rows),
            lost: self.lost().map(|lost| lost.len()),
            duplicated: copies + self.both().len(),
            not_reached: next.saturating_sub(self.scope.end),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn held(offsets: &[u64]) -> StoredOffsets {
        let mut held = StoredOffsets::default();
        offsets.iter().for_each(|offset| held.add(*offset));
        held
    }

    #[test]
    fn each_kind_of_fault_is_counted() {
        // 2 is no document, 6 and 8 are lost, 3 has three rows, 4 has a row and a dead letter, 10 is not reached yet.
        let documents: RoaringTreemap = [0, 1, 3, 4, 5, 6, 7, 8, 9, 10].into_iter().collect();
        let (rows, letters) = (held(&[1, 3, 3, 3, 4, 7]), held(&[4, 5, 9]));
        let mut compared = Compared {
            documents: Some(&documents),
            scope: 1..10,
            rows: Some(&rows),
            dead_letters: Some(&letters),
            can_lose: true,
        };
        let counts = DeliveryCounts {
            documents: 8,
            rows: 6,
            dead_lettered: 3,
            lost: Some(2),
            duplicated: 3,
            not_reached: 1,
        };
        assert_eq!(compared.counts(11), counts);
        assert_eq!(compared.lost().unwrap().iter().collect::<Vec<_>>(), [6, 8]);
        assert_eq!(compared.duplicated().iter().collect::<Vec<_>>(), [3, 4]);
        compared.can_lose = false;
        assert_eq!(compared.counts(11), DeliveryCounts { lost: None, ..counts });
    }

    #[test]
    fn offsets_between_rows_that_the_source_deleted_are_counted() {
        let documents: RoaringTreemap = (40..50).collect();
        let (rows, letters) = (held(&[2, 3, 5, 41]), held(&[4, 8, 40]));
        let compared = Compared {
            documents: Some(&documents),
            scope: 40..50,
            rows: Some(&rows),
            dead_letters: Some(&letters),
            can_lose: true,
        };
        assert_eq!(compared.holes(0..40), 40 - 2 - 5);
        assert_eq!((compared.holes(0..0), compared.holes(9..40)), (0, 0));
        assert!(compared.is_dense());
        assert!(!Compared { scope: 40..60, ..compared }.is_dense());
    }

    proptest! {
        /// Every omission and every repetition is counted, and nothing else.
        #[test]
        fn exactly_the_lost_and_the_duplicated_rows_are_counted(
            copies in prop::collection::vec((0..3u64, 0..2u64), 1..200),
        ) {
            let documents: RoaringTreemap = (0..copies.len() as u64).collect();
            let (mut rows, mut letters) = (StoredOffsets::default(), StoredOffsets::default());
            for (offset, (labelled, dead)) in copies.iter().enumerate() {
                (0..*labelled).for_each(|_| rows.add(offset as u64));
                (0..*dead).for_each(|_| letters.add(offset as u64));
            }
            let next = copies.len() as u64;
            let counts = Compared {
                documents: Some(&documents),
                scope: 0..next,
                rows: Some(&rows),
                dead_letters: Some(&letters),
                can_lose: true,
            }
            .counts(next);
            let lost = copies.iter().filter(|(labelled, dead)| labelled + dead == 0).count() as u64;
            let too_many: u64 = copies.iter().map(|(labelled, dead)| (labelled + dead).saturating_sub(1)).sum();
            prop_assert_eq!((counts.lost, counts.duplicated), (Some(lost), too_many));
        }
    }
}
