//! One thread for all sources whose polls do not wait, such as files and system metrics. A second thread watches it,
//! because a file on a hung network mount waits after all.
//!
//! When a poll takes longer than [`BRIEF`], the watching thread begins the next turn: it polls all other sources, and
//! starts a thread to watch it. The blocked thread keeps the slow source. So a hung source delays the others once,
//! by [`BRIEF`], and there are at most two threads more than sources.

use super::poll_task::{BRIEF, NewReadings, PollTask, ReadingSink, TaskId, keep_polling, spawn};
use super::poll_timer::PollTimer;
use log::debug;
use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// How long a reading waits for others that are due, to be sent with one wake-up.
const LONGEST_WAIT: Duration = Duration::from_millis(5);

/// How many sources wait for each other to share one wake-up, at most. Files of this number take 2 ms: work that is done
/// in one piece finds its code and data in the processor's caches.
const GROUP: usize = 128;

/// What the polling thread does next.
enum Next {
    Poll(Box<PollTask>),
    Send(NewReadings),
}

/// The sources that share a thread.
#[derive(Default)]
pub(super) struct SharedPoller {
    queue: Mutex<Queue>,
    /// Wakes the polling thread to read the queue.
    changed: Condvar,
    /// Wakes the watching thread.
    timer: OnceLock<PollTimer>,
}

#[derive(Default)]
struct Queue {
    /// By due time and id.
    tasks: BTreeMap<(Instant, TaskId), Box<PollTask>>,
    /// The number of the polling thread, counted from 0.
    turn: u64,
    /// Whether there is a polling thread.
    begun: bool,
    /// When the running poll of this turn began.
    polling: Option<Instant>,
    /// Readings that wait for those of other due sources, to be sent with one wake-up.
    readings: NewReadings,
    /// When the first of these readings is sent at the latest.
    send_at: Option<Instant>,
    /// Whether a thread watches.
    watched: bool,
    /// Whether the timer runs.
    timed: bool,
    /// Until when the polling thread slept: sources that shared this wake-up continue from the same moment.
    woken: Option<Instant>,
}

impl SharedPoller {
    /// Adds `tasks`. There is no thread before the first task.
    ///
    /// # Errors
    /// Where the thread cannot be created; then no task is added.
    pub(super) fn add(
        poller: &Arc<Self>,
        tasks: Vec<PollTask>,
        sink: &ReadingSink,
    ) -> io::Result<()> {
        if tasks.is_empty() {
            return Ok(());
        }
        let mut queue = poller.lock();
        if !queue.begun {
            if poller.timer.get().is_none() {
                let _ = poller.timer.set(PollTimer::new()?);
            }
            let (poller, sink) = (Arc::clone(poller), sink.clone());
            spawn("shared", move || poller.poll(0, &sink))?;
            queue.begun = true;
        }
        drop(queue);
        for task in tasks {
            poller.put(task);
        }
        Ok(())
    }

    /// Removes the sources that were stopped.
    pub(super) fn drop_stopped(&self) {
        let mut queue = self.lock();
        queue.tasks.retain(|_, task| !task.is_stopped());
    }

    /// Adds one source.
    pub(super) fn put(&self, task: PollTask) {
        let mut queue = self.lock();
        queue.tasks.insert((task.due, task.id()), Box::new(task));
        drop(queue);
        self.changed.notify_all();
    }

    /// Wakes both threads, so that they see that they were stopped.
    pub(super) fn wake(&self) {
        // A thread that checked before waits by the time that this lock is free.
        let mut queue = self.lock();
        queue.timed = true;
        self.set_timer(Some(Duration::ZERO));
        drop(queue);
        self.changed.notify_all();
    }

    /// Polls due sources while it is this thread's turn.
    fn poll(self: &Arc<Self>, turn: u64, sink: &ReadingSink) {
        while let Some(next) = self.next(sink) {
            let mut task = match next {
                Next::Poll(task) => task,
                // No poll counts as running: the receiver may block.
                Next::Send(readings) => match sink.send(readings) {
                    true => continue,
                    false => return,
                },
            };
            let reading = task.poll();
            let id = task.id();
            let mut queue = self.lock();
            if queue.turn != turn {
                drop(queue);
                if sink.send(vec![(id, reading)])
                    && let Some(task) = keep_polling(*task, Some(0), sink)
                {
                    self.put(task);
                }
                return;
            }
            queue.polling = None;
            queue.readings.push((id, reading));
            if !task.is_stopped() {
                queue.tasks.insert((task.due, id), task);
            }
        }
    }

    /// Waits until a source is due or there are readings to send; `None` at the end.
    fn next(self: &Arc<Self>, sink: &ReadingSink) -> Option<Next> {
        let mut queue = self.lock();
        while !sink.is_stopped() {
            if !queue.watched {
                let (poller, sink) = (Arc::clone(self), sink.clone());
                // If the system cannot create a thread now, the next poll tries again.
                queue.watched = spawn("shared", move || poller.watch(&sink)).is_ok();
            }
            let now = Instant::now();
            let first = queue.tasks.first_key_value();
            let due = first.is_some_and(|((due, _), task)| *due <= now + task.slack());
            if !queue.readings.is_empty() && (!due || queue.send_at.is_none_or(|at| at <= now)) {
                return Some(Next::Send(std::mem::take(&mut queue.readings)));
            }
            if queue.readings.is_empty() {
                queue.send_at = Some(now + LONGEST_WAIT);
            }
            if due {
                queue.polling = Some(now);
                if !queue.timed {
                    queue.timed = true;
                    self.set_timer(Some(BRIEF));
                }
                let woken = queue.woken.filter(|at| *at <= now);
                return queue.tasks.pop_first().map(|(_, mut task)| {
                    task.due = woken.map_or(task.due, |woken| task.due.max(woken));
                    Next::Poll(task)
                });
            }
            if queue.timed {
                queue.timed = false;
                self.set_timer(None);
            }
            queue.woken = next_wake(queue.tasks.values().map(AsRef::as_ref));
            let span = queue.woken.map(|at| at.saturating_duration_since(now));
            queue = self.wait(queue, span);
        }
        None
    }

    /// Waits until a poll takes too long, and then polls the other sources.
    fn watch(self: &Arc<Self>, sink: &ReadingSink) {
        while !sink.is_stopped() {
            if let Some(timer) = self.timer.get() {
                timer.wait();
            }
            let mut queue = self.lock();
            let Some(began) = queue.polling else {
                queue.timed = false;
                continue;
            };
            let left = (began + BRIEF).saturating_duration_since(Instant::now());
            if left.is_zero() {
                queue.turn += 1;
                queue.polling = None;
                queue.watched = false;
                queue.timed = false;
                let turn = queue.turn;
                drop(queue);
                debug!(
                    "a poll takes more than {BRIEF:?}: other sources continue on another thread"
                );
                return self.poll(turn, sink);
            }
            self.set_timer(Some(left));
        }
    }

    /// Starts or stops the timer that wakes the watching thread.
    fn set_timer(&self, span: Option<Duration>) {
        if let Some(timer) = self.timer.get() {
            timer.set(span);
        }
    }

    fn wait<'q>(
        &self,
        queue: MutexGuard<'q, Queue>,
        span: Option<Duration>,
    ) -> MutexGuard<'q, Queue> {
        match span {
            Some(span) => {
                let woken = self.changed.wait_timeout(queue, span);
                woken.unwrap_or_else(PoisonError::into_inner).0
            }
            None => {
                let woken = self.changed.wait(queue);
                woken.unwrap_or_else(PoisonError::into_inner)
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        // No panic can happen between two changes that belong together.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// When to poll the next sources, of tasks in the order of their due times: with a source that is due, others wait until
/// they are due too, but none longer than its interval.
fn next_wake<'t>(tasks: impl Iterator<Item = &'t PollTask>) -> Option<Instant> {
    let (mut wake, mut latest) = (None, None::<Instant>);
    for task in tasks.take(GROUP) {
        if latest.is_some_and(|latest| latest < task.due) {
            break;
        }
        wake = Some(task.due);
        latest = Some(latest.map_or(task.latest, |latest| latest.min(task.latest)));
    }
    wake
}

#[cfg(test)]
mod tests;
