//! What the service manager is told: systemd, where it is there.

use log::debug;
use sd_notify::NotifyState;
use std::time::{Duration, Instant};

/// How often the watchdog is told at most. Its time is counted in seconds.
const WATCHDOG_EVERY: Duration = Duration::from_millis(500);

/// The service manager, and what it was told.
#[derive(Default)]
pub(super) struct Manager {
    /// What it shows.
    summary: String,
    watchdog_told: Option<Instant>,
}

impl Manager {
    /// The collector is at work, from the start or again after a reload.
    pub(super) fn ready() {
        tell(&[NotifyState::Ready]);
    }

    /// A reload has begun. The manager takes [`Manager::ready`] for its end.
    pub(super) fn reloading() {
        match NotifyState::monotonic_usec_now() {
            Ok(now) => tell(&[NotifyState::Reloading, now]),
            Err(error) => debug!("no clock for the service manager: {error}"),
        }
    }

    /// The collector was told to stop.
    pub(super) fn stopping() {
        tell(&[NotifyState::Stopping]);
    }

    /// Shows `summary`, where that is something else than before.
    pub(super) fn show(&mut self, summary: String) {
        if summary != self.summary {
            tell(&[NotifyState::Status(&summary)]);
            self.summary = summary;
        }
    }

    /// The loop goes on: told whenever it has, but not a thousand times a second.
    pub(super) fn goes_on(&mut self) {
        let told = self.watchdog_told.map(|told| told.elapsed());
        if told.is_none_or(|told| told >= WATCHDOG_EVERY) {
            tell(&[NotifyState::Watchdog]);
            self.watchdog_told = Some(Instant::now());
        }
    }
}

/// Where there is no manager, or it does not listen, nothing is lost but the telling.
fn tell(states: &[NotifyState<'_>]) {
    let _ = sd_notify::notify(states);
}
