//! The tests of the collector: its library in memory, and its program. `tests/README.md` maps each claim to its
//! module.
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
mod probe;
mod recipes;
mod record_replay;
mod running_collector;
mod sources;
mod stability;
mod status;

use std::path::Path;
use std::process::{Command, Output};

/// The collector's debug program.
const AGENTCHECK: &str = env!("CARGO_BIN_EXE_agentcheck");

/// Runs the program to its end.
fn agentcheck(arguments: &[&str]) -> Output {
    Command::new(AGENTCHECK).args(arguments).output().unwrap()
}

/// Runs the program in a directory; its output and its exit status, as a golden case has them.
fn agentcheck_in(directory: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new(AGENTCHECK);
    let output = command
        .args(arguments)
        .current_dir(directory)
        .output()
        .unwrap();
    let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    let status = output.status.code().expect("it was not killed");
    format!("{text}exit status {status}\n")
}
