//! The TCP sockets of a local port, by NETLINK_SOCK_DIAG (sock_diag(7)), which needs no permissions.
//!
//! The kernel filters by state and local port, so that of 100,000 sockets only the wanted ones are copied. A
//! socket that opens or closes during the dump may be in it or not.
//!
//! Own code, without unsafe: one request of 72 bytes and one form of response do not need a crate.

use super::{Socket, State};
use crate::reading::Failure;
use crate::source::{Deadline, io_reason};
use rustix::io::Errno;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink};
use std::fmt;
use std::io;
use std::time::Duration;

/// Of linux/netlink.h and linux/sock_diag.h.
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const SOCK_DIAG_BY_FAMILY: u16 = 20;
const NLM_F_REQUEST: u16 = 1;
const NLM_F_DUMP: u16 = 0x300;
const IPPROTO_TCP: u8 = 6;

/// nlmsghdr, before every message.
const HEADER: usize = 16;
/// nlmsghdr and inet_diag_req_v2.
const REQUEST: usize = HEADER + 56;
/// The kernel sends at most 32 KiB at once.
const BUFFER: usize = 32 << 10;

/// The families of TCP sockets. IPv4 over an IPv6 socket belongs to IPv6.
const FAMILIES: [(u8, &str); 2] = [(2, "IPv4"), (10, "IPv6")];

/// Passes on every TCP socket of this network namespace that is in `state` on the local `port`.
pub(super) fn dump(
    port: u16,
    state: State,
    deadline: Deadline,
    mut each: impl FnMut(Socket),
) -> Result<(), Failure> {
    let failed = |error: Errno| {
        let error = io::Error::from(error);
        Failure::new(io_reason(&error), format_args!("sock_diag: {error}"))
    };
    let socket = rustix::net::socket_with(
        AddressFamily::NETLINK,
        SocketType::RAW,
        SocketFlags::CLOEXEC,
        Some(netlink::SOCK_DIAG),
    )
    .map_err(failed)?;
    let mut buffer = vec![0; BUFFER];
    for (sequence, (family, name)) in (1..).zip(FAMILIES) {
        let request = request(family, port, state, sequence);
        rustix::net::send(&socket, &request, SendFlags::empty()).map_err(failed)?;
        loop {
            // A timeout of 0 would mean no timeout.
            let left = deadline.remaining().max(Duration::from_millis(1));
            set_socket_timeout(&socket, Timeout::Recv, Some(left)).map_err(failed)?;
            let length = match rustix::net::recv(&socket, &mut buffer[..], RecvFlags::TRUNC) {
                Ok((_, length)) => length,
                Err(Errno::INTR) => continue,
                Err(Errno::AGAIN) => return Err(deadline.failure("not all sockets seen")),
                Err(error) => return Err(failed(error)),
            };
            let Some(datagram) = buffer.get(..length) else {
                return Err(malformed("a datagram that is too long"));
            };
            let answer = parse_datagram(datagram, sequence, |socket| {
                if socket.port == port && socket.state == state.number() {
                    each(socket);
                }
            })?;
            match answer {
                Answer::More => {}
                Answer::Done => break,
                Answer::Error(code) => {
                    let error = io::Error::from_raw_os_error(code);
                    let detail = format!("sock_diag of {name}: {error}");
                    return Err(Failure::new(io_reason(&error), detail));
                }
            }
            if deadline.has_passed() {
                return Err(deadline.failure("not all sockets seen"));
            }
        }
    }
    Ok(())
}

/// A request for all sockets of `family`, in `state`, on the local `port`: nlmsghdr, inet_diag_req_v2.
fn request(family: u8, port: u16, state: State, sequence: u32) -> [u8; REQUEST] {
    let mut request = [0; REQUEST];
    let length = u32::try_from(REQUEST).unwrap_or_default();
    let states = 1_u32 << state.number();
    let fields: [(usize, &[u8]); 8] = [
        (0, &length.to_ne_bytes()),
        (4, &SOCK_DIAG_BY_FAMILY.to_ne_bytes()),
        (6, &(NLM_F_REQUEST | NLM_F_DUMP).to_ne_bytes()),
        (8, &sequence.to_ne_bytes()),
        (HEADER, &[family]),
        (HEADER + 1, &[IPPROTO_TCP]),
        (HEADER + 4, &states.to_ne_bytes()),
        // The filter: the local port, the first of inet_diag_sockid. 0 at the other end means any.
        (HEADER + 8, &port.to_be_bytes()),
    ];
    for (at, bytes) in fields {
        if let Some(place) = request.get_mut(at..at + bytes.len()) {
            place.copy_from_slice(bytes);
        }
    }
    request
}

/// Whether more datagrams follow.
#[derive(Debug, PartialEq)]
enum Answer {
    More,
    Done,
    /// The kernel's errno, positive.
    Error(i32),
}

/// Passes on the sockets of a datagram, which has any number of messages. Those of other requests are ignored.
fn parse_datagram(
    mut datagram: &[u8],
    sequence: u32,
    mut each: impl FnMut(Socket),
) -> Result<Answer, Failure> {
    while !datagram.is_empty() {
        let length = u32_at(datagram, 0).and_then(|length| usize::try_from(length).ok());
        let kind = u16_at(datagram, 4);
        let (Some(length), Some(kind), Some(of)) = (length, kind, u32_at(datagram, 8)) else {
            return Err(malformed("a header that is cut off"));
        };
        let Some(payload) = datagram.get(HEADER..length) else {
            return Err(malformed("a message of a wrong length"));
        };
        // Messages begin at multiples of 4; the last one may be shorter.
        datagram = datagram.get(length.next_multiple_of(4)..).unwrap_or(&[]);
        if of != sequence {
            continue;
        }
        match kind {
            SOCK_DIAG_BY_FAMILY => each(parse_socket(payload)?),
            // Both have a negative errno; a successful dump ends with 0 or without one.
            NLMSG_DONE | NLMSG_ERROR => {
                let code = u32_at(payload, 0).map_or(0, u32::cast_signed);
                return match code.checked_neg() {
                    Some(code) if code > 0 => Ok(Answer::Error(code)),
                    _ if kind == NLMSG_DONE => Ok(Answer::Done),
                    _ => Err(malformed("an error that is none")),
                };
            }
            _ => {}
        }
    }
    Ok(Answer::More)
}

/// inet_diag_msg. For a listening socket, `idiag_rqueue` is the length of its queue and `idiag_wqueue`
/// the limit (`tcp_diag_get_info`).
fn parse_socket(message: &[u8]) -> Result<Socket, Failure> {
    let socket = || {
        Some(Socket {
            state: *message.get(1)?,
            port: u16::from_be(u16_at(message, 4)?),
            queued: u32_at(message, 56)?,
            limit: Some(u32_at(message, 60)?),
        })
    };
    socket().ok_or_else(|| malformed("a socket that is cut off"))
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes
        .get(at..)?
        .first_chunk()
        .copied()
        .map(u16::from_ne_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes
        .get(at..)?
        .first_chunk()
        .copied()
        .map(u32::from_ne_bytes)
}

fn malformed(detail: impl fmt::Display) -> Failure {
    crate::source::system::malformed(format_args!("sock_diag: {detail}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reading::Reason;

    /// A message as the kernel sends it.
    fn message(kind: u16, sequence: u32, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(HEADER + payload.len()).unwrap();
        let mut message = length.to_ne_bytes().to_vec();
        message.extend(kind.to_ne_bytes());
        message.extend(2_u16.to_ne_bytes());
        message.extend(sequence.to_ne_bytes());
        message.extend(4711_u32.to_ne_bytes());
        message.extend(payload);
        message
    }

    fn socket(state: u8, port: u16, queued: u32, limit: u32) -> Vec<u8> {
        let mut message = vec![0; 72];
        message[0] = 2;
        message[1] = state;
        message[4..6].copy_from_slice(&port.to_be_bytes());
        message[56..60].copy_from_slice(&queued.to_ne_bytes());
        message[60..64].copy_from_slice(&limit.to_ne_bytes());
        message
    }

    fn parse(datagram: &[u8]) -> (Result<Answer, Reason>, Vec<Socket>) {
        let mut sockets = Vec::new();
        let answer = parse_datagram(datagram, 7, |socket| sockets.push(socket));
        (answer.map_err(|failure| failure.reason), sockets)
    }

    #[test]
    fn request_has_its_length_and_the_port() {
        let request = request(2, 443, State::Established, 7);
        assert_eq!(u32_at(&request, 0), Some(72));
        assert_eq!(
            request[HEADER..HEADER + 10],
            [2, 6, 0, 0, 2, 0, 0, 0, 1, 187]
        );
        assert!(request[HEADER + 10..].iter().all(|byte| *byte == 0));
    }

    #[test]
    fn sockets_are_passed_on_until_the_end() {
        let mut datagram = message(SOCK_DIAG_BY_FAMILY, 7, &socket(10, 443, 3, 128));
        datagram.extend(message(SOCK_DIAG_BY_FAMILY, 6, &socket(10, 443, 9, 9)));
        // An attribute after the socket, and one byte with padding to four.
        let mut longer = socket(1, 444, 0, 0);
        longer.extend([5, 0, 8, 0, 1]);
        datagram.extend(message(SOCK_DIAG_BY_FAMILY, 7, &longer));
        datagram.extend([0; 3]);
        let (answer, sockets) = parse(&datagram);
        assert_eq!(answer, Ok(Answer::More));
        let expected = [(10, 443, 3, 128), (1, 444, 0, 0)].map(|(state, port, queued, limit)| {
            let limit = Some(limit);
            Socket {
                state,
                port,
                queued,
                limit,
            }
        });
        assert_eq!(sockets, expected);
        datagram.extend(message(NLMSG_DONE, 7, &[0; 4]));
        assert_eq!(parse(&datagram).0, Ok(Answer::Done));
        assert_eq!(parse(&message(NLMSG_DONE, 7, &[])).0, Ok(Answer::Done));
    }

    #[test]
    fn kernel_errors_are_failures() {
        let no_entry = (-2_i32).to_ne_bytes();
        for kind in [NLMSG_ERROR, NLMSG_DONE] {
            let (answer, _) = parse(&message(kind, 7, &no_entry));
            assert_eq!(answer, Ok(Answer::Error(2)));
        }
        let least = i32::MIN.to_ne_bytes();
        assert_eq!(parse(&message(NLMSG_DONE, 7, &least)).0, Ok(Answer::Done));
        let none = parse(&message(NLMSG_ERROR, 7, &[0; 4])).0;
        assert_eq!(none, Err(Reason::Malformed));
    }

    #[test]
    fn no_bytes_panic() {
        let whole = message(SOCK_DIAG_BY_FAMILY, 7, &socket(1, 443, 0, 0));
        for length in 1..whole.len() {
            let (answer, sockets) = parse(&whole[..length]);
            assert_eq!(answer, Err(Reason::Malformed), "{length}");
            assert_eq!(sockets, []);
        }
        for (at, value) in (0..whole.len()).flat_map(|at| [0, 1, 15, 255].map(|v| (at, v))) {
            let mut changed = whole.clone();
            changed[at] = value;
            let _ = parse(&changed);
        }
        assert_eq!(parse(&[0; 64]).0, Err(Reason::Malformed));
    }
}
