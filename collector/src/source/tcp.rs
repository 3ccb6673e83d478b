//! The TCP source: whether a connection is to be had, and how long that takes. It is closed at once, and
//! nothing is sent.
//!
//! That a connection is to be had says that somebody listens and that the queue has room: the kernel makes
//! it, not the program. Whether the program answers is for the HTTP or the command source.
//!
//! Not here: TLS, a conversation, UDP.

use super::dns::Lookup;
use super::{Cancellation, Deadline, Found, io_reason, stopped};
use crate::reading::{Content, Failure, Reason};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// How soon a unix socket whose queue is full is tried again.
const AGAIN: Duration = Duration::from_millis(20);

/// `[source.NAME.tcp]`: where to connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tcp {
    /// `address`: a host, by name or address, and a port.
    Address {
        /// Without the brackets of an IPv6 address.
        host: String,
        /// Not 0.
        port: u16,
    },
    /// `unix`: the path of a unix socket that takes streams.
    Unix(PathBuf),
}

impl Tcp {
    /// Reads `HOST:PORT`, with an IPv6 address in brackets.
    ///
    /// # Errors
    /// What is wrong with it, as the rest of a sentence that begins with the address.
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
        match self {
            Self::Address { host, port } if host.contains(':') => write!(f, "tcp [{host}]:{port}"),
            Self::Address { host, port } => write!(f, "tcp {}:{port}", host.escape_debug()),
            Self::Unix(path) => write!(f, "tcp at {path:?}"),
        }
    }
}

/// A TCP source that is being polled.
#[derive(Debug)]
pub(super) struct Caller {
    tcp: Tcp,
    lookup: Arc<Lookup>,
}

impl Caller {
    pub(super) fn new(tcp: Tcp) -> Self {
        Self {
            tcp,
            lookup: Arc::new(Lookup::system()),
        }
    }

    pub(super) fn poll(&self, deadline: Deadline, stop: &Cancellation) -> Found {
        let connected = match &self.tcp {
            Tcp::Unix(path) => connect_unix(path, deadline, stop),
            Tcp::Address { host, port } => self
                .addresses(host, *port, deadline)
                .and_then(|addresses| connect(&addresses, deadline, stop)),
        };
        Found::outcome(connected.map(|()| Content::Nothing))
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
        let found = self.lookup.wait(host, deadline);
        match found {
            None => Err(deadline.failure("no address")),
            Some(Err(error)) => Err(Failure::new(Reason::Unreachable, error)),
            Some(Ok(addresses)) => Ok(addresses
                .into_iter()
                .map(|address| SocketAddr::new(address.ip(), port))
                .collect()),
        }
    }
}

/// Tries one address after the other, each for its share of the time that is left, so that one that does
/// not answer leaves time for the next.
fn connect(
    addresses: &[SocketAddr],
    deadline: Deadline,
    stop: &Cancellation,
) -> Result<(), Failure> {
    let mut latest = Failure::new(Reason::Unreachable, "the name has no address");
    for (index, address) in addresses.iter().enumerate() {
        if stop.is_stopped() {
            return Err(stopped());
        }
        let left = u32::try_from(addresses.len() - index).unwrap_or(u32::MAX);
        let share = deadline.remaining() / left;
        if share.is_zero() {
            return Err(deadline.failure("no connection"));
        }
        match TcpStream::connect_timeout(address, share) {
            Ok(stream) if is_to_itself(&stream) => {
                latest = Failure::new(Reason::Refused, format_args!("{address}: nothing listens"));
            }
            Ok(_) => return Ok(()),
            Err(error) if io_reason(&error) == Reason::Timeout => {
                latest = deadline.failure("no connection");
            }
            Err(error) => {
                latest = Failure::new(io_reason(&error), format_args!("{address}: {error}"));
            }
        }
    }
    Err(latest)
}

/// Where nothing listens on a port from which the kernel takes those of clients, a connection on this host
/// may be given that very port, and meet itself.
fn is_to_itself(stream: &TcpStream) -> bool {
    match (stream.local_addr(), stream.peer_addr()) {
        (Ok(local), Ok(peer)) => local == peer,
        _ => false,
    }
}

/// Without waiting in the kernel, which for a unix socket with a full queue knows no deadline.
fn connect_unix(path: &Path, deadline: Deadline, stop: &Cancellation) -> Result<(), Failure> {
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
            Ok(()) => return Ok(()),
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
    use std::net::TcpListener;
    use std::os::unix::net::UnixListener;
    use std::time::Instant;

    const AMPLE: Duration = Duration::from_secs(30);
    const SHORT: Duration = Duration::from_millis(300);
    const NOT_HELD: Duration = Duration::from_secs(20);

    fn poll(tcp: Tcp, timeout: Duration) -> Result<(), Failure> {
        let started = Instant::now();
        let found = Caller::new(tcp).poll(Deadline::within(timeout), &Cancellation::new());
        assert!(started.elapsed() < NOT_HELD, "held: {found:?}");
        found
            .outcome
            .map(|content| assert_eq!(content, Content::Nothing))
    }

    fn reason(tcp: Tcp, timeout: Duration) -> Reason {
        poll(tcp, timeout).expect_err("a failure").reason
    }

    #[test]
    fn addresses() {
        for (address, shown) in [
            ("127.0.0.1:6379", "tcp 127.0.0.1:6379"),
            ("[::1]:1", "tcp [::1]:1"),
            ("db-1.example:65535", "tcp db-1.example:65535"),
        ] {
            assert_eq!(Tcp::parse(address).unwrap().to_string(), shown);
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
            assert_eq!(Tcp::parse(address), Err(wrong.to_owned()), "{address:?}");
        }
    }

    #[test]
    fn where_somebody_listens_and_where_nobody_does() {
        // Addresses that no other test listens on, so that nobody takes the port meanwhile.
        let listener = TcpListener::bind("127.77.0.2:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let tcp = Tcp::parse(&address).unwrap();
        assert_eq!(poll(tcp.clone(), AMPLE), Ok(()));
        drop(listener);
        assert_eq!(reason(tcp, AMPLE), Reason::Refused);
        let unreachable = Tcp::parse("224.0.0.1:9").unwrap();
        assert_eq!(reason(unreachable, AMPLE), Reason::Unreachable);
    }

    #[test]
    fn the_connection_is_closed_and_nothing_is_sent() {
        use std::io::Read;
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let by_name = Tcp::parse(&format!("localhost:{port}")).unwrap();
        assert_eq!(poll(by_name, AMPLE), Ok(()));
        let mut sent = Vec::new();
        let (mut stream, _) = listener.accept().unwrap();
        assert_eq!(stream.read_to_end(&mut sent).unwrap(), 0);
    }

    #[test]
    fn a_queue_that_is_full_is_a_timeout() {
        let listener = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        rustix::net::bind(&listener, &any).unwrap();
        rustix::net::listen(&listener, 0).unwrap();
        let listener = TcpListener::from(listener);
        let address = listener.local_addr().unwrap();
        // The kernel takes one or two more than it was told, and drops the rest.
        let held: Vec<_> = (0..4)
            .map(|_| TcpStream::connect_timeout(&address, SHORT))
            .collect();
        assert!(held.iter().any(Result::is_err), "{held:?}");
        let tcp = Tcp::parse(&address.to_string()).unwrap();
        let failure = poll(tcp, SHORT).unwrap_err();
        assert_eq!(failure.to_string(), "timeout: no connection within 300ms");
    }

    #[test]
    fn unix_sockets() {
        let scratch = Scratch::new("tcp");
        let path = scratch.file("app.sock");
        let at = |path: &Path| Tcp::Unix(path.to_owned());
        assert_eq!(reason(at(&path), AMPLE), Reason::Missing);
        let listener = UnixListener::bind(&path).unwrap();
        assert_eq!(poll(at(&path), AMPLE), Ok(()));
        // With a queue for none, the one that is in it is one too many.
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
    fn a_stop_ends_the_wait() {
        let stop = Cancellation::new();
        stop.stop();
        let tcp = Tcp::parse("127.0.0.1:9").unwrap();
        let found = Caller::new(tcp).poll(Deadline::within(AMPLE), &stop);
        assert_eq!(found.outcome, Err(stopped()));
    }
}
