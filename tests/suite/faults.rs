//! What can go wrong on a host: the collector is killed, started twice, told to stop, has no room to
//! write, or finds what another boot has left; a source hangs. What is said to `HAProxy` is right all the
//! while.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test says what it expects in the shortest way, and prints what it did"
)]

#[path = "faults/applications.rs"]
mod applications;
#[path = "faults/clocks.rs"]
mod clocks;
#[path = "faults/configuration.rs"]
mod configuration;
#[path = "faults/directory.rs"]
mod directory;
#[path = "faults/goes_on.rs"]
mod goes_on;
#[path = "faults/kills.rs"]
mod kills;
#[path = "faults/left_behind.rs"]
mod left_behind;
#[path = "faults/limits.rs"]
mod limits;
#[path = "faults/listeners.rs"]
mod listeners;
#[path = "faults/operators.rs"]
mod operators;
#[path = "faults/scene.rs"]
mod scene;
#[path = "faults/share.rs"]
mod share;
#[path = "faults/soak.rs"]
mod soak;
#[path = "faults/sources.rs"]
mod sources;
#[path = "faults/stops.rs"]
mod stops;
