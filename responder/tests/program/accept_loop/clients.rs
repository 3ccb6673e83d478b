//! The accept loop with many clients and with faulty ones.

use super::{connect, listener, probe, start};
use crate::launched::{HANG, Running, StateDir, activated, rest};
use std::fs;
use std::io::Write as _;
use std::net::{SocketAddr, TcpStream};
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
fn limited(descriptors: u32, directory: &StateDir) -> (Running, SocketAddr) {
    let (socket, address) = listener();
    let arguments = ["--name-from-client", "--state-dir", directory.path()];
    let inner = activated(&arguments, vec![socket.try_clone().unwrap()], "");
    let mut command = Command::new("sh");
    let script = format!("ulimit -n {descriptors}; exec sh \"$@\"");
    command
        .args(["-c", &script, "sh"])
        .args(inner.get_args())
        .env_clear();
    command.env("LISTEN_FDS", "1").stdin(socket);
    (Running::start(&mut command), address)
}

/// More clients than descriptors: the loop answers all of them from the state file and does not busy-loop.
#[test]
fn exhausted_descriptors_do_not_lose_replies() {
    let directory = StateDir::with(&[("web", "up 73%")]);
    let (responder, address) = limited(20, &directory);
    assert_eq!(probe(address, "web\n"), "up 73%\n");
    let idle: Vec<TcpStream> = (0..40).map(|_| connect(address)).collect();
    // A client behind them in the queue, while every descriptor is in use.
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
fn more_clients_than_slots_are_all_answered() {
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
    // As many as the limit of this process and the queue of the socket allow.
    let idle: Vec<TcpStream> = (0..1100.min(own - 200)).map(|_| connect(address)).collect();
    for client in idle {
        assert_eq!(rest(client), "no-name\n");
    }
    assert_eq!(probe(address, "web\n"), "up 73%\n");
    assert!(processor_time(&responder) < Duration::from_secs(1));
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
