//! What operators have said stands where the files in which they said it cannot be read, and no reply waits for
//! the disk that these are on.

use agentcheck_tests::collector::Collector;
use agentcheck_tests::mount::Mounted;
use agentcheck_tests::processes::{program, run, wait_until};
use agentcheck_tests::scratch::Scratch;
use agentcheck_tests::state::{StateDirectory, now};
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A user with no rights here: nobody.
const NOBODY: u32 = 65534;

/// A collector of nobody with the services `drained` and `flagged`, which are out by what an operator has said.
struct Operated {
    collector: Collector,
    states: StateDirectory,
    configuration: PathBuf,
    flags: PathBuf,
    scratch: Scratch,
}

impl Operated {
    fn new(test: &str) -> Self {
        let scratch = Scratch::new(test);
        let states = StateDirectory::at(scratch.directory("state"));
        chown(states.path(), Some(NOBODY), Some(NOBODY)).unwrap();
        fs::create_dir_all(Collector::data(&states).join("overrides")).unwrap();
        let flags = scratch.directory("flags");
        let text = format!(
            "[source.load.file]\npath = {:?}\nformat = \"number\"\nevery = \"100ms\"\n\
             [service.drained]\nweight = \"100 - load.value\"\n\
             [service.flagged]\nweight = \"100 - load.value\"\nmaintenance_file = {:?}\n",
            scratch.write("load", "20"),
            flags.join("out"),
        );
        let configuration = scratch.write("agentcheck.toml", text);
        let mut command = Collector::command(&configuration, &states);
        command.uid(NOBODY).gid(NOBODY);
        let collector = Collector::start_by(&scratch, "collector", &mut command);
        let mut operated = Self {
            collector,
            states,
            configuration,
            flags,
            scratch,
        };
        operated.says("drained", "up 80% # load=20");
        operated.says("flagged", "up 80% # load=20");
        operated
    }

    fn told(&self, arguments: &[&str]) {
        let (configuration, states) = (&self.configuration, &self.states);
        run(&mut Collector::operator(arguments, configuration, states));
    }

    /// From now on.
    fn says(&mut self, service: &str, beginning: &str) {
        let after = now();
        self.collector.wait_for_plan(&self.states, service, |plan| {
            plan.from > after && plan.fresh.starts_with(beginning)
        });
    }

    fn log(&mut self, text: &str) {
        self.collector.process().wait_for_log(text);
    }
}

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

#[test]
fn what_cannot_be_read_still_stands() {
    let mut operated = Operated::new("unreadable");
    operated.told(&["drain", "drained"]);
    let flag = operated.flags.join("out");
    fs::write(&flag, "").unwrap();
    operated.says("drained", "up 0% # override=drain");
    operated.says("flagged", "stopped 100% # maintenance");

    let drain = Collector::data(&operated.states).join("overrides/drained.override");
    mode(&drain, 0);
    mode(&operated.flags, 0);
    operated.log("an override cannot be used: ");
    operated.log("a flag file cannot be looked for, and what was known of it stands: ");
    for _ in 0..5 {
        operated.says("drained", "up 0% # override=drain");
        operated.says("flagged", "stopped 100% # maintenance");
    }
    mode(&drain, 0o644);
    mode(&operated.flags, 0o755);
    operated.log("a flag file can be looked for again");
    operated.says("drained", "up 0% # override=drain");
    operated.says("flagged", "stopped 100% # maintenance");
    fs::remove_file(flag).unwrap();
    operated.told(&["resume", "drained"]);
    operated.says("drained", "up 80% # load=20");
    operated.says("flagged", "up 80% # load=20");
    for service in ["drained", "flagged"] {
        let line = format!("{service}: up 80%");
        let log = operated.collector.process().wait_for_lines(2, &line);
        assert_eq!(log.matches(&line).count(), 2, "{log}");
    }
}

/// The first look at the overrides fails, when nothing is known of them yet.
#[test]
fn a_drained_server_is_not_let_in_by_a_start() {
    let mut operated = Operated::new("first-look");
    operated.told(&["drain", "drained"]);
    operated.says("drained", "up 0% # override=drain");
    operated.collector.process().kill();
    let asked = Collector::command(&operated.configuration, &operated.states);
    let mut command = Command::new(program("strace", "strace"));
    command
        .args(["-f", "--seccomp-bpf", "-qqq", "-o", "/dev/null"])
        .args(["-e", "trace=getdents64", "-e", "signal=none"])
        .args(["-e", "inject=getdents64:error=EIO:when=1"])
        .arg(asked.get_program())
        .args(asked.get_args());
    operated.collector = Collector::start_by(&operated.scratch, "again", &mut command);
    operated.says("drained", "up 0% # override=drain");
    operated.says("flagged", "up 80% # load=20");
    let log = operated.collector.process().log();
    assert!(!log.contains("drained: up 80%"), "{log}");
}

#[test]
fn an_override_ends_while_its_disk_hangs_and_no_reply_waits_for_it() {
    let scratch = Scratch::new("ends");
    let states = StateDirectory::at(scratch.directory("state"));
    let data = Collector::data(&states);
    fs::create_dir(&data).unwrap();
    let disk = Mounted::disk(&data, &scratch.file("image"));
    let overrides = data.join("overrides");
    fs::create_dir(&overrides).unwrap();
    let text = format!(
        "[source.load.file]\npath = {:?}\nformat = \"number\"\nevery = \"100ms\"\n\
         [service.web]\nweight = \"100 - load.value\"\n",
        scratch.write("load", "20")
    );
    let configuration = scratch.write("agentcheck.toml", text);
    let mut collector = Collector::start(&scratch, "collector", &configuration, &states);
    // Thawed before the collector is waited for, which could not end.
    let disk = disk;
    let says = |collector: &mut Collector, beginning: &str| {
        let after = now();
        collector.wait_for_plan(&states, "web", |plan| {
            plan.from > after && plan.fresh.starts_with(beginning)
        });
    };
    says(&mut collector, "up 80%");
    let arguments = ["drain", "web", "--for", "2s"];
    run(&mut Collector::operator(
        &arguments,
        &configuration,
        &states,
    ));
    says(&mut collector, "up 0% # override=drain");
    disk.freeze();
    collector.process().wait_for_log("web: an override is over");
    for _ in 0..10 {
        says(&mut collector, "up 80% # load=20");
    }
    let file = overrides.join("web.override");
    assert!(file.exists());
    disk.thaw();
    wait_until("it to be removed", || !file.exists());
    says(&mut collector, "up 80% # load=20");
    let log = collector.process().log();
    assert!(!log.contains("held up"), "{log}");
    assert_eq!(log.matches("an override is over").count(), 1, "{log}");
}
