//! Enlarging a network: logits for new labels, and a side path if it has none.

use fenliu_model::Result;
use rand::{Rng, rngs::SmallRng};

use crate::network::Network;
use crate::shape::NgramShape;

/// `network` with `labels` logits. The weights of the first `kept` logits stay as they are.
///
/// New columns of the head's matrix are random, as in a new network (Glorot and Bengio, 2010); new biases and
/// n-gram weights are zero.
pub(super) fn with_labels(
    network: Network,
    kept: usize,
    labels: usize,
    generator: &mut SmallRng,
) -> Result<Network> {
    let old = network.config.labels;
    if (kept, labels) == (old, old) {
        return Ok(network);
    }
    let mut config = network.config;
    config.labels = labels;
    let mut weights = network.weights();
    let (shape, _) = network.dense_values("head.weight")?;
    let inputs = shape.first().copied().unwrap_or(0);
    // The range of the enlarged matrix, so that new columns start like those of a new head of that size.
    let range = (6.0 / (inputs + labels) as f32).sqrt();

    let head = weights.take("head.weight", &[inputs, old])?;
    let head = with_columns(&head, old, kept, labels, || generator.random_range(-range..range));
    weights.insert("head.weight", vec![inputs, labels], head);
    let bias = weights.take("head.bias", &[old])?;
    weights.insert("head.bias", vec![labels], with_columns(&bias, old, kept, labels, || 0.0));
    if let Some(layout) = &network.config.ngrams {
        let table = weights.take("ngrams", &[layout.rows(), old])?;
        let table = with_columns(&table, old, kept, labels, || 0.0);
        weights.insert("ngrams", vec![layout.rows(), labels], table);
    }
    Network::from_weights(config, &mut weights)
}

/// `network` with an n-gram side path whose weights are zero, so that its logits stay the same. It is returned
/// unchanged if it has a side path already or `shape` says that it gets none.
pub(super) fn with_side_path(network: Network, shape: &NgramShape) -> Result<Network> {
    let mut config = network.config;
    let (None, Some(layout)) = (config.ngrams, shape.layout(config.embedding.tokens)) else {
        return Ok(network);
    };
    config.ngrams = Some(layout);
    let mut weights = network.weights();
    let (rows, labels) = (layout.rows(), config.labels);
    weights.insert("ngrams", vec![rows, labels], vec![0.0; rows * labels]);
    Network::from_weights(config, &mut weights)
}

/// Turns rows of `old` columns into rows of `new` columns: copies the first `kept` of each and calls `make`
/// for the others.
fn with_columns(
    values: &[f32],
    old: usize,
    kept: usize,
    new: usize,
    mut make: impl FnMut() -> f32,
) -> Vec<f32> {
    let mut grown = Vec::with_capacity(values.len() / old.max(1) * new);
    for row in values.chunks_exact(old.max(1)) {
        grown.extend_from_slice(&row[..kept]);
        grown.extend((kept..new).map(|_| make()));
    }
    grown
}

#[cfg(test)]
mod tests {
    use super::with_columns;

    #[test]
    fn known_columns_stay_and_new_ones_are_made() {
        assert_eq!(with_columns(&[1.0, 2.0, 3.0, 4.0], 2, 2, 3, || 9.0), [1.0, 2.0, 9.0, 3.0, 4.0, 9.0]);
        assert_eq!(with_columns(&[1.0, 2.0, 3.0, 4.0], 2, 0, 2, || 9.0), [9.0; 4]);
    }
}
