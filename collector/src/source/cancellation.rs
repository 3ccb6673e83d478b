//! The flag that stops the threads of sources.
//!
//! Not here: which signal raises it.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

/// A flag that is raised once and never lowered. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Cancellation {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    raised: AtomicBool,
    /// Held while the flag is raised, so that no thread begins to wait between.
    raising: Mutex<()>,
    changed: Condvar,
    sleepers: Mutex<Vec<Weak<dyn Sleeper>>>,
}

/// Threads that wait for something else, too.
pub(super) trait Sleeper: Send + Sync {
    /// Wakes them: the flag is raised.
    fn wake(&self);
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Shared").field(&self.raised).finish()
    }
}

impl Cancellation {
    /// A flag that is not raised.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Raises the flag and wakes every waiting thread. Not for a signal handler: it takes a lock.
    pub fn stop(&self) {
        let raising = self.lock();
        self.shared.raised.store(true, Ordering::Release);
        drop(raising);
        self.shared.changed.notify_all();
        let sleepers = std::mem::take(&mut *self.sleepers());
        for sleeper in sleepers.iter().filter_map(Weak::upgrade) {
            sleeper.wake();
        }
    }

    /// Has the flag wake this sleeper, while that exists.
    pub(super) fn wakes(&self, sleeper: Weak<dyn Sleeper>) {
        self.sleepers().push(sleeper);
    }

    /// Whether the flag is raised.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.shared.raised.load(Ordering::Acquire)
    }

    /// Sleeps for `span`, or until the flag is raised; returns whether it is raised.
    #[must_use]
    pub fn wait(&self, span: Duration) -> bool {
        let changed = &self.shared.changed;
        let waited = changed.wait_timeout_while(self.lock(), span, |()| !self.is_stopped());
        drop(waited);
        self.is_stopped()
    }

    fn sleepers(&self) -> MutexGuard<'_, Vec<Weak<dyn Sleeper>>> {
        let sleepers = self.shared.sleepers.lock();
        sleepers.unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, ()> {
        self.shared
            .raising
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;
    use std::time::Instant;

    #[test]
    fn wait_ends_after_its_span() {
        let stop = Cancellation::new();
        let started = Instant::now();
        assert!(!stop.wait(Duration::from_millis(20)));
        assert!(started.elapsed() >= Duration::from_millis(20));
        assert!(!stop.is_stopped());
    }

    #[test]
    fn raised_clone_ends_every_wait() {
        let stop = Cancellation::new();
        let waiting: Vec<_> = (0..3)
            .map(|_| {
                let stop = stop.clone();
                thread::spawn(move || stop.wait(Duration::MAX))
            })
            .collect();
        stop.clone().stop();
        for thread in waiting {
            assert!(thread.join().unwrap());
        }
        assert!(stop.wait(Duration::MAX));
        assert!(stop.is_stopped());
    }
}
