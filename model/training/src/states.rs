//! A cache of the hidden states of frozen layers, which are the same in every epoch.

use crate::data::{Batch, Dataset};
use crate::hyperparameters::Hyperparameters;
use crate::network::{Buffers, Frozen, Inputs, Network, States};

/// The states of as many documents of a data set as fit into the allowed memory.
pub(super) struct StateCache {
    documents: Vec<Option<Kept>>,
    bytes_left: usize,
}

/// The states of one document.
struct Kept {
    hidden: Box<[f32]>,
    /// The mean embedding if the head reads it, otherwise empty.
    mean: Box<[f32]>,
}

impl StateCache {
    /// An empty cache of at most `bytes`.
    pub(super) fn new(bytes: usize) -> Self {
        Self { documents: Vec::new(), bytes_left: bytes }
    }

    /// Fills the cache with the states of the documents of `data`, until the memory is used up. Does nothing
    /// if it was filled before.
    ///
    /// The documents are processed in a fixed order. The values therefore do not depend on the batches that a
    /// run has processed, which differ after a resume.
    pub(super) fn fill(
        &mut self,
        network: &Network,
        data: &Dataset,
        options: &Hyperparameters,
        buffers: &mut Buffers,
    ) {
        // Looking embeddings up again is faster than reading them from a cache.
        let is_worthwhile = !matches!(network.frozen(), Frozen::Nothing | Frozen::Layers(0));
        // A trainer uses one cache for one data set, so the size tells whether it was filled.
        if self.documents.len() == data.len() {
            return;
        }
        self.documents.resize_with(data.len(), || None);
        for rows in data.plan(options.optimisation.batch_tokens, options.optimisation.batch_rows, None) {
            if !is_worthwhile || self.bytes_left == 0 {
                return;
            }
            let batch = data.batch(&rows);
            let inputs = network.inputs(&batch);
            if let Some(states) = network.frozen_states(&batch, &inputs.embedding, buffers) {
                self.keep(network, &rows, &states);
            }
        }
    }

    /// The states of the batch of `rows`, cached or computed; `None` if nothing is frozen.
    pub(super) fn states(
        &self,
        network: &Network,
        rows: &[usize],
        batch: &Batch<'_>,
        inputs: &Inputs,
        buffers: &mut Buffers,
    ) -> Option<States> {
        self.kept(network, rows).or_else(|| network.frozen_states(batch, &inputs.embedding, buffers))
    }

    fn kept(&self, network: &Network, rows: &[usize]) -> Option<States> {
        // Only if all documents of the batch are cached: a mixed batch is computed again as a whole.
        let kept: Vec<&Kept> = rows.iter().map(|row| self.documents[*row].as_ref()).collect::<Option<_>>()?;
        let width = network.config.encoder.width;
        let mut starts = vec![0];
        for document in &kept {
            starts.push(starts.last().map_or(0, |end| end + document.hidden.len() / width));
        }
        let hidden = kept.iter().flat_map(|document| document.hidden.iter().copied()).collect();
        let means = kept.iter().flat_map(|document| document.mean.iter().copied()).collect();
        Some(network.kept_states(hidden, means, starts))
    }

    fn keep(&mut self, network: &Network, rows: &[usize], states: &States) {
        let width = network.config.encoder.width;
        let mean_width = states.means.len() / rows.len();
        for (number, (row, bounds)) in rows.iter().zip(states.starts.windows(2)).enumerate() {
            let hidden = &states.hidden[bounds[0] * width..bounds[1] * width];
            let mean = &states.means[number * mean_width..][..mean_width];
            let bytes = size_of::<Kept>() + size_of_val(hidden) + size_of_val(mean);
            match self.bytes_left.checked_sub(bytes) {
                Some(left) => self.bytes_left = left,
                None => {
                    self.bytes_left = 0;
                    return;
                }
            }
            self.documents[*row] = Some(Kept { hidden: hidden.into(), mean: mean.into() });
        }
    }
}
