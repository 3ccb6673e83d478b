//! The TCP sockets of a local port: established connections, and the queue of those that the program has not
//! accepted yet.
//!
//! From the kernel by netlink or, where that is not available, from /proc/net. In a container these are the
//! sockets of its own network namespace.
//!
//! Not here: sockets in other states, whose number does not indicate load (thousands in TIME_WAIT are normal);
//! outgoing connections, which have the port at their other end.

mod netlink;
mod proc_net;

use crate::reading::{Failure, Numbers, Reason};
use crate::source::Deadline;
use std::path::Path;

/// The parts of `backlog`. Without netlink only the last is present.
pub(super) const BACKLOG_PARTS: &[&str] = &["limit", "fullest", "listeners"];

/// The states that are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Established,
    Listen,
}

impl State {
    /// The kernel's number (include/net/tcp_states.h).
    pub(super) fn number(self) -> u8 {
        match self {
            Self::Established => 1,
            Self::Listen => 10,
        }
    }
}

/// A socket of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Socket {
    /// The kernel's number of its state.
    pub(super) state: u8,
    /// The local port.
    pub(super) port: u16,
    /// For a listening socket: how many connections wait to be accepted.
    pub(super) queued: u32,
    /// For a listening socket: how many may wait, if known.
    pub(super) limit: Option<u32>,
}

/// The sum over sockets.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Tally {
    sockets: u64,
    queued: u64,
    limit: u64,
    /// The fullest queue, in per cent of its limit (0 to 100).
    fullest: f64,
    /// Whether the limit of some socket is unknown.
    without_limit: bool,
}

impl Tally {
    fn add(&mut self, socket: Socket) {
        self.sockets = self.sockets.saturating_add(1);
        self.queued = self.queued.saturating_add(u64::from(socket.queued));
        let Some(limit) = socket.limit else {
            self.without_limit = true;
            return;
        };
        self.limit = self.limit.saturating_add(u64::from(limit));
        // The kernel accepts one more than the limit, so 0 is a queue of one.
        let share = 100.0 * f64::from(socket.queued) / f64::from(limit.max(1));
        self.fullest = self.fullest.max(share.min(100.0));
    }
}

/// The number of established connections on the local `port`, IPv4 and IPv6, accepted or waiting.
pub(super) fn read_connections(
    root: &Path,
    port: u16,
    deadline: Deadline,
) -> Result<Numbers, Failure> {
    let tally = tally(root, port, State::Established, deadline)?;
    Ok(Numbers {
        value: tally.sockets as f64,
        parts: Vec::new(),
    })
}

/// How many connections wait to be accepted on the local `port`, over all its listening sockets, and
/// [`BACKLOG_PARTS`].
pub(super) fn read_backlog(root: &Path, port: u16, deadline: Deadline) -> Result<Numbers, Failure> {
    backlog(port, tally(root, port, State::Listen, deadline)?)
}

fn backlog(port: u16, tally: Tally) -> Result<Numbers, Failure> {
    if tally.sockets == 0 {
        let detail = format!("nothing listens on port {port}");
        return Err(Failure::new(Reason::Refused, detail));
    }
    let limits = [("limit", tally.limit as f64), ("fullest", tally.fullest)];
    let limits = limits.into_iter().filter(|_| !tally.without_limit);
    Ok(Numbers {
        value: tally.queued as f64,
        parts: limits
            .chain([("listeners", tally.sockets as f64)])
            .collect(),
    })
}

fn tally(root: &Path, port: u16, state: State, deadline: Deadline) -> Result<Tally, Failure> {
    or_by_proc(by_netlink(port, state, deadline), || {
        by_proc(root, port, state, deadline)
    })
}

/// The second way is for hosts without the first. After a timeout of the first, the second would take even
/// longer.
fn or_by_proc(
    netlink: Result<Tally, Failure>,
    proc: impl FnOnce() -> Result<Tally, Failure>,
) -> Result<Tally, Failure> {
    match netlink {
        Err(first) if first.reason != Reason::Timeout => proc().map_err(|second| {
            Failure::new(second.reason, format_args!("{}; {first}", second.detail))
        }),
        known => known,
    }
}

fn by_netlink(port: u16, state: State, deadline: Deadline) -> Result<Tally, Failure> {
    let mut tally = Tally::default();
    netlink::dump(port, state, deadline, |socket| tally.add(socket))?;
    Ok(tally)
}

fn by_proc(root: &Path, port: u16, state: State, deadline: Deadline) -> Result<Tally, Failure> {
    let mut tally = Tally::default();
    proc_net::read_sockets(root, port, state, deadline, |socket| tally.add(socket))?;
    Ok(tally)
}

#[cfg(test)]
mod tests;
