//! doctor asks over HTTP where a launcher has `--http`, and sends the requests of `HAProxy`'s HTTP checks.

use super::{Report, doctor, doctor_of_both, finds, finds_count, installation, stop_loop};
use agentcheck_tests::binaries;
use agentcheck_tests::haproxy::{Backend, Haproxy};
use agentcheck_tests::processes::{Running, program, run};
use agentcheck_tests::scratch::Scratch;
use agentcheck_tests::state::StateDirectory;
use agentcheck_tests::systemd::{Systemd, installed, put};
use std::path::Path;
use std::process::Command;

/// A service on the shared port, and one with a port of its own.
const CONFIGURATION: &str =
    "[service.web]\nweight = '73'\n[service.api]\nport = 3334\nweight = '50'\n";

/// What doctor finds behind every launcher with `--http`, with 73% and 50%.
const ANSWERS: [&str; 4] = [
    "ok probe: agent-send \"web\\n\": up 73%",
    "ok http: GET /web at 127.0.0.1:3333: 200, up, weight 73, after",
    "ok probe: port 3334 for api: up 50%",
    "ok http: GET /api at 127.0.0.1:3334: 200, up, weight 50, after",
];

fn has_http(report: &Report) -> bool {
    report.text.lines().any(|line| line.contains(" http: "))
}

#[test]
fn generated_units_with_http_are_asked_over_http() {
    let scratch = Scratch::new("doctor-http-units");
    let tree = installed(&scratch);
    put(&tree, "etc/agentcheck/agentcheck.toml", CONFIGURATION);
    let systemd = Systemd::boot_alone(&scratch, &tree);
    let generate = |more: &[&str]| {
        let words = [
            "agentcheck",
            "generate",
            "systemd",
            "--output",
            "/etc/systemd/system",
        ];
        systemd.run(&[&words[..], more].concat());
        systemd.run(&["systemctl", "daemon-reload"]);
    };
    let doctor = || Report::inside(&systemd, &[]);

    // Without --http there is no HTTP probe, and each service has its address.
    generate(&[]);
    let units = [
        "agentcheck-collector.service",
        "agentcheck.socket",
        "agentcheck@api.socket",
    ];
    systemd.run(&[&["systemctl", "start"], &units[..]].concat());
    let [web, _, api, _] = ANSWERS;
    let printed = finds(doctor, &[web, api, "ok listener: 127.0.0.1:3334: "]);
    assert!(!has_http(&printed), "{}", printed.text);
    finds_count(doctor, 0);

    // The units have it, and the running responders do not.
    generate(&["--http", "--force"]);
    finds(
        doctor,
        &[
            "error http: agentcheck.service has --http, and 127.0.0.1:3333 answers GET /web without HTTP",
            "error http: agentcheck@api.service has --http, and 127.0.0.1:3334 answers GET /api without HTTP",
        ],
    );

    systemd.run(&[
        "systemctl",
        "restart",
        "agentcheck.service",
        "agentcheck@api.service",
    ]);
    let printed = finds(doctor, &ANSWERS);
    finds_count(doctor, 0);
    let server = "note haproxy.cfg: server api ADDRESS:PORT check weight 100 agent-check agent-port 3334 agent-inter 2s \
                  agent-send \"api\\n\"";
    assert!(printed.has(server), "{}", printed.text);

    // A service with a port of its own needs no other address.
    let alone = || Report::inside(&systemd, &["api"]);
    let printed = finds(alone, &ANSWERS[2..]);
    for line in [
        "ok listener: 127.0.0.1:3333",
        "ok probe: without agent-send",
    ] {
        assert!(!printed.has(line), "{line} is in {}", printed.text);
    }

    // The template of the packaged socket, one process per probe.
    stop_loop(&systemd);
    systemd.run(&[
        "sh",
        "-c",
        "sed '/^ExecStart=/s/$/ --http/' /usr/lib/systemd/system/agentcheck-inetd@.service >/etc/systemd/system/agentcheck-inetd@.service",
    ]);
    systemd.run(&["systemctl", "daemon-reload"]);
    systemd.run(&["systemctl", "start", "agentcheck-inetd.socket"]);
    finds(doctor, &ANSWERS);

    // A drained server, and a service without a state file.
    systemd.run(&["agentcheck", "drain", "web"]);
    finds(
        doctor,
        &["ok http: GET /web at 127.0.0.1:3333: 503, drain, weight 0, after"],
    );
    systemd.run(&["systemctl", "stop", "agentcheck-collector.service"]);
    systemd.run(&["rm", "-f", "/run/agentcheck/api.state"]);
    finds(
        doctor,
        &["error http: GET /api at 127.0.0.1:3334: 503 no-state"],
    );
}

/// A running xinetd that reads `services`, in a network of its own. There, doctor reads the same file.
fn xinetd(scratch: &Scratch, services: &Path) -> Running {
    let directory = scratch.directory("xinetd.d");
    std::fs::copy(services, directory.join("agentcheck")).unwrap();
    let mut command = Command::new("unshare");
    command.args(["--net", "--mount", "--propagation", "private", "sh", "-euc"]);
    command.arg("ip link set lo up; mount --bind \"$1\" /etc/xinetd.d; shift; exec \"$@\"");
    command
        .arg("sh")
        .arg(&directory)
        .arg(program("xinetd", "xinetd"));
    command
        .arg("-dontfork")
        .arg("-filelog")
        .arg(scratch.file("xinetd.log"));
    command.arg("-pidfile").arg(scratch.file("xinetd.pid"));
    Running::start(scratch, "xinetd", &mut command)
}

#[test]
fn generated_xinetd_file_with_http_is_asked_over_http() {
    let scratch = Scratch::new("doctor-http-xinetd");
    let configuration = scratch.write("agentcheck.toml", CONFIGURATION);
    let states = StateDirectory::at(scratch.directory("state"));
    states.set_reply("web", "up 73%");
    states.set_reply("api", "up 50%");
    let _ = scratch.program(&binaries::responder());
    let collector = scratch.program(&binaries::collector());
    let common = |command: &mut Command| {
        command.arg("--config").arg(&configuration);
        command.arg("--state-dir").arg(states.path());
    };
    let mut generate = Command::new(&collector);
    generate.args(["generate", "xinetd", "--http"]);
    common(&mut generate);
    let services = scratch.write("services", run(&mut generate));
    let xinetd = xinetd(&scratch, &services);
    let doctor = || {
        let mut command = Command::new("nsenter");
        command.args(["-t", &xinetd.pid().to_string(), "--net", "--mount"]);
        command.arg(&collector).arg("doctor");
        common(&mut command);
        Report::of(&mut command)
    };
    finds(doctor, &ANSWERS);
}

/// A port without `--http` behind `option httpchk`, and one with `--http` for a check that names no service.
#[test]
fn http_checks_of_the_balancer_are_sent() {
    let mut here = installation("doctor-http-checks");
    let mut servers = ["plain", "named", "sent"].map(|backend| {
        let mut server = here.server("web").checked();
        server.more = format!("addr {} port {}", here.agent.ip(), here.agent.port());
        Backend::new(backend, vec![server])
    });
    let [plain, named, sent] = &mut servers;
    plain.lines.push("option httpchk".to_owned());
    named.lines.push("option httpchk GET /web".to_owned());
    sent.lines.push("option httpchk".to_owned());
    match Haproxy::version() >= (2, 2) {
        true => sent
            .lines
            .push("http-check send meth HEAD uri /web".to_owned()),
        false => sent.lines.push("option httpchk HEAD /web".to_owned()),
    }
    here.balance(&servers);
    let agent = here.agent;
    let without = |server: &str, request: &str| {
        format!(
            "error http: {server} has option httpchk, and {agent} answers {request} without HTTP: "
        )
    };
    let wanted = [
        without("plain/web", "OPTIONS /"),
        without("named/web", "GET /web"),
        without("sent/web", "HEAD /web"),
    ];
    let mut wanted: Vec<&str> = wanted.iter().map(String::as_str).collect();
    // HAProxy shows the port of the checks from 2.4 on.
    let shows_port = Haproxy::version() >= (2, 4);
    if shows_port {
        wanted.push(
            "warning haproxy: plain/web: DOWN, its health check asks the agent's port and fails (",
        );
    }
    let printed = finds(|| doctor_of_both(&here, &[]), &wanted);
    let remedy = "on every balancer first, remove option httpchk";
    let remedies = printed.text.matches(remedy).count();
    assert!(remedies >= wanted.len(), "{}", printed.text);
    assert!(!has_http(&doctor(&here, &[])), "{}", printed.text);

    here.stop_responder();
    here.respond(&["--name-from-client", "--http"]);
    let answers =
        |request: &str| format!("ok http: {request} at {agent}: 200, up, weight 73, after ");
    let wanted = [
        format!("error http: OPTIONS / at {agent}: 404 "),
        answers("GET /web"),
        answers("HEAD /web"),
        format!("ok http: GET /api at {agent}: 200, up, weight 50, after "),
    ];
    let wanted: Vec<&str> = wanted.iter().map(String::as_str).collect();
    let printed = finds(|| doctor_of_both(&here, &[]), &wanted);
    assert!(
        printed.text.contains("http-check send uri /NAME"),
        "{}",
        printed.text
    );
}
