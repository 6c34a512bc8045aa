//! From token ids to table rows: the token itself, the hashed bigram and trigram that end at it, and its
//! position.
//!
//! The hash is plain integer arithmetic, so that the exported graph computes the same rows from
//! `input_ids` alone (the hashing trick: Weinberger et al., 2009).

use serde::{Deserialize, Serialize};

/// Factors of the tokens of an n-gram, oldest first; a bigram uses the last two.
///
/// Products with ids below 2^32 stay far inside `i64`, so the sum of three never overflows, neither here nor in the
/// graph.
pub(crate) const MULTIPLIERS: [i64; 3] = [15_485_863, 32_452_843, 1_000_003];

/// The parts of one table, in this order: `[tokens | bigrams | trigrams | positions]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FeatureLayout {
    /// Rows for single tokens: the vocabulary size.
    pub(crate) tokens: usize,
    /// Rows that bigrams are hashed to; 0 = no bigrams. A prime spreads them most evenly.
    pub(crate) bigrams: usize,
    /// Rows that trigrams are hashed to; 0 = no trigrams. A prime spreads them most evenly.
    pub(crate) trigrams: usize,
    /// Rows for positions: the most tokens of a document, or 0.
    pub(crate) positions: usize,
}

/// `sum(multiplier * id) mod buckets`, as the exported graph computes it.
fn bucket(ids: &[u32], buckets: usize) -> usize {
    let multipliers = &MULTIPLIERS[MULTIPLIERS.len() - ids.len()..];
    let sum: i64 = ids.iter().zip(multipliers).map(|(id, multiplier)| i64::from(*id) * multiplier).sum();
    sum as usize % buckets
}

impl FeatureLayout {
    /// All rows of the table.
    pub(crate) fn rows(&self) -> usize {
        self.tokens + self.bigrams + self.trigrams + self.positions
    }

    /// Calls `use_row` with each table row of the token at `position`, and whether dropout may drop that row:
    /// positions are never dropped. N-grams at the start of a text are padded with id 0.
    pub(crate) fn for_each_row(&self, ids: &[u32], position: usize, mut use_row: impl FnMut(u32, bool)) {
        // `checked_sub` fails before the start of the text, which counts as id 0, the padding token of our
        // tokenizers.
        let at = |back: usize| position.checked_sub(back).and_then(|p| ids.get(p)).copied().unwrap_or(0);
        use_row(at(0), true);
        let mut base = self.tokens;
        if self.bigrams > 0 {
            use_row((base + bucket(&[at(1), at(0)], self.bigrams)) as u32, true);
        }
        base += self.bigrams;
        if self.trigrams > 0 {
            use_row((base + bucket(&[at(2), at(1), at(0)], self.trigrams)) as u32, true);
        }
        base += self.trigrams;
        if position < self.positions {
            use_row((base + position) as u32, false);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{FeatureLayout, MULTIPLIERS};

    const LAYOUT: FeatureLayout = FeatureLayout { tokens: 10, bigrams: 7, trigrams: 5, positions: 2 };

    fn rows(layout: FeatureLayout, ids: &[u32], position: usize) -> Vec<u32> {
        let mut rows = Vec::new();
        layout.for_each_row(ids, position, |row, _| rows.push(row));
        rows
    }

    #[test]
    fn a_token_names_one_row_of_each_part() {
        let [oldest, older, newest] = MULTIPLIERS;
        let bigram = (3 * older + 9 * newest) % 7;
        let trigram = (4 * oldest + 3 * older + 9 * newest) % 5;
        let ids = [4, 3, 9];
        assert_eq!(rows(LAYOUT, &ids, 2), [9, 10 + bigram as u32, 17 + trigram as u32]);
        let first = [4, 10 + (4 * newest % 7) as u32, 17 + (4 * newest % 5) as u32, 22];
        assert_eq!(rows(LAYOUT, &ids, 0), first, "n-grams at the start are padded with id 0");
    }

    #[test]
    fn rows_stay_inside_the_table_also_if_parts_are_absent() {
        let layout = FeatureLayout { bigrams: 0, trigrams: 0, positions: 0, ..LAYOUT };
        assert_eq!(rows(layout, &[4, 3], 1), [3]);
        for position in 0..4 {
            let rows = rows(LAYOUT, &[9, 9, 9, 9], position);
            assert!(rows.iter().all(|row| (*row as usize) < LAYOUT.rows()), "{rows:?}");
        }
    }
}
