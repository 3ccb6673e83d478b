//! The main job on real parts: a real `HAProxy` moves real weights because a real application reports its load,
//! with each launcher.
//!
//! `launchers.rs` tests the limits and processes of launchers; `conformance.rs` tests how `HAProxy` reacts to
//! replies.

mod examples;
mod on_failure;
mod server_states;
mod story;
mod under_systemd;

use agentcheck_tests::launcher::Launcher;
use agentcheck_tests::scene::Scene;
use agentcheck_tests::state::StateDirectory;
use std::net::SocketAddr;
use story::{Story, each};

/// A host at work.
trait Host {
    /// The address of the responder, which takes the name of the service from the client.
    fn agent(&self) -> SocketAddr;
    /// The directory of the state files, as the test reads them.
    fn states(&self) -> &StateDirectory;
    /// Kills the collector by SIGKILL; none runs after this.
    fn kill_collector(&mut self);
    /// Starts the collector.
    fn start_collector(&mut self);
}

/// A host whose collector the test starts, and whose responder is started by a launcher or listens itself.
impl Host for Scene {
    fn agent(&self) -> SocketAddr {
        self.agent
    }

    fn states(&self) -> &StateDirectory {
        &self.states
    }

    fn kill_collector(&mut self) {
        self.kill();
    }

    fn start_collector(&mut self) {
        self.start();
    }
}

/// Starts responder and collector of a scene that is configured.
fn started(mut scene: Scene, launcher: Option<Launcher>) -> Scene {
    match launcher {
        None => scene.respond(&["--name-from-client"]),
        Some(launcher) => scene.launch(launcher, &["--name-from-client"]),
    }
    scene.start();
    scene
}

#[test]
fn weight_follows_application_without_service_manager() {
    let launchers = [
        ("listen", None),
        ("xinetd", Some(Launcher::Xinetd)),
        ("activate", Some(Launcher::Activate)),
        ("activate-accept", Some(Launcher::ActivateAcceptInetd)),
    ];
    each(&launchers, |(name, launcher)| {
        let mut story = Story::begin(name, |scene| started(scene, *launcher));
        story.the_whole();
    });
}
