//! The built program, as launchers start it: what it sends, how many system calls it takes, and which faults it
//! survives. `tests/suite` has the real launchers and HAProxy.

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
