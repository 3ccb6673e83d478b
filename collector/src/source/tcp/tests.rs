//! Conversations with real servers on the loopback and on unix sockets.

use super::*;
use agentcheck_tests::scratch::Scratch;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::time::Instant;

const AMPLE: Duration = Duration::from_secs(30);
const SHORT: Duration = Duration::from_millis(300);
const NOT_BLOCKED: Duration = Duration::from_secs(20);

fn poll(tcp: Tcp, timeout: Duration) -> Result<(), Failure> {
    let started = Instant::now();
    let found = Connector::new(tcp).poll(Deadline::within(timeout), &Cancellation::new());
    assert!(started.elapsed() < NOT_BLOCKED, "blocked: {found:?}");
    found
        .outcome
        .map(|content| assert_eq!(content, Content::Nothing))
}

fn reason(tcp: Tcp, timeout: Duration) -> Reason {
    poll(tcp, timeout).expect_err("a failure").reason
}

#[test]
fn addresses_are_parsed() {
    for (address, printed) in [
        ("127.0.0.1:6379", "tcp 127.0.0.1:6379"),
        ("[::1]:1", "tcp [::1]:1"),
        ("db-1.example:65535", "tcp db-1.example:65535"),
    ] {
        assert_eq!(tcp(address).to_string(), printed);
    }
    for (address, wrong) in [
        ("", "has no port"),
        ("localhost", "has no port"),
        ("localhost:", "has no port from 1 to 65535"),
        ("localhost:0", "has no port from 1 to 65535"),
        ("localhost:+1", "has no port from 1 to 65535"),
        ("localhost:65536", "has no port from 1 to 65535"),
        ("localhost:redis", "has no port from 1 to 65535"),
        (":80", "has no host before the port"),
        ("[]:80", "has no IPv6 address in its brackets"),
        ("[localhost]:80", "has no IPv6 address in its brackets"),
        ("::1:80", "has an IPv6 address without brackets"),
        ("http://a:80", "has an IPv6 address without brackets"),
        ("a b:80", "has no host before the port"),
    ] {
        assert_eq!(Peer::parse(address), Err(wrong.to_owned()), "{address:?}");
    }
}

#[test]
fn listening_port_is_good_and_closed_port_is_refused() {
    // Addresses that no other test listens on, so that the port stays free.
    let listener = TcpListener::bind("127.77.0.2:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    assert_eq!(poll(tcp(&address), AMPLE), Ok(()));
    drop(listener);
    assert_eq!(reason(tcp(&address), AMPLE), Reason::Refused);
    let unreachable = tcp("224.0.0.1:9");
    assert_eq!(reason(unreachable, AMPLE), Reason::Unreachable);
}

#[test]
fn connection_is_closed_and_nothing_is_sent() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let by_name = tcp(&format!("localhost:{port}"));
    assert_eq!(poll(by_name, AMPLE), Ok(()));
    let mut sent = Vec::new();
    let (mut stream, _) = listener.accept().unwrap();
    assert_eq!(stream.read_to_end(&mut sent).unwrap(), 0);
}

#[test]
fn full_queue_is_a_timeout() {
    let (address, _held) = connect::tests::hanging("127.77.0.3");
    let failure = poll(tcp(&address.to_string()), SHORT).unwrap_err();
    assert_eq!(failure.to_string(), "timeout: no connection within 300ms");
}

fn tcp(address: &str) -> Tcp {
    Peer::parse(address).unwrap().into()
}

/// A server that sends a text after it has received `expected`, and then closes or waits.
fn server(expected: &'static str, response: &'static str, closes: bool) -> Tcp {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut received = vec![0; expected.len()];
            let _ = stream.read_exact(&mut received);
            assert_eq!(received, expected.as_bytes());
            for part in response.as_bytes().chunks(7) {
                let _ = stream.write_all(part);
                std::thread::sleep(Duration::from_millis(1));
            }
            if !closes {
                let _ = stream.read(&mut [0]);
            }
        }
    });
    tcp(&address)
}

fn talk(tcp: Tcp, send: &str, end: End, timeout: Duration) -> Found {
    let conversation = Conversation {
        send: send.into(),
        end,
        format: Format::Text,
        max_bytes: 100,
    };
    let tcp = Tcp {
        conversation: Some(conversation),
        ..tcp
    };
    Connector::new(tcp).poll(Deadline::within(timeout), &Cancellation::new())
}

#[test]
fn response_ends_at_a_match_a_length_or_the_close() {
    let pattern = |text| End::Match(Regex::new(text).unwrap());
    let memcached = "STAT curr_connections 2\r\nEND\r\n";
    for (send, response, closes, end, text) in [
        ("stats\r\n", memcached, false, pattern("END\r\n"), memcached),
        (
            "",
            "220 mail ESMTP\r\n",
            false,
            pattern("\n"),
            "220 mail ESMTP\r\n",
        ),
        ("x", "0123456789", false, End::Bytes(4), "0123"),
        ("QUIT\n", "a\nbye\n", true, End::Close, "a\nbye\n"),
    ] {
        let found = talk(server(send, response, closes), send, end, AMPLE);
        assert_eq!(found.text.as_deref(), Some(text));
        assert_eq!(found.outcome, Ok(Content::Text));
    }
}

#[test]
fn response_without_its_end_is_a_failure() {
    let pattern = || End::Match(Regex::new("END").unwrap());
    let silent = talk(server("", "", false), "", pattern(), SHORT);
    let failure = silent.outcome.unwrap_err();
    assert_eq!(
        failure.to_string(),
        "timeout: response not complete within 300ms"
    );
    let part = talk(server("", "STAT", false), "", pattern(), SHORT);
    assert_eq!(part.text.as_deref(), Some("STAT"));
    let closed = talk(server("", "STAT", true), "", pattern(), AMPLE);
    assert_eq!(closed.outcome.unwrap_err().reason, Reason::Broken);
    assert_eq!(closed.text.as_deref(), Some("STAT"));
    let long = Box::leak("x".repeat(101).into_boxed_str());
    let large = talk(server("", long, false), "", pattern(), AMPLE);
    assert_eq!(large.outcome.unwrap_err().reason, Reason::TooLarge);
    // A server that neither reads nor closes does not block the sender.
    let (address, _held) = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        (listener.local_addr().unwrap().to_string(), listener)
    };
    let much = "x".repeat(64 << 20);
    let stuck = talk(tcp(&address), &much, End::Close, SHORT);
    assert_eq!(stuck.outcome.unwrap_err().reason, Reason::Timeout);
}

#[test]
fn unix_sockets_connect_within_the_deadline() {
    let scratch = Scratch::new("tcp");
    let path = scratch.file("app.sock");
    let at = |path: &Path| Tcp::from(Peer::Unix(path.to_owned()));
    assert_eq!(reason(at(&path), AMPLE), Reason::Missing);
    let listener = UnixListener::bind(&path).unwrap();
    assert_eq!(poll(at(&path), AMPLE), Ok(()));
    // A queue of 0 has room for one connection, which is there already.
    rustix::net::listen(&listener, 0).unwrap();
    let failure = poll(at(&path), SHORT).unwrap_err();
    assert_eq!(
        failure.to_string(),
        "timeout: no room in its queue of connections within 300ms"
    );
    drop(listener);
    assert_eq!(reason(at(&path), AMPLE), Reason::Refused);
}

#[test]
fn stop_ends_the_wait() {
    let stop = Cancellation::new();
    stop.stop();
    let found = Connector::new(tcp("127.0.0.1:9")).poll(Deadline::within(AMPLE), &stop);
    assert_eq!(found.outcome, Err(stopped()));
}
