//! `documents.strict`: the warnings that a document may not have.

use fenliu_config::Problems;
use fenliu_schemas::{Document, Reject, Warning};

use crate::part::{PARTS, Part};
use crate::undecoded::reject;

/// What of a message, beside the parts of the document, a warning can be about.
const OF_MESSAGE: [&str; 2] = ["charset", "json"];

/// Checks that each of `strict` is what warnings can be about, with or without a reason: `published_at`, or
/// `published_at:unreadable`.
pub(super) fn check(strict: &[String], problems: &mut Problems) {
    let parts = PARTS.iter().filter(|part| **part != Part::Operation).map(|part| part.name());
    let known: Vec<&str> = parts.chain(OF_MESSAGE).collect();
    for wanted in strict {
        let about = wanted.split_once(':').map_or(wanted.as_str(), |(about, _)| about);
        let bound = format!("about one of {}", known.join(", "));
        problems.require(known.contains(&about), "documents.strict", wanted, bound);
    }
}

/// The document, if it has none of the warnings that `strict` names.
///
/// # Errors
/// Rejects with `strict`.
pub(super) fn without_warnings<'a>(
    document: Document<'a>,
    strict: &[String],
) -> Result<Document<'a>, Reject> {
    let is_refused = |(about, reason): &Warning| {
        strict.iter().any(|wanted| match wanted.split_once(':') {
            Some(both) => both == (*about, *reason),
            None => wanted == about,
        })
    };
    let refused = document.warnings.iter().find(is_refused);
    refused.map_or(Ok(document), |(about, reason)| {
        Err(reject("strict", format!("the warning `{about}:{reason}`, which `documents.strict` refuses")))
    })
}
