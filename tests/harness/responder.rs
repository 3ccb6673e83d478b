//! Our responder, as a one-shot program for launchers and as an accept loop of its own.

use crate::address::is_listening;
use crate::agent::{Diagnostics, OneShot};
use crate::binaries;
use crate::processes::{Running, wait_until};
use crate::scratch::Scratch;
use crate::state::StateDirectory;
use std::net::SocketAddr;
use std::process::Command;

/// The one-shot that answers for `which` (a name or `--name-from-client`), its diagnostics on the connection, as under xinetd: the
/// launcher that forgives least.
#[must_use]
pub fn one_shot(states: &StateDirectory, which: &[&str]) -> OneShot {
    OneShot {
        program: binaries::responder(),
        arguments: arguments(states, which),
        diagnostics: Diagnostics::Connection,
    }
}

/// The responder's arguments: `which` (a name or `--name-from-client`) and the state directory.
///
/// # Panics
/// Where the state directory's path is not UTF-8.
#[must_use]
pub fn arguments(states: &StateDirectory, which: &[&str]) -> Vec<String> {
    let directory = states.path().to_str().expect("a path in UTF-8");
    let which = which.iter().map(|word| (*word).to_owned());
    which
        .chain(["--state-dir".to_owned(), directory.to_owned()])
        .collect()
}

/// The responder with `--listen`.
#[derive(Debug)]
pub struct Loop {
    process: Running,
}

impl Loop {
    /// Starts it and waits until it listens on every one of `addresses`.
    ///
    /// # Panics
    /// Where it ends instead.
    #[must_use]
    pub fn start(
        scratch: &Scratch,
        states: &StateDirectory,
        which: &[&str],
        addresses: &[SocketAddr],
    ) -> Self {
        let mut command = Command::new(binaries::responder());
        command.args(arguments(states, which));
        for address in addresses {
            command.arg("--listen").arg(address.to_string());
        }
        let mut process = Running::start(scratch, "responder", &mut command);
        wait_until("the responder to listen", || {
            assert!(
                process.is_running(),
                "the responder ended: {}",
                process.log()
            );
            addresses.iter().all(|address| is_listening(*address))
        });
        Self { process }
    }

    /// The process.
    pub fn process(&mut self) -> &mut Running {
        &mut self.process
    }
}
