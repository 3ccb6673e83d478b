//! Notifications for the service manager: systemd, if it started the collector.

use log::{debug, info, warn};
use sd_notify::NotifyState;
use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::{Duration, Instant};

/// The shortest interval of watchdog notifications, and of tries to send READY=1. WatchdogSec= is in seconds.
const WATCHDOG_INTERVAL: Duration = Duration::from_millis(500);

/// How long a notification waits for a manager that does not read, on threads that no reply waits for.
const PATIENCE: Duration = Duration::from_secs(1);

/// A third of the time after which it restarts a collector that does not notify it is early enough, also if a turn of the
/// loop takes long.
const WATCHDOG_FRACTION: u32 = 3;

/// The service manager, and what it was notified of. If it does not read, the loop continues and notifies it
/// later.
pub(super) struct ServiceManager {
    /// The time after which it restarts a collector that does not notify it.
    watchdog: Option<Duration>,
    /// The line that it shows.
    summary: String,
    watchdog_notified: Option<Instant>,
    /// Whether READY=1 is still to be sent.
    ready: bool,
    /// Whether it does not read.
    unresponsive: bool,
}

impl ServiceManager {
    /// The service manager that started this process, if there is one.
    pub(super) fn new() -> Self {
        Self {
            watchdog: sd_notify::watchdog_enabled(),
            summary: String::new(),
            watchdog_notified: None,
            ready: false,
            unresponsive: false,
        }
    }

    /// How long the loop may sleep: it notifies the watchdog in time, and repeats what the manager did not read.
    pub(super) fn longest_sleep(&self) -> Duration {
        let watchdog = self.watchdog.map(|patience| patience / WATCHDOG_FRACTION);
        let repeat = self.ready.then_some(WATCHDOG_INTERVAL);
        let next = watchdog.into_iter().chain(repeat).min();
        next.map_or(Duration::MAX, |next| next.max(Duration::from_millis(1)))
    }

    /// The collector works: after its start, or again after a reload.
    pub(super) fn ready(&mut self) {
        self.ready = !self.notify(&NotifyState::Ready);
    }

    /// Sends READY=1 with the end of this turn, when replies of another configuration are written.
    pub(super) fn announce_ready(&mut self) {
        self.ready = true;
    }

    /// A reload begins. READY=1 ends it.
    pub(super) fn reloading() {
        match NotifyState::monotonic_usec_now() {
            Ok(now) => drop(send(
                &format!("{}\n{now}", NotifyState::Reloading),
                PATIENCE,
            )),
            Err(error) => debug!("cannot read the clock for the service manager: {error}"),
        }
    }

    /// The collector stops.
    pub(super) fn stopping() {
        let _ = send(&NotifyState::Stopping.to_string(), PATIENCE);
    }

    /// Shows `summary`, if it changed.
    pub(super) fn show(&mut self, summary: String) {
        if summary != self.summary && self.notify(&NotifyState::Status(&summary)) {
            self.summary = summary;
        }
    }

    /// The loop ended a turn: sends what was not sent yet, and renews the watchdog.
    pub(super) fn keep_alive(&mut self) {
        if self.ready {
            self.ready();
        }
        self.renew_watchdog();
    }

    /// Renews the watchdog, at most twice a second.
    pub(super) fn renew_watchdog(&mut self) {
        let elapsed = self.watchdog_notified.map(|at| at.elapsed());
        if elapsed.is_none_or(|elapsed| elapsed >= WATCHDOG_INTERVAL) {
            self.notify(&NotifyState::Watchdog);
            self.watchdog_notified = Some(Instant::now());
        }
    }

    /// Sends a notification; returns whether it need not be sent again. Without a manager it need not.
    fn notify(&mut self, state: &NotifyState<'_>) -> bool {
        let sent = send(&state.to_string(), Duration::ZERO);
        let unresponsive = sent.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock);
        match (self.unresponsive, unresponsive) {
            (false, true) => warn!("the service manager does not read notifications"),
            (true, false) => info!("the service manager reads notifications again"),
            _ => {}
        }
        self.unresponsive = unresponsive;
        !unresponsive
    }
}

/// Sends text to the service manager, if there is one; waits up to `patience` for room.
fn send(text: &str, patience: Duration) -> io::Result<()> {
    let Some(path) = std::env::var_os("NOTIFY_SOCKET") else {
        return Ok(());
    };
    let socket = UnixDatagram::unbound()?;
    if patience.is_zero() {
        socket.set_nonblocking(true)?;
    } else {
        socket.set_write_timeout(Some(patience))?;
    }
    socket.connect_addr(&address(&path)?)?;
    socket.send(text.as_bytes()).map(drop)
}

/// A path, or a name in the abstract namespace.
fn address(name: &OsStr) -> io::Result<SocketAddr> {
    match name.as_bytes().split_first() {
        Some((b'@', abstract_name)) => SocketAddr::from_abstract_name(abstract_name),
        _ => SocketAddr::from_pathname(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loop_wakes_up_for_the_watchdog_and_for_an_unread_ready() {
        let mut manager = ServiceManager {
            watchdog: None,
            summary: String::new(),
            watchdog_notified: None,
            ready: false,
            unresponsive: false,
        };
        assert_eq!(manager.longest_sleep(), Duration::MAX);
        manager.watchdog = Some(Duration::from_secs(3));
        assert_eq!(manager.longest_sleep(), Duration::from_secs(1));
        manager.ready = true;
        assert_eq!(manager.longest_sleep(), WATCHDOG_INTERVAL);
        manager.watchdog = Some(Duration::ZERO);
        assert!(!manager.longest_sleep().is_zero());
    }
}
