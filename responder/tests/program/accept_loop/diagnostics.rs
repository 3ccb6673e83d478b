//! The messages of the accept loop on standard error, and a closed or blocked standard error.

use super::{connect, limited_loop, listener, probe};
use crate::launched::{Running, StateDir, activated, state};
use std::fs;
use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};

/// The loop logs one line per change, not one per probe.
#[test]
fn each_change_of_state_is_logged_once() {
    let directory = StateDir::with(&[("web", "up 73%")]);
    let (socket, address) = listener();
    let mut command = activated(&["web", "--state-dir", directory.path()], vec![socket], "");
    let mut responder = Running::start(command.stderr(Stdio::piped()));
    for _ in 0..5 {
        assert_eq!(probe(address, ""), "up 73%\n");
    }
    fs::remove_file(directory.file("web")).unwrap();
    for _ in 0..5 {
        assert_eq!(probe(address, ""), "no-state:web\n");
    }
    directory.write("web", "junk");
    for _ in 0..5 {
        assert_eq!(probe(address, ""), "bad-state:web\n");
    }
    directory.write("web", &state("web", "up 1%"));
    for _ in 0..5 {
        assert_eq!(probe(address, ""), "up 1%\n");
    }
    responder.signal("TERM");
    assert_eq!(responder.ended(), Some(0));
    assert_eq!(
        responder.stderr(),
        "agentcheck-responder: web: there is no state file\n\
         agentcheck-responder: web: the state file is malformed or belongs to another service\n\
         agentcheck-responder: web: the state file is valid again\n"
    );
}

/// The loop logs once that it makes room for other clients.
#[test]
fn eviction_is_logged_once() {
    let directory = StateDir::with(&[("web", "up 73%")]);
    let arguments = ["--name-from-client", "--state-dir", directory.path()];
    let (mut command, address) = limited_loop(20, &arguments);
    let mut responder = Running::start(command.stderr(Stdio::piped()));
    let silent: Vec<_> = (0..60).map(|_| connect(address)).collect();
    assert_eq!(probe(address, "web\n"), "up 73%\n");
    drop(silent);
    responder.signal("TERM");
    assert_eq!(responder.ended(), Some(0));
    assert_eq!(
        responder.stderr(),
        "agentcheck-responder: all connections are in use: ending the wait for silent clients\n"
    );
}

/// A closed standard error, whose number the kernel could give to a connection, and a full pipe.
#[test]
fn standard_error_is_never_a_connection_and_never_blocks() {
    let directory = StateDir::new();
    let (socket, address) = listener();
    let mut command = Command::new("sh");
    let script = "exec 3<&0 </dev/null >&- 2>&- <&-; LISTEN_PID=$$ exec \"$@\"";
    command.args([
        "-c",
        script,
        "sh",
        crate::launched::path(),
        "web",
        "--state-dir",
        directory.path(),
    ]);
    command.env_clear().env("LISTEN_FDS", "1").stdin(socket);
    let _responder = Running::start(&mut command);
    for _ in 0..10 {
        assert_eq!(probe(address, ""), "no-state:web\n");
    }
    // A pipe that is full and never read.
    let (socket, address) = listener();
    let (mut reader, mut writer) = std::io::pipe().unwrap();
    writer.write_all(&[b'x'; 65_536]).unwrap();
    let mut command = activated(&["web", "--state-dir", directory.path()], vec![socket], "");
    let mut responder = Running::start(command.stderr(writer));
    drop(command);
    assert_eq!(probe(address, ""), "no-state:web\n");
    responder.signal("TERM");
    assert_eq!(responder.ended(), Some(0));
    let mut left = Vec::new();
    reader.read_to_end(&mut left).unwrap();
    assert_eq!(left.len(), 65_536);
}
