//! What the tests of the whole are built from: the release binaries, and the real parts beside them (`HAProxy`,
//! xinetd, inetd, systemd, an HTTP application).
//!
//! Nothing here is a mock where a real part is available. A part that is not installed is a failed test that
//! names the package, and never a skipped test. Nothing asserts how long something took: a test waits for a
//! condition, with a limit that only a fault reaches.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a harness reports a fault by failing the test"
)]

pub mod address;
pub mod agent;
pub mod application;
pub mod balancer;
pub mod binaries;
pub mod collector;
pub mod conformance;
pub mod counter_source;
pub mod farm;
pub mod haproxy;
pub mod launcher;
pub mod listener;
pub mod mariadb;
pub mod messages;
pub mod mount;
pub mod package;
pub mod permit;
pub mod prober;
pub mod processes;
pub mod prometheus;
pub mod raw_probe;
pub mod responder;
pub mod scene;
pub mod scratch;
pub mod snapshot;
pub mod state;
pub mod systemd;
pub mod throwaway_host;
