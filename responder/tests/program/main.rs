//! The built program, started as launchers start it: the bytes on the connection, the system calls, and faults. The
//! tests with real launchers and HAProxy are in the workspace's tests/.

// Tests may use the shortest form; clippy allows it only in #[test] functions.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod accept_loop;
mod builds;
mod ending;
mod hostile;
mod http;
mod launched;
mod single;
