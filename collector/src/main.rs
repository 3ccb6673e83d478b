//! The `agentcheck` program: everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    agentcheck::cli::run()
}
