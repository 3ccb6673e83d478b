//! The accept loop beside many clients, and beside broken ones.

use super::{connect, listener, probe, start};
use crate::launched::{HANG, Running, StateDir, activated, rest};
use std::fs;
use std::io::Write as _;
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::time::{Duration, Instant};

/// A thousand silent clients, slow readers, half-open and reset connections: nobody else waits for them.
#[test]
fn slow_client_delays_no_other() {
    let directory = StateDir::with(&[("web", "up 73%")]);
    let (responder, address) = start(&["--ask", "--state-dir", directory.path()]);
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
    // Twenty that had waited for the silent would have taken twenty seconds.
    assert!(time < HANG, "{time:?}");
    assert!(processor_time(&responder) < Duration::from_secs(1));
}

/// User and system time so far.
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

/// A loop that asks for the name, and can have so many descriptors.
fn limited(descriptors: u32, directory: &StateDir) -> (Running, SocketAddr) {
    let (socket, address) = listener();
    let by_ask = ["--ask", "--state-dir", directory.path()];
    let inner = activated(&by_ask, vec![socket.try_clone().unwrap()], "");
    let mut command = Command::new("sh");
    let script = format!("ulimit -n {descriptors}; exec sh \"$@\"");
    command
        .args(["-c", &script, "sh"])
        .args(inner.get_args())
        .env_clear();
    command.env("LISTEN_FDS", "1").stdin(socket);
    (Running::start(&mut command), address)
}

/// More clients than descriptors: all are answered, with what the file says, without spinning.
#[test]
fn loop_recovers_from_a_lack_of_descriptors() {
    let directory = StateDir::with(&[("web", "up 73%")]);
    let (responder, address) = limited(20, &directory);
    assert_eq!(probe(address, "web\n"), "up 73%\n");
    let idle: Vec<TcpStream> = (0..40).map(|_| connect(address)).collect();
    // Behind them in the queue, and with every descriptor taken.
    let mut late = connect(address);
    late.write_all(b"web\n").unwrap();
    for mut client in idle {
        client.write_all(b"web\n").unwrap();
        assert_eq!(rest(client), "up 73%\n");
    }
    assert_eq!(rest(late), "up 73%\n");
    assert!(processor_time(&responder) < Duration::from_millis(500));
}

#[test]
fn more_clients_than_table_entries_get_replies() {
    let directory = StateDir::with(&[("web", "up 73%")]);
    let (responder, address) = limited(3000, &directory);
    let directory_limit = fs::read_to_string("/proc/self/limits").unwrap();
    let own = directory_limit
        .lines()
        .find(|line| line.starts_with("Max open files"))
        .unwrap();
    let own: usize = own
        .split_whitespace()
        .nth(3)
        .unwrap()
        .parse()
        .unwrap_or(usize::MAX);
    // As many as this process can hold, and the queue of the socket takes.
    let idle: Vec<TcpStream> = (0..1100.min(own - 200)).map(|_| connect(address)).collect();
    for client in idle {
        assert_eq!(rest(client), "no-name\n");
    }
    assert_eq!(probe(address, "web\n"), "up 73%\n");
    assert!(processor_time(&responder) < Duration::from_secs(1));
}

#[test]
fn slow_and_broken_clients_block_nothing() {
    let directory = StateDir::with(&[("web", "up 73%")]);
    let (mut responder, address) = start(&["web", "--state-dir", directory.path()]);
    let unread: Vec<TcpStream> = (0..50).map(|_| connect(address)).collect();
    for _ in 0..50 {
        // A reset: closed with the reply unread.
        let client = connect(address);
        client.peek(&mut [0; 1]).unwrap();
        drop(client);
        assert_eq!(probe(address, ""), "up 73%\n");
    }
    // One that never stops sending is left after a while.
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
