//! When the status snapshot is written: at once where that is cheap, else for at most 1% of the time.

use super::LONGEST_SLEEP;
use super::failure_log::LoggedOperation;
use crate::status::snapshot;
use crate::sys::clock;
use crate::sys::state_file;
use log::Level;
use serde::Serialize;
use std::io::{BufWriter, Write as _};
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

/// The interval while only readings change, and the least while writing is not cheap.
const INTERVAL: Duration = Duration::from_secs(1);

/// How much earlier than that a loop that is awake writes it, to save a wake-up.
const SLACK: Duration = Duration::from_millis(200);

/// If writing takes no longer than this, each change is written at once.
const CHEAP: Duration = Duration::from_micros(300);

/// Otherwise it takes at most this fraction of the time. With a thousand services that all change, it is written
/// once a second; with ten thousand, every few seconds.
const SHARE: u32 = 100;

/// The longest time without a snapshot, however much writing takes: after 5 s, a collector counts as unresponsive.
const LONGEST_REST: Duration = Duration::from_secs(3);

/// Bytes that are written together.
const BUFFER: usize = 64 * 1024;

/// The times of the snapshot.
pub(super) struct StatusSchedule {
    /// When it was written, and how long it rests then.
    written: Instant,
    rest: Duration,
    /// Whether something else than a reading changed since it was written.
    pub(super) changed: bool,
    /// Whether there was a reading since it was written.
    pub(super) is_read: bool,
    /// What the log has of writing it.
    pub(super) writing: LoggedOperation,
}

impl StatusSchedule {
    /// A snapshot that is due now.
    pub(super) fn new() -> Self {
        Self {
            written: Instant::now(),
            rest: Duration::ZERO,
            changed: true,
            is_read: true,
            writing: LoggedOperation::new(
                Level::Warn,
                String::new(),
                "write status snapshot".to_owned(),
                "",
            ),
        }
    }

    /// When it is due. Without changes it shows that the collector is running.
    pub(super) fn next(&self) -> Instant {
        let unchanged = match self.is_read {
            true => INTERVAL,
            false => LONGEST_SLEEP,
        };
        let rest = match self.changed {
            true => self.rest,
            false => self.rest.max(unchanged),
        };
        self.written + rest
    }

    /// Whether a loop that is awake writes it now.
    pub(super) fn is_due(&self) -> bool {
        let slack = match self.rest.is_zero() && !self.changed {
            true => SLACK,
            false => Duration::ZERO,
        };
        self.next() <= Instant::now() + slack
    }

    /// There is no directory for it.
    pub(super) fn skip(&mut self) {
        self.wait(INTERVAL);
    }

    fn wait(&mut self, rest: Duration) {
        self.written = Instant::now();
        self.rest = rest;
        (self.changed, self.is_read) = (false, false);
    }

    /// Writes the snapshot.
    pub(super) fn write(&mut self, directory: BorrowedFd<'_>, status: &impl Serialize) {
        let began = clock::thread_cpu_time();
        let (name, mode) = (snapshot::FILE, snapshot::MODE);
        let written = state_file::replace_with(directory, name, mode, |file| {
            let mut buffer = BufWriter::with_capacity(BUFFER, file);
            serde_json::to_writer(&mut buffer, status)?;
            buffer.flush()
        });
        self.writing.note(&written);
        let took = clock::thread_cpu_time().saturating_sub(began);
        self.wait(if took > CHEAP {
            (took * SHARE).clamp(INTERVAL, LONGEST_REST)
        } else {
            Duration::ZERO
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn snapshot_waits_for_a_turn_that_has_another_reason() {
        let mut schedule = StatusSchedule::new();
        assert!(schedule.is_due());
        schedule.wait(Duration::ZERO);
        let rest = |schedule: &StatusSchedule| schedule.next() - schedule.written;
        assert_eq!(rest(&schedule), LONGEST_SLEEP);
        schedule.is_read = true;
        assert_eq!(rest(&schedule), INTERVAL);
        assert!(!schedule.is_due());
        schedule.written -= INTERVAL - SLACK;
        assert!(schedule.is_due());
        schedule.wait(Duration::ZERO);
        schedule.changed = true;
        assert!(schedule.is_due(), "a change is written at once");
        // Where writing is not cheap, all of them wait.
        schedule.wait(LONGEST_REST);
        assert_eq!(rest(&schedule), LONGEST_REST);
        (schedule.changed, schedule.is_read) = (true, true);
        assert_eq!(rest(&schedule), LONGEST_REST);
        schedule.written -= LONGEST_REST - SLACK;
        assert!(!schedule.is_due());
    }
}
