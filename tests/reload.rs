//! Another configuration for a collector at work: what is the same goes on, what is wrong changes nothing, and
//! what is gone leaves nothing behind that looks as if somebody stood behind it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test says what it expects in the shortest way, and prints what it did"
)]

#[path = "reload/changes.rs"]
mod changes;
#[path = "reload/refused.rs"]
mod refused;
#[path = "reload/removed.rs"]
mod removed;
#[path = "reload/retired.rs"]
mod retired;

use agentcheck_tests::binaries;
use agentcheck_tests::collector::{Collector, Plan};
use agentcheck_tests::processes::{output, run};
use agentcheck_tests::scratch::Scratch;
use agentcheck_tests::state::StateDirectory;
use std::path::PathBuf;
use std::process::{Command, Output};

/// A collector, its configuration, and a file with a number for each source.
struct Scene {
    states: StateDirectory,
    configuration: PathBuf,
    collector: Collector,
    // Removed when nobody writes to it any more.
    scratch: Scratch,
}

impl Scene {
    fn new(test: &str, configuration: impl FnOnce(&Scratch) -> String) -> Self {
        let scratch = Scratch::new(test);
        let states = StateDirectory::at(scratch.directory("state"));
        for name in ["a", "b"] {
            let _ = scratch.write(name, "20");
        }
        let text = configuration(&scratch);
        let configuration = scratch.write("agentcheck.toml", text);
        let collector = Collector::start(&scratch, "collector", &configuration, &states);
        Self {
            scratch,
            states,
            configuration,
            collector,
        }
    }

    /// The number that a source gives from now on.
    fn give(&self, source: &str, number: &str) {
        let new = self.scratch.write("new", number);
        std::fs::rename(new, self.scratch.file(source)).unwrap();
    }

    fn configure(&self, text: &str) {
        let new = self.scratch.write("new", text);
        std::fs::rename(new, &self.configuration).unwrap();
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(binaries::collector());
        command
            .args(arguments)
            .arg("--state-dir")
            .arg(self.states.path());
        command
    }

    /// Another configuration, which is right.
    fn reload(&self, text: &str) -> String {
        self.configure(text);
        run(&mut self.command(&["reload"]))
    }

    /// Another configuration, which may be wrong.
    fn try_to_reload(&self, text: &str) -> Output {
        self.configure(text);
        output(&mut self.command(&["reload"]))
    }

    fn wait_for(&mut self, service: &str, beginning: &str) -> Plan {
        self.collector.wait_for_plan(&self.states, service, |plan| {
            plan.fresh.starts_with(beginning)
        })
    }
}

/// A source over the file of this name.
fn source(scratch: &Scratch, name: &str) -> String {
    format!(
        "[source.{name}.file]\npath = {:?}\nformat = \"number\"\nevery = \"100ms\"\n",
        scratch.file(name)
    )
}

/// A service with the weight `100 - NUMBER` of this source.
fn service(name: &str, of: &str) -> String {
    format!("[service.{name}]\nweight = \"headroom({of}.value, 100)\"\n")
}
