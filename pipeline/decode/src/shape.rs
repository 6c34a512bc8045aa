//! Whether messages of a schema can hold a document.

use crate::fields::Field;
use crate::part::{PARTS, Part};
use crate::value::ValueKind;

/// The type of a field in a schema.
#[derive(Debug)]
struct FieldType<'m> {
    rank: usize,
    field: &'m str,
    /// The kinds of values that it allows.
    kinds: Vec<ValueKind>,
    /// Its name in the schema's language.
    name: String,
}

/// For each part of a document, the type of the most preferred field that a schema has.
#[derive(Debug, Default)]
pub(super) struct Shape<'m> {
    best: [Option<FieldType<'m>>; PARTS.len()],
}

impl<'m> Shape<'m> {
    /// Adds `field`, whose values may be of any of `kinds`. `type_name` is the name of its type, for messages.
    pub(super) fn offer(&mut self, field: &'m Field, kinds: &[ValueKind], type_name: &str) {
        for &(part, rank) in field.places() {
            let best = &mut self.best[part as usize];
            if best.as_ref().is_none_or(|known| rank <= known.rank) {
                *best = Some(FieldType {
                    rank,
                    field: field.name(),
                    kinds: kinds.to_vec(),
                    name: type_name.into(),
                });
            }
        }
    }

    /// Checks that messages of this schema can hold a document: an optional part of an unusable type costs no document.
    ///
    /// # Errors
    /// Names the field for the text whose type does not fit, or says that there is no field for title and body.
    pub(super) fn check(&self) -> Result<(), String> {
        let texts = [Part::Title, Part::Body].map(|part| self.best[part as usize].as_ref());
        let mut unfit = None;
        for text in texts.into_iter().flatten() {
            if text
                .kinds
                .iter()
                .any(|kind| matches!(kind, ValueKind::Text | ValueKind::Number | ValueKind::Nested))
            {
                return Ok(());
            }
            unfit = unfit.or(Some(text));
        }
        Err(match unfit {
            Some(text) => {
                format!("field `{}` is of type {} but must be a string", text.field, text.name)
            }
            None => "it has neither a field for the title nor one for the body (`documents.fields`)".into(),
        })
    }
}
