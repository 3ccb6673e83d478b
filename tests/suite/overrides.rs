//! What operators say over the rules, with the real programs: commands, files, restarts, a real `HAProxy`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout
)] // a test says what it expects in the shortest way

#[path = "overrides/balancer.rs"]
mod balancer;
#[path = "overrides/commands.rs"]
mod commands;
#[path = "overrides/desk.rs"]
mod desk;
#[path = "overrides/lasting.rs"]
mod lasting;
#[path = "overrides/story.rs"]
mod story;
