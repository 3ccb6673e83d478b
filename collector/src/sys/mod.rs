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
