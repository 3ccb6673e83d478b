//! The accept loop with many clients and with faulty ones.

use super::{connect, eventually, free_port, limited_loop, probe, start};
use crate::launched::{HANG, Running, StateDir, limited, path, rest, tool};
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::time::{Duration, Instant};

/// Hundreds of silent clients and unterminated names do not delay other clients.
#[test]
fn silent_clients_delay_no_other() {
    let directory = StateDir::with(&[("web", "up 73%")]);
    let (responder, address) = start(&["--name-from-client", "--state-dir", directory.path()]);
    assert_eq!(probe(address, "web\n"), "up 73%\n");
    let begin = Instant::now();
    let idle: Vec<TcpStream> = (0..900)
        .map(|at| {
            let mut client = connect(address);
            client
                .write_all(if at % 3 == 0 { b"w" } else { b"" })
                .unwrap();
            client
        })
        .collect();
    for _ in 0..20 {
        assert_eq!(probe(address, "web\n"), "up 73%\n");
    }
    let time = begin.elapsed();
    for (at, client) in idle.into_iter().enumerate() {
        let expected = if at % 3 == 0 {
            "no-newline:w\n"
        } else {
            "no-name\n"
        };
        assert_eq!(rest(client), expected);
    }
    // Twenty probes that waited for the silent clients would have taken twenty seconds.
    assert!(time < HANG, "{time:?}");
    assert!(processor_time(&responder) < Duration::from_secs(1));
}

/// The processor time (user and system) of the process.
fn processor_time(of: &Running) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{}/stat", of.id())).unwrap();
    let fields: Vec<&str> = stat
        .rsplit(')')
        .next()
        .unwrap()
        .split_whitespace()
        .collect();
    let ticks: u64 = fields[11..13]
        .iter()
        .map(|field| field.parse::<u64>().unwrap())
        .sum();
    Duration::from_millis(10 * ticks)
}

/// An accept loop with `--name-from-client` and a limit of descriptors.
fn with_few_descriptors(descriptors: u32, directory: &StateDir) -> (Running, SocketAddr) {
    let arguments = ["--name-from-client", "--state-dir", directory.path()];
    let (mut command, address) = limited_loop(descriptors, &arguments);
    (Running::start(&mut command), address)
}

/// More silent clients than descriptors: other clients are answered at once from the state file, and the silent ones
/// with a no-op reply. The loop does not busy-loop.
#[test]
fn exhausted_descriptors_delay_no_other_client() {
    let directory = StateDir::with(&[("web", "up 73%")]);
    let (responder, address) = with_few_descriptors(20, &directory);
    assert_eq!(probe(address, "web\n"), "up 73%\n");
    for _ in 0..3 {
        let silent: Vec<TcpStream> = (0..40).map(|_| connect(address)).collect();
        // Behind them in the queue, while every descriptor is in use.
        assert_eq!(probe(address, "web\n"), "up 73%\n");
        for client in silent {
            assert_eq!(rest(client), "no-name\n");
        }
    }
    assert!(processor_time(&responder) < Duration::from_secs(1));
}

/// Lets this process have so many descriptors.
fn allow_descriptors(count: u32) {
    let pid = std::process::id().to_string();
    let limit = format!("--nofile={count}:");
    let result = tool(
        "util-linux",
        Command::new("prlimit").args(["--pid", &pid, &limit]),
    );
    assert!(result.status.success(), "{result:?}");
}

/// A client that sends nothing more is not waited for. Of any other client the loop discards what may follow.
#[test]
fn connection_ends_at_once_after_the_last_request() {
    let directory = StateDir::with(&[("web", "up 73%")]);
    let arguments = directory.http_arguments();
    let (responder, address) = start(&arguments);
    assert_eq!(probe(address, "web\n"), "up 73%\n");
    let descriptors = || {
        let directory = format!("/proc/{}/fd", responder.id());
        fs::read_dir(directory).unwrap().count()
    };
    let idle = descriptors();
    let get = "GET /web HTTP/1.1\r\nHost: a\r\n";
    for (sent, is_last) in [
        ("web\n".to_owned(), true),
        (format!("{get}Connection: close\r\n\r\n"), true),
        ("web\r\n".to_owned(), false),
        ("other name\n".to_owned(), false),
        (format!("{get}\r\n"), false),
        (format!("{get}Connection: close\r\n\r\nGET"), false),
    ] {
        let client = connect(address);
        (&client).write_all(sent.as_bytes()).unwrap();
        // The client reads to the end, and does not close.
        let answer = rest(client.try_clone().unwrap());
        assert!(!answer.is_empty(), "{sent:?}");
        assert_eq!(descriptors() == idle, is_last, "{sent:?}");
        drop(client);
        let start = Instant::now();
        while descriptors() != idle {
            assert!(start.elapsed() < HANG, "{sent:?}");
        }
    }
}

/// How many of these clients have not been answered.
fn unanswered(clients: &[UnixStream]) -> usize {
    let waits = |client: &&UnixStream| {
        client.set_nonblocking(true).unwrap();
        let result = (&**client).read(&mut [0]);
        client.set_nonblocking(false).unwrap();
        result.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock)
    };
    clients.iter().filter(waits).count()
}

/// All slots are in use by silent clients: the next client is answered while nearly all of them still wait, so it did
/// not wait for their timeouts. The oldest silent clients are answered to make room.
#[test]
fn full_table_makes_room_for_the_next_client() {
    allow_descriptors(8192);
    let directory = StateDir::with(&[("web", "up 73%")]);
    let socket = format!("{}/socket", directory.path());
    let listen = format!("--listen=unix:{socket}");
    let mut command = limited("-n 3000", path());
    command.args([
        "--name-from-client",
        &listen,
        "--state-dir",
        directory.path(),
    ]);
    let responder = Running::start(&mut command);
    // A unix socket, because its clients connect faster than the timeout of the first one also on a busy machine.
    let connect = || eventually(|| UnixStream::connect(&socket));
    let probe = || {
        let mut client = connect();
        client.write_all(b"web\n").unwrap();
        rest(client)
    };
    assert_eq!(probe(), "up 73%\n");
    let mut rounds = Vec::new();
    while rounds.last().is_none_or(|waiting| *waiting < 900) {
        assert!(rounds.len() < 20, "{rounds:?}");
        let silent: Vec<UnixStream> = (0..1500).map(|_| connect()).collect();
        for _ in 0..10 {
            assert_eq!(probe(), "up 73%\n");
        }
        let waiting = unanswered(&silent);
        // As many as there are slots.
        assert!(waiting <= 1024, "{waiting}");
        rounds.push(waiting);
    }
    println!("attack: of 1500 silent clients, {rounds:?} waited while others were answered");
    assert!(processor_time(&responder) < Duration::from_secs(5));
}

/// One peer with more connections than there are slots does not push out a client of another peer that has not finished its request.
#[test]
fn many_connections_of_one_peer_do_not_evict_another_peer() {
    allow_descriptors(8192);
    let directory = StateDir::with(&[("web", "up 73%")]);
    let port = free_port();
    let listen = format!("--listen=*:{port}");
    let arguments = [
        "--name-from-client",
        &listen,
        "--state-dir",
        directory.path(),
    ];
    let mut command = limited("-n 3000", path());
    let _responder = Running::start(command.args(arguments));
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    drop(eventually(|| TcpStream::connect(address)));
    let other_peer = SocketAddr::from((std::net::Ipv6Addr::LOCALHOST, port));
    let mut replies = Vec::new();
    // On a busy machine the client may reach its timeout before all others have connected.
    while replies.last().is_none_or(|reply| reply != "up 73%\n") {
        assert!(replies.len() < 20, "{replies:?}");
        let mut client = connect(address);
        client.write_all(b"we").unwrap();
        let others: Vec<TcpStream> = (0..1100).map(|_| connect(other_peer)).collect();
        client.write_all(b"b\n").unwrap();
        replies.push(rest(client));
        drop(others);
    }
}

#[test]
fn more_clients_than_slots_are_all_answered() {
    allow_descriptors(8192);
    let directory = StateDir::with(&[("web", "up 73%")]);
    let (responder, address) = with_few_descriptors(3000, &directory);
    let idle: Vec<TcpStream> = (0..1100).map(|_| connect(address)).collect();
    for client in idle {
        assert_eq!(rest(client), "no-name\n");
    }
    assert_eq!(probe(address, "web\n"), "up 73%\n");
    assert!(processor_time(&responder) < Duration::from_secs(1));
}

/// An evicted client never gets the reply of `--default-service`: its name may be on the way.
#[test]
fn evicted_client_does_not_get_the_default_service() {
    let directory = StateDir::with(&[("web", "up 73%"), ("silent", "up 1%")]);
    let arguments = ["--name-from-client", "--default-service", "silent"];
    let arguments = [&arguments[..], &["--state-dir", directory.path()]].concat();
    let (mut command, address) = limited_loop(20, &arguments);
    let _responder = Running::start(&mut command);
    assert_eq!(probe(address, "web\n"), "up 73%\n");
    let silent: Vec<TcpStream> = (0..40).map(|_| connect(address)).collect();
    let mut replies: Vec<String> = silent.into_iter().map(rest).collect();
    // The last ones reach their timeout, the first ones are evicted.
    assert_eq!(replies.last().unwrap(), "up 1%\n");
    replies.truncate(20);
    assert_eq!(replies, ["no-name\n"; 20]);
}

#[test]
fn slow_and_broken_clients_do_not_affect_others() {
    let directory = StateDir::with(&[("web", "up 73%")]);
    let (mut responder, address) = start(&["web", "--state-dir", directory.path()]);
    let unread: Vec<TcpStream> = (0..50).map(|_| connect(address)).collect();
    for _ in 0..50 {
        // A reset: the client closes without reading the reply.
        let client = connect(address);
        client.peek(&mut [0; 1]).unwrap();
        drop(client);
        assert_eq!(probe(address, ""), "up 73%\n");
    }
    // The loop closes the connection of a client that never stops sending.
    let mut chatty = connect(address);
    let start = Instant::now();
    while chatty.write(&[b'x'; 4096]).is_ok() {
        assert!(start.elapsed() < HANG);
    }
    for client in unread {
        assert_eq!(rest(client), "up 73%\n");
    }
    responder.signal("TERM");
    assert_eq!(responder.ended(), Some(0));
}
