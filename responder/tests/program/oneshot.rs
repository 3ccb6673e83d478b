//! One reply and the end: on sockets, pipes, terminals and files, by name and by `--ask`.

use crate::launched::{HANG, Running, StateDir, on_connection, output, program, rest, tool};
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Both ends of a connection over the loopback.
fn connection() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    client.set_read_timeout(Some(HANG)).unwrap();
    (client, listener.accept().unwrap().0)
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[test]
fn reply_is_written_to_a_connection() {
    let directory = StateDir::with(&[("web", "up 73% # rps=1890")]);
    let arguments = ["web", "--state-dir", directory.path()];
    for _ in 0..50 {
        let (client, server) = connection();
        let mut responder = on_connection(&arguments, server);
        assert_eq!(rest(client), "up 73% # rps=1890\n");
        assert_eq!(responder.ended(), Some(0));
    }
    let (client, server) = UnixStream::pair().unwrap();
    let mut responder = on_connection(&arguments, server);
    assert_eq!(rest(client), "up 73% # rps=1890\n");
    assert_eq!(responder.ended(), Some(0));
}

#[test]
fn reply_is_written_to_pipes_terminals_and_files() {
    let directory = StateDir::with(&[("web", "up 73%")]);
    let arguments = ["web", "--state-dir", directory.path()];
    let printed = output(&arguments);
    assert_eq!(
        (text(&printed.stdout), printed.status.code()),
        ("up 73%\n", Some(0))
    );

    let file = directory.file("output");
    let into = std::fs::File::create(&file).unwrap();
    let status = program(&arguments).stdout(into).status().unwrap();
    assert_eq!(status.code(), Some(0));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "up 73%\n");

    let command = format!(
        "{} web --state-dir {}",
        crate::launched::path(),
        directory.path()
    );
    let mut script = Command::new("script");
    script
        .args(["-qec", &command, "/dev/null"])
        .stdin(Stdio::null());
    let printed = tool("bsdutils", &mut script);
    assert_eq!(
        (text(&printed.stdout), printed.status.code()),
        ("up 73%\r\n", Some(0))
    );

    // Standard output alone is the connection.
    let (client, server) = UnixStream::pair().unwrap();
    let mut command = program(&arguments);
    command.stdout(std::os::fd::OwnedFd::from(server));
    let mut responder = Running::start(&mut command);
    drop(command);
    assert_eq!(rest(client), "up 73%\n");
    assert_eq!(responder.ended(), Some(0));
}

#[test]
fn missing_name_and_missing_state_give_a_no_op_reply() {
    let printed = output(&[]);
    assert_eq!(
        (text(&printed.stdout), printed.status.code()),
        ("no-name\n", Some(0))
    );
    assert_eq!(text(&printed.stderr), "");
    let nowhere = "/tmp/agentcheck-responder.nowhere";
    let printed = output(&["web", "--state-dir", nowhere]);
    assert_eq!(
        (text(&printed.stdout), printed.status.code()),
        ("no-state:web\n", Some(0))
    );
    let printed = output(&["web", "--state-dir", nowhere, "--fallback", "up 50%"]);
    assert_eq!(
        (text(&printed.stdout), printed.status.code()),
        ("up 50%\n", Some(0))
    );
}

/// The script of agentcheck.state(5), as it stands there but for the directory.
#[test]
fn shell_script_can_write_a_state_file() {
    let directory = StateDir::new();
    let manual = include_str!("../../../man/agentcheck.state.5").replace("\\-", "-");
    let writing = manual.split(".SH WRITING ONE").nth(1).unwrap();
    let script = writing.split(".EX").nth(1).unwrap();
    let script = script.split(".EE").next().unwrap();
    assert!(script.contains("/run/agentcheck/$name"), "{script}");
    let script = script.replace("/run/agentcheck", directory.path());
    let status = Command::new("sh").args(["-euc", &script]).status();
    assert!(status.unwrap().success());
    let file = std::fs::read_to_string(directory.file("web")).unwrap();
    let printed = output(&["web", "--state-dir", directory.path()]);
    assert_eq!(text(&printed.stdout), "up 50%\n", "{file}");
    // Its times are of this clock: half a minute from now it says the last line.
    let time = |word: &str| -> u64 {
        let line = file.lines().find_map(|line| line.strip_prefix(word));
        line.unwrap().split(' ').next().unwrap().parse().unwrap()
    };
    assert_eq!(time("until ") - time("from "), 30_000_000_000);
    let later = file.replace(
        &time("until ").to_string(),
        &(time("from ") + 1).to_string(),
    );
    directory.write("web", &later);
    let printed = output(&["web", "--state-dir", directory.path()]);
    assert_eq!(text(&printed.stdout), "up 50% # stale\n");
}

/// HAProxy sends agent-send and closes as soon as it has the newline; a service that is not asked leaves
/// it unread until the answer is out. Not one answer may be lost.
#[test]
fn unread_request_resets_no_reply() {
    let directory = StateDir::with(&[("web", "up 73%")]);
    let sent = vec![b'x'; 14_000];
    for length in [2, 14_000] {
        for _ in 0..50 {
            let (mut client, server) = connection();
            client.write_all(&sent[..length]).unwrap();
            let mut responder = on_connection(&["web", "--state-dir", directory.path()], server);
            let mut printed = [0; 7];
            client.read_exact(&mut printed).unwrap();
            assert_eq!(text(&printed), "up 73%\n");
            assert_eq!(
                client.read(&mut printed).unwrap(),
                0,
                "the end, and not a reset"
            );
            drop(client);
            assert_eq!(responder.ended(), Some(0));
        }
    }
}

#[test]
fn disconnected_clients_are_no_error() {
    let directory = StateDir::with(&[("web", "up 73%")]);
    for arguments in [["web", "--state-dir"], ["--ask", "--state-dir"]] {
        let arguments = [arguments[0], arguments[1], directory.path()];
        let (client, server) = connection();
        drop(client);
        assert_eq!(on_connection(&arguments, server).ended(), Some(0));
        // A reset: closed with something unread.
        let (client, mut server) = connection();
        server.write_all(b"unread").unwrap();
        client.peek(&mut [0; 6]).unwrap();
        drop(client);
        assert_eq!(on_connection(&arguments, server).ended(), Some(0));
        let (client, server) = UnixStream::pair().unwrap();
        drop(client);
        assert_eq!(on_connection(&arguments, server).ended(), Some(0));
    }
    // A pipe without a reader.
    let mut command = program(&["web", "--state-dir", directory.path()]);
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    command.stdout(writer);
    assert_eq!(Running::start(&mut command).ended(), Some(0));
}

#[test]
fn clients_that_stay_connected_delay_no_end() {
    let directory = StateDir::with(&[("web", "up 73%")]);
    let (mut client, server) = connection();
    let start = Instant::now();
    let mut responder = on_connection(&["web", "--state-dir", directory.path()], server);
    let mut printed = [0; 7];
    client.read_exact(&mut printed).unwrap();
    // It neither closes nor stops sending.
    client.set_nonblocking(true).unwrap();
    loop {
        let _ = client.write(&[b'x'; 1000]);
        if responder.0.try_wait().unwrap().is_some() {
            break;
        }
        assert!(start.elapsed() < HANG);
    }
    assert_eq!(responder.ended(), Some(0));
    assert!(start.elapsed() < Duration::from_secs(2));
}

#[test]
fn full_pipe_delays_the_end_briefly() {
    let directory = StateDir::with(&[("web", "up 73%")]);
    // A pipe that is full before the program starts, and never read.
    let script = "mkfifo \"$0/fifo\"; exec 3<>\"$0/fifo\"; head -c 65536 /dev/zero >&3; shift 0; exec \"$@\" >&3";
    let mut command = Command::new("sh");
    let arguments = ["web", "--state-dir", directory.path()];
    command
        .args(["-c", script, directory.path(), crate::launched::path()])
        .args(arguments);
    assert_eq!(
        Running::start(command.stdin(Stdio::null())).ended(),
        Some(0)
    );
}

/// What `--ask` answers to what is sent, and after how long; the client closes its side if it is to.
fn asked(extra: &[&str], sent: &[u8], closes: bool) -> (String, Duration) {
    let directory = StateDir::with(&[
        ("web", "up 73%"),
        ("web-admin", "drain"),
        ("silent", "up 1%"),
    ]);
    let mut arguments = vec!["--ask", "--state-dir", directory.path()];
    arguments.extend(extra);
    let (mut client, server) = connection();
    let start = Instant::now();
    let mut responder = on_connection(&arguments, server);
    client.write_all(sent).unwrap();
    if closes {
        client.shutdown(Shutdown::Write).unwrap();
    }
    let printed = rest(&client);
    let time = start.elapsed();
    drop(client);
    assert_eq!(responder.ended(), Some(0));
    (printed, time)
}

#[test]
fn client_selects_the_service_by_name() {
    let default = ["--ask-default", "silent"];
    let long = [b'x'; 14_000];
    let after_name = [b"web\n".as_slice(), &long].concat();
    for (sent, printed) in [
        (b"web\n".as_slice(), "up 73%\n"),
        (b" web-admin \r\n", "drain\n"),
        (&after_name, "up 73%\n"),
        (b"other\n", "unknown:other\n"),
        (b"../web\n", "bad-name\n"),
        (b"/etc/passwd\n", "bad-name\n"),
        (b"web\0\n", "bad-name\n"),
        (b"\xff\xfe\x00\n", "bad-name\n"),
        (b"\n", "no-name\n"),
        (&long, "bad-name\n"),
    ] {
        for extra in [&default[..], &[]] {
            // One that waits takes 300 ms every time; a slow machine is quick sometimes.
            let waited = (0..10).all(|_| {
                let (answer, time) = asked(extra, sent, false);
                assert_eq!(answer, printed, "{:?}", sent.escape_ascii().to_string());
                time >= Duration::from_millis(300)
            });
            assert!(!waited, "{:?}", sent.escape_ascii().to_string());
        }
    }
    // Having closed its side it has said all: no newline needed.
    assert_eq!(asked(&default, b"web", true).0, "up 73%\n");
    assert_eq!(asked(&default, b"", true).0, "up 1%\n");
    assert_eq!(asked(&[], b"", true).0, "no-name\n");
    // No fallback for whoever asks for something that is not there, or for nothing.
    for sent in [b"other\n".as_slice(), b"../web\n", b"\n"] {
        let (answer, _) = asked(&["--fallback", "up 100%"], sent, false);
        assert!(!answer.starts_with("up"), "{answer}");
    }
}

#[test]
fn clients_without_a_complete_name_get_a_reply_in_time() {
    // HAProxy's own deadline is 2 s.
    let soon = Duration::from_millis(1200);
    for (extra, sent, printed) in [
        (&["--ask-default", "silent"][..], b"".as_slice(), "up 1%\n"),
        (&[], b"", "no-name\n"),
        // F08: what HAProxy's CLI sets has no newline.
        (&[], b"web", "no-newline:web\n"),
        (&["--ask-default", "silent"], b"web", "no-newline:web\n"),
        (&["--ask-default", "silent"], b" ", "no-name\n"),
    ] {
        // The machine may hold up some, but not all.
        let mut times = Vec::new();
        while times.last().is_none_or(|time| *time >= soon) {
            let (answer, time) = asked(extra, sent, false);
            assert_eq!(answer, printed, "{sent:?}");
            assert!(time > Duration::from_millis(250), "{time:?}");
            times.push(time);
            assert!(times.len() < 10, "{times:?}");
        }
    }
}

/// A name whose segment was lost comes after a retransmission timeout: 200 ms and some round trips. It
/// hears its own reply, not that of the silent; and a name in two parts is not taken for its first.
#[test]
fn late_name_selects_no_other_service() {
    let directory = StateDir::with(&[
        ("web", "up 73%"),
        ("web-admin", "drain"),
        ("silent", "up 1%"),
    ]);
    let arguments = [
        "--ask",
        "--ask-default",
        "silent",
        "--state-dir",
        directory.path(),
    ];
    let retransmission = Duration::from_millis(250);
    for parts in [["", "web\n"], ["web", "-admin\n"]] {
        let (mut client, server) = connection();
        let mut responder = on_connection(&arguments, server);
        client.write_all(parts[0].as_bytes()).unwrap();
        std::thread::sleep(retransmission);
        client.write_all(parts[1].as_bytes()).unwrap();
        let expected = if parts[0].is_empty() {
            "up 73%\n"
        } else {
            "drain\n"
        };
        assert_eq!(rest(&client), expected);
        drop(client);
        assert_eq!(responder.ended(), Some(0));
    }
}

#[test]
fn name_can_come_by_a_pipe() {
    let directory = StateDir::with(&[("web", "up 73%")]);
    let mut command = program(&["--ask", "--state-dir", directory.path()]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut responder = Running::start(&mut command);
    responder
        .0
        .stdin
        .as_mut()
        .unwrap()
        .write_all(b"web\n")
        .unwrap();
    assert_eq!(rest(responder.0.stdout.take().unwrap()), "up 73%\n");
    assert_eq!(responder.ended(), Some(0));
}

#[test]
fn help_is_printed_on_pipes_and_never_on_connections() {
    let printed = output(&["--help"]);
    assert!(text(&printed.stdout).starts_with("Usage: agentcheck-responder "));
    assert_eq!(printed.status.code(), Some(0));
    let printed = output(&["--version"]);
    let version = format!("agentcheck-responder {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(text(&printed.stdout), version);

    let printed = output(&["--bogus"]);
    assert_eq!(
        (text(&printed.stdout), printed.status.code()),
        ("bad-arguments\n", Some(2))
    );
    assert!(
        text(&printed.stderr).contains("--bogus: there is no such option"),
        "{printed:?}"
    );
    for arguments in [
        ["--help"],
        ["--version"],
        ["--bogus"],
        ["--fallback=x"],
        ["a/b"],
    ] {
        let (client, server) = connection();
        let mut responder = on_connection(&arguments, server);
        assert_eq!(rest(client), "bad-arguments\n", "{arguments:?}");
        assert_eq!(responder.ended(), Some(0));
    }
    // Standard error is the same pipe.
    let (reader, writer) = std::io::pipe().unwrap();
    let mut command = program(&["--bogus"]);
    command.stdout(writer.try_clone().unwrap()).stderr(writer);
    let mut responder = Running::start(&mut command);
    drop(command);
    assert_eq!(rest(reader), "bad-arguments\n");
    assert_eq!(responder.ended(), Some(2));
}

/// Every option is in `--help` and in the man page, and nothing else is.
#[test]
fn every_option_is_in_help_and_manual() {
    let help = output(&["--help"]);
    let manual = include_str!("../../../man/agentcheck-responder.8").replace("\\-", "-");
    let words = |text: &str| -> std::collections::BTreeSet<String> {
        text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-'))
            .filter(|word| word.starts_with("--") && word.len() > 2)
            .map(str::to_owned)
            .collect()
    };
    let options = words(text(&help.stdout));
    assert!(options.len() == 8, "{options:?}");
    let documented: Vec<&String> = options
        .iter()
        .filter(|option| !words(&manual).contains(*option))
        .collect();
    assert_eq!(documented, Vec::<&String>::new(), "not in the man page");
    for option in &options {
        let printed = output(&[option, "\u{1}"]);
        assert!(
            !text(&printed.stderr).contains("no such option"),
            "{option}"
        );
    }
}
