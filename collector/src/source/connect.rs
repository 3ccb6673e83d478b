//! Connections to a host with several addresses, by RFC 8305: an attempt that does not finish soon gets
//! company, and the first connection wins, all within one deadline.
//!
//! Not here: the lookup of the addresses.

use super::{Cancellation, Deadline, io_reason, stopped};
use crate::reading::{Failure, Reason};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fd::{AsFd, OwnedFd};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType};
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// The time between two attempts (RFC 8305, section 8), where the deadline leaves that much.
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);
/// How soon a stop is noticed.
const STOP_TICK: Duration = Duration::from_millis(50);

/// The first connection to one of `addresses`, in non-blocking mode.
pub(super) fn first(
    addresses: &[SocketAddr],
    deadline: Deadline,
    stop: &Cancellation,
) -> Result<TcpStream, Failure> {
    let mut waiting = interleaved(addresses).into_iter();
    let mut attempts: Vec<(SocketAddr, OwnedFd)> = Vec::new();
    let mut latest = Failure::new(Reason::Unreachable, "the name has no address");
    let mut next_at = Instant::now();
    loop {
        if stop.is_stopped() {
            return Err(stopped());
        }
        if deadline.has_passed() {
            return Err(deadline.failure("no connection"));
        }
        if (attempts.is_empty() || Instant::now() >= next_at)
            && let Some(address) = waiting.next()
        {
            let left = u32::try_from(waiting.len() + 1).unwrap_or(u32::MAX);
            next_at = Instant::now() + ATTEMPT_DELAY.min(deadline.remaining() / (left + 1));
            match start(address) {
                Ok(socket) => attempts.push((address, socket)),
                Err(error) => latest = failed(address, error),
            }
            continue;
        }
        if attempts.is_empty() {
            return Err(latest);
        }
        let until_next = match waiting.len() {
            0 => STOP_TICK,
            _ => next_at.saturating_duration_since(Instant::now()),
        };
        wait(
            &attempts,
            until_next.min(STOP_TICK).min(deadline.remaining()),
        )?;
        let mut index = 0;
        while let Some((address, socket)) = attempts.get(index) {
            match outcome(socket) {
                Outcome::Pending => index += 1,
                Outcome::Failed(error) => {
                    latest = failed(*address, error);
                    attempts.remove(index);
                    // A failure makes room for the next attempt at once.
                    next_at = Instant::now();
                }
                Outcome::Connected => {
                    let (address, socket) = attempts.remove(index);
                    let stream = TcpStream::from(socket);
                    if !is_to_itself(&stream) {
                        return Ok(stream);
                    }
                    let detail = format!("{address}: nothing listens");
                    latest = Failure::new(Reason::Refused, detail);
                    next_at = Instant::now();
                }
            }
        }
    }
}

/// The addresses with alternating families, the first one first.
fn interleaved(addresses: &[SocketAddr]) -> Vec<SocketAddr> {
    let first_is_v6 = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (preferred, others): (Vec<&SocketAddr>, Vec<&SocketAddr>) = addresses
        .iter()
        .partition(|address| address.is_ipv6() == first_is_v6);
    let mut others = others.into_iter();
    let mut order = Vec::with_capacity(addresses.len());
    for address in preferred {
        order.push(*address);
        order.extend(others.next());
    }
    order.extend(others);
    order
}

fn start(address: SocketAddr) -> Result<OwnedFd, Errno> {
    let family = match address {
        SocketAddr::V4(_) => AddressFamily::INET,
        SocketAddr::V6(_) => AddressFamily::INET6,
    };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(family, SocketType::STREAM, flags, None)?;
    match rustix::net::connect(&socket, &address) {
        Ok(()) | Err(Errno::INPROGRESS | Errno::INTR) => Ok(socket),
        Err(error) => Err(error),
    }
}

fn failed(address: SocketAddr, error: Errno) -> Failure {
    let error = io::Error::from(error);
    Failure::new(io_reason(&error), format_args!("{address}: {error}"))
}

/// Sleeps until an attempt has ended, or for `span`.
fn wait(attempts: &[(SocketAddr, OwnedFd)], span: Duration) -> Result<(), Failure> {
    let mut watched: Vec<PollFd<'_>> = attempts
        .iter()
        .map(|(_, socket)| PollFd::from_borrowed_fd(socket.as_fd(), PollFlags::OUT))
        .collect();
    let span = Timespec {
        tv_sec: 0,
        // At most STOP_TICK, which is less than a second.
        tv_nsec: span.subsec_nanos().into(),
    };
    match rustix::event::poll(&mut watched, Some(&span)) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(error) => Err(Failure::new(Reason::Other, io::Error::from(error))),
    }
}

enum Outcome {
    Pending,
    Connected,
    Failed(Errno),
}

fn outcome(socket: &OwnedFd) -> Outcome {
    match rustix::net::sockopt::socket_error(socket) {
        Ok(Err(error)) | Err(error) => return Outcome::Failed(error),
        Ok(Ok(())) => {}
    }
    match rustix::net::getpeername(socket) {
        Ok(_) => Outcome::Connected,
        Err(_) => Outcome::Pending,
    }
}

/// Without a listener on a port from which the kernel takes client ports, a connection on this host may get
/// that very port and meet itself.
fn is_to_itself(stream: &TcpStream) -> bool {
    match (stream.local_addr(), stream.peer_addr()) {
        (Ok(local), Ok(peer)) => local == peer,
        _ => false,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use std::net::TcpListener;

    /// An address at which connections hang: its queue is full. With the sockets that fill it.
    pub(crate) fn hanging(address: &str) -> (SocketAddr, impl Sized) {
        let any: SocketAddr = format!("{address}:0").parse().unwrap();
        let listener = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
        rustix::net::bind(&listener, &any).unwrap();
        rustix::net::listen(&listener, 0).unwrap();
        let listener = TcpListener::from(listener);
        let address = listener.local_addr().unwrap();
        // The kernel accepts one or two more than the limit, and drops the rest.
        let held: Vec<_> = (0..4).map(|_| start(address)).collect();
        let full = |_| TcpStream::connect_timeout(&address, Duration::from_millis(200)).is_err();
        assert!((0..10).any(full), "the queue has no end");
        (address, (listener, held))
    }

    fn connect(addresses: &[SocketAddr], timeout: Duration) -> Result<SocketAddr, Failure> {
        let stream = first(addresses, Deadline::within(timeout), &Cancellation::new())?;
        Ok(stream.peer_addr().unwrap())
    }

    #[test]
    fn hanging_and_refusing_addresses_do_not_hide_a_good_one() {
        let (hangs, _held) = hanging("127.77.1.1");
        let listener = TcpListener::bind("127.77.1.2:0").unwrap();
        let good = listener.local_addr().unwrap();
        let closed = TcpListener::bind("127.77.1.3:0").unwrap();
        let refuses = closed.local_addr().unwrap();
        drop(closed);
        let ample = Duration::from_secs(20);
        assert_eq!(connect(&[hangs, good], ample), Ok(good));
        assert_eq!(connect(&[refuses, hangs, hangs, good], ample), Ok(good));
        let refused = connect(&[refuses], ample).unwrap_err();
        assert_eq!(refused.reason, Reason::Refused);
        let late = connect(&[hangs, refuses], Duration::from_millis(300)).unwrap_err();
        assert_eq!(late.to_string(), "timeout: no connection within 300ms");
        let none = connect(&[], ample).unwrap_err();
        assert_eq!(none.reason, Reason::Unreachable);
    }

    #[test]
    fn families_alternate_beginning_with_the_first() {
        let addresses = |text: &[&str]| -> Vec<SocketAddr> {
            text.iter()
                .map(|address| address.parse().unwrap())
                .collect()
        };
        let given = addresses(&["[::1]:1", "[::2]:1", "[::3]:1", "1.1.1.1:1", "2.2.2.2:1"]);
        let order = addresses(&["[::1]:1", "1.1.1.1:1", "[::2]:1", "2.2.2.2:1", "[::3]:1"]);
        assert_eq!(interleaved(&given), order);
    }
}
