//! The scene whose one source counts, so that the age of each reply is known, with a prober that asks all the
//! while. A test does something to it, and [`Scene::ends_well`] checks every reply in between.

use super::Scene;
use crate::counter_source::{Counter, Judged, configuration, judge};
use crate::haproxy::{Backend, Server};
use crate::mount::Mounted;
use crate::prober::{Prober, Sample};
use crate::raw_probe::probe;
use crate::state::now;
use agentcheck_common::BootTime;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// How long a reply stays fresh, where a test waits for its end.
const FRESH_FOR: Duration = Duration::from_secs(1);

/// The same with replies that never become too old, even if the machine pauses the test.
const LONG: Duration = Duration::from_secs(10);

/// What the responder sends where there is no state file.
const NO_STATE: &str = "no-state:tick";

impl Scene {
    /// A running scene with the service `tick`. A reply stays fresh for a second.
    #[must_use]
    pub fn counting(test: &str) -> Self {
        Self::counting_on(test, |_| None, |_| {})
    }

    /// The same with replies that never become too old.
    #[must_use]
    pub fn counting_slowly(test: &str, alter: impl FnOnce(&mut Command)) -> Self {
        Self::counting_by(test, LONG, |_| None, alter)
    }

    /// The same with the state directory on a file system that `mount` makes, and a collector whose command `alter`
    /// changes.
    #[must_use]
    pub fn counting_on(
        test: &str,
        mount: impl FnOnce(&Path) -> Option<Mounted>,
        alter: impl FnOnce(&mut Command),
    ) -> Self {
        Self::counting_by(test, FRESH_FOR, mount, alter)
    }

    fn counting_by(
        test: &str,
        fresh_for: Duration,
        mount: impl FnOnce(&Path) -> Option<Mounted>,
        alter: impl FnOnce(&mut Command),
    ) -> Self {
        let mut scene = Self::new(test);
        scene.fresh_for = fresh_for;
        scene.mounted = mount(scene.states.path());
        let counter = Counter::start(&scene.scratch.file("counter"));
        scene.configure(&configuration(counter.file(), fresh_for));
        scene.counter = Some(counter);
        scene.start_as("collector", alter);
        scene.wait_for_reply("tick", "");
        scene.respond(&["tick"]);
        let agent = scene.agent;
        let server = Server::new("tick", scene.block.address(8081), agent);
        scene.balance(&[Backend::new("f", vec![server])]);
        let pause = Duration::from_millis(5);
        let prober = Prober::start_allowing(pause, &[NO_STATE], move || probe(agent, b""));
        scene.prober = Some(prober);
        scene.wait_for_fresh();
        scene
    }

    /// Waits until the collector has written again, and `HAProxy` has the reply: the server is in.
    pub fn wait_for_fresh(&mut self) {
        let after = now();
        self.wait_for_plan("tick", |plan| plan.from > after);
        self.wait_for_tick("a fresh reply", "tick=");
    }

    /// Waits until `HAProxy` has the last reply marked as too old; the server is in all the same.
    pub fn wait_for_stale(&self) {
        self.wait_for_tick("the last reply, marked as stale", "stale");
    }

    /// Waits until the responder has no state file; the server stays as it was.
    pub fn wait_for_no_state(&self) {
        self.wait_for_tick("a no-op reply", NO_STATE);
    }

    fn wait_for_tick(&self, what: &str, text: &str) {
        self.haproxy().wait_for_server("f", "tick", what, |seen| {
            let is_in = seen.operational == 2 && seen.administrative == 0;
            seen.agent_text.contains(text) && is_in && (90..=100).contains(&seen.weight)
        });
    }

    /// Waits until another collector than before writes. Its first reply may be of an older poll.
    pub fn wait_for_takeover(&mut self, since: BootTime) {
        let after = now();
        self.wait_for_plan("tick", |plan| plan.from > after);
        self.takeovers.push((since, now()));
    }

    /// Checks that the scene works as before the fault, and that no reply was torn or too old.
    ///
    /// # Panics
    /// At the first reply that was.
    pub fn ends_well(mut self, fault: &str) -> Judged {
        self.wait_for_fresh();
        let prober = self.prober.take().expect("the scene has a prober");
        let samples = prober.samples();
        let counter = self.counter.take().expect("the scene has a counter");
        let written = counter.stop();
        let in_takeover = |sample: &Sample| {
            let mut takeovers = self.takeovers.iter();
            takeovers.any(|(from, to)| sample.received_at >= *from && sample.sent_at <= *to)
        };
        let mut judged = Judged::default();
        for part in samples.chunk_by(|left, right| !in_takeover(left) && !in_takeover(right)) {
            judged += judge(part, &written, self.fresh_for);
        }
        println!(
            "{fault}: {} answers, {judged:?}; none torn, none too old",
            samples.len()
        );
        assert!(judged.fresh > 0, "{judged:?}");
        judged
    }
}
