//! Writes the history on a thread of its own: the data directory may be on a hung disk, and replies do not wait
//! for it.

use super::failure_log::{FailureCounter, LoggedOperation};
use crate::config::Service;
use crate::decision::evaluate::DecisionSource;
use crate::overrides::ActiveOverride;
use crate::status::history::{Entry, Event, HistoryFilter, RecordedReply, Recorder};
use crate::sys::clock;
use agentcheck_common::{BootId, BootTime, Reply};
use log::{Level, info, warn};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use std::{io, iter};

/// How many entries may wait for the disk. A few services produce them in some hours.
const MAX_WAITING: usize = 1000;

/// How often in a row the thread wakes up for an entry at once. Then it rests, and writes together what came meanwhile:
/// a thousand services produce a hundred entries a second, and a wake-up costs more than to write an entry.
const BURST: u32 = 10;

/// The longest rest, and the time for which there is one more wake-up at once.
const REST: Duration = Duration::from_millis(100);

/// The loop's side: chooses entries, and passes them to the thread.
pub(super) struct HistoryWriter {
    filter: HistoryFilter,
    sender: Sender<Entry>,
    /// How many entries wait. The channel has no bound of its own: one with a bound takes the memory for all from the start.
    waiting: Arc<AtomicUsize>,
    thread: JoinHandle<()>,
    /// How many entries in a row found no room.
    lost: u64,
    /// How many entries could not be written.
    failures: FailureCounter,
}

impl HistoryWriter {
    /// Starts to write in the data directory.
    ///
    /// # Errors
    /// Where the thread cannot be created.
    pub(super) fn start(data: &Path, boot: BootId) -> io::Result<Self> {
        let (sender, entries) = channel();
        let waiting = Arc::new(AtomicUsize::new(0));
        let taken = Arc::clone(&waiting);
        let data = data.to_owned();
        let log = LoggedOperation::new(Level::Warn, String::new(), "write history".to_owned(), "");
        let failures = log.failures();
        let thread = thread::Builder::new()
            .name("history".to_owned())
            .spawn(move || write(&data, &entries, &taken, log))?;
        Ok(Self {
            filter: HistoryFilter::new(boot),
            sender,
            waiting,
            thread,
            lost: 0,
            failures,
        })
    }

    /// How many entries could not be written, or found no room.
    pub(super) fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    /// Adds an event of the collector, with a detail or an empty text.
    pub(super) fn event(&mut self, event: Event, detail: &str) {
        let entry = self
            .filter
            .event_entry(event, detail, clock::now(), clock::unix_time_f64());
        self.send(entry);
    }

    /// Adds the reply of a service, if it is worth an entry. `recorded` is the last one that was.
    pub(super) fn note(
        &mut self,
        service: &Service,
        recorded: &mut Option<RecordedReply>,
        decision: (&Reply, &DecisionSource),
        limit: Option<&ActiveOverride<'_>>,
        now: BootTime,
    ) {
        let wall = clock::unix_time_f64;
        let entry = self
            .filter
            .reply_entry(service, recorded, decision, limit, now, wall);
        if let Some(entry) = entry {
            self.send(entry);
        }
    }

    fn send(&mut self, entry: Entry) {
        let waiting = self.waiting.load(Ordering::Relaxed);
        if waiting >= MAX_WAITING {
            if self.lost == 0 {
                warn!("cannot write history: its disk hangs; entries are dropped");
            }
            self.lost += 1;
            self.failures.fetch_add(1, Ordering::Relaxed);
            return;
        }
        if self.lost > 0 {
            info!(
                "can write history again; {} entries were dropped",
                self.lost
            );
            self.lost = 0;
        }
        self.waiting.fetch_add(1, Ordering::Relaxed);
        // The thread ends only when `self` is dropped.
        let _ = self.sender.send(entry);
        // No entry is dropped because the thread rests.
        if waiting == MAX_WAITING / 4 {
            self.thread.thread().unpark();
        }
    }

    /// Waits until the entries are written, until `latest` at most.
    pub(super) fn end(self, latest: Instant) {
        drop(self.sender);
        self.thread.thread().unpark();
        while !self.thread.is_finished() && Instant::now() < latest {
            thread::sleep(Duration::from_millis(5));
        }
    }
}

/// Writes entries until the sender is dropped.
fn write(data: &Path, entries: &Receiver<Entry>, waiting: &AtomicUsize, mut log: LoggedOperation) {
    let (mut recorder, opened) = Recorder::open(data);
    if let Err(error) = opened {
        info!(
            "cannot open history {}: {error}; no history is written",
            data.display()
        );
    }
    let mut rests = Rests {
        owed_until: Instant::now(),
    };
    while let Ok(first) = entries.recv() {
        for entry in iter::once(first).chain(entries.try_iter()) {
            log.note_unless_missing(&recorder.write(&entry));
            waiting.fetch_sub(1, Ordering::Relaxed);
        }
        thread::park_timeout(rests.after_wake_up(Instant::now()));
    }
}

/// When the thread rests: after wake-ups that come more often than one in [`REST`], except the first [`BURST`].
struct Rests {
    /// When the rests would be over that belong to all wake-ups so far.
    owed_until: Instant,
}

impl Rests {
    /// How long to rest after a wake-up that ends at `now`.
    fn after_wake_up(&mut self, now: Instant) -> Duration {
        let owed_until = self.owed_until.max(now) + REST;
        // A rest may be cut short.
        self.owed_until = owed_until.min(now + REST * (BURST + 1));
        self.owed_until
            .saturating_duration_since(now + REST * BURST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use agentcheck_tests::scratch::Scratch;

    #[test]
    fn rests_only_while_entries_come_often() {
        let mut now = Instant::now();
        let mut rests = Rests { owed_until: now };
        for _ in 0..BURST {
            assert_eq!(rests.after_wake_up(now), Duration::ZERO, "a burst");
        }
        for _ in 0..100 {
            let rest = rests.after_wake_up(now);
            assert_eq!(rest, REST);
            now += rest;
        }
        for _ in 0..100 {
            assert_eq!(rests.after_wake_up(now), REST, "cut short each time");
        }
        now += REST * 3;
        for _ in 0..2 {
            assert_eq!(rests.after_wake_up(now), Duration::ZERO, "some quiet");
        }
        assert_eq!(rests.after_wake_up(now), REST);
        now += REST * BURST * 2;
        for _ in 0..BURST {
            assert_eq!(rests.after_wake_up(now), Duration::ZERO, "a long quiet");
        }
        assert_eq!(rests.after_wake_up(now), REST);
    }

    #[test]
    fn all_entries_of_a_burst_are_in_the_history_at_the_end() {
        let data = Scratch::new("history-burst");
        let mut writer = HistoryWriter::start(data.path(), clock::boot_id().unwrap()).unwrap();
        for _ in 0..MAX_WAITING / 2 {
            writer.event(Event::Reloaded, "");
        }
        assert_eq!(writer.failures(), 0);
        writer.end(Instant::now() + Duration::from_secs(60));
        let written = data.path().join("history/current.jsonl");
        let written = std::fs::read_to_string(written).unwrap();
        assert_eq!(written.lines().count(), MAX_WAITING / 2);
    }
}
