//! Detects how the program was started and answers accordingly:
//!
//! 1. `--listen`, or sockets passed by LISTEN_FDS: an accept loop on them.
//! 2. Standard input is a listening socket (inetd's `wait`): an accept loop on it.
//! 3. Standard input is a connection: one answer there.
//! 4. Anything else: one answer on standard output. Help, and messages about the command line, are possible only here.
//!    In all other cases the answer to an invalid command line is `bad-arguments`, which HAProxy shows.

use crate::accept_loop::{EndReason, answer_all};
use crate::activation::Activation;
use crate::address::Address;
use crate::arguments::{self, Arguments, Command, UsageError};
use crate::diagnostics::Diagnostics;
use crate::listeners::Listeners;
use crate::single::{Channel, answer_once};
use crate::sys::{self, Descriptor};
use core::time::Duration;

/// The program answered, or a signal or the idle timeout ended it. Faults of the client do not change the status.
pub const STATUS_OK: u8 = 0;
/// The program cannot listen on an address, or cannot write to standard output.
pub const STATUS_FAILED: u8 = 1;
/// The command line is invalid and there is no connection: `bad-arguments` went to standard output, the reason to
/// standard error.
pub const STATUS_USAGE: u8 = 2;
/// The program panicked, which is a defect.
pub const STATUS_PANIC: u8 = 70;

/// The default idle timeout of an accept loop that a launcher started. The launcher starts the program again with the
/// next connection.
pub const LAUNCHED_IDLE: Duration = Duration::from_secs(60);

/// Runs the program and returns the exit status. `arguments` does not contain the program's name; each item of
/// `environment` is `KEY=VALUE`.
pub fn run<'a>(
    arguments: impl Iterator<Item = &'a [u8]>,
    environment: impl Iterator<Item = &'a [u8]> + Clone,
) -> u8 {
    let mut parsed = Arguments::defaults();
    let command = arguments::parse(arguments, &mut parsed);
    let arguments = &parsed;

    let activation = Activation::read(environment.clone(), sys::process_id);
    let channel = if arguments.listen.iter().any(Option::is_some) || !activation.is_empty() {
        None
    } else {
        match sys::is_listening(Descriptor::STDIN) {
            Some(true) => None,
            Some(false) => Some(Channel::Socket(Descriptor::STDIN)),
            None => Some(Channel::StandardStreams),
        }
    };
    match (channel, &command) {
        (Some(Channel::StandardStreams), Ok(Command::Help)) => print(arguments::HELP),
        (Some(Channel::StandardStreams), Ok(Command::Version)) => print(arguments::VERSION),
        (Some(Channel::StandardStreams), Err(error)) => {
            let status = once(Channel::StandardStreams, arguments, STATUS_USAGE);
            log_usage_error(error, Diagnostics::for_single(environment));
            status
        }
        (Some(channel), _) => once(channel, arguments, STATUS_OK),
        (None, _) => {
            let diagnostics = Diagnostics::for_accept_loop(environment);
            if let Err(error) = &command {
                log_usage_error(error, diagnostics);
            }
            listen(arguments, &activation, diagnostics)
        }
    }
}

/// Answers once. Returns `status`, or [`STATUS_FAILED`] if the answer could not be written.
#[inline(never)]
fn once(channel: Channel, arguments: &Arguments<'_>, status: u8) -> u8 {
    match answer_once(channel, arguments) {
        Ok(()) => status,
        Err(_) => STATUS_FAILED,
    }
}

/// Runs the accept loop. Never inlined: the loop's table is on the stack, and the one-shot would touch every page of
/// it.
#[inline(never)]
fn listen<'a>(
    arguments: &Arguments<'a>,
    activation: &Activation<'a>,
    diagnostics: Diagnostics,
) -> u8 {
    // Files that the launcher has left open must not be open in a process that serves clients.
    sys::close_from(activation.end());
    let mut listeners: Listeners<'a> = Listeners::EMPTY;
    let mut default_idle = LAUNCHED_IDLE;
    for text in arguments.listen.iter().flatten() {
        default_idle = Duration::MAX;
        let opened = match Address::parse(text) {
            Some(address) => listeners.open(address),
            None => Err(sys::Errno::INVAL),
        };
        if let Err(error) = opened {
            return failed(text, error, diagnostics);
        }
    }
    let mut channel = Channel::StandardStreams;
    for (socket, name) in activation.sockets() {
        match sys::is_listening(socket) {
            Some(true) => {
                if let Err(error) = listeners.adopt(socket, name) {
                    return failed(b"an inherited socket", error, diagnostics);
                }
            }
            // A connection, from a socket unit with Accept=yes and without StandardInput=socket.
            Some(false) if channel == Channel::StandardStreams && !activation.is_empty() => {
                channel = Channel::Socket(socket);
            }
            _ => {}
        }
    }
    if listeners.is_empty() {
        return once(channel, arguments, STATUS_OK);
    }
    let idle = arguments.idle.unwrap_or(default_idle);
    let reason = answer_all(&mut listeners, arguments, idle, diagnostics);
    listeners.unlink_paths();
    let (error, what): (_, &[u8]) = match reason {
        EndReason::Signal | EndReason::Idle => return STATUS_OK,
        EndReason::NoListener => (sys::Errno::INVAL, b"any socket"),
        EndReason::Error(error) => (error, b"the sockets with epoll"),
    };
    failed(what, error, diagnostics)
}

#[cold]
fn failed(what: &[u8], error: sys::Errno, diagnostics: Diagnostics) -> u8 {
    diagnostics.log(&[b"cannot listen on ", what], Some(error));
    STATUS_FAILED
}

/// Writes text for a person to standard output; this may block.
#[cold]
fn print(text: &[u8]) -> u8 {
    match sys::write(Descriptor::STDOUT, text) {
        Ok(_) => STATUS_OK,
        Err(_) => STATUS_FAILED,
    }
}

#[cold]
fn log_usage_error(error: &UsageError<'_>, diagnostics: Diagnostics) {
    let parts = [
        b"invalid argument ",
        error.argument,
        b": ",
        error.reason.text(),
        b" (see --help)",
    ];
    diagnostics.log(&parts, None);
}
