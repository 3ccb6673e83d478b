//! Sends one answer on one connection, pipe, terminal or file, and then the process ends.
//!
//! Every wait is bounded: for the name, for room in a pipe, and for the client to close. Nothing that the client does is
//! an error.

use crate::arguments::{Arguments, Service};
use crate::request::{Parsed, ParsedName, Request};
use crate::state_reader::{self, Buffer, OpenDocument, Piece, StateReader};
use crate::sys::{self, Descriptor, Errno, Ready};
use crate::text::Text;
use agentcheck_common::BootTime;
use core::time::Duration;

/// The longest wait for a client's name.
pub const NAME_WAIT: Duration = Duration::from_millis(300);

/// The longest wait for a request with `--default-service` or `--http`. A lost segment arrives again after the
/// retransmission timeout: 200 ms and up to three round trips. After a shorter wait, the program would treat such a client
/// as silent. It would send the reply of another service, or a reply line instead of an HTTP response.
pub const SILENT_CLIENT_WAIT: Duration = Duration::from_millis(700);

/// The longest wait for room in a pipe or terminal.
const WRITE_WAIT: Duration = Duration::from_secs(1);

/// How long the program reads and discards further bytes of the client, unless its request is the last that it sends
/// ([`Request::is_last`]). Closing a socket with unread bytes would send a reset, which can overtake the reply. This time
/// and the longest wait for a request are together shorter than the two seconds after which the shipped unit stops a
/// process.
pub const DRAIN_WAIT: Duration = Duration::from_secs(1);

/// How long sending a document may take.
pub const DOCUMENT_WAIT: Duration = Duration::from_secs(5);

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
/// The answer cannot be written: standard output is closed, or the disk is full.
pub fn answer_once(channel: Channel, arguments: &Arguments<'_>) -> sys::Result<()> {
    let mut buffer: Buffer = state_reader::EMPTY;
    let mut request = Request::new(arguments.http.enabled);
    let mut is_last = false;
    let mut parsed = Parsed::Agent(ParsedName::Nothing);
    if arguments.needs_request() {
        let limit = match arguments.service {
            Service::FromClient { default: None } if !arguments.http.enabled => NAME_WAIT,
            _ => SILENT_CLIENT_WAIT,
        };
        (parsed, is_last) = match read_request(channel, limit, &mut request, &mut buffer) {
            Some(read) => read,
            // The connection is broken; an answer would not arrive.
            None => return Ok(()),
        };
    }
    let reaction = parsed.reaction(arguments.service, &arguments.http);
    let mut out = Text::EMPTY;
    let outcome = StateReader::new(arguments).answer(&reaction, &mut buffer, &mut out);
    let socket = match channel {
        Channel::Socket(socket) => {
            // A connection that broke meanwhile is not an error.
            let _ = sys::send(socket, out.as_bytes());
            Some(socket)
        }
        Channel::StandardStreams => print(out.as_bytes())?,
    };
    if let Some(document) = outcome.document {
        send_document(document, socket, &mut buffer);
    }
    if let Some(socket) = socket {
        // The launcher may have the socket open, too. Then the end of this process does not close the connection.
        sys::shutdown_sending(socket);
        if !(is_last && reaction.is_of_a_service()) {
            drain(socket, &mut buffer);
        }
    }
    Ok(())
}

/// Reads the client's request, for at most `limit`, and whether it is the last that the client sends. Returns `None` if
/// the connection broke.
fn read_request<'l>(
    channel: Channel,
    limit: Duration,
    request: &'l mut Request,
    buffer: &mut Buffer,
) -> Option<(Parsed<'l>, bool)> {
    let mut deadline = None;
    loop {
        match next_bytes(channel, &mut deadline, limit, buffer) {
            Input::Bytes(count) => {
                if request.push(buffer.get(..count).unwrap_or_default()) {
                    return Some((request.parse(), request.is_last()));
                }
            }
            Input::End => return Some((request.parse(), true)),
            Input::Timeout => return Some((request.parse_at_timeout(), false)),
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
            Ok(count) => count > 0,
            Err(Errno::INTR) => false,
            // The kernel refuses to poll if the limit of descriptors is 0.
            Err(_) => return Input::Timeout,
        };
    }
}

/// Reads and discards what the client sends until the client closes.
fn drain(socket: Descriptor, buffer: &mut Buffer) {
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

/// Writes the answer to standard output, with one write. Returns standard output if it is a socket.
fn print(bytes: &[u8]) -> sys::Result<Option<Descriptor>> {
    match sys::send(Descriptor::STDOUT, bytes) {
        Err(Errno::NOTSOCK) => {}
        Err(Errno::BADF) => return Err(Errno::BADF),
        // The launcher passed the connection as standard output only.
        _ => return Ok(Some(Descriptor::STDOUT)),
    }
    // A pipe without a reader is not an error, so it must not raise a signal.
    sys::block(&sys::Signals::PIPE);
    // The kernel refuses to poll if the limit of descriptors is 0, but it may accept the write.
    if sys::wait(Descriptor::STDOUT, Ready::ToWrite, WRITE_WAIT) != Ok(0) {
        match sys::write(Descriptor::STDOUT, bytes) {
            Ok(_) | Err(Errno::PIPE) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

/// Sends a document to the socket or to standard output, for at most [`DOCUMENT_WAIT`].
#[cold]
fn send_document(mut document: OpenDocument, socket: Option<Descriptor>, buffer: &mut Buffer) {
    let output = socket.unwrap_or(Descriptor::STDOUT);
    let end = sys::boot_time().after(DOCUMENT_WAIT);
    loop {
        let now = sys::boot_time();
        // A pipe that is ready takes a whole piece without blocking.
        if now >= end || sys::wait(output, Ready::ToWrite, end.since(now)) != Ok(1) {
            return;
        }
        let piece = document.send_piece(buffer, |bytes| match socket {
            Some(socket) => sys::send(socket, bytes),
            None => sys::write(output, bytes),
        });
        if matches!(piece, Piece::Done | Piece::Broken) {
            return;
        }
    }
}
