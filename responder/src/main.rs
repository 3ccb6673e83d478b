//! The program: passes arguments and environment to [`agentcheck_responder::run`] and exits with the status that it
//! returns. The program is freestanding where build.rs selects that (`freestanding` and `mem` then replace the C
//! library) and an ordinary std program elsewhere. This file decides nothing.
#![cfg_attr(freestanding, no_std)]
#![cfg_attr(freestanding, no_main)]

#[cfg(freestanding)]
mod freestanding;
#[cfg(freestanding)]
mod mem;

#[cfg(not(freestanding))]
fn main() -> std::process::ExitCode {
    use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};

    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    let environment: Vec<Vec<u8>> = std::env::vars_os()
        .map(|(key, value)| [key.as_bytes(), b"=", &value.into_vec()].concat())
        .collect();
    let status = agentcheck_responder::run::run(
        arguments.iter().map(|argument| argument.as_bytes()),
        environment.iter().map(Vec::as_slice),
    );
    std::process::ExitCode::from(status)
}
