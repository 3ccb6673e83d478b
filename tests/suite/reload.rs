//! Another configuration for a collector at work: what is the same goes on, what is wrong changes nothing, and
//! what is gone leaves nothing behind that looks as if somebody stood behind it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test says what it expects in the shortest way, and prints what it did"
)]

#[path = "reload/changes.rs"]
mod changes;
#[path = "reload/refused.rs"]
mod refused;
#[path = "reload/removed.rs"]
mod removed;
#[path = "reload/retired.rs"]
mod retired;

use agentcheck_tests::scene::Scene;
use agentcheck_tests::scratch::Scratch;

/// A source over the file of this name, in which there is 20 at first.
fn source(scratch: &Scratch, name: &str) -> String {
    let file = scratch.file(name);
    if !file.exists() {
        scratch.replace(name, "20");
    }
    format!("[source.{name}.file]\npath = {file:?}\nformat = \"number\"\nevery = \"100ms\"\n")
}

/// A service with the weight `100 - NUMBER` of this source.
fn service(name: &str, of: &str) -> String {
    format!("[service.{name}]\nweight = \"headroom({of}.value, 100)\"\n")
}
