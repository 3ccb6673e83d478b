//! The accept loop: on its own sockets and on inherited ones, with faulty clients, and its messages on standard error.

mod clients;
mod diagnostics;
mod inherited;

use crate::launched::{HANG, Running, StateDir, activated, limited, program, rest, state, tool};
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

/// A listening socket for the program, and its address.
fn listener() -> (OwnedFd, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    (listener.into(), address)
}

pub(crate) fn connect(address: SocketAddr) -> TcpStream {
    let client = TcpStream::connect(address).unwrap();
    client.set_read_timeout(Some(HANG)).unwrap();
    client
}

pub(crate) fn probe(address: SocketAddr, sent: &str) -> String {
    let mut client = connect(address);
    client.write_all(sent.as_bytes()).unwrap();
    rest(client)
}

/// An accept loop on an inherited socket, with a limit of descriptors and no other environment.
pub(crate) fn limited_loop(descriptors: u32, arguments: &[&str]) -> (Command, SocketAddr) {
    let (socket, address) = listener();
    let inner = activated(arguments, vec![socket.try_clone().unwrap()], "");
    let mut command = limited(&format!("-n {descriptors}"), "sh");
    command.args(inner.get_args()).env_clear();
    command.env("LISTEN_FDS", "1").stdin(socket);
    (command, address)
}

/// An accept loop on an inherited socket.
pub(crate) fn start(arguments: &[&str]) -> (Running, SocketAddr) {
    let (socket, address) = listener();
    (
        Running::start(&mut activated(arguments, vec![socket], "agentcheck.socket")),
        address,
    )
}

/// Each probe gets the reply of the file that was complete just before it, however fast files replace one another.
/// `AGENTCHECK_REPLACEMENTS` sets the number.
#[test]
fn replaced_file_is_seen_by_the_next_probe() {
    const PER_PROBE: u64 = 20;
    let replacements = std::env::var("AGENTCHECK_REPLACEMENTS");
    let replacements = replacements.map_or(20_000, |text| text.parse::<u64>().unwrap());
    let directory = StateDir::with(&[("web", "up 1% # n=0")]);
    let (_responder, address) = start(&["web", "--state-dir", directory.path()]);
    let (file, new) = (directory.file("web"), directory.file("new"));
    let text = state("web", "up 1% # n=0");
    for number in 1..=replacements {
        fs::write(&new, text.replace("n=0", &format!("n={number}"))).unwrap();
        fs::rename(&new, &file).unwrap();
        if number % PER_PROBE == number / PER_PROBE % PER_PROBE {
            assert_eq!(probe(address, ""), format!("up 1% # n={number}\n"));
        }
    }
}

#[test]
fn loop_answers_as_the_one_shot() {
    let directory = StateDir::with(&[("web", "up 73%"), ("api", "drain")]);
    let path = directory.path();
    let (mut responder, address) = start(&["web", "--state-dir", path]);
    for _ in 0..200 {
        assert_eq!(probe(address, ""), "up 73%\n");
        assert_eq!(probe(address, "unread\n"), "up 73%\n");
    }
    directory.write("web", &state("web", "up 5%"));
    assert_eq!(probe(address, ""), "up 5%\n");
    fs::remove_file(directory.file("web")).unwrap();
    assert_eq!(probe(address, ""), "no-state:web\n");
    responder.signal("TERM");
    assert_eq!(responder.ended(), Some(0));

    let (_responder, address) = start(&[
        "--name-from-client",
        "--default-service",
        "api",
        "--state-dir",
        path,
    ]);
    for (sent, expected) in [
        ("api\n", "drain\n"),
        ("web\r\n", "unknown:web\n"),
        ("../api\n", "bad-name\n"),
        ("\n", "no-name\n"),
        (&"x".repeat(14_000), "bad-name\n"),
    ] {
        assert_eq!(probe(address, sent), expected, "{sent:?}");
    }
    let start = Instant::now();
    assert_eq!(probe(address, ""), "drain\n");
    assert_eq!(probe(address, "api"), "no-newline:api\n");
    assert!(start.elapsed() < Duration::from_secs(4));
    let client = connect(address);
    client.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(rest(client), "drain\n");
}

#[test]
fn each_socket_has_its_service() {
    let directory = StateDir::with(&[("web", "up 73%"), ("api", "drain")]);
    let path = directory.path();
    let ((first, web), (second, api)) = (listener(), listener());
    let mut command = activated(&["--state-dir", path], vec![first, second], "web:api");
    let _responder = Running::start(&mut command);
    assert_eq!(probe(web, ""), "up 73%\n");
    assert_eq!(probe(api, ""), "drain\n");
    // NAME applies to all sockets; systemd's default names select no service.
    let ((first, web), (second, api)) = (listener(), listener());
    let mut command = activated(
        &["api", "--state-dir", path],
        vec![first, second],
        "web:api",
    );
    let _responder = Running::start(&mut command);
    assert_eq!(
        (probe(web, ""), probe(api, "")),
        ("drain\n".into(), "drain\n".into())
    );
    let (_responder, address) = start(&["--state-dir", path]);
    assert_eq!(probe(address, ""), "no-name\n");
    let (_responder, address) = start(&["--bogus"]);
    assert_eq!(probe(address, ""), "bad-arguments\n");
}

/// inetd and xinetd with `wait`: all three standard descriptors are the listening socket.
#[test]
fn listening_socket_on_standard_input_is_served() {
    let directory = StateDir::with(&[("web", "up 73%")]);
    let (socket, address) = listener();
    let mut responder =
        crate::launched::on_connection(&["web", "--state-dir", directory.path()], socket);
    assert_eq!(probe(address, ""), "up 73%\n");
    fs::remove_file(directory.file("web")).unwrap();
    // The loop logs nothing, because standard error is the listening socket.
    assert_eq!(probe(address, ""), "no-state:web\n");
    responder.signal("INT");
    assert_eq!(responder.ended(), Some(0));
}

/// systemd with Accept=yes and without StandardInput=socket.
#[test]
fn inherited_connection_is_answered_once() {
    let directory = StateDir::with(&[("web", "up 73%")]);
    let (client, server) = UnixStream::pair().unwrap();
    let mut command = activated(
        &["web", "--state-dir", directory.path()],
        vec![server.into()],
        "connection",
    );
    let mut responder = Running::start(&mut command);
    drop(command);
    assert_eq!(rest(client), "up 73%\n");
    assert_eq!(responder.ended(), Some(0));
}

#[test]
fn sockets_for_another_process_are_ignored() {
    let directory = StateDir::with(&[("web", "up 73%")]);
    let mut command = program(&["web", "--state-dir", directory.path()]);
    let output = command
        .env("LISTEN_FDS", "1")
        .env("LISTEN_PID", "1")
        .output()
        .unwrap();
    assert_eq!(output.stdout, b"up 73%\n");
}

/// A free port that no other test uses. It is below the range from which the kernel assigns ports to clients.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    loop {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let port = 10_000
            + (std::process::id() as u16)
                .wrapping_mul(61)
                .wrapping_add(number)
                % 22_000;
        if TcpListener::bind(("::", port)).is_ok() && TcpListener::bind(("0.0.0.0", port)).is_ok() {
            return port;
        }
    }
}

/// Connects as soon as the program listens.
pub(crate) fn eventually<T>(connect: impl Fn() -> std::io::Result<T>) -> T {
    let start = Instant::now();
    loop {
        match connect() {
            Ok(connected) => return connected,
            Err(error) => assert!(start.elapsed() < HANG, "{error}"),
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn loop_listens_on_the_given_addresses() {
    let directory = StateDir::with(&[("web", "up 73%")]);
    let path = directory.path();
    let (one, two, three) = (free_port(), free_port(), free_port());
    let unix = format!("{path}/socket");
    let listen = [
        format!("--listen=127.0.0.1:{one}"),
        format!("--listen=[::1]:{two}"),
        format!("--listen=*:{three}"),
        format!("--listen=unix:{unix}"),
    ];
    let mut arguments = vec!["web", "--state-dir", path];
    arguments.extend(listen.iter().map(String::as_str));
    let mut command = program(&arguments);
    // Standard input may be a connected socket: node and others pass one.
    let (_stdin, other) = UnixStream::pair().unwrap();
    command.stdin(OwnedFd::from(other));
    let mut responder = Running::start(&mut command);
    assert_eq!(rest(eventually(|| UnixStream::connect(&unix))), "up 73%\n");
    for address in [
        format!("127.0.0.1:{one}"),
        format!("[::1]:{two}"),
        format!("127.0.0.1:{three}"),
        format!("[::1]:{three}"),
    ] {
        assert_eq!(
            rest(eventually(|| TcpStream::connect(&address))),
            "up 73%\n",
            "{address}"
        );
    }
    assert!(TcpStream::connect(("127.0.0.1", two)).is_err());
    // A killed process leaves the path of its unix socket. The next process replaces it and removes it at its end.
    responder.0.kill().unwrap();
    responder.0.wait().unwrap();
    let argument = format!("--listen=unix:{unix}");
    let mut responder = Running::start(&mut program(&["web", "--state-dir", path, &argument]));
    assert_eq!(rest(eventually(|| UnixStream::connect(&unix))), "up 73%\n");
    responder.signal("TERM");
    assert_eq!(responder.ended(), Some(0));
    assert!(!fs::exists(&unix).unwrap());
}

#[test]
fn address_in_use_is_an_error() {
    let (_socket, address) = listener();
    let output = program(&["web", "--listen", &address.to_string()])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let message =
        format!("agentcheck-responder: cannot listen on {address}: address already in use\n");
    assert_eq!(String::from_utf8(output.stderr).unwrap(), message);
    assert_eq!(output.stdout, b"");
    let directory = StateDir::new();
    let path = format!("{}/socket", directory.path());
    let _listening = UnixListener::bind(&path).unwrap();
    let output = program(&["web", "--listen", &format!("unix:{path}")])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let file = format!("{}/file", directory.path());
    fs::write(&file, "precious").unwrap();
    let output = program(&["web", "--listen", &format!("unix:{file}")])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(fs::read_to_string(&file).unwrap(), "precious");
}

/// A policy forbids accepting: the loop retries with pauses.
#[test]
fn refused_accept_is_retried_with_pauses() {
    let directory = StateDir::with(&[("web", "up 73%")]);
    let port = free_port();
    let trace = directory.file("trace");
    let mut command = Command::new("strace");
    // The program is the child process, and its end ends the tracer.
    command
        .args(["-D", "-o"])
        .arg(&trace)
        .args(["-e", "trace=accept4,/^epoll_p?wait", "-e", "signal=none"])
        .args(["-e", "inject=accept4:error=EACCES:when=1..5"])
        .args([crate::launched::path(), "web", "--listen"]);
    command.args([
        format!("127.0.0.1:{port}").as_str(),
        "--state-dir",
        directory.path(),
    ]);
    let _responder = Running(
        command
            .stdin(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}; apt-get install strace")),
    );
    let client = eventually(|| TcpStream::connect(("127.0.0.1", port)));
    assert_eq!(rest(client), "up 73%\n");
    let calls = fs::read_to_string(&trace).unwrap();
    let refused: Vec<&str> = calls
        .split("accept4(")
        .filter(|part| part.contains("EACCES"))
        .collect();
    assert_eq!(refused.len(), 5, "{calls}");
    for after in refused {
        // A wait that ended by its timeout.
        assert!(
            after.lines().any(|line| line.trim_end().ends_with(" = 0")),
            "{calls}"
        );
    }
}

/// The loop sends each reply with one write.
#[test]
fn each_reply_is_one_write() {
    let directory = StateDir::with(&[("web", "up 73%")]);
    let port = free_port();
    let trace = directory.file("trace");
    let mut command = Command::new("strace");
    command
        .args(["-f", "-o"])
        .arg(&trace)
        .args([crate::launched::path(), "web", "--listen"]);
    command.args([
        format!("127.0.0.1:{port}").as_str(),
        "--state-dir",
        directory.path(),
    ]);
    let strace = Running(
        command
            .stdin(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}; apt-get install strace")),
    );
    for _ in 0..3 {
        let client = eventually(|| TcpStream::connect(("127.0.0.1", port)));
        let mut line = String::new();
        BufReader::new(client).read_line(&mut line).unwrap();
        assert_eq!(line, "up 73%\n");
    }
    let children = fs::read_to_string(format!("/proc/{0}/task/{0}/children", strace.id())).unwrap();
    tool("procps", Command::new("kill").arg(children.trim()));
    let mut strace = strace;
    assert_eq!(strace.ended(), Some(0));
    let calls = fs::read_to_string(&trace).unwrap();
    let writes = calls
        .lines()
        .filter(|line| line.contains("sendto(") || line.contains("write("));
    assert_eq!(writes.count(), 3, "{calls}");
}
