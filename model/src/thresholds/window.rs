//! The newest documents of one source.

use serde::{Deserialize, Serialize};

use super::histogram::Histogram;

/// A sliding window in two blocks: when the current one is full, it becomes the previous one, and the one before
/// is forgotten. After the first block, the window holds between one and two blocks of the newest documents.
///
/// Blocks are merged and forgotten as a whole, so that memory does not depend on the length of the window.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Window {
    previous: Histogram,
    current: Histogram,
}

impl Window {
    /// Counts a document; `block` is the number of documents of a block. Returns whether the block is full.
    pub(super) fn observe(&mut self, confidence: f32, block: u64) -> bool {
        self.current.observe(confidence);
        let is_full = self.current.documents() >= block;
        if is_full {
            self.previous = std::mem::take(&mut self.current);
        }
        is_full
    }

    /// Adds the documents of another window, block by block.
    pub(super) fn merge(&mut self, other: &Self) {
        self.previous.merge(&other.previous);
        self.current.merge(&other.current);
    }

    /// All documents of the window.
    pub(super) fn histogram(&self) -> Histogram {
        let mut all = self.previous.clone();
        all.merge(&self.current);
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_holds_one_to_two_blocks_of_the_newest_documents() {
        let mut window = Window::default();
        let full: Vec<bool> = (0..7).map(|row| window.observe(row as f32 / 8.0, 3)).collect();
        assert_eq!(full, [false, false, true, false, false, true, false]);
        let mut newest = Histogram::default();
        (3..7).for_each(|row| newest.observe(row as f32 / 8.0));
        assert_eq!(window.histogram(), newest);
    }
}
