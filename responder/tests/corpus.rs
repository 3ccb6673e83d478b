//! Runs the fuzz corpus once, so that each input that a fuzzer found remains a test without a fuzzer.

// Tests may use the shortest form; clippy allows it only in #[test] functions.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

#[path = "../fuzz/properties.rs"]
mod properties;

use std::fs;

/// Runs each file, each prefix of it, and each variant with one inverted bit in the first 200 bytes.
fn run(name: &str, property: fn(&[u8])) {
    let directory = format!("{}/fuzz/corpus/{name}", env!("CARGO_MANIFEST_DIR"));
    let mut files = 0;
    for entry in fs::read_dir(&directory).unwrap() {
        let bytes = fs::read(entry.unwrap().path()).unwrap();
        files += 1;
        for end in 0..=bytes.len().min(300) {
            property(&bytes[..end]);
        }
        property(&bytes);
        let mut inverted = bytes;
        for at in 0..inverted.len().min(200) {
            for bit in 0..8 {
                inverted[at] ^= 1 << bit;
                property(&inverted);
                inverted[at] ^= 1 << bit;
            }
        }
    }
    assert!(files >= 5, "{directory} has {files} files");
}

#[test]
fn state() {
    run("state", properties::state);
}

#[test]
fn request() {
    run("request", properties::request);
}

#[test]
fn arguments() {
    run("arguments", properties::arguments);
}
