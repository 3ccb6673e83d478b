//! `agentcheck doctor` on a real collector, a real responder and a real `HAProxy`. A healthy installation has no
//! finding, and each part that a test breaks is found.

mod balancer;
mod http;
mod units;

use agentcheck_tests::binaries;
use agentcheck_tests::haproxy::{Backend, Haproxy};
use agentcheck_tests::processes::{output, wait_for};
use agentcheck_tests::scene::{Scene, wrap};
use agentcheck_tests::snapshot::{self, file};
use agentcheck_tests::systemd::Systemd;
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
                seen.agent_ended("L7OK") && seen.weight != seen.configured_weight
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

/// Runs doctor with the balancer that [`balance`] has started.
fn doctor_of_both(scene: &Scene, more: &[&str]) -> Report {
    let socket = scene.scratch.file("haproxy").join("admin.sock");
    doctor(
        scene,
        &[&["--haproxy", socket.to_str().unwrap()], more].concat(),
    )
}

/// Waits until the findings of `printed` have lines with all of these beginnings.
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

/// Waits until doctor finds so many warnings and errors.
fn finds_count(printed: impl Fn() -> Report, count: usize) -> Report {
    wait_for(format_args!("{count} warnings and errors"), || {
        let printed = printed();
        match printed.bad().len() == count {
            true => Ok(printed),
            false => Err(printed.text),
        }
    })
}

/// Stops the units of the accept loop.
fn stop_loop(systemd: &Systemd) {
    systemd.run(&[
        "systemctl",
        "stop",
        "agentcheck.socket",
        "agentcheck.service",
    ]);
}

/// The output of doctor.
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
        Self::read(stdout, status.code(), &stderr)
    }

    /// Runs it in a booted system, for these services.
    fn inside(systemd: &Systemd, services: &[&str]) -> Self {
        let Output {
            status,
            stdout,
            stderr,
        } = systemd.output(&[&["agentcheck", "doctor"], services].concat());
        Self::read(stdout, status.code(), &stderr)
    }

    fn read(stdout: Vec<u8>, status: Option<i32>, stderr: &[u8]) -> Self {
        assert!(stderr.is_empty(), "{}", String::from_utf8_lossy(stderr));
        Self {
            text: String::from_utf8(stdout).unwrap(),
            status,
        }
    }

    /// Whether a line begins so, with any number of blanks between its words.
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

    /// The warnings and errors, but for those about the version of the tested `HAProxy`.
    fn bad(&self) -> Vec<&str> {
        let lines = self.text.lines();
        lines
            .filter(|line| line.starts_with("warning") || line.starts_with("error"))
            .filter(|line| !line.contains("haproxy: version "))
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
    let faulty = Haproxy::agent_health_begins_at_zero() || Haproxy::up_overrides_checks();
    let status = Some(i32::from(faulty));
    assert_eq!(printed.status, status, "{}", printed.text);
    if printed.has("ok haproxy: version ") {
        snapshot::check(
            &printed.text,
            &here.variables(),
            file!["doctor/healthy.txt"],
        );
    }

    let server = match Haproxy::shows_agent_results() {
        true => "ok haproxy: farm/web: no check, weight 73 of 100, agent L7OK",
        false => "note haproxy: farm/web: this version shows no result of the agent check",
    };
    assert!(printed.has(server), "{server} is not in {}", printed.text);

    let one = doctor(&here, &["web"]);
    assert!(!one.text.contains("api"), "{}", one.text);
    let unknown = doctor(&here, &["ghost"]);
    assert!(unknown.has("error configuration: unknown service \"ghost\""));
    assert_eq!(unknown.status, Some(1));
    let json = doctor_of_both(&here, &["--json"]);
    assert_eq!(json.status, status);
    assert!(
        json.text
            .starts_with("{\"findings\":[{\"severity\":\"ok\","),
        "{}",
        json.text
    );
    let counts = match (
        Haproxy::up_overrides_checks(),
        Haproxy::agent_health_begins_at_zero(),
    ) {
        (true, _) => "\"errors\":1,\"warnings\":0}\n",
        (_, true) => "\"errors\":0,\"warnings\":1}\n",
        (false, false) => "\"errors\":0,\"warnings\":0}\n",
    };
    assert!(json.text.ends_with(counts), "{}", json.text);
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

/// Root can read and write everything; the collector's user cannot.
#[test]
fn host_is_checked_with_the_rights_of_the_collectors_user() {
    let here = installation("doctor-user");
    // That user can run it there.
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
        printed.text.contains("cannot write to "),
        "{}",
        printed.text
    );
}
