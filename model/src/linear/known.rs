//! The rows of the matrix that a text uses.

/// From this many rows on, repeated ones are removed while the text is read.
const FIRST_COMPACTION: usize = 1 << 12;

/// A set of rows that grows while a text is read.
///
/// Memory is proportional to the number of distinct rows, not to the length of the text: repeated rows are
/// removed whenever the list has twice the length that it had after the last time.
pub(super) struct KnownRows {
    rows: Vec<u32>,
    compaction: usize,
}

impl Default for KnownRows {
    fn default() -> Self {
        Self { rows: Vec::new(), compaction: FIRST_COMPACTION }
    }
}

impl KnownRows {
    /// Adds a row, if there is one.
    pub(super) fn extend(&mut self, row: Option<u32>) {
        self.rows.extend(row);
        if self.rows.len() >= self.compaction {
            self.compact();
            self.compaction = FIRST_COMPACTION.max(2 * self.rows.len());
        }
    }

    /// The distinct rows, in ascending order.
    pub(super) fn into_sorted(mut self) -> Vec<u32> {
        self.compact();
        self.rows
    }

    fn compact(&mut self) {
        self.rows.sort_unstable();
        self.rows.dedup();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_distinct_and_memory_is_bounded_by_their_number() {
        let mut known = KnownRows::default();
        for number in 0..1_000_000_u32 {
            known.extend((!number.is_multiple_of(3)).then_some(number % 100));
        }
        assert!(known.rows.capacity() <= 2 * FIRST_COMPACTION);
        assert_eq!(known.into_sorted(), (0..100).collect::<Vec<u32>>());
    }
}
