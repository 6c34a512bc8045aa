//! How much of a text a network reads.

use fenliu_model::Bundle;

/// What a network reads of a text.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reads {
    /// Most tokens of a window.
    pub(super) max_tokens: usize,
    /// Most windows.
    pub(super) windows: usize,
}

impl Reads {
    /// What the network of `bundle` reads.
    pub(super) fn of(bundle: &Bundle) -> Self {
        let model = &bundle.manifest().model;
        Self { max_tokens: model.max_tokens, windows: model.windows }
    }
}
