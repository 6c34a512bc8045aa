//! Applies an [`Adaptation`] to a network.

use rand::rngs::SmallRng;

use crate::adaptation::Adaptation;
use crate::network::{Frozen, Network};

/// Marks the parameters that `adaptation` names as trained and freezes all others.
pub(super) fn adapt(network: &mut Network, adaptation: Adaptation, generator: &mut SmallRng) {
    let all = network.config.encoder.layers;
    match adaptation {
        Adaptation::Head => network.freeze(Frozen::BelowHead),
        Adaptation::TopLayers { layers } => network.freeze(Frozen::Layers(all.saturating_sub(layers))),
        Adaptation::Full => network.freeze(Frozen::Nothing),
        Adaptation::Lora { rank, alpha } => {
            network.add_low_rank(rank, alpha as f32 / rank as f32, generator);
        }
    }
}
