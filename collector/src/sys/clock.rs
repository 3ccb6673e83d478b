//! The clock and the boot of this machine. Decisions take `now`; only the shell asks here.

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

/// Seconds since 1970, UTC: only for what has to survive a reboot, and for people.
#[must_use]
pub fn wall() -> u64 {
    since_1970().as_secs()
}

/// The time since 1970, UTC.
///
/// By std, and so by the C library: what is laid over that to set the clock for one program (libfaketime) sets
/// it for this one, too.
#[must_use]
pub fn since_1970() -> Duration {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default()
}

/// The processor time that this thread has taken so far: what work costs, however busy the machine is.
#[must_use]
pub fn worked() -> Duration {
    let worked = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::try_from(worked).unwrap_or_default()
}

/// Seconds since 1970 with milliseconds, for the history.
#[must_use]
pub fn wall_time() -> f64 {
    #[allow(clippy::cast_precision_loss)] // exact for 285,000 years
    let milliseconds = since_1970().as_millis() as f64;
    milliseconds / 1000.0
}

/// The kernel's id of this boot.
///
/// # Errors
/// Where `/proc` is not there or shows something else.
pub fn boot_id() -> io::Result<BootId> {
    let text = std::fs::read(BootId::PATH)?;
    BootId::parse(&text).ok_or_else(|| {
        io::Error::new(
            io::ErrorKind::InvalidData,
            format!("{} holds no boot id", BootId::PATH),
        )
    })
}
