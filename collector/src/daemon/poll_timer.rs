//! The timer that wakes the thread which watches the shared polling thread. A poll that ends in time stops it, and wakes
//! no thread.

use rustix::io::Errno;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};
use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

/// A pause after an unexpected failure to wait.
const AGAIN: Duration = Duration::from_millis(20);

/// A timer of the kernel.
pub(super) struct PollTimer {
    timer: OwnedFd,
}

impl PollTimer {
    /// A timer that does not run.
    ///
    /// # Errors
    /// Where the system has no descriptor for it.
    pub(super) fn new() -> io::Result<Self> {
        let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::CLOEXEC)?;
        Ok(Self { timer })
    }

    /// Starts it, to end in `span`, or stops it.
    pub(super) fn set(&self, span: Option<Duration>) {
        let never = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        // A span of zero would stop it.
        let span = span.map(|span| span.max(Duration::from_nanos(1)));
        let value = Itimerspec {
            it_interval: never,
            it_value: span.and_then(|span| span.try_into().ok()).unwrap_or(never),
        };
        // It fails only for values that are out of range.
        let _ = timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &value);
    }

    /// Waits until it ends.
    pub(super) fn wait(&self) {
        let mut times = [0; 8];
        match rustix::io::read(&self.timer, &mut times) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(_) => std::thread::sleep(AGAIN),
        }
    }
}
