//! The text of a story in the linked data (JSON-LD, schema.org) of its page.

use memchr::memmem;
use serde_json::Value;

/// The longest `articleBody` in the linked data of `html`.
pub(super) fn article_body(html: &str) -> Option<String> {
    const KIND: &str = "application/ld+json";
    // Few pages have the field, and looking for its name is faster than parsing.
    memmem::find(html.as_bytes(), b"\"articleBody\"")?;
    let blocks = html.split(KIND).skip(1).filter_map(|rest| {
        let (_, rest) = rest.split_once('>')?;
        let json = &rest[..memmem::find(rest.as_bytes(), b"</")?];
        longest_body(serde_json::from_str(json.trim()).ok()?)
    });
    blocks.max_by_key(String::len)
}

/// The longest `articleBody` in a value. The depth is that of the parser, which has a limit.
fn longest_body(value: Value) -> Option<String> {
    match value {
        Value::Array(values) => values.into_iter().filter_map(longest_body).max_by_key(String::len),
        Value::Object(fields) => {
            let bodies = fields.into_iter().filter_map(|(name, value)| match value {
                Value::String(text) if name == "articleBody" => Some(text),
                value => longest_body(value),
            });
            bodies.max_by_key(String::len)
        }
        _ => None,
    }
}
