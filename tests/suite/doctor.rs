//! `agentcheck doctor` on a real collector, a real responder and a real `HAProxy`. A healthy installation has no
//! finding, and each part that a test breaks is found.

use agentcheck_tests::binaries;
use agentcheck_tests::haproxy::{Backend, Server};
use agentcheck_tests::processes::{output, run, wait_for};
use agentcheck_tests::scene::{Scene, wrap};
use agentcheck_tests::scratch::Scratch;
use agentcheck_tests::snapshot::{self, file};
use agentcheck_tests::systemd::{Systemd, installed, put};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Output};

/// A collector of the services `web` and `api`, at 73% and 50%, and a responder.
fn installation(name: &str) -> Scene {
    let mut scene = Scene::new(name);
    let overrides = scene.overrides();
    fs::set_permissions(scene.data(), Permissions::from_mode(0o750)).unwrap();
    fs::set_permissions(overrides, Permissions::from_mode(0o2770)).unwrap();
    let mut text = String::new();
    for (service, number) in [("web", "73"), ("api", "50")] {
        let file = scene.scratch.write(service, number);
        text.push_str(&format!(
            "[source.{service}_number.file]\npath = {file:?}\nformat = \"number\"\ninterval = \"200ms\"\n\
             [service.{service}]\nweight = \"{service}_number.value\"\n"
        ));
    }
    scene.configure(&text);
    scene.start();
    scene.wait_for_reply("web", "up 73%");
    scene.wait_for_reply("api", "up 50%");
    scene.respond(&["--name-from-client"]);
    scene
}

/// Starts `HAProxy`, and waits until every server has had a reply.
fn balance(scene: &mut Scene, backends: &[Backend]) {
    let haproxy = scene.balance(backends);
    for backend in backends {
        for server in &backend.servers {
            haproxy.wait_for_server(&backend.name, &server.name, "one exchange", |seen| {
                seen.agent_status == "L7OK" && seen.weight != seen.configured_weight
            });
        }
    }
}

fn doctor(scene: &Scene, more: &[&str]) -> Report {
    let agent = scene.agent.to_string();
    let arguments = [&["doctor", "--agent", &agent], more].concat();
    Report::of(&mut scene.operator_command(&arguments))
}

/// The same in a network of its own, without the listeners of other tests and of the responder.
fn doctor_alone(scene: &Scene, more: &[&str]) -> Report {
    let agent = scene.agent.to_string();
    let mut command = scene.operator_command(&[&["doctor", "--agent", &agent], more].concat());
    let up = "ip link set lo up; exec \"$@\"";
    wrap(&mut command, "unshare", &["--net", "sh", "-c", up, "sh"]);
    Report::of(&mut command)
}

/// The same with the balancer that [`balance`] has started.
fn doctor_of_both(scene: &Scene, more: &[&str]) -> Report {
    let socket = scene.scratch.file("haproxy").join("admin.sock");
    doctor(
        scene,
        &[&["--haproxy", socket.to_str().unwrap()], more].concat(),
    )
}

/// Waits until the findings of `said` have lines with all of these beginnings.
fn finds(printed: impl Fn() -> Report, wanted: &[&str]) -> Report {
    wait_for(format_args!("{wanted:?}"), || {
        let printed = printed();
        let missing = wanted.iter().find(|line| !printed.has(line));
        missing.map_or(Ok(()), |line| {
            Err(format!("{line:?} is not in {}", printed.text))
        })?;
        Ok::<_, String>(printed)
    })
}

/// What it said.
struct Report {
    text: String,
    status: Option<i32>,
}

impl Report {
    fn of(command: &mut Command) -> Self {
        let Output {
            status,
            stdout,
            stderr,
        } = output(command);
        assert!(stderr.is_empty(), "{}", String::from_utf8_lossy(&stderr));
        Self {
            text: String::from_utf8(stdout).unwrap(),
            status: status.code(),
        }
    }

    /// Whether a line begins so, whatever the number of blanks.
    fn has(&self, beginning: &str) -> bool {
        self.text.lines().any(|line| {
            let words: Vec<_> = line.split_whitespace().collect();
            words.join(" ").starts_with(beginning)
        })
    }

    /// The warnings and errors, each with its remedy.
    fn findings(&self) -> String {
        let mut found = false;
        let mut findings = String::new();
        for line in self.text.lines() {
            found = line.starts_with("warning")
                || line.starts_with("error")
                || (found && line.starts_with(' '));
            if found || line.starts_with("agentcheck doctor:") {
                findings += &format!("{line}\n");
            }
        }
        findings
    }

    fn bad(&self) -> Vec<&str> {
        let lines = self.text.lines();
        lines
            .filter(|line| line.starts_with("warning") || line.starts_with("error"))
            .collect()
    }
}

#[test]
fn healthy_installation_has_no_finding() {
    let mut here = installation("doctor-healthy");
    let servers = vec![here.server("web"), here.server("api")];
    balance(&mut here, &[Backend::new("farm", servers)]);
    let printed = doctor_of_both(&here, &[]);
    assert_eq!(printed.bad(), Vec::<&str>::new(), "{}", printed.text);
    assert_eq!(printed.status, Some(0));
    snapshot::check(
        &printed.text,
        &here.variables(),
        file!["doctor/healthy.txt"],
    );

    let one = doctor(&here, &["web"]);
    assert!(!one.text.contains("api"), "{}", one.text);
    let unknown = doctor(&here, &["ghost"]);
    assert!(unknown.has("error configuration: there is no service \"ghost\""));
    assert_eq!(unknown.status, Some(1));
    let json = doctor_of_both(&here, &["--json"]);
    assert_eq!(json.status, Some(0));
    assert!(
        json.text
            .starts_with("{\"findings\":[{\"severity\":\"ok\","),
        "{}",
        json.text
    );
    assert!(
        json.text.ends_with("\"errors\":0,\"warnings\":0}\n"),
        "{}",
        json.text
    );
}

#[test]
fn balancer_mistakes_are_found() {
    let mut here = installation("doctor-balancer");
    let light = Server {
        weight: 1,
        ..here.server("web")
    };
    let mut farm = Backend::new("farm", vec![light, here.server("api")]);
    farm.lines
        .push(format!("server bare {}", here.block.address(8082)));
    let mut fixed = Backend::new("fixed", vec![]);
    fixed.lines = vec![
        "balance static-rr".to_owned(),
        format!(
            "server lost {} weight 100 agent-check agent-addr {} agent-port 3334 agent-inter 300",
            here.block.address(8083),
            here.agent.ip()
        ),
        format!(
            "server ghost {} weight 100 agent-check agent-addr {} agent-port 3333 agent-inter 300 agent-send \"ghost\\n\"",
            here.block.address(8083),
            here.agent.ip()
        ),
    ];
    balance(&mut here, &[farm, fixed]);
    here.haproxy().run("set server farm/api state drain");
    let printed = finds(
        || doctor_of_both(&here, &[]),
        &[
            "error haproxy: farm/web:",
            "warning haproxy: farm/api:",
            "warning haproxy: farm/bare:",
            "warning haproxy: backend fixed:",
            "error haproxy: fixed/lost: agent L4CON",
            "error haproxy: fixed/ghost: agent CHECKED",
        ],
    );
    assert_eq!(printed.bad().len(), 6, "{}", printed.text);
    assert_eq!(printed.status, Some(1));
    snapshot::check(
        &printed.findings(),
        &here.variables(),
        file!["doctor/balancer.txt"],
    );
}

#[test]
fn dead_collector_and_dead_responder_are_found() {
    let mut here = installation("doctor-dead");
    here.kill();
    // The last schedules expire, too.
    let wanted = [
        "error collector:",
        "warning state file: web:",
        "warning state file: api:",
    ];
    let printed = finds(|| doctor(&here, &[]), &wanted);
    assert_eq!(printed.status, Some(1));
    snapshot::check(
        &printed.findings(),
        &here.variables(),
        file!["doctor/dead-collector.txt"],
    );

    here.stop_responder();
    let wanted = ["error listener:", "error probe: agent-send \"web\\n\":"];
    let printed = finds(|| doctor_alone(&here, &[]), &wanted);
    assert_eq!(printed.status, Some(1));
    snapshot::check(
        &printed.findings(),
        &here.variables(),
        file!["doctor/dead-responder.txt"],
    );

    fs::remove_file(here.states.file("web")).unwrap();
    fs::set_permissions(here.states.path(), Permissions::from_mode(0o700)).unwrap();
    fs::write(&here.configuration, "[service.web]\nfrobnicate = 1\n").unwrap();
    let printed = doctor_alone(&here, &["web"]);
    snapshot::check(
        &printed.findings(),
        &here.variables(),
        file!["doctor/broken-host.txt"],
    );
}

/// Root reads and writes everything; the collector's user does not.
#[test]
fn host_is_checked_with_the_rights_of_the_collectors_user() {
    let here = installation("doctor-user");
    // Where that user can get at it, wherever the target directory is.
    let program = here.scratch.program(&binaries::collector());
    fs::set_permissions(here.scratch.file("web"), Permissions::from_mode(0o600)).unwrap();
    let mut command = Command::new(program);
    command
        .args([
            "doctor",
            "--user",
            "nobody",
            "--agent",
            &here.agent.to_string(),
            "--config",
        ])
        .arg(&here.configuration)
        .arg("--state-dir")
        .arg(here.states.path())
        .arg("--data-dir")
        .arg(here.data());
    let printed = Report::of(&mut command);
    assert!(
        printed.has("error source: web_number: "),
        "{}",
        printed.text
    );
    assert!(printed.has("ok source: api_number: "), "{}", printed.text);
    assert!(
        printed
            .text
            .contains("as which the collector runs, cannot write"),
        "{}",
        printed.text
    );
}

/// A socket unit with the drop-in of its own comment, that lets in a balancer and this host's loopback; and a
/// source where the collector's unit has a directory of its own.
#[test]
fn systemd_units_give_the_listener_and_the_hidden_paths() {
    const HERE: &str = "10.0.0.11";
    let scratch = Scratch::new("doctor-systemd");
    let tree = installed(&scratch);
    let write = |inside: &str, text: &str| put(&tree, inside, text);
    write(
        "etc/systemd/system/agentcheck.socket.d/address.conf",
        "[Socket]\nListenStream=\nListenStream=10.0.0.11:3333\nIPAddressAllow=10.0.0.2\n",
    );
    write(
        "etc/agentcheck/agentcheck.toml",
        "[source.seen.file]\npath = \"/run/seen\"\nformat = \"number\"\ninterval = \"200ms\"\n\
         [source.hidden.file]\npath = \"/tmp/hidden\"\nformat = \"number\"\ninterval = \"200ms\"\n\
         [service.web]\nweight = \"seen.value\"\n[service.api]\nweight = \"hidden.value\"\n",
    );
    let systemd = Systemd::boot_alone(&scratch, &tree);
    let ip = &mut systemd.in_its_network("ip", "iproute2");
    run(ip.args(["address", "add", HERE, "dev", "lo"]));
    systemd.run(&["sh", "-c", "echo 73 >/run/seen; echo 50 >/tmp/hidden"]);
    let units = ["agentcheck-collector.service", "agentcheck.socket"];
    systemd.run(&[&["systemctl", "start"], &units[..]].concat());
    let doctor = || {
        let printed = systemd.output(&["agentcheck", "doctor"]);
        Report {
            text: String::from_utf8(printed.stdout).unwrap(),
            status: printed.status.code(),
        }
    };
    let probed = [
        "note listener: 10.0.0.11:3333 is probed",
        "ok listener: 10.0.0.11:3333 is held by ",
        "ok probe: agent-send \"web\\n\": up 73%",
        "ok probe: without agent-send: ",
        "note haproxy.cfg: server web 10.0.0.11:PORT check ",
    ];
    let printed = finds(doctor, &probed);
    for line in [
        "ok systemd: agentcheck.socket listens on 10.0.0.11:3333 (Stream)",
        "ok source: hidden: ",
        "warning sandbox: source hidden: /tmp/hidden and agentcheck-collector.service has PrivateTmp=yes",
    ] {
        assert!(printed.has(line), "{line} is not in {}", printed.text);
    }
    assert!(!printed.text.contains("source seen:"), "{}", printed.text);
    assert_eq!(printed.status, Some(1));

    // Mended as it says, it is seen, and not warned of.
    systemd.run(&[
        "sh",
        "-c",
        "mkdir -p /etc/systemd/system/agentcheck-collector.service.d && \
         printf '[Service]\\nPrivateTmp=no\\n' >/etc/systemd/system/agentcheck-collector.service.d/tmp.conf",
    ]);
    systemd.run(&["systemctl", "daemon-reload"]);
    systemd.run(&["systemctl", "restart", "agentcheck-collector.service"]);
    // A busy machine may not answer one probe in time.
    wait_for("nothing to be wrong", || {
        let printed = finds(doctor, &["ok probe: agent-send \"api\\n\": up 50%"]);
        if printed.bad().is_empty() {
            Ok(())
        } else {
            Err(printed.text)
        }
    });

    // A responder that no launcher's file tells of is found by its listener.
    systemd.run(&[
        "systemctl",
        "stop",
        "agentcheck.socket",
        "agentcheck.service",
    ]);
    systemd.run(&[
        "systemd-run",
        "--unit",
        "by-hand",
        "agentcheck-responder",
        "--name-from-client",
        "--listen",
        "10.0.0.11:3333",
    ]);
    finds(doctor, &probed);
}
