//! The TCP sockets of a local port, by /proc/net/tcp and tcp6: the way where sock_diag is not available.
//!
//! Slower, because the kernel prints every socket (15 MB at 100,000). They are read line by line. The limit
//! of a listening socket's queue is absent.

use super::{Socket, State};
use crate::reading::{Failure, Reason};
use crate::source::system::malformed;
use crate::source::{Deadline, io_reason};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

/// Lines have 150 bytes, and 170 or so in tcp6.
const LONGEST_LINE: u64 = 1024;

/// Passes on every TCP socket that is in `state` on the local `port`.
pub(super) fn read_sockets(
    root: &Path,
    port: u16,
    state: State,
    deadline: Deadline,
    mut each: impl FnMut(Socket),
) -> Result<(), Failure> {
    let mut wanted = |socket: Socket| {
        if socket.port == port && socket.state == state.number() {
            each(socket);
        }
    };
    read_table(&root.join("proc/net/tcp"), deadline, &mut wanted)?;
    match read_table(&root.join("proc/net/tcp6"), deadline, &mut wanted) {
        // A kernel without IPv6.
        Err(failure) if failure.reason == Reason::Missing => Ok(()),
        read => read,
    }
}

fn read_table(
    path: &Path,
    deadline: Deadline,
    each: &mut impl FnMut(Socket),
) -> Result<(), Failure> {
    let failure = |error: io::Error| {
        let detail = format!("{}: {error}", path.display());
        Failure::new(io_reason(&error), detail)
    };
    let mut table = BufReader::with_capacity(64 << 10, File::open(path).map_err(failure)?);
    let mut line = Vec::new();
    for number in 0_u64.. {
        line.clear();
        let mut bounded = table.by_ref().take(LONGEST_LINE);
        if bounded.read_until(b'\n', &mut line).map_err(failure)? == 0 {
            break;
        }
        // The first line has the column names.
        if number > 0 {
            each(parse_line(&line).ok_or_else(|| {
                let line = String::from_utf8_lossy(&line);
                malformed(format_args!("{}: {line:?}", path.display()))
            })?);
        }
        if number % 1024 == 0 && deadline.has_passed() {
            return Err(deadline.failure("not all sockets seen"));
        }
    }
    Ok(())
}

/// `SL: LOCAL:PORT REMOTE:PORT STATE SENDING:RECEIVING ...`, by proc_pid_net(5), in hexadecimal. For a
/// listening socket, RECEIVING is the length of its queue.
fn parse_line(line: &[u8]) -> Option<Socket> {
    let line = std::str::from_utf8(line).ok()?;
    let mut columns = line.split_ascii_whitespace();
    let local = columns.nth(1)?;
    let state = columns.nth(1)?;
    let queues = columns.next()?;
    let (_, port) = local.rsplit_once(':')?;
    let (_, receiving) = queues.split_once(':')?;
    Some(Socket {
        state: u8::from_str_radix(state, 16).ok()?,
        port: u16::from_str_radix(port, 16).ok()?,
        queued: u32::from_str_radix(receiving, 16).ok()?,
        limit: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_parsed() {
        let line = "   1: 0100007F:01BB 0100007F:9EE5 01 00000000:00000010 00:00000000 00000000 \
            0        0 1700528 1 00000000fe37eddb 100 0 0 10 0\n";
        let socket = Socket {
            state: 1,
            port: 443,
            queued: 16,
            limit: None,
        };
        assert_eq!(parse_line(line.as_bytes()), Some(socket));
        let six = "0: 00000000000000000000000000000000:0050 00000000000000000000000000000000:0000 \
            0A 00000000:00000003 00:00000000 00000000 0 0 637 1 0 100 0 0 10 0\n";
        let socket = Socket {
            state: 10,
            port: 80,
            queued: 3,
            limit: None,
        };
        assert_eq!(parse_line(six.as_bytes()), Some(socket));
        for bad in [
            "",
            "\n",
            "0: 1:2",
            "0: 1:2 3:4 01 5",
            "0: 12 3:4 01 5:6",
            "0: 1:10000 3:4 01 5:6",
            "0: 1:1 3:4 G 5:6",
            "0: 1:1 3:4 01 5:123456789",
        ] {
            assert_eq!(parse_line(bad.as_bytes()), None, "{bad:?}");
        }
        assert_eq!(parse_line(b"\xff"), None);
    }
}
