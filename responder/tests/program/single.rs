//! The one-shot: one answer on sockets, pipes, terminals and files, with NAME and with `--name-from-client`.

use crate::launched::{HANG, Running, StateDir, on_connection, output, program, rest, tool};
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Both ends of a TCP connection over loopback.
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
fn current_reply_is_sent_on_a_connection() {
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
fn current_reply_is_written_to_pipes_terminals_and_files() {
    let directory = StateDir::with(&[("web", "up 73%")]);
    let arguments = ["web", "--state-dir", directory.path()];
    let answer = output(&arguments);
    assert_eq!(
        (text(&answer.stdout), answer.status.code()),
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
    let answer = tool("bsdutils", &mut script);
    assert_eq!(
        (text(&answer.stdout), answer.status.code()),
        ("up 73%\r\n", Some(0))
    );

    // Only standard output is the connection.
    let (client, server) = UnixStream::pair().unwrap();
    let mut command = program(&arguments);
    command.stdout(std::os::fd::OwnedFd::from(server));
    let mut responder = Running::start(&mut command);
    drop(command);
    assert_eq!(rest(client), "up 73%\n");
    assert_eq!(responder.ended(), Some(0));
}

#[test]
fn missing_name_and_missing_state_give_no_op_replies() {
    let answer = output(&[]);
    assert_eq!(
        (text(&answer.stdout), answer.status.code()),
        ("no-name\n", Some(0))
    );
    assert_eq!(text(&answer.stderr), "");
    let nowhere = "/tmp/agentcheck-responder.nowhere";
    let answer = output(&["web", "--state-dir", nowhere]);
    assert_eq!(
        (text(&answer.stdout), answer.status.code()),
        ("no-state:web\n", Some(0))
    );
    let answer = output(&["web", "--state-dir", nowhere, "--fallback", "up 50%"]);
    assert_eq!(
        (text(&answer.stdout), answer.status.code()),
        ("up 50%\n", Some(0))
    );
}

/// The script of agentcheck.state(5) with another directory.
#[test]
fn shell_script_can_write_a_state_file() {
    let directory = StateDir::new();
    let manual = include_str!("../../../man/agentcheck.state.5").replace("\\-", "-");
    let mut scripts = manual
        .split(".EX")
        .filter_map(|text| text.split(".EE").next());
    let script = scripts.find(|text| text.contains("/run/agentcheck/$name"));
    let script = script.expect("a script in agentcheck.state(5)");
    let script = script.replace("/run/agentcheck", directory.path());
    let status = Command::new("sh").args(["-euc", &script]).status();
    assert!(status.unwrap().success());
    let file = std::fs::read_to_string(directory.file("web")).unwrap();
    let answer = output(&["web", "--state-dir", directory.path()]);
    assert_eq!(text(&answer.stdout), "up 50%\n", "{file}");
    // Its times are boot times: the last line applies half a minute later.
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
    let answer = output(&["web", "--state-dir", directory.path()]);
    assert_eq!(text(&answer.stdout), "up 50% # stale\n");
}

/// HAProxy sends agent-send and closes when it has the newline. Without `--name-from-client` the program answers before
/// it reads. No reply may be lost to a reset.
#[test]
fn unread_client_data_does_not_reset_the_reply() {
    let directory = StateDir::with(&[("web", "up 73%")]);
    let sent = vec![b'x'; 14_000];
    for length in [2, 14_000] {
        for _ in 0..50 {
            let (mut client, server) = connection();
            client.write_all(&sent[..length]).unwrap();
            let mut responder = on_connection(&["web", "--state-dir", directory.path()], server);
            let mut answer = [0; 7];
            client.read_exact(&mut answer).unwrap();
            assert_eq!(text(&answer), "up 73%\n");
            assert_eq!(
                client.read(&mut answer).unwrap(),
                0,
                "the end of data and no reset"
            );
            drop(client);
            assert_eq!(responder.ended(), Some(0));
        }
    }
}

#[test]
fn disconnected_client_is_no_error() {
    let directory = StateDir::with(&[("web", "up 73%")]);
    for arguments in [
        ["web", "--state-dir"],
        ["--name-from-client", "--state-dir"],
    ] {
        let arguments = [arguments[0], arguments[1], directory.path()];
        let (client, server) = connection();
        drop(client);
        assert_eq!(on_connection(&arguments, server).ended(), Some(0));
        // A reset: the client closes with unread data.
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
fn client_that_does_not_close_is_dropped_after_the_drain() {
    let directory = StateDir::with(&[("web", "up 73%")]);
    let (mut client, server) = connection();
    let start = Instant::now();
    let mut responder = on_connection(&["web", "--state-dir", directory.path()], server);
    let mut answer = [0; 7];
    client.read_exact(&mut answer).unwrap();
    // The client neither closes nor stops sending.
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
fn full_pipe_delays_the_program_for_a_bounded_time() {
    let directory = StateDir::with(&[("web", "up 73%")]);
    // A pipe that is full before the program starts and is never read.
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

/// The answer of `--name-from-client` to the bytes `sent`, and the time it took. With `closes` the client closes its
/// sending side.
fn answer_to(extra: &[&str], sent: &[u8], closes: bool) -> (String, Duration) {
    let directory = StateDir::with(&[
        ("web", "up 73%"),
        ("web-admin", "drain"),
        ("silent", "up 1%"),
    ]);
    let mut arguments = vec!["--name-from-client", "--state-dir", directory.path()];
    arguments.extend(extra);
    let (mut client, server) = connection();
    let start = Instant::now();
    let mut responder = on_connection(&arguments, server);
    client.write_all(sent).unwrap();
    if closes {
        client.shutdown(Shutdown::Write).unwrap();
    }
    let answer = rest(&client);
    let time = start.elapsed();
    drop(client);
    assert_eq!(responder.ended(), Some(0));
    (answer, time)
}

#[test]
fn client_names_the_service() {
    let default = ["--default-service", "silent"];
    let long = [b'x'; 14_000];
    let after_name = [b"web\n".as_slice(), &long].concat();
    for (sent, expected) in [
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
            // A program that waits takes 300 ms every time; on a slow machine one run of ten is fast.
            let waited = (0..10).all(|_| {
                let (answer, time) = answer_to(extra, sent, false);
                assert_eq!(answer, expected, "{:?}", sent.escape_ascii().to_string());
                time >= Duration::from_millis(300)
            });
            assert!(!waited, "{:?}", sent.escape_ascii().to_string());
        }
    }
    // The end of the client's data ends the name, without a newline.
    assert_eq!(answer_to(&default, b"web", true).0, "up 73%\n");
    assert_eq!(answer_to(&default, b"", true).0, "up 1%\n");
    assert_eq!(answer_to(&[], b"", true).0, "no-name\n");
    // The fallback does not apply to an unknown, invalid or missing name.
    for sent in [b"other\n".as_slice(), b"../web\n", b"\n"] {
        let (answer, _) = answer_to(&["--fallback", "up 100%"], sent, false);
        assert!(!answer.starts_with("up"), "{answer}");
    }
}

#[test]
fn silent_client_and_unterminated_name_are_answered_in_time() {
    // HAProxy's own deadline is 2 s.
    let soon = Duration::from_millis(1200);
    for (extra, sent, expected) in [
        (
            &["--default-service", "silent"][..],
            b"".as_slice(),
            "up 1%\n",
        ),
        (&[], b"", "no-name\n"),
        // HAProxy's CLI sets agent-send without a newline.
        (&[], b"web", "no-newline:web\n"),
        (&["--default-service", "silent"], b"web", "no-newline:web\n"),
        (&["--default-service", "silent"], b" ", "no-name\n"),
    ] {
        // A busy machine may delay some runs, but not all.
        let mut times = Vec::new();
        while times.last().is_none_or(|time| *time >= soon) {
            let (answer, time) = answer_to(extra, sent, false);
            assert_eq!(answer, expected, "{sent:?}");
            assert!(time > Duration::from_millis(250), "{time:?}");
            times.push(time);
            assert!(times.len() < 10, "{times:?}");
        }
    }
}

/// A name whose segment was lost arrives after the retransmission timeout: 200 ms and some round trips. The client gets
/// the reply of its own service, not that of `--default-service`, and a name in two segments is not cut.
#[test]
fn retransmitted_name_gets_its_own_reply() {
    let directory = StateDir::with(&[
        ("web", "up 73%"),
        ("web-admin", "drain"),
        ("silent", "up 1%"),
    ]);
    let arguments = [
        "--name-from-client",
        "--default-service",
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
fn client_on_a_pipe_names_the_service() {
    let directory = StateDir::with(&[("web", "up 73%")]);
    let mut command = program(&["--name-from-client", "--state-dir", directory.path()]);
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
fn help_goes_to_standard_output_but_never_to_a_connection() {
    let answer = output(&["--help"]);
    assert!(text(&answer.stdout).starts_with("Usage: agentcheck-responder "));
    assert_eq!(answer.status.code(), Some(0));
    let answer = output(&["--version"]);
    let version = format!("agentcheck-responder {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(text(&answer.stdout), version);

    let answer = output(&["--bogus"]);
    assert_eq!(
        (text(&answer.stdout), answer.status.code()),
        ("bad-arguments\n", Some(2))
    );
    assert!(
        text(&answer.stderr).contains("invalid argument --bogus: unknown option (see --help)"),
        "{answer:?}"
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
    // Standard error is the same pipe as standard output.
    let (reader, writer) = std::io::pipe().unwrap();
    let mut command = program(&["--bogus"]);
    command.stdout(writer.try_clone().unwrap()).stderr(writer);
    let mut responder = Running::start(&mut command);
    drop(command);
    assert_eq!(rest(reader), "bad-arguments\n");
    assert_eq!(responder.ended(), Some(2));
}
