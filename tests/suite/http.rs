//! HTTP answers with real clients: HAProxy's `option httpchk`, curl, busybox wget, Python and promtool. keepalived's
//! checkers need IPVS in the kernel, so keepalived only checks a configuration here.

use agentcheck_tests::address::Block;
use agentcheck_tests::processes::{LIMIT, Running, output, program, run, wait_for, wait_until};
use agentcheck_tests::responder::Loop;
use agentcheck_tests::scratch::Scratch;
use agentcheck_tests::state::StateDirectory;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::Command;

/// The responder's accept loop with these arguments, and its address.
fn responder(
    scratch: &Scratch,
    states: &StateDirectory,
    block: &Block,
    arguments: &[&str],
) -> (Loop, SocketAddr) {
    let address = block.agent();
    (Loop::start(scratch, states, arguments, &[address]), address)
}

/// A HAProxy with one server per backend, and the way to its statistics.
struct Balancer {
    _process: Running,
    socket: PathBuf,
}

impl Balancer {
    /// Starts HAProxy with these backends: a name, lines, and the options of the server line.
    fn start(scratch: &Scratch, backends: &[(&str, &str, String)]) -> Self {
        let socket = scratch.file("admin.sock");
        let mut text = format!(
            "global\n  stats socket {} mode 600 level admin\n\ndefaults\n  mode http\n  \
             timeout connect 10s\n  timeout client 30s\n  timeout server 30s\n  timeout check 10s\n\n",
            socket.display()
        );
        for (name, lines, server) in backends {
            let _ = writeln!(text, "backend {name}");
            for line in lines.split('|') {
                let _ = writeln!(text, "  {}", line.trim());
            }
            let _ = writeln!(text, "  server one 127.0.0.1:1 {server}\n");
        }
        let configuration = scratch.write("haproxy.cfg", &text);
        let mut command = Command::new(program("haproxy", "haproxy"));
        command.arg("-db").arg("-f").arg(&configuration);
        let mut process = Running::start(scratch, "haproxy", &mut command);
        wait_until("HAProxy's statistics", || {
            assert!(process.is_running(), "{}", process.log());
            UnixStream::connect(&socket).is_ok()
        });
        Self {
            _process: process,
            socket,
        }
    }

    /// The values of a server in HAProxy's statistics, by column.
    fn server(&self, backend: &str) -> BTreeMap<String, String> {
        let mut stream = UnixStream::connect(&self.socket).unwrap();
        // Without a limit, a HAProxy that does not answer would block the test without a word.
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        writeln!(stream, "show stat {backend} 4 -1").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        let mut lines = text.lines();
        let names = lines.next().unwrap().trim_start_matches("# ").split(',');
        let values = lines.next().unwrap().split(',');
        names
            .map(str::to_owned)
            .zip(values.map(str::to_owned))
            .collect()
    }

    /// Waits until the server has one of these values in the column.
    fn wait_for(&self, backend: &str, column: &str, expected: &str) {
        wait_for(format_args!("{backend}: {column} {expected}"), || {
            let server = self.server(backend);
            if server[column].starts_with(expected) {
                Ok(())
            } else {
                let shown = ["status", "check_status", "check_code", "last_chk", "weight"];
                Err(format!("{:?}", shown.map(|name| &server[name])))
            }
        });
    }
}

/// HAProxy's HTTP checks follow the state file, with each method and with `http-check expect`; an agent-check on the same
/// port follows it, too.
#[test]
fn haproxy_http_checks_follow_the_state() {
    let scratch = Scratch::new("http");
    let states = StateDirectory::at(scratch.directory("state"));
    states.set_reply("web", "up 73% # rps=1890");
    let block = Block::claim();
    let arguments = ["--name-from-client", "--http"];
    let (_responder, address) = responder(&scratch, &states, &block, &arguments);
    let not_found = ["--name-from-client", "--http-drain-status", "404"];
    let (_not_found, other) = responder(&scratch, &states, &block, &not_found);
    let server = |address: SocketAddr| {
        let (ip, port) = (address.ip(), address.port());
        format!("check addr {ip} port {port} inter 200 rise 1 fall 1")
    };
    let checks = [
        ("plain", "option httpchk OPTIONS /web"),
        (
            "get",
            "option httpchk|http-check send meth GET uri /web ver HTTP/1.1 hdr Host web",
        ),
        (
            "head",
            "option httpchk|http-check send meth HEAD uri /web ver HTTP/1.1 hdr Host web",
        ),
        (
            "options",
            "option httpchk|http-check send meth OPTIONS uri /web ver HTTP/1.0",
        ),
        (
            "status",
            "option httpchk GET /web|http-check expect status 200",
        ),
        (
            "text",
            "option httpchk GET /web|http-check expect string up",
        ),
        (
            "field",
            "option httpchk GET /web|http-check expect hdr name Agentcheck-State value up",
        ),
        (
            "json",
            "option httpchk GET /web/json|http-check expect rstring \\\"state\\\":\\\"up\\\"",
        ),
    ];
    let mut backends: Vec<_> = checks
        .iter()
        .map(|(name, lines)| (*name, *lines, server(address)))
        .collect();
    let disable = "option httpchk GET /web|http-check disable-on-404";
    backends.push(("disable", disable, server(other)));
    let agent = format!(
        "weight 100 agent-check agent-addr {} agent-port {} agent-inter 200 agent-send \"web\\n\"",
        address.ip(),
        address.port()
    );
    backends.push(("agent", "balance roundrobin", agent));
    let haproxy = Balancer::start(&scratch, &backends);
    let names = || checks.iter().map(|(name, _)| *name);
    for _ in 0..2 {
        states.set_reply("web", "up 73% # rps=1890");
        for name in names().chain(["disable"]) {
            haproxy.wait_for(name, "status", "UP");
            haproxy.wait_for(name, "check_status", "L7OK");
        }
        haproxy.wait_for("agent", "weight", "73");
        states.set_reply("web", "down 100% # broken");
        names().for_each(|name| haproxy.wait_for(name, "status", "DOWN"));
        haproxy.wait_for("disable", "status", "DOWN");
        haproxy.wait_for("agent", "status", "DOWN");
        states.set_reply("web", "up ready 100%");
        names().for_each(|name| haproxy.wait_for(name, "status", "UP"));
        haproxy.wait_for("disable", "status", "UP");
        // Drain: out of service for most checks, no new sessions with disable-on-404.
        states.set_reply("web", "up 0%");
        for name in ["plain", "get", "head", "options", "status", "field", "json"] {
            haproxy.wait_for(name, "status", "DOWN");
        }
        haproxy.wait_for("get", "check_code", "503");
        haproxy.wait_for("disable", "status", "NOLB");
        haproxy.wait_for("agent", "weight", "0");
    }
    // A missing state file is an unknown service.
    states.set_reply("web", "up 73%");
    names().for_each(|name| haproxy.wait_for(name, "status", "UP"));
    states.remove_file("web");
    names().for_each(|name| haproxy.wait_for(name, "status", "DOWN"));
    haproxy.wait_for("get", "check_code", "404");
    println!("{} kinds of HTTP checks", backends.len() - 1);
}

/// curl, busybox wget and Python get status, fields and body, also when they keep connections alive.
#[test]
fn common_clients_read_the_responses() {
    let scratch = Scratch::new("clients");
    let states = StateDirectory::at(scratch.directory("state"));
    states.set_reply("web", "up 73% maxconn:30 # rps=1890");
    states.set_reply("out", "maint 100%");
    let block = Block::claim();
    let (_responder, address) = responder(&scratch, &states, &block, &["--http"]);
    let url = |path: &str| format!("http://{address}/{path}");

    let curl = || Command::new(program("curl", "curl"));
    let line = "up 73% maxconn:30 # rps=1890\n";
    assert_eq!(run(curl().args(["-sSf", &url("web")])), line);
    assert_eq!(run(curl().args(["-sSf", &url("web/weight")])), "73\n");
    let head = run(curl().args(["-sSfI", &url("web")]));
    for field in [
        "200 OK",
        "Agentcheck-State: up",
        "Agentcheck-Weight: 73",
        "Agentcheck-Maxconn: 30",
    ] {
        assert!(head.contains(field), "{head}");
    }
    assert_eq!(
        run(curl().args(["-sSf", "-X", "OPTIONS", &url("web")])),
        line
    );
    // Two URLs in one process, and HTTP/1.0.
    assert_eq!(
        run(curl().args(["-sSf", &url("web"), &url("web/load")])),
        format!("{line}27\n")
    );
    assert_eq!(run(curl().args(["-sSf", "--http1.0", &url("web")])), line);
    let status = |arguments: &[&str]| {
        let mut command = curl();
        command.args(["-sS", "-o", "/dev/null", "-w", "%{http_code}"]);
        run(command.args(arguments))
    };
    assert_eq!(status(&[&url("out")]), "503");
    assert_eq!(status(&[&url("none")]), "404");
    let body = "x".repeat(50_000);
    assert_eq!(status(&["-d", &body, &url("web")]), "405");

    let busybox = || Command::new(program("busybox", "busybox"));
    assert_eq!(
        run(busybox().args(["wget", "-q", "-O-", &url("web")])),
        line
    );
    let failed = output(busybox().args(["wget", "-q", "-O-", &url("out")]));
    assert!(!failed.status.success(), "{failed:?}");

    let script = format!(
        "import http.client, json, urllib.request, urllib.error\n\
         print(urllib.request.urlopen('{url}web').read().decode(), end='')\n\
         print(json.load(urllib.request.urlopen('{url}web/json'))['weight'])\n\
         try:\n  urllib.request.urlopen('{url}out')\n\
         except urllib.error.HTTPError as error:\n  print(error.code, error.read().decode(), end='')\n\
         connection = http.client.HTTPConnection('{host}', {port})\n\
         for _ in range(3):\n\
         \x20 connection.request('GET', '/web/weight', headers={{'Connection': 'keep-alive'}})\n\
         \x20 response = connection.getresponse()\n\
         \x20 print(response.status, response.read().decode(), end='')\n",
        url = url(""),
        host = address.ip(),
        port = address.port()
    );
    let printed = run(Command::new(program("python3", "python3")).args(["-c", &script]));
    let expected = format!("{line}73\n503 maint 100%\n{}", "200 73\n".repeat(3));
    assert_eq!(printed, expected);

    // The request of a Kubernetes probe.
    let mut client = TcpStream::connect(address).unwrap();
    let probe = format!(
        "GET /web HTTP/1.1\r\nHost: {address}\r\nUser-Agent: kube-probe/1.31\r\nAccept: */*\r\n\
         Connection: close\r\n\r\n"
    );
    client.write_all(probe.as_bytes()).unwrap();
    let mut response = String::new();
    client.read_to_string(&mut response).unwrap();
    assert!(response.starts_with("HTTP/1.1 200 OK\r\n"), "{response}");
}

/// Prometheus' own parser accepts the document, and it arrives as it is in the file.
#[test]
fn metrics_document_is_accepted_by_promtool() {
    let scratch = Scratch::new("documents");
    let states = StateDirectory::at(scratch.directory("state"));
    let metrics = "# HELP agentcheck_up Whether the collector runs.\n# TYPE agentcheck_up gauge\n\
        agentcheck_up 1\n";
    std::fs::write(states.path().join("metrics.prom"), metrics).unwrap();
    let block = Block::claim();
    let (_responder, address) = responder(&scratch, &states, &block, &["--http-documents"]);
    let url = format!("http://{address}/-/metrics");
    let fetched = run(Command::new(program("curl", "curl")).args(["-sSf", &url]));
    assert_eq!(fetched, metrics);
    let file = scratch.write("fetched.prom", &fetched);
    // tests/install-deps.sh unpacks promtool; a host that has Prometheus has it, too.
    let unpacked =
        agentcheck_tests::binaries::target().join("test-programs/prometheus/usr/bin/promtool");
    let promtool = if unpacked.is_file() {
        unpacked
    } else {
        program("promtool", "prometheus")
    };
    let mut command = Command::new(promtool);
    let stdin = std::fs::File::open(&file).unwrap();
    let checked = command
        .args(["check", "metrics"])
        .stdin(stdin)
        .output()
        .unwrap();
    assert!(checked.status.success(), "{checked:?}");
}

/// keepalived accepts a configuration that checks the responder by HTTP, and refuses it with a misspelled keyword. Its
/// checkers run only where the kernel has IPVS, so the check itself is not run here.
#[test]
fn keepalived_accepts_an_http_check() {
    let scratch = Scratch::new("keepalived");
    let configuration = "virtual_server 127.0.0.1 80 {\n  delay_loop 2\n  lb_algo wlc\n  lb_kind NAT\n  \
        protocol TCP\n  real_server 127.0.0.1 8080 {\n    weight 100\n    HTTP_GET {\n      url {\n        \
        path /web\n        status_code 200\n      }\n      connect_port 3333\n      connect_timeout 2\n    \
        }\n  }\n}\n";
    let check = |text: &str| {
        let file = scratch.write("keepalived.conf", text);
        let mut command = Command::new(program("keepalived", "keepalived"));
        output(command.arg("--config-test").arg("-f").arg(&file))
    };
    let accepted = check(configuration);
    assert!(accepted.status.success(), "{accepted:?}");
    let refused = check(&configuration.replace("status_code", "staus_code"));
    assert!(!refused.status.success(), "{refused:?}");
}
