//! The host that an application runs on: where the collector writes, who answers balancers, and how the
//! collector begins and dies there.

use agentcheck_tests::address::Block;
use agentcheck_tests::collector::Collector;
use agentcheck_tests::launcher::{Launched, Launcher};
use agentcheck_tests::responder::{Loop, arguments};
use agentcheck_tests::scratch::Scratch;
use agentcheck_tests::state::StateDirectory;
use std::net::SocketAddr;
use std::path::PathBuf;

/// What a host is made from.
pub(crate) struct Setting<'a> {
    pub(crate) scratch: &'a Scratch,
    pub(crate) block: &'a Block,
    /// The collector's configuration.
    pub(crate) configuration: &'a str,
}

/// A host at work.
pub(crate) trait Host {
    /// Where balancers ask, by `--ask`.
    fn agent(&self) -> SocketAddr;
    /// Where the state files are, as the test sees them.
    fn states(&self) -> &StateDirectory;
    /// Kills the collector by SIGKILL; none is there after this.
    fn kill_collector(&mut self);
    /// Starts the collector.
    fn start_collector(&mut self);
}

/// A host whose collector is started by hand, and whose responder is started by a launcher or listens.
pub(crate) struct Plain {
    agent: SocketAddr,
    states: StateDirectory,
    collector: Option<Collector>,
    configuration: PathBuf,
    log: Scratch,
    _answering: Answering,
}

/// Kept for as long as it is to answer.
enum Answering {
    Listening(#[allow(dead_code)] Loop),
    Launched(#[allow(dead_code)] Launched),
}

impl Plain {
    pub(crate) fn start(setting: &Setting<'_>, launcher: Option<Launcher>) -> Self {
        let Setting {
            scratch,
            block,
            configuration,
        } = setting;
        let agent = block.agent();
        let states = StateDirectory::at(scratch.directory("state"));
        let answering = match launcher {
            None => {
                let ask = ["--ask"];
                Answering::Listening(Loop::start(scratch, &states, &ask, &[agent]))
            }
            Some(launcher) => {
                let arguments = arguments(&states, &["--ask"]);
                Answering::Launched(launcher.start(scratch, agent, &arguments))
            }
        };
        let mut host = Self {
            agent,
            states,
            collector: None,
            configuration: scratch.write("agentcheck.toml", configuration),
            log: Scratch::new("collector"),
            _answering: answering,
        };
        host.start_collector();
        host
    }
}

impl Host for Plain {
    fn agent(&self) -> SocketAddr {
        self.agent
    }

    fn states(&self) -> &StateDirectory {
        &self.states
    }

    fn kill_collector(&mut self) {
        let mut collector = self.collector.take().expect("a collector runs");
        collector.process().kill();
    }

    fn start_collector(&mut self) {
        let collector = Collector::start(&self.log, "collector", &self.configuration, &self.states);
        self.collector = Some(collector);
    }
}
