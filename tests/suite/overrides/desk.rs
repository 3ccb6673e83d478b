//! A collector with two services, and an operator beside it.

use agentcheck_tests::collector::{Collector, Plan};
use agentcheck_tests::processes::output;
use agentcheck_tests::scratch::Scratch;
use agentcheck_tests::state::{StateDirectory, now};
use std::fs;
use std::path::PathBuf;
use std::process::Output;

/// A collector and what belongs to it. Its services are `web` and `api`, at 73% and 50%.
pub(crate) struct Desk {
    pub(crate) states: StateDirectory,
    pub(crate) configuration: PathBuf,
    pub(crate) collector: Option<Collector>,
    // Removed when nobody writes to it any more.
    pub(crate) scratch: Scratch,
}

impl Desk {
    /// A collector that polls so rarely that nothing changes but by a command; `keys` go to both services.
    pub(crate) fn open(name: &str, keys: &str) -> Self {
        Self::polling(name, keys, "1h")
    }

    /// The same, polling every so often.
    pub(crate) fn polling(name: &str, keys: &str, every: &str) -> Self {
        let scratch = Scratch::new(name);
        let states = StateDirectory::at(scratch.directory("state"));
        fs::create_dir_all(Collector::data(&states).join("overrides")).unwrap();
        for (file, number) in [("web", "73"), ("api", "50"), ("sessions", "5")] {
            fs::write(scratch.file(file), number).unwrap();
        }
        let mut text = format!("maintenance_file = {:?}\n", scratch.file("all-out"));
        for source in ["web", "api", "sessions"] {
            text.push_str(&format!(
                "[source.{source}_number.file]\npath = {:?}\nformat = \"number\"\nevery = \"{every}\"\n\
                 jitter = \"0s\"\n",
                scratch.file(source)
            ));
        }
        for service in ["web", "api"] {
            text.push_str(&format!(
                "[service.{service}]\nweight = \"{service}_number.value\"\n\
                 maintenance_file = {:?}\n{keys}\n\
                 [[service.{service}.rule]]\nname = \"none\"\nwhen = \"sessions_number.value < 0\"\n\
                 reply = \"down\"\n",
                scratch.file(&format!("{service}-out"))
            ));
        }
        let configuration = scratch.write("agentcheck.toml", text);
        let mut desk = Self {
            scratch,
            states,
            configuration,
            collector: None,
        };
        desk.start();
        desk.says("web", "up 73% ");
        desk
    }

    /// Starts a collector, and waits until it has written what it says of `web`.
    pub(crate) fn start(&mut self) {
        let after = now();
        let collector = Collector::start(
            &self.scratch,
            "collector",
            &self.configuration,
            &self.states,
        );
        let collector = self.collector.insert(collector);
        collector.wait_for_plan(&self.states, "web", |plan| plan.from > after);
    }

    pub(crate) fn kill(&mut self) {
        self.collector.take().unwrap().process().kill();
    }

    /// Waits until `service` says what begins so; all of it.
    pub(crate) fn says(&mut self, service: &str, beginning: &str) -> Plan {
        let collector = self.collector.as_mut().unwrap();
        collector.wait_for_plan(&self.states, service, |plan| {
            format!("{} ", plan.fresh).starts_with(beginning)
        })
    }

    /// What an operator's command says, and how it ends.
    pub(crate) fn operator(&self, arguments: &[&str]) -> Output {
        let mut command = Collector::operator(arguments, &self.configuration, &self.states);
        output(&mut command)
    }

    /// The same of one that is to succeed.
    pub(crate) fn told(&self, arguments: &[&str]) -> String {
        let output = self.operator(arguments);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {error}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// The same of one that is to fail.
    pub(crate) fn failed(&self, arguments: &[&str]) -> String {
        let output = self.operator(arguments);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {output:?}");
        String::from_utf8(output.stderr).unwrap()
    }

    /// Where overrides are kept.
    pub(crate) fn overrides(&self) -> PathBuf {
        Collector::data(&self.states).join("overrides")
    }

    /// Writes a file at once, as configuration management does.
    pub(crate) fn put(&self, file: &str, content: &str) {
        let new = self.scratch.write(&format!("{file}.new"), content);
        fs::rename(new, self.scratch.file(file)).unwrap();
    }

    /// Waits until the collector's log has this.
    pub(crate) fn logged(&mut self, what: &str) {
        let process = self.collector.as_mut().unwrap().process();
        process.wait_for_log(what);
    }
}
