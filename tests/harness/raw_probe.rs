//! A raw probe: every byte that a connection carries, and how it ends.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// More than any reply has.
const MOST: usize = 64 * 1024;

/// After how long without a byte a connection counts as left open.
const SILENCE: Duration = Duration::from_secs(10);

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The peer closed its sending side.
    Eof,
    /// The connection was reset.
    Reset,
    /// Nothing more came for ten seconds.
    LeftOpen,
    /// More came than any reply has.
    Endless,
}

/// All that a peer sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// What came after them.
    pub end: End,
}

impl Received {
    /// The one line of a correct agent.
    #[must_use]
    pub fn line(line: &str) -> Self {
        Self {
            bytes: format!("{line}\n").into_bytes(),
            end: End::Eof,
        }
    }

    /// The bytes as text, for messages.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }
}

/// The name has to follow its connection within this time: a responder waits at least 300 ms for it.
const PROMPT: Duration = Duration::from_millis(200);

/// How often a probe is repeated when the machine delayed the name.
const HELD_UP: usize = 10;

/// Connects as `HAProxy` does, sends `send`, never half-closes, and reads to the end. If the machine delayed the
/// name, it probes again.
///
/// # Errors
/// Where the connection is refused.
pub fn probe(address: SocketAddr, send: &[u8]) -> std::io::Result<Received> {
    let mut held_up = 0;
    loop {
        let begun = Instant::now();
        let mut stream = TcpStream::connect(address)?;
        // An agent that has replied and closed may refuse late bytes; its reply can still be read.
        let _ = stream.write_all(send);
        let prompt = send.is_empty() || begun.elapsed() < PROMPT;
        let received = receive(&mut stream);
        if prompt || held_up == HELD_UP {
            return Ok(received);
        }
        held_up += 1;
    }
}

/// Like [`probe`], and closes the sending side after `send`, as `nc -N` does.
///
/// # Errors
/// Where the connection is refused.
pub fn probe_and_half_close(address: SocketAddr, send: &[u8]) -> std::io::Result<Received> {
    let mut stream = TcpStream::connect(address)?;
    let _ = stream.write_all(send);
    let _ = stream.shutdown(Shutdown::Write);
    Ok(receive(&mut stream))
}

/// Reads to the end.
///
/// # Panics
/// Where the socket takes no timeout.
pub fn receive(stream: &mut TcpStream) -> Received {
    stream.set_read_timeout(Some(SILENCE)).unwrap();
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    let end = loop {
        match stream.read(&mut buffer) {
            Ok(0) => break End::Eof,
            Ok(_) if bytes.len() > MOST => break End::Endless,
            Ok(count) => bytes.extend_from_slice(&buffer[..count]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                break End::LeftOpen;
            }
            Err(_) => break End::Reset,
        }
    };
    Received { bytes, end }
}
