//! Which texts go into one inference call, and the padded arrays of that call.
//!
//! The cost of a call is rows x tokens of its longest row, padding included. Texts of similar length share a
//! call, so that there is little padding. A call exceeds the token budget only if it consists of a single
//! text that does. A plan holds row indices, from which the caller restores the order of the results.

use crate::error::{ModelError, Result};

/// Bounds of one inference call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchOptions {
    /// Most padded tokens in one call: rows x tokens of the longest row.
    ///
    /// Raise it until throughput stops growing; lower it to reduce the memory and the time of a call. A text
    /// with more tokens has a call of its own. At least 1. Default: 4096.
    pub max_batch_tokens: usize,
    /// Most rows in one call. At least 1. Default: 64.
    pub max_batch_rows: usize,
}

impl Default for BatchOptions {
    fn default() -> Self {
        Self { max_batch_tokens: 4096, max_batch_rows: 64 }
    }
}

impl BatchOptions {
    /// Checks the bounds.
    ///
    /// # Errors
    ///
    /// An option is 0.
    pub fn validate(&self) -> Result<()> {
        for (option, value) in
            [("max_batch_tokens", self.max_batch_tokens), ("max_batch_rows", self.max_batch_rows)]
        {
            if value == 0 {
                return Err(ModelError::option(option, value, "must be at least 1"));
            }
        }
        Ok(())
    }
}

/// Groups rows of the given token counts into batches within `options`.
///
/// Rows are sorted by length (rows of equal length keep their order) and divided greedily. Every index of
/// `lengths` is in exactly one batch, and no batch is empty.
pub fn plan(lengths: &[usize], options: &BatchOptions) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..lengths.len()).collect();
    // A stable sort, so that the plan depends on the lengths alone.
    order.sort_by_key(|row| lengths[*row]);
    let mut batches: Vec<Vec<usize>> = Vec::new();
    for row in order {
        match batches.last_mut() {
            // The rows are sorted, so this one is the longest of the batch that it joins.
            Some(batch)
                if batch.len() < options.max_batch_rows
                    && (batch.len() + 1).saturating_mul(lengths[row]) <= options.max_batch_tokens =>
            {
                batch.push(row);
            }
            _ => batches.push(vec![row]),
        }
    }
    batches
}

/// The arrays of one inference call, row-major `[rows, tokens]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenBatch {
    /// Number of texts.
    pub rows: usize,
    /// Tokens of the longest text.
    pub tokens: usize,
    /// Token ids, filled with the padding id on the right.
    pub input_ids: Vec<i64>,
    /// 1 where `input_ids` holds a token, 0 where it is padding.
    pub attention_mask: Vec<i64>,
}

impl TokenBatch {
    /// Pads token ids, one slice for each row, on the right to the length of the longest.
    pub fn pad(ids: &[&[u32]], pad_id: u32) -> Self {
        let rows = ids.len();
        let tokens = ids.iter().map(|ids| ids.len()).max().unwrap_or(0);
        let mut input_ids = Vec::with_capacity(rows * tokens);
        let mut attention_mask = Vec::with_capacity(rows * tokens);
        for (ids, end) in ids.iter().zip((1..).map(|row| row * tokens)) {
            input_ids.extend(ids.iter().map(|id| i64::from(*id)));
            // First ones for the tokens that were just added, then zeros up to the end of the row.
            attention_mask.resize(input_ids.len(), 1);
            input_ids.resize(end, i64::from(pad_id));
            attention_mask.resize(end, 0);
        }
        Self { rows, tokens, input_ids, attention_mask }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn rows_of_similar_length_share_a_batch() {
        let options = BatchOptions { max_batch_tokens: 20, max_batch_rows: 3 };
        let batches = plan(&[9, 2, 10, 2, 25, 2, 2], &options);
        assert_eq!(batches, [vec![1, 3, 5], vec![6, 0], vec![2], vec![4]]);
    }

    #[test]
    fn a_plan_of_no_rows_has_no_batches() {
        assert!(plan(&[], &BatchOptions::default()).is_empty());
    }

    #[test]
    fn padding_is_on_the_right_and_masked() {
        let batch = TokenBatch::pad(&[&[5, 6, 7], &[8]], 3);
        let expected = TokenBatch {
            rows: 2,
            tokens: 3,
            input_ids: vec![5, 6, 7, 8, 3, 3],
            attention_mask: vec![1, 1, 1, 1, 0, 0],
        };
        assert_eq!(batch, expected);
    }

    #[test]
    fn an_option_of_zero_is_named() {
        let options = BatchOptions { max_batch_rows: 0, ..BatchOptions::default() };
        let message = options.validate().unwrap_err().to_string();
        assert_eq!(message, "invalid option: `max_batch_rows` is 0 but must be at least 1");
    }

    proptest! {
        #[test]
        fn every_row_is_in_one_batch_within_the_budget(
            lengths in prop::collection::vec(1usize..600, 0..200),
            max_batch_tokens in 1usize..2000,
            max_batch_rows in 1usize..40,
        ) {
            let batches = plan(&lengths, &BatchOptions { max_batch_tokens, max_batch_rows });
            for batch in &batches {
                let longest = batch.iter().map(|row| lengths[*row]).max().unwrap();
                prop_assert!(batch.len() == 1 || batch.len() * longest <= max_batch_tokens);
                prop_assert!(batch.len() <= max_batch_rows);
            }
            let mut rows: Vec<usize> = batches.concat();
            rows.sort_unstable();
            prop_assert_eq!(rows, (0..lengths.len()).collect::<Vec<_>>());
        }
    }
}
