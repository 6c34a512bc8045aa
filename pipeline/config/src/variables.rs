//! Replaces variables in values by environment variables, so that a configuration file need not contain secrets and one
//! file serves several places.
//!
//! `${NAME}` is the variable's value, and a variable that is not set is a problem. `${NAME:-default}` is the default if
//! the variable is not set or empty. `$$` is one `$`. What a variable holds is never expanded itself, whatever it
//! contains.
//!
//! Here every result is a string. [`read`](crate::read) knows which type a key wants.

mod template;

use std::env::VarError;

use toml::Value;

use crate::lines::Lines;
use crate::problems::Problems;
use crate::tree::join;
use template::{Part, parts, readable};

/// Looks up an environment variable.
pub(crate) type Lookup<'a> = &'a dyn Fn(&str) -> Result<String, VarError>;

/// A string that contained variables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Filled {
    /// Where it stands, as steps through the tree.
    pub path: Vec<String>,
    /// The same as problems show it.
    pub key: String,
    /// The string before the variables were filled in.
    pub written: String,
    /// Its line in the file; `None` if an override gave it.
    pub line: Option<usize>,
    /// Whether the string is one variable and nothing else, so that the variable may hold a number.
    pub is_whole: bool,
}

/// Fills in the variables in every string of `root`. Returns the strings that had any.
///
/// Variables that are not set and what is no variable are added to `problems`, each with its key and line.
pub(crate) fn expand_variables(
    root: &mut Value,
    lines: &Lines,
    lookup: Lookup<'_>,
    problems: &mut Problems,
) -> Vec<Filled> {
    let mut expansion = Expansion { lines, lookup, problems, path: vec![], filled: vec![], escaped: vec![] };
    expansion.visit(root, "");
    if !expansion.escaped.is_empty() {
        let keys = expansion.escaped.join(", ");
        tracing::warn!(
            event = "dollar_escape",
            keys,
            "`$$` is read as one `$`, and earlier releases kept both"
        );
    }
    expansion.filled
}

/// Writes the `$` in every string so that reading them gives the string back: for a configuration that is
/// printed after variables were filled in, and read again.
pub fn escape_variables(value: &mut Value) {
    match value {
        Value::String(text) if text.contains("$$") || text.contains("${") => *text = escaped(text),
        Value::Table(table) => table.iter_mut().for_each(|(_, child)| escape_variables(child)),
        Value::Array(array) => array.iter_mut().for_each(escape_variables),
        _ => {}
    }
}

fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len() + 2);
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        escaped.push(character);
        // Any other `$` stands for itself, and regular expressions stay readable.
        if character == '$' && matches!(characters.peek(), Some('$' | '{')) {
            escaped.push('$');
        }
    }
    escaped
}

struct Expansion<'a> {
    lines: &'a Lines,
    lookup: Lookup<'a>,
    problems: &'a mut Problems,
    /// Where the visit is.
    path: Vec<String>,
    filled: Vec<Filled>,
    /// Keys of strings with `$$`.
    escaped: Vec<String>,
}

impl Expansion<'_> {
    fn visit(&mut self, value: &mut Value, key: &str) {
        match value {
            Value::String(text) if text.contains('$') => self.expand(text, key),
            Value::Table(table) => {
                table
                    .iter_mut()
                    .for_each(|(name, child)| self.descend(child, name.clone(), &join(key, name)));
            }
            Value::Array(array) => {
                for (index, child) in array.iter_mut().enumerate() {
                    self.descend(child, index.to_string(), &format!("{key}[{index}]"));
                }
            }
            _ => {}
        }
    }

    fn descend(&mut self, child: &mut Value, step: String, key: &str) {
        self.path.push(step);
        self.visit(child, key);
        self.path.pop();
    }

    fn expand(&mut self, text: &mut String, key: &str) {
        let line = self.lines.get(&self.path);
        let (expanded, problems) = match parts(text) {
            Ok(parts) => {
                self.note(text, &parts, key, line);
                join_parts(&parts, self.lookup)
            }
            Err(problem) => (text.clone(), vec![problem]),
        };
        for problem in problems {
            let place = line.map_or(String::new(), |line| format!("in line {line} "));
            self.problems.add(key, place + &problem);
        }
        *text = expanded;
    }

    /// Remembers what later steps must know of a string.
    fn note(&mut self, text: &str, parts: &[Part<'_>], key: &str, line: Option<usize>) {
        if parts.contains(&Part::Dollar) {
            self.escaped.push(key.to_string());
        }
        if parts.iter().any(|part| matches!(part, Part::Variable { .. })) {
            let (path, key) = (self.path.clone(), key.to_string());
            self.filled.push(Filled { path, key, written: text.into(), line, is_whole: parts.len() == 1 });
        }
    }
}

/// The string that the parts give, and what is wrong with its variables.
fn join_parts(parts: &[Part<'_>], lookup: Lookup<'_>) -> (String, Vec<String>) {
    let (mut text, mut problems) = (String::new(), vec![]);
    for part in parts {
        match *part {
            Part::Text(part) => text.push_str(part),
            Part::Dollar => text.push('$'),
            Part::Variable { name, default } => match content(name, default, lookup) {
                Ok(content) => text.push_str(&content),
                Err(problem) => problems.push(problem),
            },
        }
    }
    (text, problems)
}

/// What stands for a variable.
fn content(name: &str, default: Option<&str>, lookup: Lookup<'_>) -> Result<String, String> {
    match (lookup(name), default) {
        (Ok(content), None) => Ok(content),
        (Ok(content), Some(_)) if !content.is_empty() => Ok(content),
        // The default is text of the file, so `$$` is an escape in it, too.
        (Ok(_) | Err(VarError::NotPresent), Some(default)) => Ok(default.replace("$$", "$")),
        (Err(VarError::NotPresent), None) => Err(not_set(name)),
        (Err(VarError::NotUnicode(_)), _) => {
            Err(format!("names the environment variable `{}`, which is not UTF-8", readable(name)))
        }
    }
}

fn not_set(name: &str) -> String {
    let readable = readable(name);
    if readable == name {
        return format!("names the environment variable `{name}`, which is not set");
    }
    format!(
        "has `${{{readable}` and then something that is neither `}}` nor `:-default}}`, and no environment variable has \
         that name; write `$${{` for the text `${{`"
    )
}

#[cfg(test)]
mod tests;
