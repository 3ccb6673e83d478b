//! The clocks and the boot id of this host. Decisions take `now` as an argument; only the shell calls this.

use agentcheck_common::{BootId, BootTime};
use std::io;
use std::time::{Duration, SystemTime};

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
