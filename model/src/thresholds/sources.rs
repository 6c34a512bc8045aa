//! A window of confidences for each source.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::histogram::Histogram;
use super::window::Window;

/// Most sources that have a window of their own; all later ones share one.
pub const MAX_SOURCES: usize = 1000;
/// Longest name of a source that gets a window of its own, in bytes. Names come from documents, and without a
/// bound one document could fill the memory.
const MAX_NAME: usize = 256;

/// The confidences of all sources. Documents without a source are one source, whose name is empty.
///
/// The first [`MAX_SOURCES`] sources have a window each; all others share one, and so do names that are longer
/// than 256 bytes. Which source came first depends on the documents alone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Sources {
    sources: BTreeMap<String, Window>,
    shared: Window,
}

impl Sources {
    /// Counts a document of `source`; `block` is the number of documents after which a block of its window is
    /// full. Returns whether the source is new, or a block is full.
    pub fn observe(&mut self, source: &str, confidence: f32, block: u64) -> bool {
        let is_new = self.has_room_for(source);
        if is_new {
            self.sources.insert(source.to_owned(), Window::default());
        }
        self.sources.get_mut(source).unwrap_or(&mut self.shared).observe(confidence, block) || is_new
    }

    /// Adds the documents of `other`. Its new sources get windows in the order of their names, as far as there is
    /// room.
    pub fn merge(&mut self, other: &Self) {
        self.shared.merge(&other.shared);
        for (source, window) in &other.sources {
            if self.has_room_for(source) {
                self.sources.insert(source.clone(), Window::default());
            }
            self.sources.get_mut(source).unwrap_or(&mut self.shared).merge(window);
        }
    }

    fn has_room_for(&self, source: &str) -> bool {
        self.sources.len() < MAX_SOURCES && has_own_window(source) && !self.sources.contains_key(source)
    }

    /// The newest documents of `source`, or of the shared window for `None`. Without documents it is empty.
    pub fn histogram(&self, source: Option<&str>) -> Histogram {
        let window = source.map_or(Some(&self.shared), |source| self.sources.get(source));
        window.map(Window::histogram).unwrap_or_default()
    }

    /// Whether `source` has a window of its own.
    pub(super) fn contains(&self, source: &str) -> bool {
        self.sources.contains_key(source)
    }

    /// The sources that have a window of their own, in the order of their names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.sources.keys().map(String::as_str)
    }
}

/// Whether a source of this name can have a window of its own.
pub(super) fn has_own_window(source: &str) -> bool {
    source.len() <= MAX_NAME
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_sources_and_long_names_share_a_window() {
        let mut sources = Sources::default();
        assert!(sources.observe(&"x".repeat(MAX_NAME + 1), 0.5, 1), "its block is full");
        for source in 0..MAX_SOURCES + 2 {
            sources.observe(&format!("source-{source}"), 0.5, 10);
        }
        assert_eq!(sources.names().count(), MAX_SOURCES);
        assert_eq!(sources.histogram(None).documents(), 3);
        assert_eq!(sources.histogram(Some("source-7")).documents(), 1);
        assert_eq!(sources.histogram(Some("source-1001")).documents(), 0);

        let mut other = Sources::default();
        other.observe("late", 0.5, 10);
        sources.merge(&other);
        assert_eq!(sources.names().count(), MAX_SOURCES);
        assert_eq!(sources.histogram(None).documents(), 4);
    }
}
