//! The peers of many servers of one `HAProxy`: an agent that sends a given reply exactly once and no-op replies
//! otherwise, and an application that passes or fails health checks. It counts exchanges: `HAProxy` has acted on
//! one when it begins the next.

use super::model::Fault;
use agentcheck_tests::listener::Listener;
use std::collections::HashMap;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What an agent does in one exchange.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    /// Sends this line.
    Line(Vec<u8>),
    /// Fails.
    Fault(Fault),
}

/// The state of one server.
#[derive(Debug)]
struct Peer {
    next: Option<Answer>,
    passes: bool,
    probes: u64,
    checks: u64,
}

/// All servers' agents behind one address, and all their applications behind another. A server's name is
/// what `HAProxy` sends to its agent, and the path of its health check.
#[derive(Debug)]
pub(crate) struct Peers {
    shared: Arc<Mutex<HashMap<String, Peer>>>,
    _doors: [Listener; 2],
}

impl Peers {
    /// Listens for the agents of these servers and for their applications, which pass.
    pub(crate) fn open(names: &[String], agent: SocketAddr, application: SocketAddr) -> Self {
        let peers = names.iter().map(|name| {
            let peer = Peer {
                next: None,
                passes: true,
                probes: 0,
                checks: 0,
            };
            (name.clone(), peer)
        });
        let shared = Arc::new(Mutex::new(peers.collect::<HashMap<_, _>>()));
        let (probed, checked) = (Arc::clone(&shared), Arc::clone(&shared));
        Self {
            shared,
            _doors: [
                Listener::open(agent, move |stream| probe(stream, &probed)),
                Listener::open(application, move |stream| check(stream, &checked)),
            ],
        }
    }

    /// The agent of `name` gives this answer to the next probe, and freezes after it.
    pub(crate) fn answer(&self, name: &str, answer: Answer) {
        self.with(name, |peer| peer.next = Some(answer));
    }

    /// From now on the application of `name` passes health checks, or does not.
    pub(crate) fn pass(&self, name: &str, passes: bool) {
        self.with(name, |peer| peer.passes = passes);
    }

    /// How many probes and how many health checks of `name` have begun.
    pub(crate) fn begun(&self, name: &str) -> (u64, u64) {
        self.with(name, |peer| (peer.probes, peer.checks))
    }

    fn with<T>(&self, name: &str, act: impl FnOnce(&mut Peer) -> T) -> T {
        let mut peers = self.shared.lock().unwrap();
        act(peers.get_mut(name).expect("a server has its peer"))
    }
}

/// The first line that the peer sends.
fn line(stream: &mut TcpStream) -> Option<String> {
    stream
        .set_read_timeout(Some(Duration::from_secs(1)))
        .unwrap();
    let mut bytes = Vec::new();
    let mut buffer = [0; 512];
    while !bytes.contains(&b'\n') {
        match stream.read(&mut buffer) {
            Ok(count) if count > 0 => bytes.extend_from_slice(&buffer[..count]),
            _ => return None,
        }
    }
    let text = String::from_utf8(bytes).ok()?;
    text.lines().next().map(str::to_owned)
}

/// One exchange with an agent.
fn probe(mut stream: TcpStream, peers: &Mutex<HashMap<String, Peer>>) {
    let Some(name) = line(&mut stream) else {
        return;
    };
    let answer = {
        let mut peers = peers.lock().unwrap();
        let Some(peer) = peers.get_mut(&name) else {
            return;
        };
        peer.probes += 1;
        peer.next.take()
    };
    let bytes = match answer.unwrap_or(Answer::Fault(Fault::Freezes)) {
        Answer::Line(bytes) => [&bytes, &b"\n"[..]].concat(),
        Answer::Fault(Fault::Freezes) => format!("no-state:{name}\n").into_bytes(),
        Answer::Fault(Fault::Breaks) => b"down drain 0%".to_vec(),
        Answer::Fault(Fault::Closes) => Vec::new(),
        Answer::Fault(Fault::Resets) => {
            let _ = rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO));
            return;
        }
    };
    // If HAProxy has closed the connection, this reply is lost; the test compares the resulting state.
    let _ = stream.write_all(&bytes);
    let _ = stream.shutdown(Shutdown::Write);
}

/// One health check: `GET /NAME`.
fn check(mut stream: TcpStream, peers: &Mutex<HashMap<String, Peer>>) {
    let request = line(&mut stream).unwrap_or_default();
    let path = request.split(' ').nth(1).unwrap_or_default();
    let passes = {
        let mut peers = peers.lock().unwrap();
        let Some(peer) = peers.get_mut(path.trim_start_matches('/')) else {
            return;
        };
        peer.checks += 1;
        peer.passes
    };
    let status = if passes {
        "200 OK"
    } else {
        "503 Service Unavailable"
    };
    let _ = write!(stream, "HTTP/1.0 {status}\r\nContent-Length: 0\r\n\r\n");
    let _ = stream.shutdown(Shutdown::Write);
}
