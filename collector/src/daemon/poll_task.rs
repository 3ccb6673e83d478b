//! One source and its next poll, and where the readings go.

use crate::reading::Reading;
use crate::source::{Cancellation, PollSchedule, Poller, Source};
use std::io;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

/// The stack of a polling thread: JSON may nest 128 deep. Only reserved until used.
const POLL_STACK: usize = 512 * 1024;

/// How long a poll may take on the thread that others wait for.
pub(super) const BRIEF: Duration = Duration::from_millis(20);

/// After so many brief polls in a row a source that was not brief takes its turns again.
const RETURN_AFTER: u32 = 100;

/// Takes a reading of the source with this number; false where nobody wants one any more.
pub(super) type Take = Arc<dyn Fn(usize, Reading) -> bool + Send + Sync>;

/// Where readings go, and until when. Every polling thread has one.
#[derive(Clone)]
pub(super) struct ReadingSink {
    stop: Cancellation,
    take: Take,
    /// As many as there are threads, and one.
    alive: Arc<()>,
}

/// One source, and when it is to be polled next. Whoever has it polls it, so that no poll overlaps itself.
pub(super) struct PollTask {
    /// The number of the source.
    source: usize,
    /// Ends the polls of this source alone.
    stop: Cancellation,
    poller: Poller,
    pace: PollSchedule,
    polls: u64,
    /// When the next poll is due.
    pub(super) due: Instant,
}

impl ReadingSink {
    pub(super) fn new(stop: &Cancellation, take: Take, alive: &Arc<()>) -> Self {
        Self {
            stop: stop.clone(),
            take,
            alive: Arc::clone(alive),
        }
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.stop.is_stopped()
    }

    /// Ends the polls of all sources.
    pub(super) fn stop(&self) {
        self.stop.stop();
    }

    /// Whether every other sink is dropped: all polling threads have ended.
    pub(super) fn is_last(&self) -> bool {
        Arc::strong_count(&self.alive) == 1
    }

    /// Hands a reading on; false where nobody wants it any more.
    pub(super) fn send(&self, number: usize, reading: Reading) -> bool {
        !self.is_stopped() && (self.take)(number, reading)
    }
}

impl PollTask {
    /// The first poll of the source with this number, of which polling `began` then.
    pub(super) fn new(number: usize, source: &Source, host: &str, began: Instant) -> Self {
        let pace = PollSchedule::new(source, host);
        Self {
            source: number,
            stop: Cancellation::new(),
            poller: Poller::new(source),
            due: began + pace.first(),
            pace,
            polls: 0,
        }
    }

    pub(super) fn number(&self) -> usize {
        self.source
    }

    /// What ends the polls of this source alone.
    pub(super) fn stop(&self) -> Cancellation {
        self.stop.clone()
    }

    /// Whether nobody wants another poll.
    pub(super) fn is_stopped(&self) -> bool {
        self.stop.is_stopped()
    }

    /// How much earlier than it is due a poll may be made because the thread is awake: so many sources do
    /// not wake it once each.
    pub(super) fn slack(&self) -> Duration {
        self.pace.interval() / 200
    }

    /// Polls once. A poll that takes longer than `every` is followed by the next at once.
    pub(super) fn poll(&mut self) -> Reading {
        let reading = self.poller.poll(&self.stop);
        self.polls += 1;
        self.due = (self.due + self.pace.after(self.polls)).max(Instant::now());
        reading
    }
}

/// Starts a polling thread.
///
/// # Errors
/// Where the system gives no more threads.
pub(super) fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let thread = thread::Builder::new()
        .name(format!("poll {name}"))
        .stack_size(POLL_STACK);
    thread.spawn(work).map(drop)
}

/// Polls one source on a thread of its own, until told to stop; or until it was brief so often that it can
/// take its turns again, where it has any to take (`brief` counts them).
pub(super) fn keep_polling(
    mut task: PollTask,
    mut brief: Option<u32>,
    outlet: &ReadingSink,
) -> Option<PollTask> {
    while brief.is_none_or(|brief| brief < RETURN_AFTER) {
        let began = Instant::now();
        if task.stop.wait(task.due.saturating_duration_since(began)) {
            return None;
        }
        let began = Instant::now();
        let reading = task.poll();
        let took = began.elapsed();
        brief = brief.map(|brief| if took < BRIEF { brief + 1 } else { 0 });
        if !outlet.send(task.source, reading) {
            return None;
        }
    }
    Some(task)
}
