//! A host without systemd: the collector in the background, as another user, started by an init script, with
//! its log in syslog.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test says what it expects in the shortest way, and prints what it did"
)]

#[path = "background/failures.rs"]
mod failures;
#[path = "background/forged.rs"]
mod forged;
#[path = "background/host.rs"]
mod host;
#[path = "background/life.rs"]
mod life;
#[path = "background/syslog.rs"]
mod syslog;
