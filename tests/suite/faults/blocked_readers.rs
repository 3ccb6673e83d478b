//! Those that the collector tells of itself do not listen: whoever keeps its log, and the service manager. No reply
//! waits for them.

use agentcheck_tests::collector::Collector;
use agentcheck_tests::processes::{run, wait_until};
use agentcheck_tests::scratch::Scratch;
use agentcheck_tests::state::{StateDirectory, now};
use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::Command;

/// A service `web` by a number in a file.
fn configured(scratch: &Scratch) -> PathBuf {
    let text = format!(
        "[source.load.file]\npath = {:?}\nformat = \"number\"\nevery = \"100ms\"\n\
         [service.web]\nweight = \"100 - load.value\"\n",
        scratch.write("load", "20")
    );
    scratch.write("agentcheck.toml", text)
}

/// Fresh replies, several times.
fn goes_on(collector: &mut Collector, states: &StateDirectory) {
    for _ in 0..3 {
        let after = now();
        collector.wait_for_plan(states, "web", |plan| {
            plan.from > after && plan.fresh.starts_with("up 80% # load=20")
        });
    }
}

#[test]
fn nobody_reads_the_log() {
    let scratch = Scratch::new("unread");
    let states = StateDirectory::at(scratch.directory("state"));
    let configuration = configured(&scratch);
    let fifo = scratch.file("fifo");
    run(Command::new("mkfifo").arg(&fifo));
    let mut options = OpenOptions::new();
    let nonblocking = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap();
    options.read(true).write(true).custom_flags(nonblocking);
    let mut pipe = options.open(&fifo).unwrap();
    while pipe.write(&[b'x'; 4096]).is_ok() {}

    let asked = Collector::command(&configuration, &states);
    let mut command = Command::new("sh");
    command
        .args(["-c", "exec 2<>\"$0\"; exec \"$@\""])
        .arg(&fifo);
    command.arg(asked.get_program()).args(asked.get_args());
    let mut collector = Collector::start_by(&scratch, "collector", &mut command);
    goes_on(&mut collector, &states);

    // Somebody reads, and hears of it with the next line.
    let mut log = String::new();
    let mut read = |log: &mut String| {
        let mut piece = vec![0; 1 << 20];
        while let Ok(length) = pipe.read(&mut piece) {
            log.push_str(&String::from_utf8_lossy(&piece[..length]));
        }
    };
    read(&mut log);
    assert!(!log.contains("agentcheck"));
    fs::remove_file(scratch.file("load")).unwrap();
    wait_until("a line of the log", || {
        read(&mut log);
        log.contains("agentcheck: warn: source load: missing: ")
    });
    assert!(
        log.contains(" lines of the log lost: nobody read them\n"),
        "{log:?}"
    );
}

#[test]
fn the_service_manager_does_not_read() {
    let scratch = Scratch::new("manager");
    let states = StateDirectory::at(scratch.directory("state"));
    let configuration = configured(&scratch);
    let path = scratch.file("notify");
    let manager = UnixDatagram::bind(&path).unwrap();
    manager.set_nonblocking(true).unwrap();
    let other = UnixDatagram::unbound().unwrap();
    other.set_nonblocking(true).unwrap();
    let full = loop {
        if let Err(error) = other.send_to(b"OTHER=1", &path) {
            break error;
        }
    };
    assert_eq!(full.kind(), ErrorKind::WouldBlock);

    let mut command = Collector::command(&configuration, &states);
    command.env("NOTIFY_SOCKET", &path);
    let mut collector = Collector::start_by(&scratch, "collector", &mut command);
    let deaf = "the service manager does not read what it is told";
    collector.process().wait_for_log(deaf);
    goes_on(&mut collector, &states);

    let mut told = String::new();
    wait_until("all that it is told", || {
        let mut message = [0; 4096];
        while let Ok(length) = manager.recv(&mut message) {
            told.push_str(&String::from_utf8_lossy(&message[..length]));
            told.push('\n');
        }
        ["READY=1\n", "STATUS=", "WATCHDOG=1\n"]
            .iter()
            .all(|text| told.contains(text))
    });
    let again = "the service manager reads again what it is told";
    collector.process().wait_for_log(again);
    goes_on(&mut collector, &states);
}
