//! Bytes in any charset, under any name of a charset, and what follows their decoding.
#![no_main]

use fenliu_text::{decode, is_blank, normalize, repair_mojibake, resolve_lang, strip_punctuation};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (Option<&str>, &[u8])| {
    let (charset, bytes) = input;
    let text = decode(bytes, charset);
    let _ = decode(bytes, None);
    repair_mojibake(&text, &mut String::new());
    let mut out = String::new();
    normalize(&text, &mut out);
    let _ = is_blank(&out);
    strip_punctuation(&out, &mut String::new());
    resolve_lang(Some(&text), charset);
});
