//! The main job, end to end, on real parts: real `HAProxy` moves real weights because of what a real
//! application says, through every launcher.
//!
//! What a launcher does with its limits and its processes is `launchers.rs`; what `HAProxy` makes of a
//! reply is `conformance.rs`.

mod examples;
mod host;
mod on_failure;
mod server_states;
mod story;
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
