//! HTTP answers in every way of being started: contents, errors, pipelined and slow clients, and documents.

mod documents;

use crate::accept_loop::{connect, eventually, free_port, probe, start};
use crate::launched::{HANG, Running, StateDir, activated, on_connection, path, program, rest};
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// A response: status, head and body. Checks that it is well-formed and that nothing follows it.
#[derive(Debug)]
struct Response {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Response {
    fn parse(bytes: &[u8]) -> Self {
        let all = bytes.escape_ascii().to_string();
        let end = bytes.windows(4).position(|part| part == b"\r\n\r\n");
        let end = end.unwrap_or_else(|| panic!("no head: {all}"));
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
        let body = bytes[end + 4..].to_vec();
        let status = head.strip_prefix("HTTP/1.1 ").unwrap()[..3]
            .parse()
            .unwrap();
        let response = Self { status, head, body };
        assert_eq!(response.field("Connection"), "close");
        response
    }

    fn field(&self, name: &str) -> &str {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        let found = lines.find(|(found, _)| *found == name);
        found
            .unwrap_or_else(|| panic!("no {name}: {}", self.head))
            .1
            .trim()
    }

    fn length(&self) -> usize {
        self.field("Content-Length").parse().unwrap()
    }

    /// Status and body of a response whose body is complete.
    fn text(&self) -> (u16, &str) {
        assert_eq!(self.length(), self.body.len(), "{}", self.head);
        (self.status, std::str::from_utf8(&self.body).unwrap())
    }
}

fn get(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: localhost\r\nUser-Agent: test/1\r\n\r\n")
}

/// All bytes until the end; a reset is an error.
fn exchange(mut client: impl std::io::Read + std::io::Write, sent: &str) -> Vec<u8> {
    client.write_all(sent.as_bytes()).unwrap();
    let mut received = Vec::new();
    client.read_to_end(&mut received).unwrap();
    received
}

/// The ways of being started. Each gives the bytes that the program sends to a client that sends `sent`.
#[derive(Clone, Copy, Debug)]
enum Way {
    Connection,
    Pipes,
    Inherited,
    Listen,
}

const WAYS: [Way; 4] = [Way::Connection, Way::Pipes, Way::Inherited, Way::Listen];

/// A program that was started in one of the ways.
struct Started {
    way: Way,
    arguments: Vec<String>,
    address: Option<SocketAddr>,
    _responder: Option<Running>,
}

impl Started {
    fn new(way: Way, arguments: &[&str]) -> Self {
        let mut all: Vec<String> = arguments.iter().map(|text| (*text).to_owned()).collect();
        let (responder, address) = match way {
            Way::Connection | Way::Pipes => (None, None),
            Way::Inherited => {
                let (responder, address) = start(arguments);
                (Some(responder), Some(address))
            }
            Way::Listen => {
                let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
                all.push(format!("--listen={address}"));
                let with_listen: Vec<&str> = all.iter().map(String::as_str).collect();
                let responder = Running::start(&mut program(&with_listen));
                drop(eventually(|| TcpStream::connect(address)));
                (Some(responder), Some(address))
            }
        };
        Self {
            way,
            arguments: all,
            address,
            _responder: responder,
        }
    }

    fn exchange(&self, sent: &str) -> Vec<u8> {
        let arguments: Vec<&str> = self.arguments.iter().map(String::as_str).collect();
        match (self.way, self.address) {
            (_, Some(address)) => exchange(connect(address), sent),
            (Way::Pipes, None) => {
                let mut command = program(&arguments);
                command.stdin(Stdio::piped()).stdout(Stdio::piped());
                let mut responder = Running::start(&mut command);
                let mut stdin = responder.0.stdin.take().unwrap();
                stdin.write_all(sent.as_bytes()).unwrap();
                let mut received = Vec::new();
                let mut stdout = responder.0.stdout.take().unwrap();
                stdout.read_to_end(&mut received).unwrap();
                assert_eq!(responder.ended(), Some(0));
                received
            }
            (_, None) => {
                let listener = TcpListener::bind("127.0.0.1:0").unwrap();
                let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
                client.set_read_timeout(Some(HANG)).unwrap();
                let mut responder = on_connection(&arguments, listener.accept().unwrap().0);
                let received = exchange(client, sent);
                assert_eq!(responder.ended(), Some(0));
                received
            }
        }
    }

    fn http(&self, sent: &str) -> Response {
        Response::parse(&self.exchange(sent))
    }

    fn agent(&self, sent: &str) -> String {
        String::from_utf8(self.exchange(sent)).unwrap()
    }
}

#[test]
fn http_and_agent_check_are_answered_on_the_same_port() {
    let directory = StateDir::with(&[("web", "up 73% # rps=1890"), ("api", "drain")]);
    for way in WAYS {
        let arguments = directory.http_arguments();
        let responder = Started::new(way, &arguments);
        assert_eq!(responder.agent("web\n"), "up 73% # rps=1890\n", "{way:?}");
        assert_eq!(responder.agent("api\r\n"), "drain\n");
        for (target, status, body) in [
            ("/web", 200, "up 73% # rps=1890\n"),
            ("/web?x=1", 200, "up 73% # rps=1890\n"),
            ("/web/weight", 200, "73\n"),
            ("/web/load", 200, "27\n"),
            ("/api", 503, "drain\n"),
            ("/api/weight", 200, "0\n"),
            ("/api/load", 200, "100\n"),
            ("/none", 404, "unknown\n"),
            ("/", 404, "404 Not Found\n"),
            ("/../api", 404, "404 Not Found\n"),
            ("/-/metrics", 404, "404 Not Found\n"),
        ] {
            let response = responder.http(&get(target));
            assert_eq!(response.text(), (status, body), "{way:?} {target}");
        }
        let response = responder.http(&get("/web/json"));
        assert_eq!(response.field("Content-Type"), "application/json");
        let json = "{\"state\":\"up\",\"weight\":73,\"maxconn\":null,\"description\":\"rps=1890\",\
            \"fresh\":\"stale\"}\n";
        assert_eq!(response.text(), (200, json));
        let response = responder.http("OPTIONS /web HTTP/1.0\r\n\r\n");
        assert_eq!(response.text(), (200, "up 73% # rps=1890\n"));
        assert_eq!(response.field("Agentcheck-State"), "up");
        assert_eq!(response.field("Agentcheck-Weight"), "73");
        let response = responder.http("HEAD /web HTTP/1.1\r\n\r\n");
        let found = (response.status, response.length(), response.body.len());
        assert_eq!(found, (200, 18, 0));
    }
}

#[test]
fn options_select_status_and_service() {
    let directory = StateDir::with(&[("web", "drain"), ("down", "down")]);
    let path = directory.path();
    for way in WAYS {
        let arguments = ["--http-drain-status=404", "--http-fallback=200", "web"];
        let responder = Started::new(way, &[&arguments[..], &["--state-dir", path]].concat());
        for target in ["/", "/any/path", "/web", "/down"] {
            let response = responder.http(&get(target));
            assert_eq!(response.text(), (404, "drain\n"), "{way:?} {target}");
        }
        assert_eq!(responder.http(&get("/web/load")).text(), (200, "100\n"));
        // Any line that is no HTTP request, and no line at all, is agent-check of the service.
        assert_eq!(responder.agent("anything\n"), "drain\n");
        assert_eq!(responder.agent(""), "drain\n");
        let arguments = ["none", "--http-fallback", "200", "--state-dir", path];
        let responder = Started::new(way, &arguments);
        assert_eq!(responder.http(&get("/")).text(), (200, "no-state\n"));
        let responder = Started::new(way, &["none", "--http", "--state-dir", path]);
        assert_eq!(responder.http(&get("/")).text(), (503, "no-state\n"));
        // Without a service on the command line, the path names it; agent-check has none.
        let responder = Started::new(way, &["--http", "--state-dir", path]);
        assert_eq!(responder.http(&get("/down")).text(), (503, "down\n"));
        assert_eq!(responder.agent("down\n"), "no-name\n");
        // Without `--http` a request is not a service name.
        let responder = Started::new(way, &["--name-from-client", "--state-dir", path]);
        assert_eq!(responder.agent(&get("/down")), "bad-name\n");
    }
}

/// `FileDescriptorName=` of the socket unit selects the service for HTTP, too.
#[test]
fn name_of_the_socket_selects_the_service() {
    let directory = StateDir::with(&[("web", "up 73%"), ("api", "drain")]);
    let sockets = ["web", "api"].map(|_| TcpListener::bind("127.0.0.1:0").unwrap());
    let addresses = sockets
        .each_ref()
        .map(|socket| socket.local_addr().unwrap());
    let arguments = ["--http", "--state-dir", directory.path()];
    let sockets = sockets.into_iter().map(Into::into).collect();
    let _responder = Running::start(&mut activated(&arguments, sockets, "web:api"));
    for (address, status, line) in [
        (addresses[0], 200, "up 73%\n"),
        (addresses[1], 503, "drain\n"),
    ] {
        let response = Response::parse(&exchange(connect(address), &get("/")));
        assert_eq!(response.text(), (status, line));
        assert_eq!(probe(address, "x\n"), line);
    }
}

#[test]
fn invalid_and_slow_requests_are_errors() {
    let directory = StateDir::with(&[("web", "up 73%")]);
    let many_lines = format!("GET /web HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(200));
    let long_line = format!(
        "GET /web HTTP/1.1\r\nCookie: {}\r\n\r\n",
        "x".repeat(20_000)
    );
    let long_target = format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(20_000));
    for way in WAYS {
        let arguments = directory.http_arguments();
        let responder = Started::new(way, &arguments);
        for (sent, status) in [
            ("POST /web HTTP/1.1\r\nContent-Length: 1\r\n\r\nx", 405),
            ("get /web HTTP/1.1\r\n\r\n", 405),
            ("GET  HTTP/1.1\r\n\r\n", 400),
            ("GET /web\u{1} HTTP/1.1\r\n\r\n", 400),
            ("G=T /web HTTP/1.1\r\n\r\n", 400),
            ("GET /web HTTP/1.1\r\nHost: \0\r\n\r\n", 400),
            (&many_lines, 400),
            (&long_line, 400),
            (&long_target, 400),
            ("GET /web", 408),
            ("GET /web HTTP/1.1\r\n", 408),
            ("GET /web HTTP/1.1\r\nHost: marker\r\n", 408),
        ] {
            let response = responder.http(sent);
            assert_eq!(response.status, status, "{way:?} {sent:?}");
            assert!(response.text().1.starts_with(&status.to_string()));
            if status == 405 {
                assert_eq!(response.field("Allow"), "GET, HEAD, OPTIONS");
            }
        }
        // A line without a version is agent-send.
        assert_eq!(responder.agent("GET /web HTTP/2.0\r\n\r\n"), "bad-name\n");
    }
    // The end of the data in the middle of a request.
    let arguments = ["--http", "web", "--state-dir", directory.path()];
    let (_responder, address) = start(&arguments);
    let mut client = connect(address);
    client.write_all(b"GET /web HTTP/1.1\r\n").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    let mut received = Vec::new();
    client.read_to_end(&mut received).unwrap();
    assert_eq!(Response::parse(&received).status, 400);
}

/// No part of a request is in the response.
#[test]
fn response_contains_nothing_of_the_request() {
    let directory = StateDir::with(&[("web", "up 73%")]);
    let marker = "q7z9marker";
    for way in [Way::Connection, Way::Inherited] {
        let arguments = ["--http-documents", "--state-dir", directory.path()];
        let responder = Started::new(way, &arguments);
        for sent in [
            format!("GET /{marker} HTTP/1.1\r\n\r\n"),
            format!("GET /{marker}/json HTTP/1.1\r\n\r\n"),
            format!("GET /-/{marker} HTTP/1.1\r\n\r\n"),
            format!("{marker} /web HTTP/1.1\r\n\r\n"),
            format!("GET http://{marker}/web HTTP/1.1\r\n\r\n"),
            format!("GET /web?{marker} HTTP/1.1\r\nHost: {marker}\r\n{marker}: 1\r\n\r\n{marker}"),
            format!("GET /{marker}"),
        ] {
            let received = responder.exchange(&sent);
            let response = Response::parse(&received);
            let text = String::from_utf8(received).unwrap();
            assert!(!text.contains(marker), "{sent:?}: {text}");
            assert_eq!(response.length(), response.body.len());
        }
    }
}

/// Pipelined requests, keep-alive and request bodies: one response, then the end and no reset.
#[test]
fn pipelined_and_keep_alive_clients_get_one_response_without_a_reset() {
    let directory = StateDir::with(&[("web", "up 73%")]);
    let arguments = ["--http", "--state-dir", directory.path()];
    let pipelined = get("/web").repeat(100);
    let keep_alive = "GET /web HTTP/1.1\r\nHost: a\r\nConnection: keep-alive\r\n\r\n";
    let with_body = format!(
        "OPTIONS /web HTTP/1.1\r\nContent-Length: 14000\r\n\r\n{}",
        "x".repeat(14_000)
    );
    for way in [Way::Connection, Way::Inherited] {
        let responder = Started::new(way, &arguments);
        for sent in [pipelined.as_str(), keep_alive, &with_body] {
            for _ in 0..50 {
                assert_eq!(responder.http(sent).text(), (200, "up 73%\n"));
            }
        }
        // In single bytes.
        if let Some(address) = responder.address {
            let mut client = connect(address);
            client.set_nodelay(true).unwrap();
            for byte in get("/web").bytes() {
                client.write_all(&[byte]).unwrap();
            }
            assert_eq!(
                Response::parse(&exchange(client, "")).text(),
                (200, "up 73%\n")
            );
        }
    }
}

#[test]
fn loop_loses_none_of_two_thousand_http_probes() {
    let directory = StateDir::with(&[("web", "up 73%")]);
    let arguments = directory.http_arguments();
    let (_responder, address) = start(&arguments);
    for number in 0..2000 {
        let method = ["GET", "HEAD", "OPTIONS"][number % 3];
        let sent = format!("{method} /web HTTP/1.1\r\nHost: a\r\n\r\n");
        let response = Response::parse(&exchange(connect(address), &sent));
        assert_eq!(response.status, 200, "probe {number}");
    }
}

/// The real xinetd with a process per request.
#[test]
fn xinetd_serves_http_and_agent_check() {
    let directory = StateDir::with(&[("web", "up 73%")]);
    let configuration = directory.file("xinetd");
    let port = free_port();
    let service = format!(
        "service http\n{{\n type = UNLISTED\n socket_type = stream\n protocol = tcp\n wait = no\n \
         user = root\n bind = 127.0.0.1\n port = {port}\n server = {}\n \
         server_args = --http --name-from-client --state-dir {}\n instances = UNLIMITED\n \
         per_source = UNLIMITED\n cps = 100000 1\n}}\n",
        path(),
        directory.path()
    );
    fs::write(&configuration, service).unwrap();
    let mut command = Command::new("xinetd");
    command.args(["-dontfork", "-f"]).arg(&configuration);
    command.arg("-pidfile").arg(directory.file("pid"));
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let _xinetd = Running(
        command
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}; apt-get install xinetd")),
    );
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    drop(eventually(|| TcpStream::connect(address)));
    for _ in 0..200 {
        let response = Response::parse(&exchange(connect(address), &get("/web")));
        assert_eq!(response.text(), (200, "up 73%\n"));
        assert_eq!(probe(address, "web\n"), "up 73%\n");
    }
}

/// One write of the whole response, and no file but the state file and the boot id. A client that announced the end of
/// its requests is not waited for.
#[cfg(freestanding)]
#[test]
fn response_is_one_write_with_few_system_calls() {
    let directory = StateDir::with(&[("web", "up 73%")]);
    let trace = directory.file("trace");
    let (client, server) = UnixStream::pair().unwrap();
    let request = "GET /web HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    (&client).write_all(request.as_bytes()).unwrap();
    let mut command = Command::new("strace");
    command.arg("-o").arg(&trace);
    command.args([path(), "--http", "--state-dir", directory.path()]);
    command
        .env_clear()
        .stdin(std::os::fd::OwnedFd::from(server));
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut strace = Running(
        command
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}; apt-get install strace")),
    );
    drop(command);
    assert!(rest(&client).starts_with("HTTP/1.1 200 OK\r\n"));
    assert_eq!(strace.ended(), Some(0));
    drop(client);
    let calls = fs::read_to_string(&trace).unwrap();
    let calls: Vec<&str> = calls
        .lines()
        .filter(|line| !line.starts_with("+++"))
        .skip(1)
        .collect();
    let count = |call: &str| calls.iter().filter(|line| line.starts_with(call)).count();
    assert_eq!((count("sendto("), count("write(")), (1, 0), "{calls:#?}");
    assert_eq!((count("open"), count("ppoll(")), (2, 0), "{calls:#?}");
    assert!(calls.len() <= 14, "{calls:#?}");
}
