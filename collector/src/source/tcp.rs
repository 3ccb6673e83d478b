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
mod tests {
    use super::*;
    use agentcheck_tests::scratch::Scratch;
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::os::unix::net::UnixListener;
    use std::time::Instant;

    const AMPLE: Duration = Duration::from_secs(30);
    const SHORT: Duration = Duration::from_millis(300);
    const NOT_BLOCKED: Duration = Duration::from_secs(20);

    fn poll(tcp: Tcp, timeout: Duration) -> Result<(), Failure> {
        let started = Instant::now();
        let found = Connector::new(tcp).poll(Deadline::within(timeout), &Cancellation::new());
        assert!(started.elapsed() < NOT_BLOCKED, "blocked: {found:?}");
        found
            .outcome
            .map(|content| assert_eq!(content, Content::Nothing))
    }

    fn reason(tcp: Tcp, timeout: Duration) -> Reason {
        poll(tcp, timeout).expect_err("a failure").reason
    }

    #[test]
    fn addresses_are_parsed() {
        for (address, shown) in [
            ("127.0.0.1:6379", "tcp 127.0.0.1:6379"),
            ("[::1]:1", "tcp [::1]:1"),
            ("db-1.example:65535", "tcp db-1.example:65535"),
        ] {
            assert_eq!(tcp(address).to_string(), shown);
        }
        for (address, wrong) in [
            ("", "has no port"),
            ("localhost", "has no port"),
            ("localhost:", "has no port from 1 to 65535"),
            ("localhost:0", "has no port from 1 to 65535"),
            ("localhost:+1", "has no port from 1 to 65535"),
            ("localhost:65536", "has no port from 1 to 65535"),
            ("localhost:redis", "has no port from 1 to 65535"),
            (":80", "has no host before the port"),
            ("[]:80", "has no IPv6 address in its brackets"),
            ("[localhost]:80", "has no IPv6 address in its brackets"),
            ("::1:80", "has an IPv6 address without brackets"),
            ("http://a:80", "has an IPv6 address without brackets"),
            ("a b:80", "has no host before the port"),
        ] {
            assert_eq!(Peer::parse(address), Err(wrong.to_owned()), "{address:?}");
        }
    }

    #[test]
    fn listening_port_is_good_and_closed_port_is_refused() {
        // Addresses that no other test listens on, so that the port stays free.
        let listener = TcpListener::bind("127.77.0.2:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        assert_eq!(poll(tcp(&address), AMPLE), Ok(()));
        drop(listener);
        assert_eq!(reason(tcp(&address), AMPLE), Reason::Refused);
        let unreachable = tcp("224.0.0.1:9");
        assert_eq!(reason(unreachable, AMPLE), Reason::Unreachable);
    }

    #[test]
    fn connection_is_closed_and_nothing_is_sent() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let by_name = tcp(&format!("localhost:{port}"));
        assert_eq!(poll(by_name, AMPLE), Ok(()));
        let mut sent = Vec::new();
        let (mut stream, _) = listener.accept().unwrap();
        assert_eq!(stream.read_to_end(&mut sent).unwrap(), 0);
    }

    #[test]
    fn full_queue_is_a_timeout() {
        let (address, _held) = connect::tests::hanging("127.77.0.3");
        let failure = poll(tcp(&address.to_string()), SHORT).unwrap_err();
        assert_eq!(failure.to_string(), "timeout: no connection within 300ms");
    }

    fn tcp(address: &str) -> Tcp {
        Peer::parse(address).unwrap().into()
    }

    /// A server that sends a text after it has received `expected`, and then closes or waits.
    fn server(expected: &'static str, response: &'static str, closes: bool) -> Tcp {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut received = vec![0; expected.len()];
                let _ = stream.read_exact(&mut received);
                assert_eq!(received, expected.as_bytes());
                for part in response.as_bytes().chunks(7) {
                    let _ = stream.write_all(part);
                    std::thread::sleep(Duration::from_millis(1));
                }
                if !closes {
                    let _ = stream.read(&mut [0]);
                }
            }
        });
        tcp(&address)
    }

    fn talk(tcp: Tcp, send: &str, end: End, timeout: Duration) -> Found {
        let conversation = Conversation {
            send: send.into(),
            end,
            format: Format::Text,
            max_bytes: 100,
        };
        let tcp = Tcp {
            conversation: Some(conversation),
            ..tcp
        };
        Connector::new(tcp).poll(Deadline::within(timeout), &Cancellation::new())
    }

    #[test]
    fn response_ends_at_a_match_a_length_or_the_close() {
        let pattern = |text| End::Match(Regex::new(text).unwrap());
        let memcached = "STAT curr_connections 2\r\nEND\r\n";
        for (send, response, closes, end, text) in [
            ("stats\r\n", memcached, false, pattern("END\r\n"), memcached),
            (
                "",
                "220 mail ESMTP\r\n",
                false,
                pattern("\n"),
                "220 mail ESMTP\r\n",
            ),
            ("x", "0123456789", false, End::Bytes(4), "0123"),
            ("QUIT\n", "a\nbye\n", true, End::Close, "a\nbye\n"),
        ] {
            let found = talk(server(send, response, closes), send, end, AMPLE);
            assert_eq!(found.text.as_deref(), Some(text));
            assert_eq!(found.outcome, Ok(Content::Text));
        }
    }

    #[test]
    fn response_without_its_end_is_a_failure() {
        let pattern = || End::Match(Regex::new("END").unwrap());
        let silent = talk(server("", "", false), "", pattern(), SHORT);
        let failure = silent.outcome.unwrap_err();
        assert_eq!(
            failure.to_string(),
            "timeout: response not complete within 300ms"
        );
        let part = talk(server("", "STAT", false), "", pattern(), SHORT);
        assert_eq!(part.text.as_deref(), Some("STAT"));
        let closed = talk(server("", "STAT", true), "", pattern(), AMPLE);
        assert_eq!(closed.outcome.unwrap_err().reason, Reason::Broken);
        assert_eq!(closed.text.as_deref(), Some("STAT"));
        let long = Box::leak("x".repeat(101).into_boxed_str());
        let large = talk(server("", long, false), "", pattern(), AMPLE);
        assert_eq!(large.outcome.unwrap_err().reason, Reason::TooLarge);
        // A server that neither reads nor closes does not block the sender.
        let (address, _held) = {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            (listener.local_addr().unwrap().to_string(), listener)
        };
        let much = "x".repeat(64 << 20);
        let stuck = talk(tcp(&address), &much, End::Close, SHORT);
        assert_eq!(stuck.outcome.unwrap_err().reason, Reason::Timeout);
    }

    #[test]
    fn unix_sockets_connect_within_the_deadline() {
        let scratch = Scratch::new("tcp");
        let path = scratch.file("app.sock");
        let at = |path: &Path| Tcp::from(Peer::Unix(path.to_owned()));
        assert_eq!(reason(at(&path), AMPLE), Reason::Missing);
        let listener = UnixListener::bind(&path).unwrap();
        assert_eq!(poll(at(&path), AMPLE), Ok(()));
        // A queue of 0 has room for one connection, which is there already.
        rustix::net::listen(&listener, 0).unwrap();
        let failure = poll(at(&path), SHORT).unwrap_err();
        assert_eq!(
            failure.to_string(),
            "timeout: no room in its queue of connections within 300ms"
        );
        drop(listener);
        assert_eq!(reason(at(&path), AMPLE), Reason::Refused);
    }

    #[test]
    fn stop_ends_the_wait() {
        let stop = Cancellation::new();
        stop.stop();
        let found = Connector::new(tcp("127.0.0.1:9")).poll(Deadline::within(AMPLE), &stop);
        assert_eq!(found.outcome, Err(stopped()));
    }
}
