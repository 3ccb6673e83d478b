//! One answer on one connection, or on a pipe, a terminal or a file, and then the end of the process.
//!
//! Bounded in everything: how long a name is waited for, how long a pipe may take the line, how much is
//! read away afterwards and how long that may take. Nothing the other side does is an error.

use crate::answer::{Line, NoName, Wanted};
use crate::arguments::{Arguments, Service};
use crate::ask::{Asked, FirstLine};
use crate::respond::{self, Buffer, Respondent};
use crate::sys::{self, Descriptor, Errno, Ready};
use agentcheck_common::BootTime;
use core::time::Duration;

/// How long a client may take for its name.
pub const NAME_WAIT: Duration = Duration::from_millis(300);

/// The same where a client that sends nothing gets the reply of `--ask-default`. A name whose segment was
/// lost comes again after the retransmission timeout, 200 ms and up to three round trips more; until
/// then it looks like silence, and the answer would be that of another service.
pub const SILENCE_WAIT: Duration = Duration::from_millis(700);

/// How long a pipe or a terminal may take the line.
const WRITE_WAIT: Duration = Duration::from_secs(1);

/// How long what the client still sends is read away, so that closing does not turn into a reset that
/// overtakes the reply. Together with the longest wait for a name below the two seconds after which
/// the shipped unit ends a process.
pub const DRAIN_WAIT: Duration = Duration::from_secs(1);

/// How much of it is read away, in bytes.
pub const DRAIN_BYTES: usize = 65_536;

/// Where a client's bytes come from and the answer goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wire {
    /// A connected socket, for both.
    Socket(Descriptor),
    /// Standard input and standard output, which are no sockets, or not both.
    Standard,
}

/// Answers once.
///
/// # Errors
/// Where there is nowhere to put the line: standard output is closed, or a full disk.
pub fn answer_once(
    wire: Wire,
    service: Result<Service<'_>, NoName<'_>>,
    arguments: &Arguments<'_>,
) -> sys::Result<()> {
    let mut buffer: Buffer = respond::EMPTY;
    let mut line = FirstLine::EMPTY;
    let wanted = match service {
        Err(why) => Wanted::Nobody(why),
        Ok(Service::Unnamed) => Wanted::Nobody(NoName::NotConfigured),
        Ok(Service::Named(name)) => Wanted::Configured(name),
        Ok(Service::Asked { silent }) => {
            match ask(wire, silent.is_some(), &mut line, &mut buffer) {
                Some(asked) => asked.wanted(silent),
                // It is gone; nobody hears an answer.
                None => return Ok(()),
            }
        }
    };
    let (answer, _) = Respondent::new(arguments).answer(&wanted, &mut buffer);
    match wire {
        Wire::Socket(socket) => {
            // Whatever became of the connection, there is nothing else to be done about it.
            let _ = sys::send(socket, answer.line.as_bytes());
            finish(socket, &mut buffer);
            Ok(())
        }
        Wire::Standard => print(&answer.line, &mut buffer),
    }
}

/// Waits for the client's name; `None` where the connection broke.
fn ask<'l>(
    wire: Wire,
    silence_is_answered: bool,
    line: &'l mut FirstLine,
    buffer: &mut Buffer,
) -> Option<Asked<'l>> {
    let patience = if silence_is_answered {
        SILENCE_WAIT
    } else {
        NAME_WAIT
    };
    let mut deadline = None;
    loop {
        match next_bytes(wire, &mut deadline, patience, buffer) {
            Next::Bytes(count) => {
                if line.take(buffer.get(..count).unwrap_or_default()) {
                    return Some(line.closed());
                }
            }
            Next::End => return Some(line.closed()),
            Next::Late => return Some(line.late()),
            Next::Broken => return None,
        }
    }
}

/// What came next.
enum Next {
    Bytes(usize),
    End,
    Late,
    Broken,
}

/// The next bytes, until `patience` is over, counted from the first call that has to wait.
fn next_bytes(
    wire: Wire,
    deadline: &mut Option<BootTime>,
    patience: Duration,
    buffer: &mut Buffer,
) -> Next {
    // A socket is asked at once, since mostly the bytes are there; of a pipe only what was seen to be there
    // is read, since reading could wait.
    let mut ready = matches!(wire, Wire::Socket(_));
    loop {
        if ready {
            let received = match wire {
                Wire::Socket(socket) => sys::receive(socket, buffer),
                Wire::Standard => sys::read(Descriptor::STDIN, buffer),
            };
            match received {
                Ok(0) => return Next::End,
                Ok(count) => return Next::Bytes(count),
                Err(Errno::AGAIN | Errno::INTR) => {}
                // Closed from the start: no client could have sent anything.
                Err(_) if wire == Wire::Standard => return Next::End,
                Err(_) => return Next::Broken,
            }
        }
        let now = sys::boot_time();
        let end = *deadline.get_or_insert(now.after(patience));
        if now >= end {
            return Next::Late;
        }
        let source = match wire {
            Wire::Socket(socket) => socket,
            Wire::Standard => Descriptor::STDIN,
        };
        ready = match sys::wait(source, Ready::ToRead, end.since(now)) {
            Ok(ready) => ready,
            Err(Errno::INTR) => false,
            // With a limit of no descriptors at all the kernel refuses to wait.
            Err(_) => return Next::Late,
        };
    }
}

/// Says that nothing more comes and reads away what the client still sends, until it closes, too.
fn finish(socket: Descriptor, buffer: &mut Buffer) {
    sys::shutdown_sending(socket);
    // HAProxy closes a moment after it has the line, so reading before that would be for nothing. Where
    // the kernel refuses to wait, what is there is read all the same.
    let _ = sys::wait(socket, Ready::ToRead, DRAIN_WAIT / 2);
    let mut deadline = None;
    let mut drained = 0;
    while drained < DRAIN_BYTES {
        match next_bytes(Wire::Socket(socket), &mut deadline, DRAIN_WAIT / 2, buffer) {
            Next::Bytes(count) => drained += count,
            Next::End | Next::Late | Next::Broken => return,
        }
    }
}

/// Puts the line on standard output, in one write.
fn print(line: &Line, buffer: &mut Buffer) -> sys::Result<()> {
    match sys::send(Descriptor::STDOUT, line.as_bytes()) {
        Err(Errno::NOTSOCK) => {}
        Err(Errno::BADF) => return Err(Errno::BADF),
        // A launcher that hands over the connection as standard output alone.
        _ => {
            finish(Descriptor::STDOUT, buffer);
            return Ok(());
        }
    }
    // A reader that is gone is no error, so it must not be a signal either.
    sys::block(&sys::Signals::PIPE);
    // Where the kernel refuses to wait, with a limit of no descriptors at all, it may take the line all
    // the same.
    if sys::wait(Descriptor::STDOUT, Ready::ToWrite, WRITE_WAIT) != Ok(false) {
        match sys::write(Descriptor::STDOUT, line.as_bytes()) {
            Ok(_) | Err(Errno::PIPE) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
