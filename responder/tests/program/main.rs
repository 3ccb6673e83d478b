//! The built program, as launchers start it: what goes over the wire, what it costs in system calls, and
//! what it survives. The real launchers and HAProxy are in the workspace's top-level tests.

// A test may say what it expects in the shortest way; clippy knows that only of #[test] functions.
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
mod launched;
mod oneshot;
