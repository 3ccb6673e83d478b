//! The end of an accept loop: at once, and without a client half-way. Accepted clients get their reply. Clients
//! in the queue get it now if the queue ends with the process, else from the next process.

use crate::accept_loop::{connect, eventually, free_port, probe, start};
use crate::launched::{
    HANG, Running, StateDir, activated, on_connection, path, program, rest, tool,
};
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// What one probe hears, its end included: a reset is an error. Whom the machine holds up before all is sent is
/// told so, as one that sends no more, and asks again.
fn ask(address: SocketAddr, sent: &[&[u8]]) -> std::io::Result<String> {
    loop {
        let begin = Instant::now();
        let mut client = TcpStream::connect(address)?;
        client.set_read_timeout(Some(HANG))?;
        for part in sent {
            client.write_all(part)?;
            std::thread::yield_now();
        }
        // Half of what an ending loop waits for.
        let held_up = begin.elapsed() > Duration::from_millis(50);
        let mut printed = String::new();
        client.read_to_string(&mut printed)?;
        let unended = ["no-name\n", "no-newline:w\n"].contains(&printed.as_str());
        if !(held_up && unended) {
            return Ok(printed);
        }
    }
}

/// Until it is stopped by SIGSTOP.
fn stop(responder: &Running) {
    responder.signal("STOP");
    let start = Instant::now();
    let is_stopped = || {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", responder.id())).unwrap();
        stat.rsplit(") ").next().unwrap().starts_with('T')
    };
    while !is_stopped() {
        assert!(start.elapsed() < HANG, "it does not stop");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Twenty restarts under load, as by `systemctl restart` while the socket unit stays.
#[test]
fn restart_loses_no_client() {
    let directory = StateDir::with(&[("web", "up 73%")]);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let arguments = ["--ask", "--state-dir", directory.path()];
    let start = || {
        let socket = listener.try_clone().unwrap().into();
        Running::start(&mut activated(&arguments, vec![socket], ""))
    };
    let (done, probes) = (AtomicBool::new(false), AtomicUsize::new(0));
    let lost = std::sync::Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    match ask(address, &[b"w", b"eb\n"]) {
                        Ok(printed) if printed == "up 73%\n" => {}
                        other => lost.lock().unwrap().push(other),
                    }
                    probes.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let mut responder = start();
        for _ in 0..20 {
            let (begin, before) = (Instant::now(), probes.load(Ordering::Relaxed));
            while probes.load(Ordering::Relaxed) < before + 50 {
                assert!(begin.elapsed() < HANG, "nobody is answered");
                std::thread::sleep(Duration::from_millis(1));
            }
            responder.signal("TERM");
            assert_eq!(responder.ended(), Some(0));
            responder = start();
        }
        done.store(true, Ordering::Relaxed);
        // Whoever still waits is answered by this one.
        scope.spawn(move || {
            std::thread::sleep(Duration::from_millis(200));
            drop(responder);
        });
    });
    let lost = lost.into_inner().unwrap();
    let probes = probes.into_inner();
    println!("{probes} probes over 20 restarts, {} lost", lost.len());
    assert!(lost.is_empty(), "{lost:?}");
    assert!(probes >= 1000, "{probes}");
}

/// A socket of its own ends with it: the queue is answered first.
#[test]
fn queue_of_own_socket_is_served_before_the_end() {
    let directory = StateDir::with(&[("web", "up 73%")]);
    for service in ["web", "--ask"] {
        let port = free_port();
        let listen = format!("--listen=127.0.0.1:{port}");
        let arguments = [service, &listen, "--state-dir", directory.path()];
        let mut responder = Running::start(&mut program(&arguments));
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let mut first = eventually(|| TcpStream::connect(address));
        first.write_all(b"web\n").unwrap();
        assert_eq!(rest(first), "up 73%\n");
        stop(&responder);
        // As many as a busy machine answers within the 100 ms that there are, with a debug build, too.
        let waiting: Vec<TcpStream> = (0..40)
            .map(|_| {
                let mut client = connect(address);
                client.write_all(b"web\n").unwrap();
                client
            })
            .collect();
        responder.signal("TERM");
        responder.signal("CONT");
        for client in waiting {
            assert_eq!(rest(client), "up 73%\n");
        }
        assert_eq!(responder.ended(), Some(0));
        assert!(TcpStream::connect(address).is_err());
    }
}

/// A socket that was handed over stays with the launcher, and so does its queue.
#[test]
fn queue_of_inherited_socket_is_left_to_the_next_process() {
    let directory = StateDir::with(&[("web", "up 73%")]);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let arguments = ["web", "--state-dir", directory.path()];
    let mut responder = on_connection(&arguments, listener.try_clone().unwrap());
    assert_eq!(probe(address, ""), "up 73%\n");
    stop(&responder);
    let waiting: Vec<TcpStream> = (0..100).map(|_| connect(address)).collect();
    responder.signal("TERM");
    responder.signal("CONT");
    assert_eq!(responder.ended(), Some(0));
    let _next = on_connection(&arguments, listener);
    for client in waiting {
        assert_eq!(rest(client), "up 73%\n");
    }
}

/// Who has been accepted and not yet asked has a moment left; who says nothing does not hold it.
#[test]
fn clients_in_the_middle_of_a_request_get_replies() {
    let directory = StateDir::with(&[("web", "up 73%")]);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let arguments = ["--ask", "--state-dir", directory.path()];
    let mut responder = on_connection(&arguments, listener);
    let (silent, mut unended) = (connect(address), connect(address));
    unended.write_all(b"we").unwrap();
    // Behind them in the queue: when it has its answer, they have been accepted.
    assert_eq!(probe(address, "web\n"), "up 73%\n");
    let begin = Instant::now();
    responder.signal("TERM");
    unended.write_all(b"b\n").unwrap();
    assert_eq!(rest(unended), "up 73%\n");
    assert_eq!(rest(silent), "no-name\n");
    assert_eq!(responder.ended(), Some(0));
    // Far less than the second that a client has otherwise.
    assert!(begin.elapsed() < Duration::from_millis(800), "{begin:?}");
}

/// The same through a process per probe, by the real xinetd.
#[test]
fn xinetd_loses_none_of_two_thousand_probes() {
    let directory = StateDir::with(&[("web", "up 73%")]);
    let configuration = directory.file("xinetd");
    let ports = [free_port(), free_port()];
    let service = |port: u16, how: &str| {
        format!(
            "service {how}\n{{\n type = UNLISTED\n socket_type = stream\n protocol = tcp\n wait = no\n \
             user = root\n bind = 127.0.0.1\n port = {port}\n server = {}\n \
             server_args = {how} --state-dir {}\n instances = UNLIMITED\n per_source = UNLIMITED\n \
             cps = 100000 1\n}}\n",
            path(),
            directory.path()
        )
    };
    let services = [service(ports[0], "web"), service(ports[1], "--ask")];
    std::fs::write(&configuration, services.concat()).unwrap();
    let mut command = std::process::Command::new("xinetd");
    command.args(["-dontfork", "-f"]).arg(&configuration);
    command.arg("-pidfile").arg(directory.file("pid"));
    command.stdout(std::process::Stdio::null());
    command.stderr(std::process::Stdio::null());
    let _xinetd = Running(
        command
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}; apt-get install xinetd")),
    );
    std::thread::scope(|scope| {
        for port in ports {
            scope.spawn(move || {
                let address = SocketAddr::from(([127, 0, 0, 1], port));
                drop(eventually(|| TcpStream::connect(address)));
                for number in 0..2000 {
                    let printed = ask(address, &[b"web\n"]);
                    assert_eq!(printed.expect("no reset"), "up 73%\n", "probe {number}");
                }
            });
        }
    });
}

/// What agent-send sends stays unread until the answer is out, and is read away then.
#[test]
fn loop_loses_none_of_two_thousand_probes() {
    let directory = StateDir::with(&[("web", "up 73%")]);
    for service in ["web", "--ask"] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let arguments = [service, "--state-dir", directory.path()];
        let mut responder = on_connection(&arguments, listener);
        for number in 0..2000 {
            let printed = ask(address, &[b"web\n"]);
            assert_eq!(printed.expect("no reset"), "up 73%\n", "probe {number}");
        }
        responder.signal("TERM");
        assert_eq!(responder.ended(), Some(0));
    }
}

#[test]
fn idle_loop_ends() {
    let directory = StateDir::with(&[("web", "up 73%")]);
    let (mut responder, address) = start(&["web", "--idle", "1s", "--state-dir", directory.path()]);
    let idle = Duration::from_secs(1);
    let begin = Instant::now();
    let mut last = begin;
    // Beyond its time, but never so long without a client; where this machine is too slow for that, a
    // refused connection would say so.
    while begin.elapsed() < Duration::from_millis(1500) {
        last = Instant::now();
        assert_eq!(probe(address, ""), "up 73%\n");
    }
    assert_eq!(responder.ended(), Some(0));
    // Counted from when it accepted, which was after this.
    assert!(last.elapsed() >= idle, "{:?}", last.elapsed());
}

/// As process 1 of a container, for which signals without a handler are ignored.
#[test]
fn signals_end_the_loop_as_process_1() {
    for signal in ["TERM", "INT"] {
        let directory = StateDir::with(&[("web", "up 73%")]);
        let port = free_port();
        let listen = format!("127.0.0.1:{port}");
        let mut command = Command::new("unshare");
        command.args([
            "--pid",
            "--fork",
            "--kill-child",
            path(),
            "web",
            "--listen",
            &listen,
        ]);
        command
            .args(["--state-dir", directory.path()])
            .stdin(Stdio::null());
        let mut unshare = Running::start(&mut command);
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        assert_eq!(rest(eventually(|| TcpStream::connect(address))), "up 73%\n");
        // And clients that are still there do not hold it.
        let _client = connect(address);
        let children = format!("/proc/{0}/task/{0}/children", unshare.id());
        let child = fs::read_to_string(children).unwrap();
        let killed = tool(
            "procps",
            Command::new("kill").args(["-s", signal, child.trim()]),
        );
        assert!(killed.status.success());
        assert_eq!(unshare.ended(), Some(0));
    }
}
