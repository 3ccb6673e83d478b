//! Finds out how the program was launched and has the answer given in the way that fits:
//!
//! 1. `--listen`, or descriptors handed over by LISTEN_FDS: an accept loop on those.
//! 2. Standard input is a listening socket (`wait` in inetd's terms): an accept loop on it.
//! 3. Standard input is a connection: one answer there.
//! 4. Anything else: one answer on standard output. Only here is there room for help and for messages
//!    about the command line; anywhere above, a wrong command line is answered with `bad-arguments`,
//!    for HAProxy to show.

use crate::accept_loop::{End, answer_all};
use crate::activation::Activation;
use crate::address::Address;
use crate::answer::NoName;
use crate::arguments::{self, Arguments, Command, Idle, Wrong};
use crate::journal::{Message, error_text};
use crate::listeners::Listeners;
use crate::oneshot::{Wire, answer_once};
use crate::stderr::Stderr;
use crate::sys::{self, Descriptor};
use core::time::Duration;

/// Answered, or ended as told; whatever the client did.
pub const STATUS_OK: u8 = 0;
/// Nothing can be answered: no address to listen on, nowhere to write to.
pub const STATUS_FAILED: u8 = 1;
/// The command line cannot be understood and there is no connection: `bad-arguments` went to standard
/// output, the reason to standard error.
pub const STATUS_USAGE: u8 = 2;
/// The program found itself in a state that it holds for impossible.
pub const STATUS_PANIC: u8 = 70;

/// How long an accept loop that a launcher started waits for the next client: the launcher starts it again
/// with the next connection.
pub const LAUNCHED_IDLE: Duration = Duration::from_secs(60);

/// Runs the program with these arguments, the program's own name not among them, and this environment of
/// `KEY=VALUE`; the exit status.
pub fn run<'a>(
    arguments: impl Iterator<Item = &'a [u8]>,
    environment: impl Iterator<Item = &'a [u8]> + Clone,
) -> u8 {
    let command = arguments::parse(arguments);
    let none = Arguments::none();
    let (arguments, service) = match &command {
        Ok(Command::Answer(arguments)) => (arguments, Ok(arguments.service)),
        _ => (&none, Err(NoName::BadArguments)),
    };

    let activation = Activation::read(environment.clone(), sys::process_id);
    let wire = if arguments.listen.iter().any(Option::is_some) || !activation.is_empty() {
        None
    } else {
        match sys::is_listening(Descriptor::STDIN) {
            Ok(true) => None,
            Ok(false) => Some(Wire::Socket(Descriptor::STDIN)),
            Err(_) => Some(Wire::Standard),
        }
    };
    match (wire, &command) {
        (Some(Wire::Standard), Ok(Command::Help)) => print(arguments::HELP),
        (Some(Wire::Standard), Ok(Command::Version)) => print(arguments::VERSION),
        (Some(Wire::Standard), Err(wrong)) => {
            let status = once(Wire::Standard, service, arguments, STATUS_USAGE);
            say_wrong(wrong, Stderr::beside_stdout(environment));
            status
        }
        (Some(wire), _) => once(wire, service, arguments, STATUS_OK),
        (None, _) => {
            let stderr = Stderr::of_loop(environment);
            if let Err(wrong) = &command {
                say_wrong(wrong, stderr);
            }
            listen(arguments, service, &activation, stderr)
        }
    }
}

/// One answer, and the status `answered` if there was somewhere to put it.
#[inline(never)]
fn once(
    wire: Wire,
    service: Result<arguments::Service<'_>, NoName<'_>>,
    arguments: &Arguments<'_>,
    answered: u8,
) -> u8 {
    match answer_once(wire, service, arguments) {
        Ok(()) => answered,
        Err(_) => STATUS_FAILED,
    }
}

/// The ways with an accept loop. Never inlined: the loop's table is on the stack, and the one-shot would
/// touch every page of it.
#[inline(never)]
fn listen<'a>(
    arguments: &Arguments<'a>,
    service: Result<arguments::Service<'a>, NoName<'a>>,
    activation: &Activation<'a>,
    stderr: Stderr,
) -> u8 {
    let mut listeners: Listeners<'a> = Listeners::NONE;
    let mut launched_idle = Some(LAUNCHED_IDLE);
    for text in arguments.listen.iter().flatten() {
        launched_idle = None;
        let opened = match Address::parse(text) {
            Some(address) => listeners.open(&address),
            None => Err(sys::Errno::INVAL),
        };
        if let Err(error) = opened {
            return failed(text, error, stderr);
        }
    }
    let mut wire = Wire::Standard;
    for (socket, name) in activation.sockets() {
        match sys::is_listening(socket) {
            Ok(true) => {
                if let Err(error) = listeners.adopt(socket, name) {
                    return failed(b"a socket that was handed over", error, stderr);
                }
            }
            // A connection, of a socket unit with Accept=yes and without StandardInput=socket.
            Ok(false) if wire == Wire::Standard && !activation.is_empty() => {
                wire = Wire::Socket(socket);
            }
            _ => {}
        }
    }
    if listeners.is_empty() {
        return once(wire, service, arguments, STATUS_OK);
    }
    let idle = match arguments.idle {
        Idle::Unsaid => launched_idle,
        Idle::Never => None,
        Idle::After(span) => Some(span),
    };
    let end = answer_all(&mut listeners, service, arguments, idle, stderr);
    listeners.unlink_paths();
    let (error, what): (_, &[u8]) = match end {
        End::Signal | End::Idle => return STATUS_OK,
        End::NoListener => (sys::Errno::INVAL, b"any socket any more"),
        End::Error(error) => (error, b"all sockets together"),
    };
    failed(what, error, stderr)
}

#[cold]
fn failed(what: &[u8], error: sys::Errno, stderr: Stderr) -> u8 {
    let error = error_text(error.0);
    stderr.say(&Message::of(&[
        b"cannot listen on ",
        what,
        b": ",
        error.as_bytes(),
    ]));
    STATUS_FAILED
}

/// Text for people, on standard output, which may take its time.
#[cold]
fn print(text: &[u8]) -> u8 {
    match sys::write(Descriptor::STDOUT, text) {
        Ok(_) => STATUS_OK,
        Err(_) => STATUS_FAILED,
    }
}

#[cold]
fn say_wrong(wrong: &Wrong<'_>, stderr: Stderr) {
    let parts = [
        wrong.argument,
        b": ",
        wrong.why.as_bytes(),
        b" (--help lists the options)",
    ];
    stderr.say(&Message::of(&parts));
}
