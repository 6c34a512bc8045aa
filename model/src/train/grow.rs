//! Making room for labels that a network does not know.

use std::collections::HashMap;

use rand::{Rng, rngs::SmallRng};

use super::network::{NamedWeights, Network};
use crate::error::Result;

/// `network` with `labels` logits, of which the first `kept` compute what they did.
///
/// The classifier's new columns are drawn as in a new network (Glorot and Bengio, 2010); new biases and
/// n-gram weights are zero.
pub(super) fn with_labels(
    network: Network,
    kept: usize,
    labels: usize,
    generator: &mut SmallRng,
) -> Result<Network> {
    if (kept, labels) == (network.config.labels, network.config.labels) {
        return Ok(network);
    }
    let mut config = network.config.clone();
    config.labels = labels;
    let mut weights = HashMap::new();
    for NamedWeights { name, shape, values } in network.weights()? {
        let (rows, range) = match (name.as_str(), shape.as_slice()) {
            ("head.weight", [inputs, _]) => (*inputs, (6.0 / (inputs + labels) as f32).sqrt()),
            ("head.bias", _) => (1, 0.0),
            ("ngrams", [rows, _]) => (*rows, 0.0),
            _ => {
                weights.insert(name, (shape, values));
                continue;
            }
        };
        let old = values.len() / rows.max(1);
        let values = with_columns(&values, old, kept, labels, || match range {
            0.0 => 0.0,
            range => generator.random_range(-range..range),
        });
        let shape = if shape.len() == 1 { vec![labels] } else { vec![rows, labels] };
        weights.insert(name, (shape, values));
    }
    Network::from_weights(config, &mut weights)
}

/// Rows of `old` columns as rows of `new` columns: the first `kept` are copied, the others made.
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
