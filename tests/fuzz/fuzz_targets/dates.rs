//! Dates: a moment that a calendar has, or a flaw.
#![no_main]

use fenliu_decode::time::{DateRules, parse_number, parse_seconds, parse_text};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let rules = DateRules::default();
    if let Ok(moment) = parse_text(text, &rules) {
        // Years 1 to 9999, in milliseconds since 1970.
        assert!((-62_135_596_800_000..253_402_300_800_000).contains(&moment.millis), "{text}");
    }
    if let Ok(number) = text.parse() {
        let _ = parse_number(number, &rules);
    }
    if let Ok(seconds) = text.parse() {
        let _ = parse_seconds(seconds, &rules);
    }
});
