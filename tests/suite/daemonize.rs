//! A host without systemd: an init script starts the collector in the background, as another user, with its log
//! in syslog.

mod host;
mod lifecycle;
mod log_injection;
mod start_errors;
mod syslog;
