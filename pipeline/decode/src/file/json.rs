//! JSON files: an object a line, objects over several lines, an array of objects, or an object with an array in it.
//!
//! Which of these it is, is decided by the first value and kept for the file. In a file of lines a broken line costs
//! itself; anywhere else it cannot be told where the next object begins, so that a broken one is an error.

mod layout;
mod values;

use std::collections::HashMap;

use fenliu_engine::Result;
use serde_json::value::RawValue;

use super::kind::FileKind;
use super::lines::{FinalLine, LineRows};
use super::row::{Content, FileRows, Rest, Row};
use super::rules::FileRules;
use super::source::Input;
use super::text::Text;
use layout::{Layout, layout};
use values::Values;

/// Opens a JSON file and goes to the row `first`.
///
/// # Errors
/// The file cannot be read, or is not JSON in a way that more than one document is affected by.
pub(super) fn open(
    input: &dyn Input,
    kind: &FileKind,
    rules: &FileRules,
    first: i64,
) -> Result<Box<dyn FileRows>> {
    let layout = layout(input, kind, rules)?;
    let text = Text::open(input, kind)?;
    if layout == Layout::Lines {
        return Ok(Box::new(LineRows::new(text, final_line(rules), first)?));
    }
    let values = Values::open(text, layout == Layout::Array)?;
    let records = match layout {
        Layout::Wrapped(path) => Some(path),
        _ => None,
    };
    let mut rows = ValueRows { values, records, ready: vec![], next: 0, unfinished: 0 };
    while rows.next < first && rows.next_value()?.is_some() {}
    Ok(Box::new(rows))
}

/// A complete file has no line that is still in the writing; a broken one is then a matter of the decoder.
fn final_line(rules: &FileRules) -> FinalLine {
    if rules.takes_final_line { FinalLine::Always } else { FinalLine::WholeObject }
}

/// The elements of the array at `path` inside a JSON object, as they are written.
fn elements(object: &str, path: &str) -> serde_json::Result<Vec<Vec<u8>>> {
    let mut value: &RawValue = serde_json::from_str(object)?;
    for name in path.split('.') {
        let fields: HashMap<String, &RawValue> = serde_json::from_str(value.get())?;
        match fields.get(name) {
            Some(field) => value = field,
            None => return Ok(vec![]),
        }
    }
    let elements: Vec<&RawValue> = serde_json::from_str(value.get())?;
    Ok(elements.into_iter().map(|element| element.get().as_bytes().to_vec()).collect())
}

/// Documents that are not one a line.
struct ValueRows {
    values: Values,
    /// Where in each value the array of documents is; `None`: a value is a document.
    records: Option<String>,
    /// Documents of the present value, the last one first.
    ready: Vec<Vec<u8>>,
    next: i64,
    unfinished: usize,
}

impl ValueRows {
    fn next_value(&mut self) -> Result<Option<Vec<u8>>> {
        loop {
            if let Some(ready) = self.ready.pop() {
                self.next += 1;
                return Ok(Some(ready));
            }
            let Some(value) = self.values.next()? else {
                self.unfinished = self.values.left();
                return Ok(None);
            };
            match &self.records {
                None => self.ready.push(value),
                Some(path) => {
                    let text = String::from_utf8_lossy(&value);
                    self.ready = elements(&text, path).map_err(|error| self.values.error(&error))?;
                    self.ready.reverse();
                }
            }
        }
    }
}

impl FileRows for ValueRows {
    fn next_row(&mut self) -> Result<Option<Row>> {
        let value = self.next_value()?;
        Ok(value.map(|value| Row { number: self.next - 1, content: Content::Bytes(value) }))
    }

    fn next_number(&self) -> i64 {
        self.next
    }

    fn rest(&self) -> Option<Rest> {
        self.values.text.rest(self.unfinished)
    }
}
