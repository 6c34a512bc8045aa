//! Kernels that decode, clean, identify and segment news text, on plain strings.
//!
//! | function | from | to |
//! |---|---|---|
//! | [`decode`] | bytes of unknown encoding | text |
//! | [`decode_explained`] | the same | text, with the name of its charset |
//! | [`decode_east_asian`] | bytes that are no UTF-8 | text, if they are one of a few encodings as a whole |
//! | [`repair_mojibake`] | text that was read in the wrong charset | the text as it was |
//! | [`strip_html`] | HTML | the text that a reader sees |
//! | [`extract_main`] | web page | its main text |
//! | [`decode_entities`] | text with character references | text without them |
//! | [`normalize`] | text | one spelling for what looks the same |
//! | [`strip_punctuation`] | text | its words and numbers |
//! | [`to_simplified`] | traditional Chinese | simplified Chinese |
//! | [`is_blank`] | text | whether it shows nothing |
//! | [`detect_lang`] | text | the code of its language |
//! | [`resolve_lang`] | text and what its source declares | the code of its language |
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

mod blank;
mod decode;
mod entities;
mod extract_main;
mod html;
mod lang;
mod mojibake;
mod normalize;
mod properties;
mod punctuation;
mod script;
mod segment;
#[cfg(test)]
mod testing;

pub use blank::{is_blank, is_blank_character};
pub use decode::{Decoded, decode, decode_east_asian, decode_explained, unsupported_charset};
pub use entities::decode_entities;
pub use extract_main::extract_main;
pub use html::strip_html;
pub use lang::{DeclaredLang, ResolvedLang, canonical_lang, declares_language, detect_lang, resolve_lang};
pub use mojibake::{looks_like_utf8_read_as_gbk, repair_mojibake};
pub use normalize::normalize;
pub use punctuation::strip_punctuation;
pub use script::to_simplified;
pub use segment::dictionary::{Entry, InvalidLine, InvalidLines, all_entries, dictionary_text, entries};
pub use segment::{Segmenter, Token, is_han};
