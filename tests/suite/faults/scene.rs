//! A host of which nothing is mocked, to do something bad to: a source that counts, a collector, a responder,
//! `HAProxy`, and a prober that asks all the while.

use agentcheck_tests::address::Block;
use agentcheck_tests::collector::Collector;
use agentcheck_tests::counter_source::{Counter, Judged, configuration, judge};
use agentcheck_tests::haproxy::{Backend, Haproxy, Server};
use agentcheck_tests::mount::Mounted;
use agentcheck_tests::prober::Prober;
use agentcheck_tests::raw_probe::probe;
use agentcheck_tests::responder::Loop;
use agentcheck_tests::scratch::Scratch;
use agentcheck_tests::state::{StateDirectory, now};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// How long a reply is good, where a test waits for its end.
const FRESH_FOR: Duration = Duration::from_secs(1);

/// The same where none is to get too old, and the machine may be held up.
const UNHURRIED: Duration = Duration::from_secs(10);

/// What a responder says where there is no state file.
const NO_STATE: &str = "no-state:tick";

/// The host. Its parts end in this order.
pub(crate) struct Scene {
    prober: Option<Prober>,
    haproxy: Haproxy,
    _responder: Loop,
    pub(crate) collector: Collector,
    pub(crate) states: StateDirectory,
    pub(crate) configuration: PathBuf,
    counter: Option<Counter>,
    pub(crate) mounted: Option<Mounted>,
    fresh_for: Duration,
    _block: Block,
    pub(crate) scratch: Scratch,
}

impl Scene {
    /// All at work.
    pub(crate) fn new(test: &str) -> Self {
        Self::on(test, |_| None, |_| {})
    }

    /// The same where no reply is to get too old.
    pub(crate) fn unhurried(test: &str, alter: impl FnOnce(&mut Command)) -> Self {
        Self::by(test, UNHURRIED, |_| None, alter)
    }

    /// The same with the state directory on a file system that `mount` gives, and `alter` having a hand in how
    /// the collector is started.
    pub(crate) fn on(
        test: &str,
        mount: impl FnOnce(&Path) -> Option<Mounted>,
        alter: impl FnOnce(&mut Command),
    ) -> Self {
        Self::by(test, FRESH_FOR, mount, alter)
    }

    fn by(
        test: &str,
        fresh_for: Duration,
        mount: impl FnOnce(&Path) -> Option<Mounted>,
        alter: impl FnOnce(&mut Command),
    ) -> Self {
        let scratch = Scratch::new(test);
        let block = Block::claim();
        let states = StateDirectory::at(scratch.directory("state"));
        let mounted = mount(states.path());
        let counter = Counter::start(&scratch.file("counter"));
        let text = configuration(counter.file(), fresh_for);
        let configuration = scratch.write("agentcheck.toml", text);
        let mut command = Collector::command(&configuration, &states);
        alter(&mut command);
        let mut collector = Collector::start_by(&scratch, "collector", &mut command);
        collector.wait_for_plan(&states, "tick", |_| true);
        let agent = block.agent();
        let responder = Loop::start(&scratch, &states, &["tick"], &[agent]);
        let server = Server::new("tick", block.address(8081), agent);
        let haproxy = Haproxy::start(&scratch, &[Backend::new("f", vec![server])]);
        let pause = Duration::from_millis(5);
        let prober = Prober::start_allowing(pause, &[NO_STATE], move || probe(agent, b""));
        let mut scene = Self {
            prober: Some(prober),
            haproxy,
            _responder: responder,
            collector,
            states,
            configuration,
            counter: Some(counter),
            mounted,
            fresh_for,
            _block: block,
            scratch,
        };
        scene.wait_for_fresh();
        scene
    }

    /// Waits until the collector has written again, and `HAProxy` has heard it: the server is in.
    pub(crate) fn wait_for_fresh(&mut self) {
        let after = now();
        self.collector
            .wait_for_plan(&self.states, "tick", |plan| plan.from > after);
        self.wait_for_haproxy("a fresh reply", "tick=");
    }

    /// Waits until `HAProxy` has heard that the last reply is too old; the server is in all the same.
    pub(crate) fn wait_for_stale(&self) {
        self.wait_for_haproxy("the last reply, marked", "stale");
    }

    /// Waits until there is nothing for `HAProxy` to hear; the server stays as it was.
    pub(crate) fn wait_for_no_state(&self) {
        self.wait_for_haproxy("nothing to hear", NO_STATE);
    }

    fn wait_for_haproxy(&self, what: &str, text: &str) {
        self.haproxy.wait_for_server("f", "tick", what, |seen| {
            let is_in = seen.operational == 2 && seen.administrative == 0;
            seen.agent_text.contains(text) && is_in && (90..=100).contains(&seen.weight)
        });
    }

    /// Waits until the collector's log has this.
    pub(crate) fn wait_for_log(&mut self, text: &str) {
        self.collector.process().wait_for_log(text);
    }

    /// Waits until so many lines of the collector's log have this.
    pub(crate) fn wait_for_lines(&mut self, count: usize, text: &str) {
        self.collector.process().wait_for_lines(count, text);
    }

    /// All is as if nothing had been, and no answer was torn or too old.
    pub(crate) fn ends_well(mut self, fault: &str) -> Judged {
        self.wait_for_fresh();
        let samples = self.prober.take().unwrap().samples();
        let written = self.counter.take().unwrap().stop();
        let judged = judge(&samples, &written, self.fresh_for);
        println!(
            "{fault}: {} answers, {judged:?}; none torn, none too old",
            samples.len()
        );
        assert!(judged.fresh > 0, "{judged:?}");
        judged
    }
}
