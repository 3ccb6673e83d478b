//! A host without systemd: the collector in the background, as another user, started by an init script, with
//! its log in syslog.

mod lifecycle;
mod log_injection;
mod start_errors;
mod syslog;
