//! What a classifier needs of one text: its token ids, and the logits of the expert that reads the text itself.

/// One text as a classifier reads it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Encoding {
    /// At least one id, unpadded, and at most as many as the model reads; none for a model without a tokenizer.
    pub ids: Vec<u32>,
    /// Whether tokens were cut off at the end of the text.
    pub truncated: bool,
    /// The part of the linear experts in the logits of all labels, from the whole text; empty if there are none.
    pub linear: Vec<f32>,
    /// The factor of the graph's output `zero_shot`; 0 if it has none.
    pub zero_shot: f32,
}

impl Encoding {
    /// An encoding for a model without linear experts.
    pub fn new(ids: Vec<u32>, truncated: bool) -> Self {
        Self { ids, truncated, ..Self::default() }
    }

    /// The ids in windows of at most `tokens` ids, all of nearly the same length, so that no window has much less
    /// context than the others. An encoding without ids has none.
    pub fn windows(&self, tokens: usize) -> impl ExactSizeIterator<Item = &[u32]> {
        let count = self.ids.len().div_ceil(tokens.max(1)).max(1);
        self.ids.chunks(self.ids.len().div_ceil(count).max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_have_nearly_the_same_length() {
        let lengths = |ids: usize, tokens: usize| -> Vec<usize> {
            Encoding::new(vec![7; ids], false).windows(tokens).map(<[u32]>::len).collect()
        };
        assert_eq!(lengths(256, 256), [256]);
        assert_eq!(lengths(257, 256), [129, 128]);
        assert_eq!(lengths(7, 3), [3, 3, 1]);
        assert_eq!(lengths(0, 3), [0; 0]);
    }
}
