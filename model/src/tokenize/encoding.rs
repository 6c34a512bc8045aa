//! The token ids of one text.

/// The token ids of one text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoding {
    /// Between one and `max_tokens` ids, unpadded.
    pub ids: Vec<u32>,
    /// Whether tokens were cut off at the end of the text.
    pub truncated: bool,
}
