//! The application: a real HTTP server that reports its messages a second in JSON, and that can hang, send
//! slowly, stop and start again.

use crate::listener::Listener;
use crate::processes::wait_until;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// How the application takes a request.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Behaviour {
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
    listener: Option<Listener>,
}

#[derive(Debug)]
struct Shared {
    behaviour: Mutex<Behaviour>,
    requests: AtomicU64,
    held: Mutex<Vec<TcpStream>>,
}

impl Application {
    /// Serves on `address`; it reports `messages` messages a second at first.
    #[must_use]
    pub fn start(address: SocketAddr, messages: u32) -> Self {
        let shared = Arc::new(Shared {
            behaviour: Mutex::new(Behaviour::Answers {
                status: 200,
                body: load(messages, "ok"),
            }),
            requests: AtomicU64::new(0),
            held: Mutex::default(),
        });
        let mut application = Self {
            address,
            shared,
            listener: None,
        };
        application.restart();
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
    pub fn set_load(&self, messages: u32, state: &str) {
        self.set_response(200, &load(messages, state));
    }

    /// From now on this status and body.
    pub fn set_response(&self, status: u16, body: &str) {
        self.set_behaviour(Behaviour::Answers {
            status,
            body: body.to_owned(),
        });
    }

    /// From now on it accepts and never answers; waiting connections keep waiting.
    pub fn hang(&self) {
        self.set_behaviour(Behaviour::Hangs);
    }

    /// From now on its answer takes a byte each 50 ms.
    pub fn drip(&self, messages: u32, state: &str) {
        self.set_behaviour(Behaviour::Drips {
            body: load(messages, state),
        });
    }

    /// Closes the connections that wait for a response.
    ///
    /// # Panics
    /// Where a request panicked.
    pub fn drop_waiting(&self) {
        self.shared.held.lock().unwrap().clear();
    }

    fn set_behaviour(&self, behaviour: Behaviour) {
        *self.shared.behaviour.lock().unwrap() = behaviour;
    }

    /// Stops listening, and drops waiting clients: connections are refused.
    ///
    /// # Panics
    /// Where a request panicked.
    pub fn stop(&mut self) {
        self.listener = None;
        self.shared.held.lock().unwrap().clear();
    }

    /// Listens again, in the behaviour of before.
    pub fn restart(&mut self) {
        let shared = Arc::clone(&self.shared);
        self.listener.get_or_insert_with(|| {
            Listener::open(self.address, move |stream| {
                // A thread for each request, so that a slow one delays no other.
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
        // Connections of health checks bring no request.
        if !is_request(&stream) {
            return;
        }
        self.requests.fetch_add(1, Ordering::SeqCst);
        let behaviour = self.behaviour.lock().unwrap().clone();
        // The client may have closed the connection.
        match behaviour {
            Behaviour::Answers { status, body } => {
                let _ = (&stream).write_all(response(status, &body).as_bytes());
            }
            Behaviour::Hangs => self.held.lock().unwrap().push(stream),
            Behaviour::Drips { body } => {
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
    let reason = if status == 200 { "OK" } else { "Configured" };
    let length = body.len();
    format!(
        "HTTP/1.1 {status} {reason}\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
}
