//! The `agentcheck` program: everything is in the library.

use std::process::ExitCode;

/// The allocator of the static program; Cargo.toml has the reason.
#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    agentcheck::cli::run()
}
