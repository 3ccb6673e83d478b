//! Sends one answer on one connection, pipe, terminal or file, and then the process ends.
//!
//! Every wait is bounded: for the name, for room in a pipe, and for the client to close. Nothing that the client does is
//! an error.

use crate::arguments::{Arguments, Service};
use crate::reply::{Line, NoName, Target};
use crate::request::{FirstLine, ParsedName};
use crate::state_reader::{self, Buffer, StateReader};
use crate::sys::{self, Descriptor, Errno, Ready};
use agentcheck_common::BootTime;
use core::time::Duration;

/// The longest wait for a client's name.
pub const NAME_WAIT: Duration = Duration::from_millis(300);

/// The longest wait for a name with `--default-service`. A lost segment arrives again after the retransmission timeout:
/// 200 ms and up to three round trips. A shorter wait would take such a client for a silent one and send it the reply
/// of another service.
pub const SILENT_CLIENT_WAIT: Duration = Duration::from_millis(700);

/// The longest wait for room in a pipe or terminal.
const WRITE_WAIT: Duration = Duration::from_secs(1);

/// How long the program reads and discards further bytes of the client. Closing a socket with unread bytes would send a
/// reset, which can overtake the reply. Together with the longest wait for a name it is shorter than the two seconds
/// after which the shipped unit stops a process.
pub const DRAIN_WAIT: Duration = Duration::from_secs(1);

/// How many further bytes of the client the program reads and discards.
pub const DRAIN_BYTES: usize = 65_536;

/// Where the client's bytes come from and where the answer goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channel {
    /// A connected socket, for both.
    Socket(Descriptor),
    /// Standard input and standard output. Standard input is not a socket.
    StandardStreams,
}

/// Answers once.
///
/// # Errors
/// The line cannot be written: standard output is closed, or the disk is full.
pub fn answer_once(
    channel: Channel,
    service: Result<Service<'_>, NoName<'_>>,
    arguments: &Arguments<'_>,
) -> sys::Result<()> {
    let mut buffer: Buffer = state_reader::EMPTY;
    let mut line = FirstLine::EMPTY;
    let target = match service {
        Err(cause) => Target::Unnamed(cause),
        Ok(Service::Unnamed) => Target::Unnamed(NoName::NotConfigured),
        Ok(Service::Named(name)) => Target::Configured(name),
        Ok(Service::FromClient { default }) => {
            match read_name(channel, default.is_some(), &mut line, &mut buffer) {
                Some(parsed) => parsed.target(default),
                // The connection is broken; an answer would not arrive.
                None => return Ok(()),
            }
        }
    };
    let (answer, _) = StateReader::new(arguments).answer(&target, &mut buffer);
    match channel {
        Channel::Socket(socket) => {
            // A connection that broke meanwhile is not an error.
            let _ = sys::send(socket, answer.line.as_bytes());
            drain(socket, &mut buffer);
            Ok(())
        }
        Channel::StandardStreams => print(&answer.line, &mut buffer),
    }
}

/// Waits for the client's name. Returns `None` if the connection broke.
fn read_name<'l>(
    channel: Channel,
    has_default: bool,
    line: &'l mut FirstLine,
    buffer: &mut Buffer,
) -> Option<ParsedName<'l>> {
    let limit = if has_default {
        SILENT_CLIENT_WAIT
    } else {
        NAME_WAIT
    };
    let mut deadline = None;
    loop {
        match next_bytes(channel, &mut deadline, limit, buffer) {
            Input::Bytes(count) => {
                if line.push(buffer.get(..count).unwrap_or_default()) {
                    return Some(line.parse());
                }
            }
            Input::End => return Some(line.parse()),
            Input::Timeout => return Some(line.parse_at_timeout()),
            Input::Broken => return None,
        }
    }
}

/// The result of waiting for bytes.
enum Input {
    Bytes(usize),
    End,
    Timeout,
    Broken,
}

/// Reads the next bytes. The time `limit` starts with the first call that has to wait.
fn next_bytes(
    channel: Channel,
    deadline: &mut Option<BootTime>,
    limit: Duration,
    buffer: &mut Buffer,
) -> Input {
    // The bytes of a socket have usually arrived, so it is read at once. A pipe is read only after poll, because reading
    // it could block.
    let mut ready = matches!(channel, Channel::Socket(_));
    loop {
        if ready {
            let received = match channel {
                Channel::Socket(socket) => sys::receive(socket, buffer),
                Channel::StandardStreams => sys::read(Descriptor::STDIN, buffer),
            };
            match received {
                Ok(0) => return Input::End,
                Ok(count) => return Input::Bytes(count),
                Err(Errno::AGAIN | Errno::INTR) => {}
                // Standard input was closed from the start: no client could have sent anything.
                Err(_) if channel == Channel::StandardStreams => return Input::End,
                Err(_) => return Input::Broken,
            }
        }
        let now = sys::boot_time();
        let end = *deadline.get_or_insert(now.after(limit));
        if now >= end {
            return Input::Timeout;
        }
        let source = match channel {
            Channel::Socket(socket) => socket,
            Channel::StandardStreams => Descriptor::STDIN,
        };
        ready = match sys::wait(source, Ready::ToRead, end.since(now)) {
            Ok(ready) => ready,
            Err(Errno::INTR) => false,
            // With a limit of zero descriptors the kernel refuses to poll.
            Err(_) => return Input::Timeout,
        };
    }
}

/// Closes the sending side, then reads and discards what the client sends until the client closes.
fn drain(socket: Descriptor, buffer: &mut Buffer) {
    sys::shutdown_sending(socket);
    // HAProxy closes shortly after it has the line, so an earlier read would find nothing. If the kernel refuses to
    // poll, the bytes that have arrived are still read.
    let _ = sys::wait(socket, Ready::ToRead, DRAIN_WAIT / 2);
    let mut deadline = None;
    let mut drained = 0;
    while drained < DRAIN_BYTES {
        match next_bytes(
            Channel::Socket(socket),
            &mut deadline,
            DRAIN_WAIT / 2,
            buffer,
        ) {
            Input::Bytes(count) => drained += count,
            Input::End | Input::Timeout | Input::Broken => return,
        }
    }
}

/// Writes the line to standard output, with one write.
fn print(line: &Line, buffer: &mut Buffer) -> sys::Result<()> {
    match sys::send(Descriptor::STDOUT, line.as_bytes()) {
        Err(Errno::NOTSOCK) => {}
        Err(Errno::BADF) => return Err(Errno::BADF),
        // The launcher passed the connection as standard output only.
        _ => {
            drain(Descriptor::STDOUT, buffer);
            return Ok(());
        }
    }
    // A pipe without a reader is not an error, so it must not raise a signal.
    sys::block(&sys::Signals::PIPE);
    // With a limit of zero descriptors the kernel refuses to poll, but it may accept the write.
    if sys::wait(Descriptor::STDOUT, Ready::ToWrite, WRITE_WAIT) != Ok(false) {
        match sys::write(Descriptor::STDOUT, line.as_bytes()) {
            Ok(_) | Err(Errno::PIPE) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
