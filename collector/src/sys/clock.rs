//! The clocks and the boot id of this host. Decisions take `now` as an argument; only the shell calls this.

use agentcheck_common::{BootId, BootTime};
use std::io;
use std::time::{Duration, Instant, SystemTime};

/// Now, on `CLOCK_BOOTTIME`.
#[must_use]
pub fn now() -> BootTime {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    // Neither part is ever negative on this clock.
    BootTime::from_timespec(now.tv_sec.unsigned_abs(), now.tv_nsec.unsigned_abs())
}

/// Seconds since 1970, UTC: only for what survives a reboot, and for people.
#[must_use]
pub fn unix_seconds() -> u64 {
    unix_time().as_secs()
}

/// The time since 1970, UTC.
///
/// By std, and so by the C library: libfaketime, which sets the clock of one program, sets this one too.
#[must_use]
pub fn unix_time() -> Duration {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default()
}

/// The CPU time of this thread so far: the cost of work, however busy the machine is.
#[must_use]
pub fn thread_cpu_time() -> Duration {
    let spent = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::try_from(spent).unwrap_or_default()
}

/// Measures pieces of one thread's work, one after the other, in processor time.
///
/// The processor clock costs a system call. So a piece that takes less than a millisecond by the monotonic clock
/// counts that time, which is the same or more.
#[derive(Debug)]
pub struct Stopwatch {
    /// The processor time of the thread when it was last read.
    cpu: Duration,
    /// The pieces since then.
    since: Duration,
    /// When the last piece ended.
    ended: Instant,
    total: Duration,
}

impl Stopwatch {
    /// Starts the first piece.
    #[must_use]
    pub fn start() -> Self {
        Self {
            cpu: thread_cpu_time(),
            since: Duration::ZERO,
            ended: Instant::now(),
            total: Duration::ZERO,
        }
    }

    /// Ends a piece and starts the next; returns its time.
    pub fn lap(&mut self) -> Duration {
        let now = Instant::now();
        let mut took = now.saturating_duration_since(self.ended);
        self.ended = now;
        if took < Duration::from_millis(1) {
            self.since += took;
        } else {
            let cpu = thread_cpu_time();
            took = took.min(cpu.saturating_sub(self.cpu).saturating_sub(self.since));
            (self.cpu, self.since) = (cpu, Duration::ZERO);
        }
        self.total += took;
        took
    }

    /// The time of all pieces that ended.
    #[must_use]
    pub fn total(&self) -> Duration {
        self.total
    }
}

/// Seconds since 1970 with milliseconds, for the history.
#[must_use]
pub fn unix_time_f64() -> f64 {
    #[allow(clippy::cast_precision_loss)] // exact for 285,000 years
    let milliseconds = unix_time().as_millis() as f64;
    milliseconds / 1000.0
}

/// The kernel's id of this boot.
///
/// # Errors
/// Where `/proc` is absent or has something else.
pub fn boot_id() -> io::Result<BootId> {
    let text = std::fs::read(BootId::PATH)?;
    BootId::parse(&text).ok_or_else(|| {
        io::Error::new(
            io::ErrorKind::InvalidData,
            format!("{} has no boot id", BootId::PATH),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_count_processor_time() {
        let mut watch = Stopwatch::start();
        std::thread::sleep(Duration::from_millis(100));
        let slept = watch.lap();
        assert!(slept < Duration::from_millis(50), "{slept:?}");
        let before = thread_cpu_time();
        while thread_cpu_time() - before < Duration::from_millis(20) {}
        let worked = watch.lap();
        assert!(worked >= Duration::from_millis(20), "{worked:?}");
        watch.lap();
        assert!(watch.total() >= slept + worked);
    }
}
