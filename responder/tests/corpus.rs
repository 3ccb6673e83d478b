//! The fuzz corpus, run once: what fuzzing has found stays fixed, also where no fuzzer is installed.

// A test may say what it expects in the shortest way; clippy knows that only of #[test] functions.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

#[path = "../fuzz/properties.rs"]
mod properties;

use std::fs;

/// Runs each file, each of its beginnings, and each with every bit of its first 200 bytes turned.
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
        let mut turned = bytes;
        for at in 0..turned.len().min(200) {
            for bit in 0..8 {
                turned[at] ^= 1 << bit;
                property(&turned);
                turned[at] ^= 1 << bit;
            }
        }
    }
    assert!(files >= 5, "{directory} has {files} files");
}

#[test]
fn state_corpus_gives_a_reply_or_a_reason() {
    run("state", properties::state);
}

#[test]
fn name_corpus_gives_a_name_or_a_reason() {
    run("name", properties::name);
}

#[test]
fn argument_corpus_gives_options_or_a_reason() {
    run("arguments", properties::arguments);
}
