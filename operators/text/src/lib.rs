//! Kernels that decode, clean, identify and segment news text, on plain strings.
//!
//! | function | from | to |
//! |---|---|---|
//! | [`decode`] | bytes of unknown encoding | text |
//! | [`strip_html`] | HTML | the text that a reader sees |
//! | [`decode_entities`] | text with character references | text without them |
//! | [`normalize`] | text | one spelling for what looks the same |
//! | [`to_simplified`] | traditional Chinese | simplified Chinese |
//! | [`detect_lang`] | text | the code of its language |
//! | [`Segmenter::words`] | text | its words |
//!
//! All of them are *total*: they return a result for any input, however malformed, and never panic. They are
//! also deterministic, so that a document that is read again is cleaned to the same text.
//!
//! A text-to-text kernel is a `fn(&str, &mut String) -> bool`. The caller passes an empty buffer. The kernel
//! either writes the new text to it and returns `true`, or returns `false` when the text stays as it is; the
//! content of the buffer is then meaningless. A caller that runs over many texts can therefore reuse one
//! buffer, and copies only texts that change:
//!
//! ```
//! let mut cleaned = String::new();
//! assert!(fenliu_text::strip_html("<p>央行&nbsp;降息</p>", &mut cleaned));
//! assert_eq!(cleaned, "央行\u{a0}降息");
//! cleaned.clear();
//! assert!(!fenliu_text::strip_html("plain text", &mut cleaned));
//! ```
//!
//! This crate depends on neither Arrow nor DataFusion, opens no files and starts no threads.

mod decode;
mod entities;
mod html;
mod lang;
mod normalize;
mod script;
mod segment;
#[cfg(test)]
mod testing;

pub use decode::decode;
pub use entities::decode_entities;
pub use html::strip_html;
pub use lang::detect_lang;
pub use normalize::normalize;
pub use script::to_simplified;
pub use segment::dictionary::{Entry, InvalidLine, entries};
pub use segment::{Segmenter, Token, is_han};
