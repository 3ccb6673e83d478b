//! The TCP source: a connection, how long it takes and, where that is configured, what the server sends.
//!
//! A connection shows that a process listens and that its queue has room: the kernel accepts it, not the
//! program. A conversation shows that the program answers: the source may send a text, and reads until a
//! pattern, a number of bytes, or the close.
//!
//! Not here: TLS, UDP, a conversation of several steps.

use super::dns::Lookup;
use super::secret::Secret;
use super::{Cancellation, Deadline, Format, Found, connect, io_reason, stopped, too_large};
use crate::reading::{Content, Failure, Reason};
use regex::bytes::Regex;
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// How soon a unix socket whose queue is full is tried again.
const AGAIN: Duration = Duration::from_millis(20);
/// How soon a stop is noticed during a conversation.
const STOP_TICK: Duration = Duration::from_millis(50);
/// The longest match of `until`, in bytes: older bytes are not searched again.
pub const MAX_MATCH: usize = 1024;

/// `[source.NAME.tcp]`
#[derive(Clone, Debug, PartialEq)]
pub struct Tcp {
    /// Where to connect.
    pub peer: Peer,
    /// What is sent and read; `None` closes the connection at once.
    pub conversation: Option<Conversation>,
}

/// Where a TCP source connects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Peer {
    /// `address`: a host, by name or address, and a port.
    Address {
        /// Without the brackets of an IPv6 address.
        host: String,
        /// Not 0.
        port: u16,
    },
    /// `unix_socket`: the path of a unix stream socket.
    Unix(PathBuf),
}

/// What a TCP source sends and reads.
#[derive(Clone, Debug, PartialEq)]
pub struct Conversation {
    /// `send`: sent after the connection; may be empty.
    pub send: Secret,
    /// Where the response ends.
    pub end: End,
    /// How the response is read.
    pub format: Format,
    /// The largest response, in bytes.
    pub max_bytes: usize,
}

/// Where a response ends.
#[derive(Clone, Debug)]
pub enum End {
    /// Where the server closes the connection.
    Close,
    /// `bytes`: after so many bytes.
    Bytes(usize),
    /// `until`: after the first match, which has at most [`MAX_MATCH`] bytes.
    Match(Regex),
}

impl PartialEq for End {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Close, Self::Close) => true,
            (Self::Bytes(one), Self::Bytes(two)) => one == two,
            (Self::Match(one), Self::Match(two)) => one.as_str() == two.as_str(),
            _ => false,
        }
    }
}

impl From<Peer> for Tcp {
    fn from(peer: Peer) -> Self {
        Self {
            peer,
            conversation: None,
        }
    }
}

impl Peer {
    /// Parses `HOST:PORT`, with an IPv6 address in brackets.
    ///
    /// # Errors
    /// The error, as the rest of a sentence that begins with the address.
    pub fn parse(address: &str) -> Result<Self, String> {
        let Some((host, port)) = address.rsplit_once(':') else {
            return Err("has no port".to_owned());
        };
        let port = match port.parse() {
            Ok(port) if port > 0 && !port_is_odd(address) => port,
            _ => return Err("has no port from 1 to 65535".to_owned()),
        };
        let bare = match host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'))
        {
            Some(bare) => {
                bare.parse::<std::net::Ipv6Addr>()
                    .map_err(|_| "has no IPv6 address in its brackets".to_owned())?;
                bare
            }
            None if host.contains(':') => {
                return Err("has an IPv6 address without brackets".to_owned());
            }
            None => host,
        };
        let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
        if bare.is_empty() || !bare.chars().all(is_name) {
            return Err("has no host before the port".to_owned());
        }
        Ok(Self::Address {
            host: bare.to_owned(),
            port,
        })
    }
}

/// A sign before the digits is a number to Rust and no port.
fn port_is_odd(address: &str) -> bool {
    address
        .rsplit(':')
        .next()
        .is_some_and(|port| !port.bytes().all(|byte| byte.is_ascii_digit()))
}

impl fmt::Display for Tcp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.peer {
            Peer::Address { host, port } if host.contains(':') => write!(f, "tcp [{host}]:{port}")?,
            Peer::Address { host, port } => write!(f, "tcp {}:{port}", host.escape_debug())?,
            Peer::Unix(path) => write!(f, "tcp at {path:?}")?,
        }
        match &self.conversation {
            Some(conversation) => write!(f, " as {}", conversation.format),
            None => Ok(()),
        }
    }
}

/// A TCP source in its running form.
#[derive(Debug)]
pub(super) struct Connector {
    tcp: Tcp,
    lookup: Arc<Lookup>,
}

impl Connector {
    pub(super) fn new(tcp: Tcp) -> Self {
        Self {
            tcp,
            lookup: Arc::new(Lookup::system()),
        }
    }

    pub(super) fn poll(&self, deadline: Deadline, stop: &Cancellation) -> Found {
        let connected = match &self.tcp.peer {
            Peer::Unix(path) => connect_unix(path, deadline, stop),
            Peer::Address { host, port } => self
                .addresses(host, *port, deadline)
                .and_then(|addresses| connect::first(&addresses, deadline, stop))
                .map(OwnedFd::from),
        };
        match (connected, &self.tcp.conversation) {
            (Err(failure), _) => failure.into(),
            (Ok(_), None) => Found::outcome(Ok(Content::Nothing)),
            (Ok(socket), Some(conversation)) => {
                match converse(&socket, conversation, deadline, stop) {
                    Ok(response) => Found::body(conversation.format, response),
                    Err((failure, part)) if part.is_empty() => failure.into(),
                    Err((failure, part)) => Found::from(failure).with_text(part),
                }
            }
        }
    }

    fn addresses(
        &self,
        host: &str,
        port: u16,
        deadline: Deadline,
    ) -> Result<Vec<SocketAddr>, Failure> {
        if let Ok(address) = host.parse() {
            return Ok(vec![SocketAddr::new(address, port)]);
        }
        match self.lookup.wait(host, deadline) {
            None => Err(deadline.failure("no address")),
            Some(Err(error)) => Err(Failure::new(Reason::Unreachable, error)),
            Some(Ok(addresses)) => Ok(addresses
                .into_iter()
                .map(|address| SocketAddr::new(address.ip(), port))
                .collect()),
        }
    }
}

/// Sends and reads; a failure comes with the bytes that arrived before it.
fn converse(
    socket: &OwnedFd,
    conversation: &Conversation,
    deadline: Deadline,
    stop: &Cancellation,
) -> Result<Vec<u8>, (Failure, Vec<u8>)> {
    let mut response = Vec::new();
    let mut unsent = conversation.send.expose().as_bytes();
    let mut chunk = [0; 16 * 1024];
    loop {
        if let Some(end) = end_of(&conversation.end, &response) {
            response.truncate(end);
            return Ok(response);
        }
        if response.len() > conversation.max_bytes {
            return Err((too_large("response", conversation.max_bytes), Vec::new()));
        }
        if let Err(failure) = wait(socket, !unsent.is_empty(), deadline, stop) {
            return Err((failure, response));
        }
        let failed = |error: Errno| Failure::new(io_reason(&error.into()), io::Error::from(error));
        if !unsent.is_empty() {
            let flags = rustix::net::SendFlags::NOSIGNAL;
            match rustix::net::send(socket, unsent, flags) {
                Ok(sent) => unsent = unsent.get(sent..).unwrap_or_default(),
                Err(Errno::AGAIN | Errno::INTR) => {}
                // The server may have closed its side after a last response.
                Err(Errno::PIPE | Errno::CONNRESET) => unsent = &[],
                Err(error) => return Err((failed(error), response)),
            }
        }
        match rustix::io::read(socket, &mut chunk) {
            Ok(0) => {
                return match conversation.end {
                    End::Close => Ok(response),
                    _ => {
                        let detail = "connection closed before the end of the response";
                        Err((Failure::new(Reason::Broken, detail), response))
                    }
                };
            }
            Ok(length) => {
                response.extend_from_slice(chunk.get(..length).unwrap_or_default());
            }
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(error) => return Err((failed(error), response)),
        }
    }
}

/// The length of the response, if its end has arrived.
fn end_of(end: &End, response: &[u8]) -> Option<usize> {
    match end {
        End::Close => None,
        End::Bytes(bytes) => (response.len() >= *bytes).then_some(*bytes),
        End::Match(pattern) => {
            // One read is at most 16 KiB; a match may have begun before it.
            let start = response.len().saturating_sub(16 * 1024 + MAX_MATCH);
            pattern.find_at(response, start).map(|found| found.end())
        }
    }
}

/// Sleeps until the socket is readable, or writable where `to_send`.
fn wait(
    socket: &OwnedFd,
    to_send: bool,
    deadline: Deadline,
    stop: &Cancellation,
) -> Result<(), Failure> {
    let flags = if to_send {
        PollFlags::IN | PollFlags::OUT
    } else {
        PollFlags::IN
    };
    loop {
        if stop.is_stopped() {
            return Err(stopped());
        }
        if deadline.has_passed() {
            return Err(deadline.failure("response not complete"));
        }
        let span = Timespec {
            tv_sec: 0,
            // At most STOP_TICK, which is less than a second.
            tv_nsec: STOP_TICK.min(deadline.remaining()).subsec_nanos().into(),
        };
        match rustix::event::poll(&mut [PollFd::new(socket, flags)], Some(&span)) {
            Ok(0) | Err(Errno::INTR) => {}
            Ok(_) => return Ok(()),
            Err(error) => return Err(Failure::new(Reason::Other, io::Error::from(error))),
        }
    }
}

/// Connects without waiting in the kernel, which has no deadline for a unix socket with a full queue.
fn connect_unix(path: &Path, deadline: Deadline, stop: &Cancellation) -> Result<OwnedFd, Failure> {
    let failure = |error: Errno| {
        let error = io::Error::from(error);
        Failure::new(
            io_reason(&error),
            format_args!("{}: {error}", path.display()),
        )
    };
    let address = SocketAddrUnix::new(path).map_err(failure)?;
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    loop {
        let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)
            .map_err(failure)?;
        match rustix::net::connect(&socket, &address) {
            Ok(()) => return Ok(socket),
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(error) => return Err(failure(error)),
        }
        if stop.wait(AGAIN.min(deadline.remaining())) {
            return Err(stopped());
        }
        if deadline.has_passed() {
            return Err(deadline.failure("no room in its queue of connections"));
        }
    }
}

#[cfg(test)]
mod tests;
