//! When the status snapshot is written: at once where that is cheap, else for at most 0.2% of the time.
//!
//! A large one is written piece by piece, one in each turn of the loop, so that readings do not wait for it.

use super::LONGEST_SLEEP;
use super::failure_log::LoggedOperation;
use crate::status::snapshot::{self, Frame, Status};
use crate::sys::clock;
use crate::sys::state_file::NewFile;
use log::Level;
use std::io;
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

/// The interval while only readings change, and the least while writing is not cheap.
const INTERVAL: Duration = Duration::from_secs(1);

/// How much earlier than that a loop that is awake writes it, to save a wake-up.
const SLACK: Duration = Duration::from_millis(200);

/// If writing takes no longer than this, each change is written at once.
const CHEAP: Duration = Duration::from_micros(300);

/// Otherwise it takes at most this fraction of the time. With a hundred services that all change, it is written once
/// a second; with a thousand or more, every two or three seconds.
const SHARE: u32 = 500;

/// The longest time without a snapshot, however much writing takes: after 5 s, a collector counts as unresponsive.
const LONGEST_REST: Duration = Duration::from_secs(3);

/// A piece takes this time, or more, so that there are not more than [`MOST_PIECES`].
const PIECE: Duration = Duration::from_millis(2);
const MOST_PIECES: usize = 32;

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
    unfinished: Option<Unfinished>,
}

/// A snapshot of which a piece is written.
struct Unfinished {
    began: Instant,
    frame: Frame,
    file: NewFile,
    /// The text that is not in the file yet.
    text: Vec<u8>,
    /// The number of its next entry.
    next: usize,
    /// The processor time so far.
    took: Duration,
}

/// The entries of a snapshot: sources, and then services.
pub(super) struct Entries<F> {
    pub(super) sources: usize,
    pub(super) services: usize,
    /// Adds the entry with this number to a text.
    pub(super) add: F,
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
            unfinished: None,
        }
    }

    /// When it is due. Without changes it shows that the collector is running.
    pub(super) fn next(&self) -> Instant {
        if let Some(unfinished) = &self.unfinished {
            return unfinished.began;
        }
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
        self.unfinished = None;
        self.written = Instant::now();
        self.rest = INTERVAL;
        (self.changed, self.is_read) = (false, false);
    }

    /// Writes the snapshot, or the next piece of it if it need not be `whole`. `status` makes all but its entries.
    /// Returns whether it is written.
    pub(super) fn write(
        &mut self,
        directory: BorrowedFd<'_>,
        whole: bool,
        status: impl FnOnce() -> Status,
        entries: &Entries<impl Fn(usize, &mut Vec<u8>) -> serde_json::Result<()>>,
    ) -> bool {
        let began = clock::thread_cpu_time();
        let unfinished = self.unfinished.take().filter(|_| !whole);
        let mut took = unfinished.as_ref().map_or(Duration::ZERO, |one| one.took);
        let written = match unfinished {
            Some(unfinished) => Ok(unfinished),
            None => {
                // What changes from now on may be missing in it.
                (self.changed, self.is_read) = (false, false);
                Unfinished::begin(directory, status)
            }
        };
        let written = written.and_then(|unfinished| unfinished.add(directory, whole, entries));
        took += clock::thread_cpu_time().saturating_sub(began);
        let written = match written {
            Ok(Some(unfinished)) => {
                self.unfinished = Some(Unfinished { took, ..unfinished });
                return false;
            }
            Ok(None) => Ok(()),
            Err(error) => Err(error),
        };
        self.writing.note(&written);
        self.rest = if took > CHEAP {
            (took * SHARE).clamp(INTERVAL, LONGEST_REST)
        } else {
            Duration::ZERO
        };
        self.written = Instant::now();
        true
    }
}

impl Unfinished {
    fn begin(directory: BorrowedFd<'_>, status: impl FnOnce() -> Status) -> io::Result<Self> {
        let frame = Frame::new(status())?;
        let mut text = Vec::new();
        frame.begin(&mut text);
        Ok(Self {
            began: Instant::now(),
            frame,
            file: NewFile::create(directory, snapshot::FILE, snapshot::MODE)?,
            text,
            next: 0,
            took: Duration::ZERO,
        })
    }

    /// Adds entries, and replaces the file after the last one; returns itself where some are left.
    fn add(
        mut self,
        directory: BorrowedFd<'_>,
        whole: bool,
        entries: &Entries<impl Fn(usize, &mut Vec<u8>) -> serde_json::Result<()>>,
    ) -> io::Result<Option<Self>> {
        let (began, first) = (Instant::now(), self.next);
        let all = entries.sources + entries.services;
        while self.next < all {
            if self.next == entries.sources {
                self.frame.begin_services(&mut self.text);
            }
            let mut added = (entries.add)(self.next, &mut self.text).map_err(io::Error::from);
            self.next += 1;
            if added.is_ok() && self.text.len() >= BUFFER {
                added = self.file.write(&self.text);
                self.text.clear();
            }
            if let Err(error) = added {
                self.file.remove(directory);
                return Err(error);
            }
            let is_piece = (self.next - first) * MOST_PIECES >= all && began.elapsed() >= PIECE;
            if is_piece && !whole && self.next < all {
                return Ok(Some(self));
            }
        }
        if entries.services == 0 {
            self.frame.begin_services(&mut self.text);
        }
        self.frame.end(&mut self.text);
        self.file.finish(directory, &self.text).map(|()| None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// It is written now, and rests then.
    fn written(schedule: &mut StatusSchedule, rest: Duration) {
        (schedule.written, schedule.rest) = (Instant::now(), rest);
        (schedule.changed, schedule.is_read) = (false, false);
    }

    #[test]
    fn snapshot_waits_for_a_turn_that_has_another_reason() {
        let mut schedule = StatusSchedule::new();
        assert!(schedule.is_due());
        written(&mut schedule, Duration::ZERO);
        let rest = |schedule: &StatusSchedule| schedule.next() - schedule.written;
        assert_eq!(rest(&schedule), LONGEST_SLEEP);
        schedule.is_read = true;
        assert_eq!(rest(&schedule), INTERVAL);
        assert!(!schedule.is_due());
        schedule.written -= INTERVAL - SLACK;
        assert!(schedule.is_due());
        written(&mut schedule, Duration::ZERO);
        schedule.changed = true;
        assert!(schedule.is_due(), "a change is written at once");
        // Where writing is not cheap, all of them wait.
        written(&mut schedule, LONGEST_REST);
        assert_eq!(rest(&schedule), LONGEST_REST);
        (schedule.changed, schedule.is_read) = (true, true);
        assert_eq!(rest(&schedule), LONGEST_REST);
        schedule.written -= LONGEST_REST - SLACK;
        assert!(!schedule.is_due());
    }
}
