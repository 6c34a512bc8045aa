//! Operators that turn bytes to text and text to cleaner text.
//!
//! Each file has one kernel, free of Arrow, and the SQL function over it.

pub(crate) mod decode;
pub(crate) mod entities;
pub(crate) mod html;
pub(crate) mod normalize;
pub(crate) mod script;
