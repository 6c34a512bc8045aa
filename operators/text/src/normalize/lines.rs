//! Single blanks, trimmed lines, and at most one blank line in a row.

use icu_normalizer::properties::CanonicalCompositionBorrowed;

/// Writes text line by line.
///
/// Blanks and line breaks are counted, and written only when text follows, so that the text ends with
/// neither.
pub(super) struct LineWriter<'a> {
    out: &'a mut String,
    breaks: usize,
    blank: Option<char>,
}

impl<'a> LineWriter<'a> {
    pub(super) fn new(out: &'a mut String) -> Self {
        LineWriter { out, breaks: 0, blank: None }
    }

    pub(super) fn push_str(&mut self, text: &str) {
        if text.is_empty() {
            return;
        }
        let separator = match (self.breaks, self.blank) {
            // Blanks and breaks at the start of the text are trimmed.
            _ if self.out.is_empty() => "",
            (0, None) => "",
            (0, Some('\t')) => "\t",
            (0, Some(_)) => " ",
            (1, _) => "\n",
            (_, _) => "\n\n",
        };
        self.out.push_str(separator);
        self.out.push_str(text);
        (self.breaks, self.blank) = (0, None);
    }

    pub(super) fn push(&mut self, character: char) {
        self.push_str(character.encode_utf8(&mut [0; 4]));
    }

    /// Writes a mark that belongs to the character before it: as part of that character if there is one for both, else
    /// as the character `spacing`.
    pub(super) fn push_mark(&mut self, combining: char, spacing: char) {
        let previous =
            if self.breaks == 0 && self.blank.is_none() { self.out.chars().next_back() } else { None };
        let composed = previous.and_then(|base| CanonicalCompositionBorrowed::new().compose(base, combining));
        match composed {
            Some(composed) => {
                self.out.pop();
                self.out.push(composed);
            }
            None => self.push(spacing),
        }
    }

    pub(super) fn push_blank(&mut self, blank: char) {
        // A tab anywhere in a run makes the run a tab.
        if self.blank != Some('\t') {
            self.blank = Some(blank);
        }
    }

    pub(super) fn push_break(&mut self) {
        self.breaks += 1;
    }
}
