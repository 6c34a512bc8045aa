//! JSON objects, in UTF-8 and without mistakes; else mended.

use std::str::Utf8Error;

use fenliu_schemas::{Document, Reject};
use serde::de::DeserializeSeed as _;
use serde_json::value::RawValue;

use crate::fields::{BestValues, DELETION, Wanted};
use crate::repair::{Mended, mended};
use crate::time::DateRules;
use crate::undecoded::reject;
use crate::visit::Record;

/// The document in one JSON object, or in the only object of an array. A byte order mark in front of it is ignored.
///
/// A message that is not JSON is [`mended`], and the document then has the warning `json:repaired`, or `charset:...` with
/// the charset that the message was in.
///
/// # Errors
/// Rejects with `invalid_utf8` or `invalid_json` if mending does not help, with `rows` if there are several objects, and
/// with `missing_text`.
pub(super) fn document<'a>(
    payload: &'a [u8],
    wanted: Wanted<'_>,
    dates: &DateRules,
) -> Result<Document<'a>, Reject> {
    let strict = match utf8(payload) {
        Ok(text) => match read(text.trim_start_matches('\u{feff}'), wanted) {
            Ok(found) => return found.into_document(dates).map_err(|why| or_action(why, text)),
            Err(error) => reject("invalid_json", error.to_string()),
        },
        Err(error) => reject("invalid_utf8", format!("at byte {}", error.valid_up_to())),
    };
    let Mended { text, charset } = mended(payload);
    let text = only_element(&text)?;
    let mut found = read(text, wanted).map_err(|_| strict)?;
    match charset {
        Some(charset) => found.warn("charset", charset),
        None => found.warn("json", "repaired"),
    }
    // What was mended is in a text of its own, which ends here.
    found.into_document(dates).map(Document::into_owned)
}

/// The text of the bytes. `simdutf8` is several times as fast, but does not say where a mistake is.
fn utf8(payload: &[u8]) -> Result<&str, Utf8Error> {
    simdutf8::basic::from_utf8(payload).or_else(|_| std::str::from_utf8(payload))
}

/// The values of the wanted fields of a valid object.
pub(super) fn found<'m, 'a>(payload: &'a [u8], wanted: Wanted<'m>) -> Option<BestValues<'m, 'a>> {
    read(std::str::from_utf8(payload).ok()?, wanted).ok()
}

/// The reason for refusing `text`, unless it is a line of Elasticsearch's bulk format that says what is done with the
/// document on the next line: such a line is no document, and nothing is lost with it.
fn or_action(why: Reject, text: &str) -> Reject {
    const ACTIONS: [&str; 4] = ["index", "create", "update", "delete"];
    let object: Option<serde_json::Map<String, serde_json::Value>> = serde_json::from_str(text).ok();
    let is_action = |object: serde_json::Map<String, serde_json::Value>| {
        object.len() == 1
            && ACTIONS.iter().any(|action| object.get(*action).is_some_and(|what| what.is_object()))
    };
    match object {
        Some(object) if is_action(object.clone()) => reject(DELETION, "an action of the bulk format".into()),
        _ => why,
    }
}

/// The object itself, or the only one of an array.
fn only_element(text: &str) -> Result<&str, Reject> {
    if !text.starts_with('[') {
        return Ok(text);
    }
    match serde_json::from_str::<Vec<&RawValue>>(text).as_deref() {
        Ok([only]) => Ok(only.get()),
        Ok([]) => Err(reject("rows", "the array is empty, but a message must hold one document".into())),
        Ok(several) => {
            Err(reject("rows", format!("{} elements, but a message must hold one document", several.len())))
        }
        Err(_) => Ok(text),
    }
}

/// The values of the wanted fields. They are read once more, more slowly, if a number may have lost digits, and after an
/// error, since a number that no float can hold is one.
fn read<'m, 'a>(text: &'a str, wanted: Wanted<'m>) -> Result<BestValues<'m, 'a>, serde_json::Error> {
    let mut found = wanted.start();
    if read_into(&mut found, text, wanted, false).is_err() || found.is_inexact() {
        found = wanted.start();
        read_into(&mut found, text, wanted, true)?;
    }
    Ok(found)
}

fn read_into<'m, 'a>(
    found: &mut BestValues<'m, 'a>,
    text: &'a str,
    wanted: Wanted<'m>,
    keeps_digits: bool,
) -> Result<(), serde_json::Error> {
    let mut parser = serde_json::Deserializer::from_str(text);
    Record { fields: wanted.fields, found, keeps_digits }.deserialize(&mut parser)?;
    parser.end()
}
