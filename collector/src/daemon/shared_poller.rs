//! One thread for all sources whose polls do not wait for anybody, as files and what the kernel shows; and
//! another that watches it, because a network mount that has gone away makes a file wait after all.
//!
//! The thread that polls is the one whose turn it is. When a poll takes longer than [`BRIEF`], the watching
//! thread begins the next turn: it polls all other sources, with a new thread to watch it, and the one that
//! is held up keeps the source that holds it up, as a thread of its own. So a source that hangs delays the
//! others once, by that long, and there are never more threads than sources and two.

use super::poll_task::{BRIEF, PollTask, ReadingSink, keep_polling, spawn};
use log::debug;
use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The sources that take turns.
#[derive(Default)]
pub(super) struct SharedPoller {
    queue: Mutex<Queue>,
    /// The thread that polls and the one that watches it have to look at the queue again.
    changed: Condvar,
}

#[derive(Default)]
struct Queue {
    /// By the time at which they are due, and their number.
    tasks: BTreeMap<(Instant, usize), PollTask>,
    /// Counts the threads that were the one to poll.
    turn: u64,
    /// Whether there is a thread that polls.
    begun: bool,
    /// Since when a poll is under way in this turn.
    polling: Option<Instant>,
    /// Whether a thread watches.
    watched: bool,
}

impl SharedPoller {
    /// Polls `tasks`, too. As long as there are none there is no thread.
    ///
    /// # Errors
    /// Where the system gives no more threads; then none of them is polled.
    pub(super) fn add(
        turns: &Arc<Self>,
        tasks: Vec<PollTask>,
        outlet: &ReadingSink,
    ) -> io::Result<()> {
        if tasks.is_empty() {
            return Ok(());
        }
        let mut queue = turns.lock();
        if !queue.begun {
            let (turns, outlet) = (Arc::clone(turns), outlet.clone());
            spawn("in turn", move || turns.poll(0, &outlet))?;
            queue.begun = true;
        }
        drop(queue);
        for task in tasks {
            turns.put(task);
        }
        Ok(())
    }

    /// Forgets the sources that are not to be polled any more.
    pub(super) fn drop_stopped(&self) {
        let mut queue = self.lock();
        queue.tasks.retain(|_, task| !task.is_stopped());
    }

    /// A source takes its turns from now on.
    pub(super) fn put(&self, task: PollTask) {
        let mut queue = self.lock();
        queue.tasks.insert((task.due, task.number()), task);
        drop(queue);
        self.changed.notify_all();
    }

    /// Wakes both threads, so that they see that they are to stop.
    pub(super) fn wake(&self) {
        // Whoever has looked before has come to wait by the time that this lock is to be had.
        drop(self.lock());
        self.changed.notify_all();
    }

    /// Polls what is due, as long as it is this thread's turn.
    fn poll(self: &Arc<Self>, turn: u64, outlet: &ReadingSink) {
        while let Some(mut task) = self.next(outlet) {
            let reading = task.poll();
            let number = task.number();
            let mut queue = self.lock();
            if queue.turn != turn {
                drop(queue);
                if outlet.send(number, reading)
                    && let Some(task) = keep_polling(task, Some(0), outlet)
                {
                    self.put(task);
                }
                return;
            }
            queue.polling = None;
            if !task.is_stopped() {
                queue.tasks.insert((task.due, number), task);
            }
            drop(queue);
            // Not while a poll counts as under way: here it is the loop that is waited for.
            if !outlet.send(number, reading) {
                return;
            }
        }
    }

    /// Waits until a source is due; none when it is time to stop.
    fn next(self: &Arc<Self>, outlet: &ReadingSink) -> Option<PollTask> {
        let mut queue = self.lock();
        while !outlet.is_stopped() {
            if !queue.watched {
                let (turns, outlet) = (Arc::clone(self), outlet.clone());
                // Where the system has no thread to give now, it may have one at the next poll.
                queue.watched = spawn("in turn", move || turns.watch(&outlet)).is_ok();
            }
            let now = Instant::now();
            match queue.tasks.first_key_value() {
                Some(((due, _), task)) if *due <= now + task.slack() => {
                    queue.polling = Some(now);
                    return queue.tasks.pop_first().map(|(_, task)| task);
                }
                Some(((due, _), _)) => {
                    let span = *due - now;
                    queue = self.wait(queue, Some(span));
                }
                None => queue = self.wait(queue, None),
            }
        }
        None
    }

    /// Waits until a poll takes too long, and then takes over.
    fn watch(self: &Arc<Self>, outlet: &ReadingSink) {
        let mut queue = self.lock();
        while !outlet.is_stopped() {
            let now = Instant::now();
            let begins = queue.polling.or_else(|| {
                let next = queue.tasks.first_key_value();
                // What is due already is about to be polled.
                next.map(|((due, _), _)| (*due).max(now))
            });
            let left = begins.map(|begins| (begins + BRIEF).saturating_duration_since(now));
            if left.is_some_and(|left| left.is_zero()) {
                queue.turn += 1;
                queue.polling = None;
                queue.watched = false;
                let turn = queue.turn;
                drop(queue);
                debug!("a poll takes more than {BRIEF:?}: the others go on without it");
                return self.poll(turn, outlet);
            }
            queue = self.wait(queue, left);
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
        // Nobody can panic between two changes that belong together.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
