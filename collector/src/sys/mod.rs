//! The host's services: clocks, locks, files that are replaced atomically, users and groups, the way into the
//! background, and log output.
//!
//! Imports `render` only.

pub mod accounts;
pub mod clock;
pub mod daemonize;
pub mod lock;
pub mod log_throttle;
pub mod logging;
pub mod session;
pub mod state_file;

use rustix::fs::Stat;

/// Device and inode, which identify a file while it exists.
#[must_use]
pub fn identity(of: &Stat) -> (u64, u64) {
    (of.st_dev, of.st_ino)
}
