//! The application whose load is what it is all about: a real HTTP server that says in JSON how many
//! messages a second it serves, and that can hang, dribble, die and come back while it is asked.

use crate::listener::Listener;
use crate::processes::wait_until;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// How the application takes a request.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Manner {
    /// Answers with this status and body.
    Answers { status: u16, body: String },
    /// Accepts and never answers.
    Hangs,
    /// Sends the answer of this body byte by byte, one each 50 ms.
    Drips { body: String },
}

/// The application.
#[derive(Debug)]
pub struct Application {
    address: SocketAddr,
    shared: Arc<Shared>,
    door: Option<Listener>,
}

#[derive(Debug)]
struct Shared {
    manner: Mutex<Manner>,
    requests: AtomicU64,
    held: Mutex<Vec<TcpStream>>,
}

impl Application {
    /// Serves on `address`, at first with `messages` messages a second and nothing else to say.
    #[must_use]
    pub fn start(address: SocketAddr, messages: u32) -> Self {
        let shared = Arc::new(Shared {
            manner: Mutex::new(Manner::Answers {
                status: 200,
                body: load(messages, "ok"),
            }),
            requests: AtomicU64::new(0),
            held: Mutex::default(),
        });
        let mut application = Self {
            address,
            shared,
            door: None,
        };
        application.revive();
        application
    }

    /// Where it serves.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its health check's URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}/health_check", self.address)
    }

    /// From now on `{"msg-per-second": messages, "state": "state"}`.
    pub fn reports(&self, messages: u32, state: &str) {
        self.answers(200, &load(messages, state));
    }

    /// From now on this status and body.
    pub fn answers(&self, status: u16, body: &str) {
        self.behaves(Manner::Answers {
            status,
            body: body.to_owned(),
        });
    }

    /// From now on it accepts and never answers; connections that wait already go on waiting.
    pub fn hangs(&self) {
        self.behaves(Manner::Hangs);
    }

    /// From now on its answer takes a byte each 50 ms.
    pub fn drips(&self, messages: u32, state: &str) {
        self.behaves(Manner::Drips {
            body: load(messages, state),
        });
    }

    /// Whoever waits for an answer that will not come is let go.
    ///
    /// # Panics
    /// Where a request panicked.
    pub fn lets_go(&self) {
        self.shared.held.lock().unwrap().clear();
    }

    fn behaves(&self, manner: Manner) {
        *self.shared.manner.lock().unwrap() = manner;
    }

    /// Stops listening, and drops whoever waits: connections are refused.
    ///
    /// # Panics
    /// Where a request panicked.
    pub fn dies(&mut self) {
        self.door = None;
        self.shared.held.lock().unwrap().clear();
    }

    /// Listens again, in the manner of before.
    pub fn revive(&mut self) {
        let shared = Arc::clone(&self.shared);
        self.door.get_or_insert_with(|| {
            Listener::open(self.address, move |stream| {
                // A request of its own thread each, so that a slow one delays nobody.
                let shared = Arc::clone(&shared);
                std::thread::spawn(move || shared.serve(stream));
            })
        });
    }

    /// Requests seen so far.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.shared.requests.load(Ordering::SeqCst)
    }

    /// Waits until `count` more requests have come in.
    pub fn wait_for_requests(&self, count: u64) {
        let enough = self.requests() + count;
        wait_until(format_args!("{count} requests to the application"), || {
            self.requests() >= enough
        });
    }
}

impl Shared {
    fn serve(&self, stream: TcpStream) {
        // Connections for health checks bring no request; whoever comes without one is let go.
        if !is_request(&stream) {
            return;
        }
        self.requests.fetch_add(1, Ordering::SeqCst);
        let manner = self.manner.lock().unwrap().clone();
        // Whoever has gone away in between does not want the answer.
        match manner {
            Manner::Answers { status, body } => {
                let _ = (&stream).write_all(response(status, &body).as_bytes());
            }
            Manner::Hangs => self.held.lock().unwrap().push(stream),
            Manner::Drips { body } => {
                for byte in response(200, &body).as_bytes() {
                    if (&stream).write_all(&[*byte]).is_err() {
                        break;
                    }
                    std::thread::sleep(Duration::from_millis(50));
                }
            }
        }
    }
}

/// Reads a request's head; there is no body in what tests ask.
fn is_request(stream: &TcpStream) -> bool {
    let _ = stream.set_read_timeout(Some(Duration::from_secs(10)));
    let mut lines = BufReader::new(stream).lines();
    let Some(Ok(first)) = lines.next() else {
        return false;
    };
    let complete = lines.any(|line| line.is_ok_and(|line| line.is_empty()));
    complete && first.starts_with("GET ")
}

fn load(messages: u32, state: &str) -> String {
    format!("{{\"msg-per-second\": {messages}, \"state\": \"{state}\"}}")
}

fn response(status: u16, body: &str) -> String {
    let reason = if status == 200 { "OK" } else { "As Told" };
    let length = body.len();
    format!(
        "HTTP/1.1 {status} {reason}\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
}
