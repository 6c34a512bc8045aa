//! Markup: text that is not longer than what it came from by more than a constant factor.
#![no_main]

use fenliu_text::{extract_main, strip_html};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let mut out = String::new();
    strip_html(text, &mut out);
    assert!(out.len() <= 8 * text.len() + 64);
    extract_main(text, &mut String::new());
});
