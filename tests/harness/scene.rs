//! A collector at work: its directories, its configuration, and the files with numbers that its sources read.

use crate::binaries;
use crate::collector::{Collector, Plan};
use crate::processes::{output, run};
use crate::scratch::Scratch;
use crate::state::StateDirectory;
use std::path::PathBuf;
use std::process::{Command, Output};

/// The collector and what belongs to it.
#[derive(Debug)]
pub struct Scene {
    /// The one that was started last.
    pub collector: Collector,
    /// Where it writes.
    pub states: StateDirectory,
    /// Its configuration.
    pub configuration: PathBuf,
    /// What all of that is in; removed when nobody writes to it any more.
    pub scratch: Scratch,
}

impl Scene {
    /// A collector with this configuration, of sources over files that are made with it.
    #[must_use]
    pub fn new(test: &str, configuration: impl FnOnce(&Scratch) -> String) -> Self {
        let scratch = Scratch::new(test);
        let states = StateDirectory::at(scratch.directory("state"));
        let text = configuration(&scratch);
        let configuration = scratch.write("agentcheck.toml", text);
        let collector = Collector::start(&scratch, "collector", &configuration, &states);
        Self {
            collector,
            states,
            configuration,
            scratch,
        }
    }

    /// Another collector, after the last one has ended; its log is `NAME.log`.
    pub fn start_again(&mut self, name: &str) {
        self.collector = Collector::start(&self.scratch, name, &self.configuration, &self.states);
    }

    /// The number that is in this file from now on.
    pub fn give(&self, file: &str, number: &str) {
        self.scratch.replace(file, number);
    }

    /// Waits until what begins so is said of `service`; all of it.
    pub fn wait_for(&mut self, service: &str, beginning: &str) -> Plan {
        self.collector.wait_for_plan(&self.states, service, |plan| {
            plan.fresh.starts_with(beginning)
        })
    }

    /// Our program, about the collector that writes there.
    #[must_use]
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(binaries::collector());
        command
            .args(arguments)
            .arg("--state-dir")
            .arg(self.states.path());
        command
    }

    /// Another configuration, which nobody has told the collector of.
    pub fn configure(&self, text: &str) {
        self.scratch.replace("agentcheck.toml", text);
    }

    /// Another configuration, which is right; what is said of it.
    #[must_use]
    pub fn reload(&self, text: &str) -> String {
        self.configure(text);
        run(&mut self.command(&["reload"]))
    }

    /// Another configuration, which may be wrong.
    #[must_use]
    pub fn try_to_reload(&self, text: &str) -> Output {
        self.configure(text);
        output(&mut self.command(&["reload"]))
    }
}
