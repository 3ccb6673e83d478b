//! What the accept loop inherits from its launcher: descriptors, signals, and a limited stack.

use super::{eventually, free_port, listener, probe};
use crate::launched::{Running, StateDir, limited, path, rest, tool};
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Command, Stdio};

/// The open files of a process, without those that it closes meanwhile.
fn open_files(responder: &Running) -> Vec<String> {
    let entries = fs::read_dir(format!("/proc/{}/fd", responder.id())).unwrap();
    let targets = entries.filter_map(|entry| fs::read_link(entry.unwrap().path()).ok());
    targets
        .map(|target| target.to_string_lossy().into_owned())
        .collect()
}

/// Open files of the launcher are closed; the sockets that it passes are not.
#[test]
fn descriptors_of_the_launcher_are_closed() {
    let directory = StateDir::with(&[("web", "up 73%")]);
    let secret = directory.file("secret");
    fs::write(&secret, "secret").unwrap();
    let secret = secret.to_str().unwrap();
    // With --listen.
    let port = free_port();
    let listen = format!("--listen=127.0.0.1:{port}");
    let script = format!("exec 3<{secret} 4<{secret} 9<{secret}; exec \"$@\"");
    let mut command = Command::new("sh");
    command.args(["-c", &script, "sh", path(), "web", &listen]);
    command
        .args(["--state-dir", directory.path()])
        .stdin(Stdio::null());
    let responder = Running::start(&mut command);
    let client = eventually(|| TcpStream::connect(("127.0.0.1", port)));
    assert_eq!(rest(client), "up 73%\n");
    let files = open_files(&responder);
    assert!(!files.iter().any(|file| file == secret), "{files:?}");
    // With a socket of systemd.
    let (socket, address) = listener();
    let script = format!("exec 3<&0 4<{secret} 9<{secret} </dev/null; LISTEN_PID=$$ exec \"$@\"");
    let mut command = Command::new("sh");
    command.args(["-c", &script, "sh", path(), "web"]);
    command.args(["--state-dir", directory.path()]);
    command.env("LISTEN_FDS", "1").stdin(socket);
    let responder = Running::start(&mut command);
    assert_eq!(probe(address, ""), "up 73%\n");
    let files = open_files(&responder);
    assert!(!files.iter().any(|file| file == secret), "{files:?}");
}

/// The blocked signals of a process, as a mask.
fn blocked(responder: &Running) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", responder.id())).unwrap();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigBlk:"));
    u64::from_str_radix(mask.unwrap().trim(), 16).unwrap()
}

/// A launcher that blocks or ignores signals does not keep the loop from ending.
#[test]
fn blocked_and_ignored_signals_still_end_the_loop() {
    let directory = StateDir::with(&[("web", "up 73%")]);
    tool(
        "coreutils",
        Command::new("env").args(["--block-signal", "true"]),
    );
    for signal in ["TERM", "INT"] {
        for how in ["--block-signal", "--ignore-signal"] {
            let port = free_port();
            let listen = format!("--listen=127.0.0.1:{port}");
            let mut command = Command::new("env");
            command.args([how, path(), "web", &listen]);
            command
                .args(["--state-dir", directory.path()])
                .stdin(Stdio::null());
            let mut responder = Running::start(&mut command);
            let client = eventually(|| TcpStream::connect(("127.0.0.1", port)));
            assert_eq!(rest(client), "up 73%\n");
            // SIGINT, SIGPIPE and SIGTERM, regardless of the launcher's mask.
            assert_eq!(blocked(&responder), 1 << 1 | 1 << 12 | 1 << 14);
            responder.signal(signal);
            assert_eq!(responder.ended(), Some(0), "{how} {signal}");
        }
    }
}

/// The stack that the loop needs, in KiB, as ARCHITECTURE.md states it: the table of connections and little else.
const STACK: u32 = 256;

#[cfg(freestanding)]
#[test]
fn loop_runs_with_a_small_stack() {
    let directory = StateDir::with(&[("web", "up 73%")]);
    let answers = |mut client: TcpStream| {
        let mut answer = String::new();
        client.write_all(b"web\n").is_ok()
            && client.read_to_string(&mut answer).is_ok()
            && answer == "up 73%\n"
    };
    let run = |kibibytes: u32| {
        let port = free_port();
        let listen = format!("--listen=127.0.0.1:{port}");
        let mut command = limited(&format!("-s {kibibytes}"), path());
        command.args(["--name-from-client", "--http", &listen]);
        command.args(["--state-dir", directory.path()]).env_clear();
        let mut responder = Running::start(command.stdin(Stdio::null()));
        let address = std::net::SocketAddr::from(([127, 0, 0, 1], port));
        loop {
            // A loop with too small a stack listens, and ends before it answers.
            if TcpStream::connect(address).is_ok_and(answers) {
                break;
            }
            if let Some(status) = responder.0.try_wait().unwrap() {
                return Err(status);
            }
        }
        let silent: Vec<_> = (0..100)
            .map(|_| TcpStream::connect(address).unwrap())
            .collect();
        assert_eq!(probe(address, "web\n"), "up 73%\n");
        assert!(probe(address, "GET /web/json HTTP/1.1\r\n\r\n").contains("\"weight\":73"));
        drop(silent);
        responder.signal("TERM");
        assert_eq!(responder.ended(), Some(0));
        Ok(())
    };
    assert_eq!(run(STACK), Ok(()));
    // The number is not far from the truth: with three quarters of it the loop cannot start.
    use std::os::unix::process::ExitStatusExt as _;
    assert_eq!(run(STACK * 3 / 4).unwrap_err().signal(), Some(11));
}
