//! HTTP over unix sockets: the same bounds apply.

use super::server::request_head;
use super::*;
use std::os::unix::net::{UnixListener, UnixStream};

fn unix_server(
    scratch: &Scratch,
    serve: impl Fn(UnixStream, &str) + Send + Sync + 'static,
) -> Http {
    let path = scratch.file("app.sock");
    let listener = UnixListener::bind(&path).unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let head = request_head(&mut stream);
            serve(stream, &head);
        }
    });
    Http {
        unix: Some(path),
        ..http("http://app.example/load?x=1")
    }
}

#[test]
fn request_over_a_socket_has_the_host_of_the_url() {
    let scratch = Scratch::new("unix");
    let http = unix_server(&scratch, |mut stream, head| {
        let _ = stream.write_all(ok(head).as_bytes());
    });
    let printed = http.to_string();
    assert!(printed.contains("/app.sock\" as text"), "{printed}");
    let mut exchange = Exchange::new(http);
    for _ in 0..2 {
        let head = exchange.poll(Deadline::within(AMPLE)).text.unwrap();
        assert!(head.starts_with("GET /load?x=1 HTTP/1.1\r\n"), "{head}");
        let head = head.to_ascii_lowercase();
        assert!(head.contains("host: app.example\r\n"), "{head}");
    }
}

#[test]
fn deadline_and_size_limit_apply() {
    let scratch = Scratch::new("unix-drip");
    let http = unix_server(&scratch, |mut stream, _| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n");
        drip(stream, b"x");
    });
    assert_eq!(reason(&poll(http, SHORT)), Reason::Timeout);

    let scratch = Scratch::new("unix-flood");
    let http = unix_server(&scratch, |mut stream, _| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
        while stream.write_all(&[b'x'; 4096]).is_ok() {}
    });
    assert_eq!(reason(&poll(http, AMPLE)), Reason::TooLarge);
}

#[test]
fn absent_and_closed_sockets_fail() {
    let scratch = Scratch::new("unix-absent");
    let at = |path: PathBuf| {
        let http = Http {
            unix: Some(path),
            ..http("http://app/")
        };
        poll(http, AMPLE).outcome.unwrap_err().reason
    };
    assert_eq!(at(scratch.file("none.sock")), Reason::Missing);
    assert_eq!(at(scratch.replace("file", "x")), Reason::Refused);
    let left = scratch.file("left.sock");
    drop(UnixListener::bind(&left).unwrap());
    assert_eq!(at(left), Reason::Refused);
}
