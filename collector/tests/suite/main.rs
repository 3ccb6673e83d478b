//! The tests of the collector: its library in memory, and its one program.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test asserts in the shortest way, and prints what it did"
)]

mod check;
mod check_sample;
mod evaluation;
mod explain_reply;
mod golden;
mod hostile_input;
mod import;
mod recipes;
mod record_replay;
mod running_collector;
mod sources;
mod status;
