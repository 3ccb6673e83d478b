//! The `agentcheck` program: everything is in the library.

use std::process::ExitCode;

/// musl's allocator is slow: see the reason beside the dependency.
#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: rlsf::SmallGlobalTlsf = rlsf::SmallGlobalTlsf::new();

fn main() -> ExitCode {
    agentcheck::cli::run()
}
