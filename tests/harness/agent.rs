//! An agent that `HAProxy` probes, with a count of its exchanges. It sends a scripted reply, which our responder
//! never sends, or it starts our responder for the connection, as inetd does.

use crate::listener::Listener;
use crate::processes::{LIMIT, wait_for_growth};
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// What an agent does with a connection.
#[derive(Clone, Debug)]
pub enum Answer {
    /// Sends these bytes in one write, shuts down its sending side, reads what the peer sent away.
    Bytes(Vec<u8>),
    /// Sends these bytes and leaves the connection open.
    BytesAndOpen(Vec<u8>),
    /// Resets the connection.
    Reset,
    /// Starts this program for the connection and waits for its end.
    Program(OneShot),
}

/// A program that is started for each connection.
#[derive(Clone, Debug)]
pub struct OneShot {
    /// What to start.
    pub program: PathBuf,
    /// With what arguments.
    pub arguments: Vec<String>,
    /// Where its diagnostics go.
    pub diagnostics: Diagnostics,
}

/// Where standard error of a [`OneShot`] goes.
#[derive(Clone, Debug)]
pub enum Diagnostics {
    /// To the connection, as xinetd and inetd have it.
    Connection,
    /// To a file.
    File(PathBuf),
}

/// A listening agent.
#[derive(Debug)]
pub struct Agent {
    address: SocketAddr,
    shared: Arc<Shared>,
    listener: Option<Listener>,
}

#[derive(Debug)]
struct Shared {
    answer: Mutex<Answer>,
    begun: AtomicU64,
    faults: Mutex<Vec<String>>,
    held: Mutex<Vec<TcpStream>>,
}

impl Agent {
    /// Listens on `address` and gives `answer`.
    #[must_use]
    pub fn start(address: SocketAddr, answer: Answer) -> Self {
        let shared = Arc::new(Shared {
            answer: Mutex::new(answer),
            begun: AtomicU64::new(0),
            faults: Mutex::default(),
            held: Mutex::default(),
        });
        let mut agent = Self {
            address,
            shared,
            listener: None,
        };
        agent.restart();
        agent
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Gives another answer from the next connection on.
    ///
    /// # Panics
    /// Where an exchange panicked.
    pub fn set_answer(&self, answer: Answer) {
        *self.shared.answer.lock().unwrap() = answer;
    }

    /// Connections accepted so far.
    #[must_use]
    pub fn exchanges(&self) -> u64 {
        self.shared.begun.load(Ordering::SeqCst)
    }

    /// Waits until at least `count` whole exchanges have begun after this call and have been acted on:
    /// the peer that connects once more is done with the one before.
    pub fn wait_for_exchanges(&self, count: u64) {
        // One may be under way with the answer before, one is begun to show that the last is over.
        let enough = self.exchanges() + count + 2;
        wait_for_growth(
            format_args!("{enough} exchanges with the agent at {}", self.address),
            enough,
            || self.exchanges(),
        );
    }

    /// Stops listening, so that connections are refused.
    pub fn stop(&mut self) {
        self.listener = None;
    }

    /// Listens again.
    pub fn restart(&mut self) {
        let shared = Arc::clone(&self.shared);
        self.listener.get_or_insert_with(|| {
            Listener::open(self.address, move |stream| shared.serve(stream))
        });
    }

    /// What programs did wrong: they ended with another status than 0 or could not be started.
    ///
    /// # Panics
    /// Where an exchange panicked.
    #[must_use]
    pub fn faults(&self) -> Vec<String> {
        self.shared.faults.lock().unwrap().clone()
    }
}

impl Shared {
    fn serve(&self, mut stream: TcpStream) {
        let answer = self.answer.lock().unwrap().clone();
        self.begun.fetch_add(1, Ordering::SeqCst);
        // A peer may close early: the tests check what it made of the exchange.
        match answer {
            Answer::Bytes(bytes) => {
                let _ = stream.write_all(&bytes);
                let _ = stream.shutdown(Shutdown::Write);
                let _ = stream.set_read_timeout(Some(Duration::from_secs(1)));
                let _ = stream.read_to_end(&mut Vec::new());
            }
            Answer::BytesAndOpen(bytes) => {
                let _ = stream.write_all(&bytes);
                self.held.lock().unwrap().push(stream);
            }
            Answer::Reset => {
                let _ = rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO));
            }
            Answer::Program(one_shot) => {
                if let Err(fault) = one_shot.serve(stream) {
                    self.faults.lock().unwrap().push(fault);
                }
            }
        }
    }
}

impl OneShot {
    /// Starts the program with this connection as its standard input and output, and waits for its end.
    ///
    /// # Errors
    /// Where it cannot be started or ends with another status than 0.
    pub fn serve(&self, stream: TcpStream) -> Result<(), String> {
        let duplicate = || stream.try_clone().map(OwnedFd::from);
        let to_text = |error: std::io::Error| format!("{}: {error}", self.program.display());
        let error = match &self.diagnostics {
            Diagnostics::Connection => Stdio::from(duplicate().map_err(to_text)?),
            Diagnostics::File(path) => {
                let file = File::options().create(true).append(true).open(path);
                Stdio::from(file.map_err(to_text)?)
            }
        };
        let mut child = Command::new(&self.program)
            .args(&self.arguments)
            .stdin(duplicate().map_err(to_text)?)
            .stdout(duplicate().map_err(to_text)?)
            .stderr(error)
            .spawn()
            .map_err(to_text)?;
        // The child alone has the connection, so it ends with the child.
        drop(stream);
        let start = Instant::now();
        let status = loop {
            if let Some(status) = child.try_wait().map_err(to_text)? {
                break status;
            }
            if start.elapsed() > LIMIT {
                let _ = child.kill();
                let _ = child.wait();
                return Err(format!("{} did not end", self.program.display()));
            }
            std::thread::sleep(Duration::from_micros(500));
        };
        if status.success() {
            Ok(())
        } else {
            Err(format!("{} ended with {status}", self.program.display()))
        }
    }
}
