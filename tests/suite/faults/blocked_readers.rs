//! The reader of the log and the service manager do not read. No reply waits for them.

use agentcheck_tests::messages::{LOG_LINES_LOST, NOTIFY_SOCKET_BLOCKED, NOTIFY_SOCKET_READ};
use agentcheck_tests::processes::{run, wait_until};
use agentcheck_tests::scene::{Scene, wrap};
use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::net::UnixDatagram;
use std::process::Command;

/// A service `web` by a number in a file. The collector does not run yet.
fn scene(test: &str) -> Scene {
    let scene = Scene::new(test);
    let text = scene.number("load", "20") + "[service.web]\nweight = \"100 - load.value\"\n";
    scene.configure(&text);
    scene
}

/// Waits for fresh replies, several times.
fn replies_continue(scene: &mut Scene) {
    for _ in 0..3 {
        scene.wait_for_new_reply("web", "up 80% # load=20");
    }
}

#[test]
fn unread_log_delays_no_reply() {
    let mut scene = scene("unread");
    let fifo = scene.scratch.file("fifo");
    run(Command::new("mkfifo").arg(&fifo));
    let mut options = OpenOptions::new();
    let nonblocking = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap();
    options.read(true).write(true).custom_flags(nonblocking);
    let mut pipe = options.open(&fifo).unwrap();
    while pipe.write(&[b'x'; 4096]).is_ok() {}

    let name = fifo.to_str().unwrap();
    let shell = ["-c", "exec 2<>\"$0\"; exec \"$@\"", name];
    scene.start_as("collector", |command| wrap(command, "sh", &shell));
    replies_continue(&mut scene);

    // A reader comes, and the next line reports the lost ones.
    let mut log = String::new();
    let mut read = |log: &mut String| {
        let mut piece = vec![0; 1 << 20];
        while let Ok(length) = pipe.read(&mut piece) {
            log.push_str(&String::from_utf8_lossy(&piece[..length]));
        }
    };
    read(&mut log);
    assert!(!log.contains("agentcheck"));
    fs::remove_file(scene.scratch.file("load")).unwrap();
    wait_until("a line of the log", || {
        read(&mut log);
        log.contains("agentcheck: warn: source load: missing: ")
    });
    assert!(
        log.contains(&format!(" lines {LOG_LINES_LOST}standard error was full\n")),
        "{log:?}"
    );
}

#[test]
fn unread_notify_socket_delays_no_reply() {
    let mut scene = scene("manager");
    let path = scene.scratch.file("notify");
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

    scene.start_as("collector", |command| {
        command.env("NOTIFY_SOCKET", &path);
    });
    let blocked = NOTIFY_SOCKET_BLOCKED;
    scene.wait_for_log(blocked);
    replies_continue(&mut scene);

    let mut reported = String::new();
    wait_until("all messages", || {
        let mut message = [0; 4096];
        while let Ok(length) = manager.recv(&mut message) {
            reported.push_str(&String::from_utf8_lossy(&message[..length]));
            reported.push('\n');
        }
        ["READY=1\n", "STATUS=", "WATCHDOG=1\n"]
            .iter()
            .all(|text| reported.contains(text))
    });
    let again = NOTIFY_SOCKET_READ;
    scene.wait_for_log(again);
    replies_continue(&mut scene);
}
