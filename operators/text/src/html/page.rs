//! The text of a page, as the parser reads one element after the other.

use super::elements;

/// Marks a line break of the page until the line breaks of the source, which look the same, are spaces.
const BREAK: char = '\u{1E}';

/// The part of a page that the parser has read so far.
#[derive(Default)]
pub(super) struct Page {
    text: String,
    /// The number of open elements that hide their content.
    hidden: usize,
    /// The number of open elements that keep the line breaks of the source.
    preformatted: usize,
    has_blocks: bool,
    ruby: Ruby,
}

/// Where in a ruby the parser is. Their end tags may be missing (`<ruby>漢<rt>かん</ruby>`), so the next part ends one.
#[derive(Default, PartialEq)]
enum Ruby {
    #[default]
    Base,
    /// In `<rp>`, the brackets for readers that show no ruby. They may be of any width, or missing, so this module
    /// writes its own.
    Brackets,
    Reading,
}

impl Page {
    /// Reads a start tag; returns whether the end tag matters too.
    pub(super) fn start(&mut self, name: &str) -> bool {
        let is_block = elements::is_block(name);
        if is_block {
            self.push_break();
        } else if elements::is_cell(name) {
            self.push_visible(' ');
        }
        let is_ruby = elements::is_ruby(name);
        if is_ruby {
            self.start_ruby(name);
        }
        is_block || is_ruby || elements::is_hidden(name)
    }

    /// The element that was started last can have an end tag.
    pub(super) fn open(&mut self, name: &str) {
        self.hidden += usize::from(elements::is_hidden(name));
        self.preformatted += usize::from(elements::keeps_lines(name));
    }

    /// Reads an end tag.
    pub(super) fn end(&mut self, name: &str) {
        self.hidden = self.hidden.saturating_sub(usize::from(elements::is_hidden(name)));
        self.preformatted = self.preformatted.saturating_sub(usize::from(elements::keeps_lines(name)));
        if elements::is_block(name) {
            self.push_break();
        } else if elements::is_ruby(name) {
            self.end_ruby();
        }
    }

    pub(super) fn push_text(&mut self, text: &str) {
        if self.hidden > 0 {
            return;
        }
        if self.ruby == Ruby::Brackets {
            self.text.extend(text.chars().filter(|character| character.is_alphanumeric()));
        } else if self.preformatted > 0 {
            self.text.extend(text.chars().map(|character| if character == '\n' { BREAK } else { character }));
        } else {
            self.text.push_str(text);
        }
    }

    /// The text, laid out in lines if it has any block.
    pub(super) fn into_text(mut self) -> String {
        self.end_ruby();
        if self.has_blocks { self.lines() } else { self.text }
    }

    fn push_visible(&mut self, character: char) {
        if self.hidden == 0 {
            self.text.push(character);
        }
    }

    fn push_break(&mut self) {
        self.end_ruby();
        if self.hidden == 0 {
            self.text.push(BREAK);
            self.has_blocks = true;
        }
    }

    fn start_ruby(&mut self, name: &str) {
        self.end_ruby();
        if name == "rt" {
            self.push_visible('(');
            self.ruby = Ruby::Reading;
        } else if name == "rp" {
            self.ruby = Ruby::Brackets;
        }
    }

    fn end_ruby(&mut self) {
        if self.ruby == Ruby::Reading {
            self.push_visible(')');
        }
        self.ruby = Ruby::Base;
    }

    /// The text with one line per block, single spaces and no empty lines.
    fn lines(&self) -> String {
        let mut lines = String::with_capacity(self.text.len());
        for line in self.text.split(BREAK) {
            let mut words = line.split_ascii_whitespace().peekable();
            if words.peek().is_some() && !lines.is_empty() {
                lines.push('\n');
            }
            while let Some(word) = words.next() {
                lines.push_str(word);
                if words.peek().is_some() {
                    lines.push(' ');
                }
            }
        }
        lines
    }
}
