//! Hung sources delay no other source and no other service.

use agentcheck_tests::application::Application;
use agentcheck_tests::processes::{Running, program, run, wait_until};
use agentcheck_tests::scene::{Scene, wrap};
use std::process::Command;

#[test]
fn hung_source_delays_no_other() {
    let mut scene = Scene::new("hung");
    let block = &scene.block;
    let live = Application::start(block.address(8081), 1890);
    let hung = Application::start(block.address(8081), 1890);
    hung.hang();
    let dripping = Application::start(block.address(8081), 1890);
    // More bytes than a poll's whole timeout has room for, at 50 ms each.
    dripping.drip(1890, &"x".repeat(2_000));
    let fifo = scene.scratch.file("fifo");
    run(Command::new("mkfifo").arg(&fifo));
    let started = scene.scratch.file("started");

    let configuration = format!(
        r#"
[source.live.http]
url = "{live}"
format = "json"
interval = "100ms"
timeout = "1s"

[source.hung.http]
url = "{hung}"
format = "json"
interval = "100ms"
timeout = "1m"

[source.dripping.http]
url = "{dripping}"
format = "json"
interval = "100ms"
timeout = "1m"

[source.asleep.command]
argv = ["/bin/sh", "-c", "echo >> {started}; exec sleep 60"]
format = "number"
interval = "100ms"
timeout = "1m"

[source.fifo.file]
path = "{fifo}"
format = "number"
interval = "100ms"
timeout = "1m"

[service.live]
weight = "headroom(live.json['msg-per-second'], 7000)"
fresh_for = "4s"

[service.hung]
weight = "min(headroom(live.json['msg-per-second'], 7000), hung.json.weight)"

[service.dripping]
weight = "dripping.json.weight"

[service.asleep]
weight = "asleep.value"

[service.fifo]
weight = "fifo.value"
on_failure = "floor"
"#,
        live = live.url(),
        hung = hung.url(),
        dripping = dripping.url(),
        started = started.display(),
        fifo = fifo.display()
    );
    scene.configure(&configuration);
    scene.start();
    scene.wait_for_reply("live", "up 73% ");
    wait_until("the others to be asked", || {
        hung.requests() == 1 && dripping.requests() == 1 && started.exists()
    });

    for (messages, printed) in [(700, "up 90% "), (3500, "up 50% "), (0, "up 100% ")] {
        live.wait_for_requests(10);
        live.set_load(messages, "ok");
        scene.wait_for_reply("live", printed);
    }
    // A FIFO is no file to wait for: the poll fails at once.
    let fifo = scene.wait_for_reply("fifo", "");
    assert_eq!(fifo.fresh, "up 1% # fifo other");

    // The collector polled the working source during the first poll of each other source.
    let commands = std::fs::read_to_string(&started).unwrap();
    println!(
        "{} polls of the live source during one of each that hangs",
        live.requests()
    );
    assert!(live.requests() >= 30);
    assert_eq!(hung.requests(), 1);
    assert_eq!(dripping.requests(), 1);
    assert_eq!(commands.lines().count(), 1);
    // The services without a reading have no reply.
    for service in ["hung", "dripping", "asleep"] {
        assert!(!scene.states.file(service).exists(), "{service}");
    }
}

/// `several_addresses.py HANGING GOOD PORT CERTIFICATE KEY`: connections to HANGING hang at PORT and PORT + 1, because
/// the queues are full. GOOD answers HTTP at PORT and HTTPS at PORT + 1, with a file for each request.
const SEVERAL_ADDRESSES: &str = r#"
import http.server, socket, ssl, sys, threading
hanging, good, port, certificate, key = sys.argv[1:]
kept = []
for number in (int(port), int(port) + 1):
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((hanging, number))
    listener.listen(0)
    kept.append(listener)
    for _ in range(4):
        client = socket.socket()
        client.setblocking(False)
        client.connect_ex((hanging, number))
        kept.append(client)

class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "3")
        self.end_headers()
        self.wfile.write(b"73\n")

plain = http.server.ThreadingHTTPServer((good, int(port)), Answer)
secure = http.server.ThreadingHTTPServer((good, int(port) + 1), Answer)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(certificate, key)
secure.socket = context.wrap_socket(secure.socket, server_side=True, do_handshake_on_connect=False)
threading.Thread(target=plain.serve_forever, daemon=True).start()
print("ready", flush=True)
secure.serve_forever()
"#;

/// The hosts file has a hanging address first, then a good one. With an hour for a poll, a source that gave the first
/// address a share of it would have no reading within this test.
#[test]
fn hanging_first_address_delays_no_kind_of_source() {
    let mut scene = Scene::new("addresses");
    let (hanging, good) = (scene.block.address(8081), scene.block.address(8081));
    let port = good.port();
    let file = |name: &str| scene.scratch.file(name).display().to_string();
    let (certificate, key) = (file("certificate.pem"), file("key.pem"));
    run(Command::new(program("openssl", "openssl"))
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt"])
        .args(["ec_paramgen_curve:prime256v1", "-nodes", "-days", "30"])
        .args(["-subj", "/CN=app.test", "-addext"])
        .args(["subjectAltName=DNS:app.test", "-addext"])
        .args(["basicConstraints=critical,CA:FALSE"])
        .args(["-keyout", &key, "-out", &certificate]));
    let script = scene
        .scratch
        .write("several_addresses.py", SEVERAL_ADDRESSES);
    let mut server = Command::new(program("python3", "python3"));
    server
        .arg(script)
        .args([hanging.ip().to_string(), good.ip().to_string()])
        .args([&port.to_string(), &certificate, &key]);
    let server = Running::start(&scene.scratch, "servers", &mut server);
    server.wait_for_log("ready");

    let hosts = format!(
        "127.0.0.1 localhost\n{} app.test\n{} app.test\n{0} dead.test\n",
        hanging.ip(),
        good.ip()
    );
    let hosts = scene.scratch.write("hosts", hosts);
    let configuration = format!(
        r#"
[source.plain.http]
url = "http://app.test:{port}/"
format = "number"
interval = "100ms"
timeout = "1h"

[source.secure.http]
url = "https://app.test:{tls}/"
ca = "{certificate}"
format = "number"
interval = "100ms"
timeout = "1h"

[source.port.tcp]
address = "app.test:{port}"
interval = "100ms"
timeout = "1h"

[source.dead_http.http]
url = "http://dead.test:{port}/"
interval = "100ms"
timeout = "400ms"

[source.dead_tcp.tcp]
address = "dead.test:{port}"
interval = "100ms"
timeout = "400ms"

[service.web]
weight = "min(plain.value, secure.value)"
fresh_for = "2h"

[[service.web.rule]]
name = "closed"
when = "!port.ok"
reply = "down"

[service.dead]

[[service.dead.rule]]
name = "dead"
when = "dead_http.error == 'timeout' && dead_tcp.error == 'timeout'"
reply = "down"
"#,
        tls = port + 1,
    );
    scene.configure(&configuration);
    let mount = format!("mount --bind {} /etc/hosts && exec \"$@\"", hosts.display());
    scene.start_as("collector", |command| {
        wrap(command, "unshare", &["--mount", "sh", "-c", &mount, "sh"]);
    });
    scene.wait_for_reply("web", "up 73% # plain=73 secure=73");
    // Both deadlines are those of the whole poll.
    scene.wait_for_reply("dead", "down 100% # rule=dead");
}
