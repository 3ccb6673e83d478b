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

/// A source with a thread of its own is polled at ticks, of which its interval has so many. Sources that are due at about
/// the same time are then polled at the same moment: the processor does not fall asleep between them, and the loop takes
/// several readings in one turn.
const TICKS: u32 = 32;

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
    /// The moment of a tick of all sources.
    origin: Instant,
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
            origin: Instant::now(),
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

    /// Delays the next poll until the next tick, if that is not later than its interval allows.
    fn move_to_tick(&mut self, origin: Instant) {
        let tick = next_tick(origin, self.due, self.schedule.interval() / TICKS);
        if tick <= self.latest {
            self.due = tick;
        }
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
        task.move_to_tick(sink.origin);
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

/// The first moment from `due` on that is a multiple of `tick` after `origin`.
fn next_tick(origin: Instant, due: Instant, tick: Duration) -> Instant {
    let passed = due.saturating_duration_since(origin).as_nanos();
    match passed.checked_rem(tick.as_nanos()) {
        None | Some(0) => due,
        // Less than a tick, so that nothing is lost.
        Some(over) => due + tick - Duration::from_nanos(u64::try_from(over).unwrap_or(0)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filters::debounce::DebouncePolicy;
    use crate::source::Kind;
    use crate::source::file::File;

    #[test]
    fn ticks_are_multiples_after_the_origin() {
        let origin = Instant::now();
        let at = |milliseconds| origin + Duration::from_millis(milliseconds);
        let next = |due, tick| next_tick(origin, at(due), Duration::from_millis(tick));
        assert_eq!(next(0, 30), at(0));
        assert_eq!(next(1, 30), at(30));
        assert_eq!(next(30, 30), at(30));
        assert_eq!(next(100_001, 30), at(100_020));
        assert_eq!(next(7, 0), at(7), "no ticks");
        assert_eq!(next_tick(at(5), at(3), Duration::from_millis(30)), at(3));
    }

    #[test]
    fn poll_waits_for_a_tick_only_within_its_interval() {
        let origin = Instant::now();
        let at = |milliseconds| origin + Duration::from_millis(milliseconds);
        let source = |jitter| Source {
            name: "s".to_owned(),
            interval: Duration::from_millis(3200),
            jitter: Duration::from_millis(jitter),
            timeout: Duration::from_secs(1),
            raw_text: false,
            debounce: DebouncePolicy::default(),
            kind: Kind::File(File::at("/dev/null")),
        };
        let due = |due, latest| {
            let mut task = PollTask::new(TaskId(0), &source(320), "host", origin);
            (task.due, task.latest) = (at(due), at(latest));
            task.move_to_tick(origin);
            task.due
        };
        assert_eq!(due(3100, 3200), at(3100));
        assert_eq!(due(3101, 3200), at(3200));
        assert_eq!(due(3101, 3199), at(3101));
        // Once at a tick, always at a tick.
        let mut task = PollTask::new(TaskId(0), &source(320), "host", origin);
        task.due = at(6400);
        for _ in 0..3 {
            let before = task.due;
            task.poll();
            task.move_to_tick(origin);
            assert_eq!(
                task.due,
                next_tick(origin, task.due, Duration::from_millis(100))
            );
            assert!(task.due <= before + Duration::from_millis(3200));
            assert!(
                task.due >= before + Duration::from_millis(2200),
                "the second polls are spread over a second"
            );
        }
        // Without jitter, a poll is due after the interval.
        let mut task = PollTask::new(TaskId(0), &source(0), "host", origin);
        task.due = at(6450);
        task.poll();
        task.move_to_tick(origin);
        assert_eq!(task.due, at(9650));
    }
}
