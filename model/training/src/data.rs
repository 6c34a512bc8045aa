//! Encoded documents, and the batches drawn from them.
//!
//! A long document has several windows, each of which is a row that is trained on and scored by itself. The logits of a
//! document are the mean over its windows, as in service.

use std::collections::HashMap;
use std::ops::Range;

use fenliu_model::tokenize::Encoding;
use rand::{Rng, rngs::SmallRng, seq::SliceRandom};

use crate::features::FeatureLayout;
use crate::ops::{Target, add};

/// Encoded documents with their labels.
#[derive(Debug)]
pub(super) struct Dataset {
    /// The documents; none is empty.
    pub(super) documents: Vec<Encoding>,
    /// Labels of the first documents; the documents after those are unlabelled.
    pub(super) labels: Vec<usize>,
    /// For each document a teacher's probability of each label; empty without a teacher.
    pub(super) soft: Vec<Vec<f32>>,
    /// The windows of all documents, one document after another: the document, and the range of its ids.
    windows: Vec<(usize, Range<usize>)>,
}

/// How documents are cut to shorter pieces in training, so that a network does not learn to expect whole texts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Crops {
    /// The share of the rows of a batch that are cut to a random contiguous piece of more than half of their tokens.
    pub(super) share: f32,
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
    /// Documents that all have a label, with one window each.
    pub(super) fn new(documents: Vec<Encoding>, labels: Vec<usize>) -> Self {
        Self::with_windows(documents, labels, usize::MAX)
    }

    /// Documents that all have a label, in windows of at most `tokens` tokens.
    pub(super) fn with_windows(documents: Vec<Encoding>, labels: Vec<usize>, tokens: usize) -> Self {
        let mut windows = Vec::with_capacity(documents.len());
        for (document, encoding) in documents.iter().enumerate() {
            let mut start = 0;
            for window in encoding.windows(tokens) {
                windows.push((document, start..start + window.len()));
                start += window.len();
            }
        }
        Self { documents, labels, soft: Vec::new(), windows }
    }

    /// Number of rows: the windows of all documents.
    pub(super) fn len(&self) -> usize {
        self.windows.len()
    }

    /// The logits of each document: the mean over its windows, whose logits are `rows`.
    pub(super) fn of_documents(&self, rows: Vec<Vec<f32>>) -> Vec<Vec<f32>> {
        if self.windows.len() == self.documents.len() {
            return rows;
        }
        let mut counts = vec![0.0_f32; self.documents.len()];
        let mut sums: Vec<Vec<f32>> = vec![Vec::new(); self.documents.len()];
        for ((document, _), row) in self.windows.iter().zip(rows) {
            counts[*document] += 1.0;
            let sum = &mut sums[*document];
            sum.resize(row.len(), 0.0);
            add(sum, &row);
        }
        let mean = |(sum, count): (Vec<f32>, f32)| sum.into_iter().map(|value| value / count).collect();
        sums.into_iter().zip(counts).map(mean).collect()
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
        self.windows[row].1.len()
    }

    fn ids(&self, row: usize) -> &[u32] {
        let (document, range) = &self.windows[row];
        &self.documents[*document].ids[range.clone()]
    }

    /// The windows at `rows` as a batch.
    pub(super) fn batch(&self, rows: &[usize]) -> Batch<'_> {
        Batch::new(rows.iter().map(|row| self.ids(*row)).collect())
    }

    /// The windows at `rows` as a batch, some of them cropped. A row that occurs twice is cropped twice in the same way.
    pub(super) fn cropped(&self, rows: &[usize], crops: Crops, generator: &mut SmallRng) -> Batch<'_> {
        let mut pieces: HashMap<usize, &[u32]> = HashMap::new();
        let piece = |row: &usize| *pieces.entry(*row).or_insert_with(|| crops.of(self.ids(*row), generator));
        Batch::new(rows.iter().map(piece).collect())
    }

    /// The training targets of the windows at `rows`: those of their documents.
    pub(super) fn targets(&self, rows: &[usize]) -> Vec<Target<'_>> {
        let target = |row: &usize| {
            let document = self.windows[*row].0;
            Target {
                gold: self.labels.get(document).copied(),
                soft: self.soft.get(document).map(Vec::as_slice),
            }
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

impl Crops {
    /// `ids`, or a random contiguous piece of more than half of them.
    fn of<'a>(self, ids: &'a [u32], generator: &mut SmallRng) -> &'a [u32] {
        if ids.len() < 3 || generator.random::<f32>() >= self.share {
            return ids;
        }
        let length = generator.random_range(ids.len() / 2 + 1..=ids.len());
        let start = generator.random_range(0..=ids.len() - length);
        &ids[start..start + length]
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
        let document = |length: &usize| Encoding::new(vec![2; *length], false);
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
    fn a_long_document_is_trained_on_by_windows_and_scored_by_their_mean() {
        let document = |ids: Range<u32>| Encoding::new(ids.collect(), false);
        let data = Dataset::with_windows(vec![document(0..5), document(5..7)], vec![1, 0], 3);
        assert_eq!(data.batch(&[0, 1, 2]).ids, [&[0, 1, 2][..], &[3, 4], &[5, 6]]);
        let gold: Vec<_> = data.targets(&[0, 1, 2]).iter().map(|target| target.gold).collect();
        assert_eq!(gold, [Some(1), Some(1), Some(0)]);
        let logits = data.of_documents(vec![vec![1.0, 2.0], vec![3.0, 4.0], vec![5.0, 6.0]]);
        assert_eq!(logits, [[2.0, 3.0], [5.0, 6.0]]);
    }

    #[test]
    fn a_crop_is_a_piece_of_more_than_half() {
        let data = Dataset::new(vec![Encoding::new((0..10).collect(), false)], vec![0]);
        let mut generator = SmallRng::seed_from_u64(1);
        let mut lengths = std::collections::BTreeSet::new();
        for _ in 0..200 {
            let batch = data.cropped(&[0, 0], Crops { share: 0.5 }, &mut generator);
            assert_eq!(batch.ids[0], batch.ids[1], "both passes over a document read the same piece");
            assert!(batch.ids[0].windows(2).all(|pair| pair[0] + 1 == pair[1]), "contiguous");
            lengths.insert(batch.ids[0].len());
        }
        assert_eq!(lengths, (6..=10).collect());
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
