//! Encoded documents, and the batches drawn from them.

use fenliu_model::tokenize::Encoding;
use rand::{Rng, rngs::SmallRng, seq::SliceRandom};

use crate::features::FeatureLayout;
use crate::ops::Target;

/// Encoded documents with their labels.
#[derive(Debug)]
pub(super) struct Dataset {
    /// The documents; none is empty.
    pub(super) documents: Vec<Encoding>,
    /// Labels of the first documents; the documents after those are unlabelled.
    pub(super) labels: Vec<usize>,
    /// For each document a teacher's probability of each label; empty without a teacher.
    pub(super) soft: Vec<Vec<f32>>,
}

/// The tokens of a batch of documents, one document after another, without padding.
pub(super) struct Batch<'a> {
    /// Token ids of each document.
    pub(super) ids: Vec<&'a [u32]>,
    /// The tokens of document `i` are those at `starts[i]..starts[i + 1]` of the batch.
    pub(super) starts: Vec<usize>,
}

/// The table rows of the features of each token of a batch: those of token `i` are `rows[starts[i]..starts[i
/// + 1]]`.
pub(super) struct Features {
    pub(super) starts: Vec<u32>,
    pub(super) rows: Vec<u32>,
}

impl Dataset {
    /// Documents that all have a label.
    pub(super) fn new(documents: Vec<Encoding>, labels: Vec<usize>) -> Self {
        Self { documents, labels, soft: Vec::new() }
    }

    /// Number of documents.
    pub(super) fn len(&self) -> usize {
        self.documents.len()
    }

    /// Tokens of all documents.
    pub(super) fn tokens(&self) -> usize {
        self.documents.iter().map(|document| document.ids.len()).sum()
    }

    /// The documents at `rows` as a data set of their own.
    pub(super) fn rows(&self, rows: &[usize]) -> Self {
        let documents = rows.iter().map(|row| self.documents[*row].clone()).collect();
        Self::new(documents, rows.iter().map(|row| self.labels[*row]).collect())
    }

    fn length(&self, row: usize) -> usize {
        self.documents[row].ids.len()
    }

    /// The documents at `rows` as a batch.
    pub(super) fn batch(&self, rows: &[usize]) -> Batch<'_> {
        Batch::new(rows.iter().map(|row| self.documents[*row].ids.as_slice()).collect())
    }

    /// The training targets of the documents at `rows`.
    pub(super) fn targets(&self, rows: &[usize]) -> Vec<Target<'_>> {
        let target = |row: &usize| Target {
            gold: self.labels.get(*row).copied(),
            soft: self.soft.get(*row).map(Vec::as_slice),
        };
        rows.iter().map(target).collect()
    }

    /// Divides all documents into batches of similar length. A batch has at most `batch_rows` rows and at
    /// most `batch_tokens` tokens, where every row counts as long as the longest; a document with more tokens
    /// is a batch of its own.
    ///
    /// With a generator, documents of similar length are mixed and the batches are in random order; without
    /// one, they are sorted by length.
    pub(super) fn plan(
        &self,
        batch_tokens: usize,
        batch_rows: usize,
        generator: Option<&mut SmallRng>,
    ) -> Vec<Vec<usize>> {
        let mut order: Vec<usize> = (0..self.len()).collect();
        let Some(generator) = generator else {
            order.sort_by_key(|row| self.length(*row));
            return self.cut(&order, batch_tokens, batch_rows);
        };
        order.shuffle(generator);
        // A random factor perturbs the sort, so that a row shares its batch with other rows in each epoch.
        let mut keyed: Vec<(f32, usize)> = order
            .into_iter()
            .map(|row| (self.length(row) as f32 * generator.random_range(0.9..1.1), row))
            .collect();
        keyed.sort_by(|left, right| left.0.total_cmp(&right.0));
        let order: Vec<usize> = keyed.into_iter().map(|(_, row)| row).collect();
        let mut batches = self.cut(&order, batch_tokens, batch_rows);
        // Without this, every epoch would end with its longest documents.
        batches.shuffle(generator);
        batches
    }

    fn cut(&self, order: &[usize], batch_tokens: usize, batch_rows: usize) -> Vec<Vec<usize>> {
        let mut batches: Vec<Vec<usize>> = Vec::new();
        let mut longest = 0;
        for &row in order {
            let length = self.length(row);
            match batches.last_mut() {
                // Counts as if rows were padded to the longest, which they are on a device. Documents without
                // padding cost less.
                Some(batch)
                    if batch.len() < batch_rows
                        && longest.max(length) * (batch.len() + 1) <= batch_tokens =>
                {
                    longest = longest.max(length);
                    batch.push(row);
                }
                _ => {
                    longest = length;
                    batches.push(vec![row]);
                }
            }
        }
        batches
    }
}

impl<'a> Batch<'a> {
    /// A batch of documents of any lengths.
    pub(super) fn new(ids: Vec<&'a [u32]>) -> Self {
        let mut starts = vec![0];
        for ids in &ids {
            starts.push(starts.last().map_or(0, |end| end + ids.len()));
        }
        Self { ids, starts }
    }

    /// The table rows of every token. With `dropout`, a rate and a generator, each feature is dropped with that
    /// probability.
    pub(super) fn features(
        &self,
        layout: &FeatureLayout,
        mut dropout: Option<(f32, &mut SmallRng)>,
    ) -> Features {
        let mut features = Features { starts: vec![0], rows: Vec::new() };
        for ids in &self.ids {
            for position in 0..ids.len() {
                layout.for_each_row(ids, position, |row, may_drop| {
                    // `may_drop` first: positions draw no random number.
                    let is_dropped = may_drop
                        && dropout
                            .as_mut()
                            .is_some_and(|(rate, generator)| generator.random::<f32>() < *rate);
                    if !is_dropped {
                        features.rows.push(row);
                    }
                });
                features.starts.push(features.rows.len() as u32);
            }
        }
        features
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::SeedableRng;

    use super::*;

    fn dataset(lengths: &[usize]) -> Dataset {
        let document = |length: &usize| Encoding { ids: vec![2; *length], truncated: false };
        Dataset::new(lengths.iter().map(document).collect(), vec![0; lengths.len()])
    }

    proptest! {
        #[test]
        fn a_plan_has_every_row_once_and_keeps_the_bounds(
            lengths in prop::collection::vec(1_usize..40, 0..100),
            seed in prop::option::of(any::<u64>()),
        ) {
            let data = dataset(&lengths);
            let mut generator = seed.map(SmallRng::seed_from_u64);
            let plan = data.plan(64, 5, generator.as_mut());
            for batch in &plan {
                let longest = batch.iter().map(|row| lengths[*row]).max().unwrap_or(0);
                prop_assert!(batch.len() == 1 || (batch.len() <= 5 && longest * batch.len() <= 64));
            }
            let mut rows = plan.concat();
            rows.sort_unstable();
            prop_assert_eq!(rows, (0..lengths.len()).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_batch_concatenates_its_documents() {
        let batch = Batch::new(vec![&[5, 6, 7, 8], &[9]]);
        assert_eq!(batch.starts, [0, 4, 5]);
        let layout = FeatureLayout { tokens: 10, bigrams: 0, trigrams: 0, positions: 0 };
        let features = batch.features(&layout, None);
        assert_eq!(features.rows, [5, 6, 7, 8, 9]);
        assert_eq!(features.starts, [0, 1, 2, 3, 4, 5]);
    }

    #[test]
    fn dropout_drops_its_share_of_features_but_no_position() {
        let ids = vec![1; 2000];
        let batch = Batch::new(vec![&ids]);
        let layout = FeatureLayout { tokens: 2, bigrams: 0, trigrams: 0, positions: 2000 };
        let features = batch.features(&layout, Some((0.25, &mut SmallRng::seed_from_u64(1))));
        let positions = features.rows.iter().filter(|row| **row >= 2).count();
        assert_eq!(positions, 2000);
        let tokens = features.rows.len() - positions;
        assert!((1400..1600).contains(&tokens), "{tokens} of 2000 kept");
    }
}
