//! One source with its next poll, and the way of its readings to the loop.

use crate::decision::observations::NewReading;
use crate::source::{Cancellation, PollSchedule, Poller, Source};
use std::io;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

/// The stack of a polling thread, in bytes: JSON may nest 128 deep. Only reserved until used.
const POLL_STACK: usize = 512 * 1024;

/// How long a poll may take on the shared thread.
pub(super) const BRIEF: Duration = Duration::from_millis(20);

/// The most that a poll starts too early to share a wake-up.
const MOST_SLACK: Duration = Duration::from_millis(100);

/// After this many brief polls in a row, a slow source returns to the shared thread.
const RETURN_AFTER: u32 = 100;

/// Identifies a [`PollTask`]. No other task of this process ever had it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct TaskId(pub(super) usize);

/// Readings with their tasks, the oldest first.
pub(crate) type NewReadings = Vec<(TaskId, NewReading)>;

/// Takes readings; false if no more are wanted.
pub(super) type Take = Arc<dyn Fn(NewReadings) -> bool + Send + Sync>;

/// Where readings go. Every polling thread has one.
#[derive(Clone)]
pub(super) struct ReadingSink {
    stop: Cancellation,
    take: Take,
    /// One reference for each sink.
    alive: Arc<()>,
}

/// One source, and when its next poll is due. One thread at a time owns it, so polls never overlap.
pub(super) struct PollTask {
    id: TaskId,
    /// Ends the polls of this source alone.
    stop: Cancellation,
    poller: Poller,
    schedule: PollSchedule,
    polls: u64,
    /// When the next poll is due.
    pub(super) due: Instant,
    /// Until when it may wait for others, to share a wake-up.
    pub(super) latest: Instant,
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

    /// Whether no other sink exists: all polling threads have ended.
    pub(super) fn is_last(&self) -> bool {
        Arc::strong_count(&self.alive) == 1
    }

    /// Passes readings on; false if no more are wanted.
    pub(super) fn send(&self, readings: NewReadings) -> bool {
        !self.is_stopped() && (self.take)(readings)
    }
}

impl PollTask {
    /// Polls of `source`, which began at `began`.
    pub(super) fn new(id: TaskId, source: &Source, host: &str, began: Instant) -> Self {
        let schedule = PollSchedule::new(source, host);
        let due = began + schedule.first();
        Self {
            id,
            stop: Cancellation::new(),
            poller: Poller::new(source),
            due,
            latest: due,
            schedule,
            polls: 0,
        }
    }

    pub(super) fn id(&self) -> TaskId {
        self.id
    }

    /// The cancellation of this source alone.
    pub(super) fn stop(&self) -> Cancellation {
        self.stop.clone()
    }

    /// Whether the source is not polled any more.
    pub(super) fn is_stopped(&self) -> bool {
        self.stop.is_stopped()
    }

    /// How much too early a poll may start if the thread is awake, so that many sources share one wake-up: it costs as
    /// much as two polls of a file.
    pub(super) fn slack(&self) -> Duration {
        (self.schedule.interval() / 64).min(MOST_SLACK)
    }

    /// Polls once, and makes the values of the reading. If both take longer than the interval, the next poll is due
    /// at once.
    pub(super) fn poll(&mut self) -> NewReading {
        let reading = NewReading::new(self.poller.poll(&self.stop));
        self.polls += 1;
        let (began, now) = (self.due, Instant::now());
        self.due = (began + self.schedule.after(self.polls)).max(now);
        self.latest = (began + self.schedule.interval()).max(now);
        reading
    }
}

/// Starts a polling thread.
///
/// # Errors
/// Where the thread cannot be created.
pub(super) fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let thread = thread::Builder::new()
        .name(format!("poll {name}"))
        .stack_size(POLL_STACK);
    thread.spawn(work).map(drop)
}

/// Polls one source on a thread of its own until it is stopped. With `brief`, a count of brief polls, it returns the
/// source after [`RETURN_AFTER`] of them.
pub(super) fn keep_polling(
    mut task: PollTask,
    mut brief: Option<u32>,
    sink: &ReadingSink,
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
        if !sink.send(vec![(task.id, reading)]) {
            return None;
        }
    }
    Some(task)
}
