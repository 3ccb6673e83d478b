//! Sockets of recorded tables, and real ones by the thousand.

use super::*;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::time::{Duration, Instant};

const AMPLE: Duration = Duration::from_secs(60);

fn deadline() -> Deadline {
    Deadline::within(AMPLE)
}

fn recorded(kernel: &str) -> PathBuf {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/proc");
    data.join(kernel)
}

/// The number of connections: `AGENTCHECK_TEST_CONNECTIONS`, or a number that is quick.
fn connection_count() -> usize {
    match std::env::var("AGENTCHECK_TEST_CONNECTIONS") {
        Ok(number) => number.parse().expect("a number"),
        // Both ends, and the descriptors of other tests, stay below a hard limit of 4096.
        Err(_) => 1500,
    }
}

/// Both ends of a connection belong to this process.
fn allow_descriptors(connections: usize) {
    let own = getrlimit(Resource::Nofile);
    let needed = 2 * connections as u64 + 256;
    if own.current.is_some_and(|current| current < needed) {
        let raised = Rlimit {
            current: Some(needed),
            maximum: own.maximum.map(|most| most.max(needed)),
        };
        setrlimit(Resource::Nofile, raised).expect("as many descriptors (ulimit -n)");
    }
}

/// Both ways agree on the number of connections of `port`, once the kernel has processed recent closes.
fn assert_connections(port: u16, expected: usize) {
    let started = Instant::now();
    loop {
        let netlink = by_netlink(port, State::Established, deadline()).unwrap();
        let proc = by_proc(Path::new("/"), port, State::Established, deadline()).unwrap();
        let counts = (netlink.sockets, proc.sockets);
        if counts == (expected as u64, expected as u64) {
            return;
        }
        assert!(started.elapsed() < AMPLE, "{counts:?}, not {expected}");
    }
}

#[test]
fn thousands_of_real_connections() {
    let many = connection_count();
    allow_descriptors(many);
    let listener = TcpListener::bind("0.0.0.0:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    assert_connections(port, 0);
    // One address has some 28,000 client ports.
    let mut ends: Vec<(TcpStream, TcpStream)> = (0..many)
        .map(|number| {
            let near = TcpStream::connect(format!("127.0.0.{}:{port}", 1 + number / 20_000));
            (near.unwrap(), listener.accept().unwrap().0)
        })
        .collect();
    assert_connections(port, many);
    let value = read_connections(Path::new("/"), port, deadline()).map(|numbers| numbers.value);
    assert_eq!(value, Ok(many as f64));
    // A half-closed connection is not established, and a closed one leaves TIME_WAIT.
    for (near, _) in ends.iter().take(many / 4) {
        near.shutdown(std::net::Shutdown::Write).unwrap();
    }
    ends.truncate(many / 2);
    assert_connections(port, many / 2 - many / 4);
    drop(ends);
    assert_connections(port, 0);
}

#[test]
fn both_families_count_once() {
    let has_six = std::fs::read_to_string("/proc/net/if_inet6")
        .is_ok_and(|addresses| addresses.contains("00000000000000000000000000000001 "));
    let any = if has_six { "[::]:0" } else { "0.0.0.0:0" };
    let listener = TcpListener::bind(any).unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut ends = Vec::new();
    let mut connect = |address: &str| {
        ends.push(TcpStream::connect((address, port)).unwrap());
        ends.push(listener.accept().unwrap().0);
    };
    // Over IPv4 to an IPv6 socket, where IPv6 exists.
    connect("127.0.0.1");
    connect("127.0.0.1");
    assert_connections(port, 2);
    if has_six {
        connect("::1");
        assert_connections(port, 3);
    }
}

#[test]
fn the_queue_of_a_real_listener() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    rustix::net::listen(&listener, 8).unwrap();
    let port = listener.local_addr().unwrap().port();
    let queue = || read_backlog(Path::new("/"), port, deadline()).unwrap();
    let empty = [("limit", 8.0), ("fullest", 0.0), ("listeners", 1.0)];
    assert_eq!((queue().value, queue().parts), (0.0, empty.to_vec()));

    let waiting: Vec<TcpStream> = (0..4)
        .map(|_| TcpStream::connect(("127.0.0.1", port)).unwrap())
        .collect();
    let started = Instant::now();
    while queue().value < 4.0 && started.elapsed() < AMPLE {}
    let half = [("limit", 8.0), ("fullest", 50.0), ("listeners", 1.0)];
    assert_eq!((queue().value, queue().parts), (4.0, half.to_vec()));
    // They count as connections as well.
    assert_connections(port, 4);
    let proc = by_proc(Path::new("/"), port, State::Listen, deadline()).unwrap();
    let proc = backlog(port, proc).unwrap();
    assert_eq!((proc.value, proc.parts), (4.0, vec![("listeners", 1.0)]));

    drop(waiting);
    drop(listener);
    let closed = read_backlog(Path::new("/"), port, deadline()).unwrap_err();
    assert_eq!(closed.reason, Reason::Refused);
}

#[test]
fn queues_of_several_listeners() {
    let mut tally = Tally::default();
    for (queued, limit) in [(0, 128), (96, 128), (3, 0)] {
        tally.add(Socket {
            state: 10,
            port: 80,
            queued,
            limit: Some(limit),
        });
    }
    let numbers = backlog(80, tally).unwrap();
    let parts = [("limit", 256.0), ("fullest", 100.0), ("listeners", 3.0)];
    assert_eq!((numbers.value, numbers.parts), (99.0, parts.to_vec()));
}

#[test]
fn recorded_tables() {
    for (kernel, port, state, expected) in [
        ("linux-6.18", 443, State::Established, 3),
        ("linux-6.18", 443, State::Listen, 2),
        ("linux-6.18", 8443, State::Established, 0),
        ("linux-3.10", 443, State::Established, 2),
        ("linux-3.10", 443, State::Listen, 1),
    ] {
        let tally = by_proc(&recorded(kernel), port, state, deadline()).unwrap();
        assert_eq!(tally.sockets, expected, "{kernel} {port} {state:?}");
    }
    let listening = by_proc(&recorded("linux-6.18"), 443, State::Listen, deadline());
    assert_eq!(listening.unwrap().queued, 5);
    let none = by_proc(&recorded("linux-2.6.9"), 443, State::Listen, deadline()).unwrap_err();
    assert_eq!(none.reason, Reason::Missing);
}

#[test]
fn proc_is_read_only_without_netlink() {
    let known = Tally {
        sockets: 3,
        ..Tally::default()
    };
    let failure = |reason| Failure::new(reason, "first");
    let never = || panic!("not needed");
    assert_eq!(or_by_proc(Ok(known), never), Ok(known));
    let late = or_by_proc(Err(failure(Reason::Timeout)), never);
    assert_eq!(late, Err(failure(Reason::Timeout)));
    for reason in [Reason::Other, Reason::Denied, Reason::Missing] {
        assert_eq!(or_by_proc(Err(failure(reason)), || Ok(known)), Ok(known));
    }
    let both = or_by_proc(Err(failure(Reason::Denied)), || {
        Err(Failure::new(Reason::Missing, "second"))
    });
    let both = both.unwrap_err();
    assert_eq!(both.to_string(), "missing: second; denied: first");
}
