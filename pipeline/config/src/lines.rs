//! The lines on which the strings of a configuration file stand, so that a problem with a variable names its line.
//!
//! A tree of TOML values has no positions, and it changes on the way: overrides replace values and former names of keys
//! become present ones. The lines follow these changes. A value that an override gave has no line.

use std::collections::BTreeMap;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Line numbers, counted from 1, by the steps of a path: keys of tables and indexes in arrays.
#[derive(Debug, Default)]
pub(crate) struct Lines(BTreeMap<Vec<String>, usize>);

impl Lines {
    /// The lines of the strings in `text` that contain a `$`; empty if the text is not TOML.
    pub(crate) fn of(text: &str) -> Self {
        let mut lines = Lines::default();
        // Most configurations have no variables, and this parses the text a second time.
        if text.contains('$')
            && let Ok(table) = DeTable::parse(text)
        {
            lines.add_table(text, table.get_ref(), &mut vec![]);
        }
        lines
    }

    /// The line of the string at `path`.
    pub(crate) fn get(&self, path: &[String]) -> Option<usize> {
        self.0.get(path).copied()
    }

    /// Forgets what is at `path` and below, because an override has replaced it.
    pub(crate) fn forget(&mut self, path: &[String]) {
        self.0.retain(|known, _| !known.starts_with(path));
    }

    /// Moves what is at `path` and below to the name `new` in the same table.
    pub(crate) fn rename(&mut self, path: &[String], new: &str) {
        let Some(last) = path.len().checked_sub(1) else { return };
        let moved: Vec<_> = self.0.extract_if(.., |known, _| known.starts_with(path)).collect();
        for (mut known, line) in moved {
            known[last] = new.to_string();
            self.0.insert(known, line);
        }
    }

    fn add_table(&mut self, text: &str, table: &DeTable<'_>, path: &mut Vec<String>) {
        for (name, value) in table {
            self.add(text, value, name.get_ref().to_string(), path);
        }
    }

    fn add(&mut self, text: &str, value: &Spanned<DeValue<'_>>, step: String, path: &mut Vec<String>) {
        path.push(step);
        match value.get_ref() {
            DeValue::String(string) if string.contains('$') => {
                let before = text.get(..value.span().start).unwrap_or_default();
                self.0.insert(path.clone(), before.matches('\n').count() + 1);
            }
            DeValue::Table(table) => self.add_table(text, table, path),
            DeValue::Array(array) => {
                array
                    .iter()
                    .enumerate()
                    .for_each(|(index, value)| self.add(text, value, index.to_string(), path));
            }
            _ => {}
        }
        path.pop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(steps: &[&str]) -> Vec<String> {
        steps.iter().map(ToString::to_string).collect()
    }

    const TEXT: &str = "# $\na = '$1'\n[b.\"c.d\"]\ne = ['x', '$2']\n[[s]]\n[[s]]\nf = '''\n$\n'''";

    #[test]
    fn strings_with_a_dollar_sign_have_their_line() {
        let lines = Lines::of(TEXT);
        let cases = [
            (&["a"][..], Some(2)),
            (&["b", "c.d", "e", "0"], None),
            (&["b", "c.d", "e", "1"], Some(4)),
            (&["s", "1", "f"], Some(7)),
            (&["s", "0", "f"], None),
        ];
        for (steps, line) in cases {
            assert_eq!(lines.get(&path(steps)), line, "{steps:?}");
        }
        assert!(Lines::of("a = $").0.is_empty());
    }

    #[test]
    fn lines_follow_overrides_and_renamed_keys() {
        let mut lines = Lines::of(TEXT);
        lines.rename(&path(&["b"]), "new");
        assert_eq!(lines.get(&path(&["new", "c.d", "e", "1"])), Some(4));
        assert_eq!(lines.get(&path(&["b", "c.d", "e", "1"])), None);
        lines.forget(&path(&["new", "c.d"]));
        assert_eq!(lines.get(&path(&["new", "c.d", "e", "1"])), None);
        assert_eq!(lines.get(&path(&["a"])), Some(2));
    }
}
