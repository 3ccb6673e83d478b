//! The HTTP source with real servers, most of them bad ones.

mod lookup;
mod requests;
mod secure;
mod server;
mod sockets;

use super::*;
use crate::reading::Content;
use agentcheck_tests::scratch::Scratch;
use server::{answering, drip, ok, server};
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// Long enough for any machine to answer.
const AMPLE: Duration = Duration::from_secs(30);
/// The timeout of polls of bad servers.
const SHORT: Duration = Duration::from_millis(300);
/// How long the bad servers would block a client, and the bound that proves they did not.
const BLOCKED: Duration = Duration::from_secs(60);
const NOT_BLOCKED: Duration = Duration::from_secs(20);

fn http(url: &str) -> Http {
    Http {
        max_bytes: 1000,
        ..Http::get(url)
    }
}

fn poll(http: Http, timeout: Duration) -> Found {
    let started = Instant::now();
    let found = Exchange::new(http).poll(Deadline::within(timeout));
    if timeout == SHORT {
        assert!(started.elapsed() < NOT_BLOCKED, "blocked: {found:?}");
    }
    found
}

fn reason(found: &Found) -> Reason {
    found.outcome.clone().expect_err("a failure").reason
}

#[test]
fn text_number_and_json() {
    let text = poll(http(&answering(ok("up\n"))), AMPLE);
    assert_eq!(text.outcome, Ok(Content::Text));
    assert_eq!((text.status, text.exit), (Some(200), None));
    assert_eq!(text.text.as_deref(), Some("up\n"));

    let format = Format::Number;
    let number = poll(
        Http {
            format,
            ..http(&answering(ok(" 42.5\n")))
        },
        AMPLE,
    );
    assert_eq!(number.outcome, Ok(Content::Number(42.5)));

    let format = Format::Json;
    let url = answering(ok(r#"{"msg-per-second": 1890}"#));
    let json = poll(
        Http {
            format,
            ..http(&url)
        },
        AMPLE,
    );
    let value = serde_json::json!({"msg-per-second": 1890});
    assert_eq!(json.outcome, Ok(Content::Json(value)));
}

#[test]
fn bodies_end_by_length_by_chunks_or_by_closing() {
    for answer in [
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhelloEXTRA",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
        "HTTP/1.0 200 OK\r\n\r\nhello",
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    ] {
        let found = poll(http(&answering(answer)), AMPLE);
        assert_eq!(found.text.as_deref(), Some("hello"), "{answer:?}");
        assert_eq!(found.outcome, Ok(Content::Text));
    }
    let empty = poll(http(&answering("HTTP/1.1 204 No Content\r\n\r\n")), AMPLE);
    assert_eq!((empty.status, empty.text.as_deref()), (Some(204), Some("")));
    assert!(empty.outcome.is_ok());
}

#[test]
fn request_names_its_program_and_closes_the_connection() {
    let url = server(|mut stream, head| {
        let _ = stream.write_all(ok(head).as_bytes());
    });
    let head = poll(http(&format!("{url}load?of=all")), AMPLE)
        .text
        .unwrap();
    let head = head.to_ascii_lowercase();
    assert!(head.starts_with("get /load?of=all http/1.1\r\n"), "{head}");
    let agent = format!("user-agent: agentcheck/{}\r\n", env!("CARGO_PKG_VERSION"));
    assert!(head.contains(&agent), "{head}");
    assert!(head.contains("connection: close\r\n"), "{head}");
    assert!(!head.contains("accept-encoding"), "{head}");
}

#[test]
fn unexpected_status_is_a_failure_with_its_body() {
    for (line, status) in [("404 Not Found", 404), ("500 Internal Server Error", 500)] {
        let answer = format!("HTTP/1.1 {line}\r\nContent-Length: 6\r\n\r\nbroken");
        let found = poll(http(&answering(answer)), AMPLE);
        let failure = found.outcome.unwrap_err();
        assert_eq!(failure.reason, Reason::Status);
        assert_eq!(failure.detail, line);
        assert_eq!(found.status, Some(status));
        assert_eq!(found.text.as_deref(), Some("broken"));
    }
    let odd = poll(http(&answering("HTTP/1.1 799 up 100%\r\n\r\n")), AMPLE);
    assert_eq!(odd.outcome.unwrap_err().detail, "799");
}

#[test]
fn status_outranks_a_missing_body() {
    for body in [
        "Content-Length: 100000\r\n\r\n",
        "Content-Length: 10\r\n\r\nab",
    ] {
        let found = poll(http(&answering(format!("HTTP/1.1 503 x\r\n{body}"))), AMPLE);
        assert_eq!(reason(&found), Reason::Status);
        assert_eq!((found.status, found.text), (Some(503), None));
    }
}

#[test]
fn redirects_are_followed_at_most_as_often_as_configured() {
    let url = server(|mut stream, head| {
        let path = head.split(' ').nth(1).unwrap_or_default();
        let next = match path {
            "/" => "/1",
            "/1" => "/2",
            "/2" => "/end",
            "/tls" => "https://127.0.0.1/",
            "/secret" => "http://user:word@127.0.0.1/",
            _ => "",
        };
        let answer = match next {
            "" => ok("arrived"),
            next => format!("HTTP/1.1 302 Found\r\nLocation: {next}\r\n\r\nmoved"),
        };
        let _ = stream.write_all(answer.as_bytes());
    });
    let with = |path: &str, redirects| {
        poll(
            Http {
                redirects,
                ..http(&format!("{url}{path}"))
            },
            AMPLE,
        )
    };
    for redirects in [0, 1, 2] {
        let found = with("", redirects);
        assert_eq!(reason(&found), Reason::Redirect, "{redirects}");
        assert_eq!(found.status, Some(302));
        assert_eq!(found.text.as_deref(), Some("moved"));
    }
    assert_eq!(with("", 0).outcome.unwrap_err().detail, "302 Found to /1");
    assert_eq!(with("", 3).text.as_deref(), Some("arrived"));
    for elsewhere in ["tls", "secret"] {
        let found = with(elsewhere, 9);
        assert_eq!(
            (reason(&found), found.status),
            (Reason::Redirect, Some(302))
        );
    }
}

#[test]
fn body_over_max_bytes_is_too_large() {
    let body = "x".repeat(1000);
    assert!(poll(http(&answering(ok(&body))), AMPLE).outcome.is_ok());
    let body = "x".repeat(1001);
    for answer in [ok(&body), format!("HTTP/1.0 200 OK\r\n\r\n{body}")] {
        let found = poll(http(&answering(answer)), AMPLE);
        assert_eq!(reason(&found), Reason::TooLarge);
        assert_eq!((found.status, found.text), (Some(200), None));
    }
    // The announced length is small enough; the body is not read beyond it.
    let liar = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n".to_owned() + &body;
    assert_eq!(
        poll(http(&answering(liar)), AMPLE).text.as_deref(),
        Some("xx")
    );
}

#[test]
fn endless_body_is_cut_and_the_connection_closed() {
    let (ended, end) = mpsc::channel();
    let url = server(move |mut stream, _| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
        while stream.write_all(&[b'x'; 4096]).is_ok() {}
        let _ = ended.send(());
    });
    let mut exchange = Exchange::new(http(&url));
    let found = exchange.poll(Deadline::within(AMPLE));
    assert_eq!(reason(&found), Reason::TooLarge);
    end.recv_timeout(NOT_BLOCKED).expect("connection closed");
}

#[test]
fn deadline_bounds_a_body_a_head_and_continues_that_drip() {
    let body = server(|mut stream, _| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n");
        drip(stream, b"x");
    });
    let head = server(|mut stream, _| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nX: ");
        drip(stream, b"x");
    });
    let continues = server(|stream, _| drip(stream, b"HTTP/1.1 100 Continue\r\n\r\n"));
    for (url, status) in [(body, Some(200)), (head, None), (continues, None)] {
        let found = poll(http(&url), SHORT);
        assert_eq!(reason(&found), Reason::Timeout, "{found:?}");
        assert_eq!((found.status, found.text), (status, None));
    }
}

#[test]
fn deadline_bounds_silence_before_and_after_accept() {
    let silent = server(|_stream, _| thread::sleep(BLOCKED));
    assert_eq!(reason(&poll(http(&silent), SHORT)), Reason::Timeout);

    // Never accepted: the kernel takes the connection and the request, and no program reads it.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let failure = poll(http(&url), SHORT).outcome.unwrap_err();
    assert_eq!(failure.to_string(), "timeout: no answer within 300ms");
}

#[test]
fn broken_connection_is_reported_as_broken() {
    let closes_at_once = server(|_stream, _| {});
    let in_the_head = answering("HTTP/1.1 200 OK\r\nContent-Le");
    let in_the_body = answering("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
    let in_a_chunk = answering("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nhalf");
    // Unread data makes the kernel answer with a reset.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let resets = format!("http://{}/", listener.local_addr().unwrap());
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let _ = stream.read(&mut [0; 1]);
    });
    for (url, status) in [
        (closes_at_once, None),
        (in_the_head, None),
        (in_the_body, Some(200)),
        (in_a_chunk, Some(200)),
        (resets, None),
    ] {
        let found = poll(http(&url), AMPLE);
        assert_eq!(reason(&found), Reason::Broken, "{found:?}");
        assert_eq!((found.status, found.text), (status, None));
    }
}

#[test]
fn other_protocols_are_malformed() {
    let huge_head = format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "x".repeat(1 << 21));
    for answer in [
        "SSH-2.0-OpenSSH_9.2p1\r\n\r\n".to_owned(),
        "up 100%\n\n".to_owned(),
        "HTTP/1.1 abc OK\r\n\r\n".to_owned(),
        "HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n".to_owned(),
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n".to_owned(),
        huge_head,
    ] {
        // The client may close before the server has sent everything.
        let found = poll(http(&answering(answer.as_str())), AMPLE);
        let beginning = &answer[..answer.len().min(60)];
        assert_eq!(
            reason(&found),
            Reason::Malformed,
            "{beginning:?}: {found:?}"
        );
    }
}

#[test]
fn invalid_utf8_body_is_malformed_and_readable() {
    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\na\xffb";
    let found = poll(http(&answering(answer.as_slice())), AMPLE);
    assert_eq!(reason(&found), Reason::Malformed);
    assert_eq!(found.text.as_deref(), Some("a\u{fffd}b"));
}

#[test]
fn closed_port_is_refused() {
    // An address that no other test uses, so that the port stays free.
    let listener = TcpListener::bind("127.77.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    drop(listener);
    assert_eq!(reason(&poll(http(&url), AMPLE)), Reason::Refused);
    // The kernel has no TCP to a multicast group.
    let found = poll(http("http://224.0.0.1:9/"), AMPLE);
    assert_eq!(reason(&found), Reason::Unreachable);
}

#[test]
fn each_poll_has_a_connection_of_its_own() {
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&connections);
    // It would serve more on the same connection, and closes when a client stays idle.
    let url = server(move |mut stream, _| {
        counted.fetch_add(1, Ordering::SeqCst);
        let _ = stream.write_all(ok("1").as_bytes());
        let _ = stream.set_read_timeout(Some(Duration::from_millis(5)));
        let _ = stream.read(&mut [0]);
    });
    let mut exchange = Exchange::new(http(&url));
    for poll in 1..=10 {
        let found = exchange.poll(Deadline::within(AMPLE));
        assert!(found.outcome.is_ok(), "{found:?}");
        assert_eq!(connections.load(Ordering::SeqCst), poll);
        thread::sleep(Duration::from_millis(poll as u64));
    }
}

#[test]
fn invalid_url_fails_as_a_reading() {
    let found = poll(http("ftp://a/"), AMPLE);
    let failure = found.outcome.unwrap_err();
    assert_eq!(failure.reason, Reason::Other);
    assert!(
        failure.detail.starts_with("the URL must begin"),
        "{failure}"
    );
}

#[test]
fn not_modified_is_a_status_and_no_redirect() {
    for (line, expected) in [
        ("304 Not Modified", Reason::Status),
        ("300 Multiple Choices", Reason::Status),
        ("307 Temporary Redirect", Reason::Redirect),
    ] {
        let answer = format!("HTTP/1.1 {line}\r\nContent-Length: 0\r\n\r\n");
        assert_eq!(
            reason(&poll(http(&answering(answer)), AMPLE)),
            expected,
            "{line}"
        );
    }
}

#[test]
fn compressed_body_is_reported_as_compressed() {
    let gzip = "\u{1f}\u{8b}".chars().map(|c| c as u8).chain(*b"\x08rest");
    let gzip: Vec<u8> = gzip.collect();
    for (header, body) in [
        ("", gzip.clone()),
        ("Content-Encoding: gzip\r\n", gzip),
        ("Content-Encoding: br\r\n", b"text".to_vec()),
    ] {
        let length = body.len();
        let mut answer =
            format!("HTTP/1.1 200 OK\r\n{header}Content-Length: {length}\r\n\r\n").into_bytes();
        answer.extend(body);
        let failure = poll(http(&answering(answer)), AMPLE).outcome.unwrap_err();
        assert_eq!(failure.reason, Reason::Malformed);
        assert!(failure.detail.contains("compressed"), "{failure}");
    }
    let identity = "HTTP/1.1 200 OK\r\nContent-Encoding: identity\r\nContent-Length: 1\r\n\r\n1";
    assert!(poll(http(&answering(identity)), AMPLE).outcome.is_ok());
}

#[test]
fn redirect_is_shown_without_its_query() {
    let answer = "HTTP/1.1 302 Found\r\nLocation: http://me:word@a/p?token=x\r\n\r\n";
    let url = format!("{}?key=hidden", answering(answer));
    let source = http(&url);
    assert!(!source.to_string().contains("hidden"), "{source}");
    let failure = poll(source, AMPLE).outcome.unwrap_err();
    assert_eq!(failure.to_string(), "redirect: 302 Found to http://a/p");
}

#[test]
fn body_is_sent_and_not_printed() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let seen = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let head = server::request_head(&mut stream);
        let mut body = [0; 14];
        stream.read_exact(&mut body).unwrap();
        let _ = stream.write_all(ok("1").as_bytes());
        (head.to_ascii_lowercase(), body)
    });
    let source = Http {
        method: Method::Post,
        body: Some("{\"id\":\"secret\"".into()),
        ..http(&url)
    };
    for printed in [format!("{source:?}"), source.to_string()] {
        assert!(!printed.contains("secret"), "{printed}");
    }
    let found = poll(source, AMPLE);
    assert!(found.outcome.is_ok(), "{found:?}");
    let (head, body) = seen.join().unwrap();
    assert!(head.contains("content-length: 14\r\n"), "{head}");
    assert_eq!(&body, b"{\"id\":\"secret\"");
}
