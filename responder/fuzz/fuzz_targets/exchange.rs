#![no_main]
//! See `properties.rs`.

#[path = "../properties.rs"]
mod properties;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| properties::exchange(bytes));
