//! What the service manager is told: systemd, where it is there.

use log::{debug, info, warn};
use sd_notify::NotifyState;
use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::{Duration, Instant};

/// How often the watchdog is told at most. Its time is counted in seconds.
const WATCHDOG_EVERY: Duration = Duration::from_millis(500);

/// For how long a manager that does not read is waited for, where no reply waits with it.
const PATIENCE: Duration = Duration::from_secs(1);

/// The service manager, and what it was told. It may have more to do than to read, or have come to a stop: then
/// the loop goes on, and tells it later.
#[derive(Default)]
pub(super) struct ServiceManager {
    /// What it shows.
    summary: String,
    watchdog_told: Option<Instant>,
    /// Whether it is to be told that the collector is at work.
    ready: bool,
    /// Whether it does not read.
    unresponsive: bool,
}

impl ServiceManager {
    /// The collector is at work, from the start or again after a reload.
    pub(super) fn ready(&mut self) {
        self.ready = !self.notify(&NotifyState::Ready);
    }

    /// A reload has begun. The manager takes [`Manager::ready`] for its end.
    pub(super) fn reloading() {
        match NotifyState::monotonic_usec_now() {
            Ok(now) => drop(tell(
                &format!("{}\n{now}", NotifyState::Reloading),
                PATIENCE,
            )),
            Err(error) => debug!("no clock for the service manager: {error}"),
        }
    }

    /// The collector was told to stop.
    pub(super) fn stopping() {
        let _ = tell(&NotifyState::Stopping.to_string(), PATIENCE);
    }

    /// Shows `summary`, where that is something else than before.
    pub(super) fn show(&mut self, summary: String) {
        if summary != self.summary && self.notify(&NotifyState::Status(&summary)) {
            self.summary = summary;
        }
    }

    /// The loop goes on: told whenever it has, but not a thousand times a second.
    pub(super) fn keep_alive(&mut self) {
        let told = self.watchdog_told.map(|told| told.elapsed());
        if told.is_none_or(|told| told >= WATCHDOG_EVERY) {
            if self.ready {
                self.ready();
            }
            self.notify(&NotifyState::Watchdog);
            self.watchdog_told = Some(Instant::now());
        }
    }

    /// Whether there is no need to tell it again. Where there is no manager nothing is lost but the telling.
    fn notify(&mut self, state: &NotifyState<'_>) -> bool {
        let told = tell(&state.to_string(), Duration::ZERO);
        let deaf = told.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock);
        match (self.unresponsive, deaf) {
            (false, true) => warn!("the service manager does not read what it is told"),
            (true, false) => info!("the service manager reads again what it is told"),
            _ => {}
        }
        self.unresponsive = deaf;
        !deaf
    }
}

/// Tells the service manager, if there is one, waiting for so long.
fn tell(text: &str, patience: Duration) -> io::Result<()> {
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
fn address(of: &OsStr) -> io::Result<SocketAddr> {
    match of.as_bytes().split_first() {
        Some((b'@', name)) => SocketAddr::from_abstract_name(name),
        _ => SocketAddr::from_pathname(of),
    }
}
