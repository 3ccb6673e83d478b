//! The history at work: on a thread of its own, because the data directory may be on a disk that hangs, and
//! replies must not wait for it.

use super::failure_log::{FailureCounter, LoggedOperation};
use crate::config::Service;
use crate::decision::evaluate::DecisionSource;
use crate::overrides::ActiveOverride;
use crate::status::history::{Entry, Event, HistoryFilter, Recorder};
use crate::sys::clock;
use agentcheck_common::{BootId, BootTime, Reply};
use log::{Level, info, warn};
use std::io;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// How many entries may wait for the disk: with a few services, those of some hours.
const WAITING: usize = 1000;

/// What happens is noted by the loop, and written by the thread.
pub(super) struct HistoryWriter {
    notes: HistoryFilter,
    sender: SyncSender<Entry>,
    thread: JoinHandle<()>,
    /// How many entries found no room.
    lost: u64,
    /// How many could not be written.
    failures: FailureCounter,
}

impl HistoryWriter {
    /// Begins to write below a data directory.
    ///
    /// # Errors
    /// Where the system gives no more threads.
    pub(super) fn start(data: &Path, boot: BootId) -> io::Result<Self> {
        let (sender, entries) = sync_channel(WAITING);
        let data = data.to_owned();
        let told = LoggedOperation::new(Level::Warn, "the history".to_owned(), "written", "");
        let failures = told.failures();
        let thread = thread::Builder::new()
            .name("history".to_owned())
            .spawn(move || write(&data, &entries, told))?;
        Ok(Self {
            notes: HistoryFilter::new(boot),
            sender,
            thread,
            lost: 0,
            failures,
        })
    }

    /// How many entries could not be written, or found no room.
    pub(super) fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    /// Records an event of the collector, with a detail or an empty text.
    pub(super) fn event(&mut self, event: Event, detail: &str) {
        let entry = self
            .notes
            .event_entry(event, detail, clock::now(), clock::unix_time_f64());
        self.hand_on(entry);
    }

    /// Records a service's reply, if it has changed.
    pub(super) fn note(
        &mut self,
        service: &Service,
        reply: &Reply,
        decided: &DecisionSource,
        limit: Option<&ActiveOverride<'_>>,
        now: BootTime,
    ) {
        let now = (now, clock::unix_time_f64());
        if let Some(entry) = self.notes.reply_entry(service, reply, decided, limit, now) {
            self.hand_on(entry);
        }
    }

    fn hand_on(&mut self, entry: Entry) {
        match self.sender.try_send(entry) {
            Ok(()) if self.lost > 0 => {
                info!(
                    "the history can be written again, without {} entries",
                    self.lost
                );
                self.lost = 0;
            }
            Ok(()) => {}
            Err(TrySendError::Full(_)) => {
                if self.lost == 0 {
                    warn!("the disk of the history hangs: what happens is not written down");
                }
                self.lost += 1;
                self.failures.fetch_add(1, Ordering::Relaxed);
            }
            // The thread ends only when this is dropped.
            Err(TrySendError::Disconnected(_)) => {}
        }
    }

    /// Lets what is noted get to the disk until then at the latest.
    pub(super) fn end(self, latest: Instant) {
        drop(self.sender);
        while !self.thread.is_finished() && Instant::now() < latest {
            thread::sleep(Duration::from_millis(5));
        }
    }
}

/// Writes whatever comes. Nothing waits for it.
fn write(data: &Path, entries: &Receiver<Entry>, mut told: LoggedOperation) {
    let (mut recorder, opened) = Recorder::open(data);
    if let Err(error) = opened {
        info!("{}: no history is kept: {error}", data.display());
    }
    for entry in entries {
        told.record(recorder.write(&entry));
    }
}
