//! HTTP answers with real clients: HAProxy's `option httpchk`, curl, busybox wget, Python, nginx and promtool.

use agentcheck_tests::address::Block;
use agentcheck_tests::balancer::Balancer;
use agentcheck_tests::processes::{Running, output, program, run, wait_until};
use agentcheck_tests::responder::Loop;
use agentcheck_tests::scratch::Scratch;
use agentcheck_tests::state::StateDirectory;
use std::net::{SocketAddr, TcpStream};
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
}

/// nginx in front of two responders passes over the one whose service is out (`proxy_next_upstream`).
#[test]
fn nginx_passes_over_a_service_that_is_out() {
    let scratch = Scratch::new("nginx");
    let block = Block::claim();
    let hosts = ["one", "two"].map(|name| StateDirectory::at(scratch.directory(name)));
    let responders = hosts
        .each_ref()
        .map(|states| responder(&scratch, states, &block, &["--http"]));
    let front = block.address(8080);
    let directory = scratch.path().display();
    let configuration = format!(
        "daemon off;\npid {directory}/nginx.pid;\nevents {{}}\nhttp {{\n\
         access_log off;\nproxy_temp_path {directory}/proxy;\nclient_body_temp_path {directory}/client;\n\
         fastcgi_temp_path {directory}/fastcgi;\nuwsgi_temp_path {directory}/uwsgi;\nscgi_temp_path {directory}/scgi;\n\
         upstream agents {{\nserver {} max_fails=0;\nserver {} max_fails=0;\n}}\n\
         server {{\nlisten {front};\nlocation / {{\n\
         proxy_pass http://agents;\nproxy_next_upstream error timeout http_503;\n}}\n}}\n}}\n",
        responders[0].1, responders[1].1
    );
    let file = scratch.write("nginx.conf", configuration);
    let mut command = Command::new(program("nginx", "nginx"));
    command.args(["-e", "stderr", "-p"]);
    let mut nginx = Running::start(
        &scratch,
        "nginx",
        command.arg(scratch.path()).arg("-c").arg(&file),
    );
    wait_until("nginx", || {
        assert!(nginx.is_running(), "{}", nginx.log());
        TcpStream::connect(front).is_ok()
    });
    let url = format!("http://{front}/web");
    let answer = || run(Command::new(program("curl", "curl")).args(["-sS", &url]));
    let [one, two] = &hosts;
    for (one_line, two_line, expected) in [
        ("maint 100%", "up 73%", ["up 73%\n", "up 73%\n"]),
        ("up 40%", "down 100%", ["up 40%\n", "up 40%\n"]),
        ("up 40%", "up 73%", ["up 40%\n", "up 73%\n"]),
    ] {
        one.set_reply("web", one_line);
        two.set_reply("web", two_line);
        // nginx takes the servers in turn.
        let mut answers = [answer(), answer()];
        answers.sort();
        assert_eq!(answers, expected);
    }
    // With both out, the client gets the status of the last one.
    one.set_reply("web", "down 100%");
    two.set_reply("web", "down 100%");
    let status = ["-sS", "-o", "/dev/null", "-w", "%{http_code}", &url];
    assert_eq!(
        run(Command::new(program("curl", "curl")).args(status)),
        "503"
    );
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
