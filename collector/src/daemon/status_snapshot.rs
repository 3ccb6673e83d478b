//! When the status snapshot is written, and its writing: at once where that is cheap, and a hundredth of the
//! time where it is not.

use super::failure_log::LoggedOperation;
use crate::status::snapshot::{self, Status};
use crate::sys::clock;
use crate::sys::state_file;
use log::Level;
use std::io;
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

/// How often it is written while nothing but readings changes, and how long a change may have to wait for it
/// where there are many.
const EVERY: Duration = Duration::from_secs(1);

/// Where writing takes no longer than this, every change is in it at once.
const CHEAP: Duration = Duration::from_micros(300);

/// Where it takes longer, it may take one part in so many of the time: with a thousand services that all
/// change it is written once a second.
const SHARE: u32 = 100;

/// The snapshot's times.
pub(super) struct StatusSchedule {
    /// When it is to be written next where something has changed, and where nothing has.
    due: (Instant, Instant),
    /// Whether something has changed that it does not show.
    pub(super) changed: bool,
    /// What the log has told of writing it.
    pub(super) writing: LoggedOperation,
}

impl StatusSchedule {
    /// One that is due.
    pub(super) fn new() -> Self {
        let at_once = Instant::now();
        Self {
            due: (at_once, at_once),
            changed: false,
            writing: LoggedOperation::new(
                Level::Warn,
                "the status snapshot".to_owned(),
                "written",
                "",
            ),
        }
    }

    /// When it is to be written.
    pub(super) fn next(&self) -> Instant {
        let (changed, unchanged) = self.due;
        if self.changed { changed } else { unchanged }
    }

    /// Nothing was to be written.
    pub(super) fn passed(&mut self) {
        let now = Instant::now();
        self.due = (now + EVERY, now + EVERY);
        self.changed = false;
    }

    /// Writes what `status` gives.
    pub(super) fn write(&mut self, directory: BorrowedFd<'_>, status: impl FnOnce() -> Status) {
        let began = clock::thread_cpu_time();
        let written = serde_json::to_vec(&status())
            .map_err(io::Error::from)
            .and_then(|content| {
                state_file::replace_in(directory, snapshot::FILE, snapshot::MODE, &content)
            });
        self.writing.note(&written);
        let took = clock::thread_cpu_time().saturating_sub(began);
        let rest = if took > CHEAP {
            took * SHARE
        } else {
            Duration::ZERO
        };
        let written = Instant::now();
        self.due = (written + rest.min(EVERY), written + EVERY);
        self.changed = false;
    }
}
