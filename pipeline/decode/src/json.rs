//! JSON objects in UTF-8.

use fenliu_schemas::Reject;
use serde::de::DeserializeSeed as _;

use crate::fields::{BestValues, Fields};
use crate::undecoded::reject;
use crate::visit::Record;

/// Reads the fields of one JSON object into `found`. A byte order mark in front of it is ignored.
///
/// # Errors
/// Rejects with `invalid_utf8` or `invalid_json`.
pub(super) fn read<'m, 'a>(
    payload: &'a [u8],
    fields: &'m Fields,
    found: &mut BestValues<'m, 'a>,
) -> Result<(), Reject> {
    let text = std::str::from_utf8(payload)
        .map_err(|error| reject("invalid_utf8", format!("at byte {}", error.valid_up_to())))?;
    let mut parser = serde_json::Deserializer::from_str(text.trim_start_matches('\u{feff}'));
    Record { fields, found }
        .deserialize(&mut parser)
        .and_then(|()| parser.end())
        .map_err(|error| reject("invalid_json", error.to_string()))
}
