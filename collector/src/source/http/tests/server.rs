//! The servers of the tests: real ones on loopback, good or bad.

use super::BLOCKED;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

/// A server on loopback that passes each connection to `serve`, on a thread of its own, after it has read
/// the head of the request. Its threads end with the test process.
pub(super) fn server(serve: impl Fn(TcpStream, &str) + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let serve = Arc::new(serve);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let serve = Arc::clone(&serve);
            thread::spawn(move || {
                let mut stream = stream.unwrap();
                let head = request_head(&mut stream);
                serve(stream, &head);
            });
        }
    });
    format!("http://{address}/")
}

pub(super) fn request_head(stream: &mut impl Read) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|length| length > 0) {
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap()
}

/// A server that answers every request with these bytes, and closes.
pub(super) fn answering(answer: impl Into<Vec<u8>>) -> String {
    let answer = answer.into();
    server(move |mut stream, _| {
        let _ = stream.write_all(&answer);
    })
}

pub(super) fn ok(body: &str) -> String {
    format!(
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// Writes one byte every 20 ms until the peer closes.
pub(super) fn drip(mut stream: impl Write, byte: &[u8]) {
    let started = Instant::now();
    while started.elapsed() < BLOCKED && stream.write_all(byte).is_ok() && stream.flush().is_ok() {
        thread::sleep(Duration::from_millis(20));
    }
}
