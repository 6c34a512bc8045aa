//! The SQL functions, a file each: its reference text, and how it is evaluated on columns.
//!
//! The algorithms are in `fenliu_text`.

pub(crate) mod decode_bytes;
pub(crate) mod detect_lang;
pub(crate) mod extract_main;
pub(crate) mod normalize;
pub(crate) mod segment;
pub(crate) mod strip_html;
pub(crate) mod strip_punctuation;
pub(crate) mod to_simplified;
