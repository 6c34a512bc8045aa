//! Messages: any bytes are a document or have a reason why not.
#![no_main]

use fenliu_decode::{Decoder, DocumentsConfig};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut decoder = Decoder::json(&DocumentsConfig::default());
    let _ = decoder.skips(Some(data));
    let _ = decoder.decode(data);
});
