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

use proptest::prelude::*;
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

/// A valid state file of `web` whose reply is this text.
fn file(reply: &str) -> Vec<u8> {
    let boot = "6e3f0a1c-2f0e-4a55-9a0b-0d8f3a8a4c11";
    format!("agentcheck 1 web\nboot {boot}\nfrom 1\nuntil 2000 {reply}\nthen up 73%\n").into_bytes()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    /// For every request and every file: one well-formed HTTP response or one line, and nothing of the request in the
    /// response.
    #[test]
    fn any_request_and_any_file_give_one_answer(
        sent in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..300),
            "(GET|HEAD|OPTIONS|POST|get) /(web|api|-|w%65b|\\.\\.)?(/(weight|load|json|metrics|page))?(\\?[a-z]{0,9})?( HTTP/1.[01])?\r?\n(X-[a-z]{0,9}: ?[ -~]{0,40}\r?\n){0,3}\r?\n?"
                .prop_map(String::into_bytes),
            "[ a-z.\r\n]{0,80}".prop_map(String::into_bytes),
        ],
        file in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..300),
            "(up|down|drain|maint|ready|stopped|fail|[0-9]{1,3}%|maxconn:[0-9]{1,4}| |\t){1,6}( ?# ?[ -~]{0,90})?"
                .prop_map(|reply| file(&reply)),
        ],
    ) {
        properties::check_exchange(&sent, &file);
    }
}

#[test]
fn exchange() {
    run("exchange", properties::exchange);
}
