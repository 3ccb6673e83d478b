//! The main job, end to end, on real parts: real `HAProxy` moves real weights because of what a real
//! application says, through every launcher.
//!
//! What a launcher does with its limits and its processes is `launchers.rs`; what `HAProxy` makes of a
//! reply is `conformance.rs`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test says what it expects in the shortest way, and prints what it did"
)]

#[path = "end_to_end/failures.rs"]
mod failures;
#[path = "end_to_end/field.rs"]
mod field;
#[path = "end_to_end/host.rs"]
mod host;
#[path = "end_to_end/looks.rs"]
mod looks;
#[path = "end_to_end/story.rs"]
mod story;
#[path = "end_to_end/under_systemd.rs"]
mod under_systemd;

use agentcheck_tests::launcher::Launcher;
use host::Plain;
use story::{Story, each};

#[test]
fn without_service_manager() {
    let launchers = [
        ("listen", None),
        ("xinetd", Some(Launcher::Xinetd)),
        ("activate", Some(Launcher::Activate)),
        ("activate-accept", Some(Launcher::ActivateAcceptInetd)),
    ];
    each(&launchers, |(name, launcher)| {
        let mut story = Story::begin(name, |setting| Plain::start(setting, *launcher));
        story.the_whole();
    });
}
