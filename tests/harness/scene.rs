//! A host and its balancer, of which nothing is mocked: a collector, a responder, an application and `HAProxy`,
//! with the directories and addresses that belong to them. A test starts the parts that it needs.

mod counting;

use crate::address::Block;
use crate::application::Application;
use crate::binaries;
use crate::collector::{Collector, Plan};
use crate::counter_source::Counter;
use crate::haproxy::{Backend, Haproxy, Server};
use crate::launcher::{Launched, Launcher};
use crate::mount::Mounted;
use crate::prober::Prober;
use crate::processes::{Running, output, program, wait_for};
use crate::responder::{Loop, arguments};
use crate::scratch::Scratch;
use crate::state::{StateDirectory, now};
use agentcheck_common::BootTime;
use serde_json::Value;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

/// The scene. Its parts end in this order.
#[derive(Debug)]
pub struct Scene {
    prober: Option<Prober>,
    haproxy: Option<Haproxy>,
    responder: Option<Responder>,
    collector: Option<Collector>,
    application: Option<Application>,
    counter: Option<Counter>,
    /// The file system that the state directory is on, where a test mounts one.
    pub mounted: Option<Mounted>,
    /// The program of the collector.
    program: PathBuf,
    fresh_for: Duration,
    /// Between which times another collector took over.
    takeovers: Vec<(BootTime, BootTime)>,
    /// The address of the responder.
    pub agent: SocketAddr,
    /// The directory of the state files.
    pub states: StateDirectory,
    /// The collector's configuration, which the test writes by [`Self::configure`].
    pub configuration: PathBuf,
    /// The addresses of this scene.
    pub block: Block,
    /// The directory of everything else.
    pub scratch: Scratch,
}

/// What replies to balancers. It is kept for as long as it is to reply.
#[derive(Debug)]
enum Responder {
    Listening(#[allow(dead_code)] Loop),
    Launched(#[allow(dead_code)] Launched),
}

impl Scene {
    /// Empty directories: nothing runs.
    #[must_use]
    pub fn new(test: &str) -> Self {
        Self::of(test, PathBuf::new())
    }

    /// Empty directories, for another program of the collector than the release binary.
    #[must_use]
    pub fn of(test: &str, program: impl Into<PathBuf>) -> Self {
        let scratch = Scratch::new(test);
        let block = Block::claim();
        Self {
            prober: None,
            haproxy: None,
            responder: None,
            collector: None,
            application: None,
            counter: None,
            mounted: None,
            program: program.into(),
            fresh_for: Duration::ZERO,
            takeovers: Vec::new(),
            agent: block.agent(),
            states: StateDirectory::at(scratch.directory("state")),
            configuration: scratch.file("agentcheck.toml"),
            block,
            scratch,
        }
    }

    /// A running collector with the configuration that `configuration` returns.
    #[must_use]
    pub fn with(test: &str, configuration: impl FnOnce(&Self) -> String) -> Self {
        let mut scene = Self::new(test);
        scene.configure(&configuration(&scene));
        scene.start();
        scene
    }

    /// What differs from run to run in the texts of this scene, for [`crate::snapshot::check`].
    #[must_use]
    pub fn variables(&self) -> Vec<(&'static str, String)> {
        vec![
            ("[SCRATCH]", self.scratch.path().display().to_string()),
            ("[AGENT]", self.agent.to_string()),
        ]
    }

    /// The collector's data directory, which exists only where a test makes it.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        Collector::data(&self.states)
    }

    /// The directory of the overrides, made if it does not exist.
    ///
    /// # Panics
    /// Where it cannot be made.
    #[must_use]
    pub fn overrides(&self) -> PathBuf {
        let directory = self.data().join("overrides");
        std::fs::create_dir_all(&directory).unwrap();
        directory
    }

    /// A source `NAME` over the file `NAME`, polled every 100 ms. The file gets this number, unless it exists.
    #[must_use]
    pub fn number(&self, name: &str, number: &str) -> String {
        let file = self.scratch.file(name);
        if !file.exists() {
            self.put(name, number);
        }
        format!(
            "[source.{name}.file]\npath = {file:?}\nformat = \"number\"\ninterval = \"100ms\"\n"
        )
    }

    /// Replaces a file at once: a reader sees the old content or the new one.
    pub fn put(&self, file: &str, content: &str) {
        self.scratch.replace(file, content);
    }

    /// Replaces the configuration. A running collector does not load it.
    pub fn configure(&self, text: &str) {
        self.put("agentcheck.toml", text);
    }

    /// Starts an application that reports `messages` messages a second, at first. Its URL is in
    /// [`Self::application`].
    pub fn serve(&mut self, messages: u32) -> &mut Application {
        let application = Application::start(self.block.address(8081), messages);
        self.application.insert(application)
    }

    /// The application.
    ///
    /// # Panics
    /// Where none was started.
    pub fn application(&mut self) -> &mut Application {
        self.application
            .as_mut()
            .expect("an application was started")
    }

    /// Our program with these arguments and the directories of this scene.
    #[must_use]
    pub fn command(&self, arguments: &[&str]) -> Command {
        let release = self
            .program
            .as_os_str()
            .is_empty()
            .then(binaries::collector);
        let mut command = Command::new(release.as_ref().unwrap_or(&self.program));
        command.args(arguments);
        command.arg("--state-dir").arg(self.states.path());
        command
    }

    /// The same with the configuration and the data directory, as most commands of an operator take them.
    #[must_use]
    pub fn operator_command(&self, arguments: &[&str]) -> Command {
        let mut command = self.command(arguments);
        command.arg("--config").arg(&self.configuration);
        command.arg("--data-dir").arg(self.data());
        command
    }

    /// Starts the collector; its log is `collector.log`.
    pub fn start(&mut self) {
        self.start_as("collector", |_| {});
    }

    /// Starts a collector whose log is `NAME.log`, after the last one has ended. `alter` changes the command.
    pub fn start_as(&mut self, name: &str, alter: impl FnOnce(&mut Command)) {
        let mut command = self.operator_command(&["collect"]);
        alter(&mut command);
        self.collector = Some(Collector::start_by(&self.scratch, name, &mut command));
    }

    /// The collector that was started last.
    ///
    /// # Panics
    /// Where none was started.
    pub fn collector(&mut self) -> &mut Collector {
        self.collector.as_mut().expect("a collector was started")
    }

    /// The process of that collector.
    pub fn process(&mut self) -> &mut Running {
        self.collector().process()
    }

    /// Kills the collector by SIGKILL.
    pub fn kill(&mut self) {
        self.process().kill();
    }

    /// Waits until the collector has written a schedule of `service` for which `wanted` is true.
    pub fn wait_for_plan(&mut self, service: &str, wanted: impl Fn(&Plan) -> bool) -> Plan {
        let collector = self.collector.as_mut().expect("a collector was started");
        collector.wait_for_plan(&self.states, service, wanted)
    }

    /// Waits until the reply of `service` begins so. A blank at the end means the end of a word.
    pub fn wait_for_reply(&mut self, service: &str, beginning: &str) -> Plan {
        self.wait_for_plan(service, |plan| {
            format!("{} ", plan.fresh).starts_with(beginning)
        })
    }

    /// Waits until the collector has written a reply of `service` again, and checks how it begins.
    ///
    /// # Panics
    /// Where it begins otherwise.
    pub fn check_next_reply(&mut self, service: &str, beginning: &str) -> Plan {
        let after = now();
        let plan = self.wait_for_plan(service, |plan| plan.from > after);
        assert!(plan.fresh.starts_with(beginning), "{beginning:?}: {plan:?}");
        plan
    }

    /// Waits until the collector writes, from now on, a reply of `service` that begins so.
    pub fn wait_for_new_reply(&mut self, service: &str, beginning: &str) -> Plan {
        let after = now();
        self.wait_for_plan(service, |plan| {
            plan.from > after && plan.fresh.starts_with(beginning)
        })
    }

    /// Waits until the status snapshot is as `wanted`; returns it. The collector writes it up to three seconds after a change.
    pub fn wait_for_snapshot(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let file = self.states.path().join("status.json");
        let mut found = Value::Null;
        wait_for(format_args!("{what} in the status snapshot"), || {
            let text = std::fs::read_to_string(&file).map_err(|error| error.to_string())?;
            found = serde_json::from_str(&text).map_err(|error| error.to_string())?;
            if wanted(&found) { Ok(()) } else { Err(text) }
        });
        found
    }

    /// Waits until the collector's log has this text.
    pub fn wait_for_log(&mut self, text: &str) -> String {
        self.process().wait_for_log(text)
    }

    /// The output and the status of an operator's command.
    #[must_use]
    pub fn operator(&self, arguments: &[&str]) -> Output {
        output(&mut self.operator_command(arguments))
    }

    /// The standard output of an operator's command that has to succeed.
    ///
    /// # Panics
    /// Where it fails.
    pub fn succeeds(&self, arguments: &[&str]) -> String {
        stdout(self.operator(arguments))
    }

    /// The standard error of an operator's command that has to fail with status 1.
    ///
    /// # Panics
    /// Where it ends otherwise.
    pub fn fails(&self, arguments: &[&str]) -> String {
        stderr(self.operator(arguments))
    }

    /// Has the running collector load another configuration, which is right; the command's standard output.
    ///
    /// # Panics
    /// Where it is refused.
    pub fn reload(&self, text: &str) -> String {
        self.configure(text);
        stdout(output(&mut self.command(&["reload"])))
    }

    /// Has the running collector load another configuration, which is wrong; the command's standard error.
    ///
    /// # Panics
    /// Where it is not refused.
    #[must_use]
    pub fn refused_reload(&self, text: &str) -> String {
        self.configure(text);
        let output = output(&mut self.command(&["reload"]));
        assert!(output.stdout.is_empty(), "{output:?}");
        stderr(output)
    }

    /// Starts the responder as an accept loop. `which` is the name of a service or the flag that takes it from the
    /// client.
    pub fn respond(&mut self, which: &[&str]) {
        let responder = Loop::start(&self.scratch, &self.states, which, &[self.agent]);
        self.responder = Some(Responder::Listening(responder));
    }

    /// Ends the responder: connections are refused.
    pub fn stop_responder(&mut self) {
        self.responder = None;
    }

    /// Has a launcher start the responder.
    pub fn launch(&mut self, launcher: Launcher, which: &[&str]) {
        let arguments = arguments(&self.states, which);
        let launched = launcher.start(&self.scratch, self.agent, &arguments);
        self.responder = Some(Responder::Launched(launched));
    }

    /// A server line for `service`, by a responder that takes the name from the client.
    #[must_use]
    pub fn server(&self, service: &str) -> Server {
        Server::new(service, self.block.address(8081), self.agent).sending(&format!("{service}\\n"))
    }

    /// Starts `HAProxy` with these backends.
    pub fn balance(&mut self, backends: &[Backend]) -> &Haproxy {
        let haproxy = Haproxy::start(&self.scratch, backends);
        self.haproxy.insert(haproxy)
    }

    /// `HAProxy`.
    ///
    /// # Panics
    /// Where it was not started.
    #[must_use]
    pub fn haproxy(&self) -> &Haproxy {
        self.haproxy.as_ref().expect("HAProxy was started")
    }
}

/// A configuration: the service `web`, whose weight follows the length of a queue in `file`. `rule` has the keys of
/// its rule `long`.
#[must_use]
pub fn queue_service(file: &Path, rule: &str) -> String {
    format!(
        "[source.queue.file]\npath = {file:?}\nformat = \"number\"\ninterval = \"100ms\"\n\n\
         [service.web]\nweight = \"headroom(queue.value, 100)\"\n\n\
         [[service.web.rule]]\nname = \"long\"\n{rule}\n"
    )
}

/// The standard output of a command that succeeded.
///
/// # Panics
/// Where it failed.
#[must_use]
pub fn stdout(output: Output) -> String {
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    String::from_utf8(output.stdout).expect("output is text")
}

/// The standard error of a command that failed with status 1.
///
/// # Panics
/// Where it ended otherwise.
#[must_use]
pub fn stderr(output: Output) -> String {
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    String::from_utf8(output.stderr).expect("output is text")
}

/// Runs `command` by the program and the options before it, as `strace`, `prlimit` and `sh` take another program.
pub fn wrap(command: &mut Command, by: impl AsRef<Path>, options: &[&str]) {
    let inner = std::mem::replace(command, Command::new(by.as_ref()));
    command
        .args(options)
        .arg(inner.get_program())
        .args(inner.get_args());
}

/// Runs `command` under strace, which changes the system call `call` by `injection`, such as `error=EIO:when=1`.
pub fn inject(command: &mut Command, call: &str, injection: &str) {
    let [traced, injected] = [
        format!("trace={call}"),
        format!("inject={call}:{injection}"),
    ];
    let mut options = vec!["-f", "--seccomp-bpf", "-qqq", "-o", "/dev/null"];
    options.extend(["-e", &traced, "-e", "signal=none", "-e", &injected]);
    wrap(command, program("strace", "strace"), &options);
}
