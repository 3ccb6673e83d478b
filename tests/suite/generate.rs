//! `agentcheck generate` on the real launchers and on a real `HAProxy`: they accept the files without a warning, and
//! every service has its reply, on its own port where it has one.

use agentcheck_tests::address::{Block, is_listening};
use agentcheck_tests::binaries;
use agentcheck_tests::haproxy::{Backend, binary};
use agentcheck_tests::processes::{Running, output, program, run, wait_until};
use agentcheck_tests::raw_probe::{Received, probe};
use agentcheck_tests::scene::Scene;
use agentcheck_tests::scratch::Scratch;
use agentcheck_tests::snapshot::{self, str};
use agentcheck_tests::state::StateDirectory;
use agentcheck_tests::systemd::{Systemd, installed};
use std::collections::BTreeSet;
use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Two services that share the port, and two with one of their own, of every form that a name has.
const CONFIGURATION: &str = "[source.cpu.system]\nmetric = \"cpu\"\n\
    [service.web]\nweight = 'headroom(cpu.value, 100)'\n\
    [service.shop]\nweight = 'headroom(cpu.value, 100)'\n\
    [service.api]\nport = 3334\nweight = 'headroom(cpu.value, 100)'\n\
    [service.'1.my-db_2']\nport = 3335\nweight = 'headroom(cpu.value, 100)'\n";

const LINES: [(&str, &str); 4] = [
    ("web", "up 73%"),
    ("shop", "up 12%"),
    ("api", "down 100% # disk full"),
    ("1.my-db_2", "up 5%"),
];

fn write_states(states: &StateDirectory) {
    for (service, line) in LINES {
        states.set_reply(service, line);
    }
}

fn at(address: IpAddr, port: u16) -> SocketAddr {
    SocketAddr::new(address, port)
}

/// Every service has its reply on the right port. A service with its own port ignores what the client sends.
fn all_answer(address: IpAddr) {
    let cases: [(u16, &[u8], &str); 8] = [
        (3333, b"web\n", LINES[0].1),
        (3333, b"shop\n", LINES[1].1),
        (3333, b"nope\n", "unknown:nope"),
        (3333, b"", "no-name"),
        (3334, b"", LINES[2].1),
        (3334, b"web\n", LINES[2].1),
        (3335, b"", LINES[3].1),
        (3335, b"nope\n", LINES[3].1),
    ];
    for (port, sent, line) in cases {
        let received = probe(at(address, port), sent).unwrap();
        let sent = sent.escape_ascii();
        assert_eq!(
            received,
            Received::line(line),
            "{port} {sent}: {}",
            received.text()
        );
    }
}

fn wait_for_listeners(address: IpAddr) {
    for port in [3333, 3334, 3335] {
        let address = at(address, port);
        wait_until(format_args!("{address}"), || is_listening(address));
    }
}

#[test]
fn systemd_serves_the_generated_units() {
    let block = Block::claim();
    let scratch = Scratch::new("units-systemd");
    let tree = installed(&scratch);
    fs::write(tree.join("etc/agentcheck/agentcheck.toml"), CONFIGURATION).unwrap();
    let systemd = Systemd::boot(&scratch, &tree);
    let states = StateDirectory::at(systemd.path("/run/agentcheck"));
    write_states(&states);
    let address = block.address(3333).ip();
    let shown = address.to_string();
    let make = |more: &[&str]| {
        let mut words = vec!["agentcheck", "generate", "systemd", "--address", &shown];
        words.extend(["--output", "/etc/systemd/system"]);
        words.extend(more);
        systemd.output(&words)
    };
    let made = make(&[]);
    assert!(made.status.success(), "{made:?}");
    let sockets = [
        "agentcheck.socket",
        "agentcheck@api.socket",
        "agentcheck@1.my-db_2.socket",
    ];

    // systemd-analyze prints nothing about correct units.
    let mut words = vec!["systemd-analyze", "verify"];
    words.extend(sockets);
    words.extend([
        "agentcheck.service",
        "agentcheck@api.service",
        "agentcheck@1.my-db_2.service",
    ]);
    let verified = systemd.output(&words);
    let printed = [verified.stdout, verified.stderr].concat();
    assert_eq!(String::from_utf8_lossy(&printed), "");

    systemd.run(&["systemctl", "daemon-reload"]);
    let mut words = vec!["systemctl", "enable", "--now"];
    words.extend(sockets);
    systemd.run(&words);
    wait_for_listeners(address);
    all_answer(address);
    // The accept loop, hardened like the shipped one: one process for all probes.
    for unit in ["agentcheck@api.service", "agentcheck@1.my-db_2.service"] {
        assert_eq!(systemd.property(unit, "NRestarts"), "0");
        assert_eq!(systemd.property(unit, "PrivateNetwork"), "yes");
        assert_eq!(systemd.property(unit, "User"), "agentcheck-responder");
        assert_eq!(systemd.property(unit, "Slice"), "system.slice");
    }
    // The packet filter is the access list: other hosts cannot connect.
    let of_socket = |property| systemd.property("agentcheck@api.socket", property);
    let networks = |property| -> BTreeSet<String> {
        let listed = systemd.property("agentcheck@api.socket", property);
        listed.split(' ').map(str::to_owned).collect()
    };
    assert_eq!(
        networks("IPAddressDeny"),
        ["0.0.0.0/0", "::/0"].map(str::to_owned).into()
    );
    let own = ["127.0.0.0/8", "::1/128"].map(str::to_owned).into();
    assert_eq!(networks("IPAddressAllow"), own);
    // More connections than systemd's default limits allow.
    for _ in 0..250 {
        let received = probe(at(address, 3334), b"").unwrap();
        assert_eq!(received, Received::line(LINES[2].1));
    }
    assert_eq!(of_socket("ActiveState"), "active");

    // The same request changes nothing; another one overwrites nothing without --force.
    let path = systemd.path("/etc/systemd/system/agentcheck@api.socket");
    let before = fs::read_to_string(&path).unwrap();
    let again = make(&[]);
    let printed = String::from_utf8_lossy(&again.stdout);
    assert_eq!(printed.matches(": unchanged").count(), 4, "{printed}");
    let other = make(&["--allow", "10.0.0.2"]);
    let printed = String::from_utf8_lossy(&other.stderr);
    assert_eq!(other.status.code(), Some(1));
    assert_eq!(
        printed.matches("the file exists, and differs").count(),
        3,
        "{printed}"
    );
    assert_eq!(fs::read_to_string(&path).unwrap(), before);
    assert!(make(&["--allow", "10.0.0.2", "--force"]).status.success());
    systemd.run(&["systemctl", "daemon-reload"]);
    systemd.run(&[
        "systemctl",
        "restart",
        "agentcheck.socket",
        "agentcheck@api.socket",
    ]);
    for socket in ["agentcheck.socket", "agentcheck@api.socket"] {
        let allowed = systemd.property(socket, "IPAddressAllow");
        assert!(allowed.contains("10.0.0.2/32"), "{socket}: {allowed}");
    }
    wait_for_listeners(address);
    all_answer(address);
}

/// Both programs in a directory that an unprivileged user can read: launchers start the responder as `nobody`.
fn programs(scratch: &Scratch) -> PathBuf {
    let _ = scratch.program(&binaries::responder());
    scratch.program(&binaries::collector())
}

/// What `generate` prints for a launcher, from `CONFIGURATION`.
fn printed(
    scratch: &Scratch,
    launcher: &str,
    addresses: &[IpAddr],
    states: &StateDirectory,
) -> String {
    let addresses = addresses.iter().map(ToString::to_string);
    let configuration = scratch.write("agentcheck.toml", CONFIGURATION);
    run(Command::new(programs(scratch))
        .args(["generate", launcher, "--config"])
        .arg(configuration)
        .arg("--state-dir")
        .arg(states.path())
        .args(addresses.flat_map(|address| ["--address".to_owned(), address])))
}

/// A running xinetd that includes a directory with the file `services`, as in a distribution, and its log.
fn xinetd(scratch: &Scratch, services: String) -> (Running, PathBuf) {
    xinetd_within(&["env"], scratch, services)
}

/// The same, started by another program.
fn xinetd_within(by: &[&str], scratch: &Scratch, services: String) -> (Running, PathBuf) {
    let directory = scratch.directory("xinetd.d");
    fs::write(directory.join("agentcheck"), services).unwrap();
    let log = scratch.file("xinetd.log");
    let file = format!(
        "defaults\n{{\n\tlog_type = FILE {}\n}}\nincludedir {}\n",
        log.display(),
        directory.display()
    );
    let file = scratch.write("xinetd.conf", file);
    let mut command = Command::new(by[0]);
    command.args(&by[1..]).arg(program("xinetd", "xinetd"));
    command.arg("-dontfork").arg("-filelog").arg(&log);
    command.arg("-f").arg(file);
    command.arg("-pidfile").arg(scratch.file("xinetd.pid"));
    (Running::start(scratch, "xinetd", &mut command), log)
}

#[test]
fn xinetd_serves_the_generated_file() {
    let block = Block::claim();
    let scratch = Scratch::new("units-xinetd");
    let address = block.address(3333).ip();
    let states = StateDirectory::at(scratch.directory("state"));
    write_states(&states);
    // xinetd takes one address for a service, so that each has its own section.
    let other = block.address(3333).ip();
    let services = printed(&scratch, "xinetd", &[address, other], &states);
    assert_eq!(services.matches("\nservice ").count(), 6, "{services}");
    let (mut xinetd, log) = xinetd(&scratch, services);
    wait_for_listeners(other);
    all_answer(other);
    wait_for_listeners(address);
    all_answer(address);
    // On these two, and on no other one.
    let elsewhere = block.address(3333);
    assert!(!is_listening(elsewhere), "{elsewhere}");
    // More than its default of 50 a second.
    for _ in 0..120 {
        let received = probe(at(address, 3335), b"").unwrap();
        assert_eq!(received, Received::line(LINES[3].1), "{}", received.text());
    }
    // The doctor probes each service on its port.
    let checked = output(
        Command::new(binaries::collector())
            .args(["doctor", "--config"])
            .arg(scratch.file("agentcheck.toml"))
            .arg("--state-dir")
            .arg(states.path())
            .args(["--agent", &at(address, 3333).to_string()]),
    );
    let checked = String::from_utf8(checked.stdout).unwrap();
    for (asked, (_, line)) in [
        "agent-send \"web\\n\"",
        "agent-send \"shop\\n\"",
        "port 3334 for api",
        "port 3335 for 1.my-db_2",
    ]
    .into_iter()
    .zip(LINES)
    {
        let probed = format!("ok      probe: {asked}: {line}, after ");
        assert!(checked.contains(&probed), "{checked}");
    }
    let server =
        "server api ADDRESS:PORT check weight 100 agent-check agent-port 3334 agent-inter 2s\n";
    assert!(checked.contains(server), "{checked}");
    let printed = fs::read_to_string(&log).unwrap_or_default();
    assert!(
        !printed.contains("ERROR") && !printed.contains("WARNING"),
        "{printed}"
    );
    assert!(xinetd.is_running());
}

/// What the doctor warns of: two addresses in one `bind`. In a network of its own, of which every address is
/// free.
#[test]
fn xinetd_drops_a_bind_of_two_addresses() {
    let scratch = Scratch::new("units-xinetd-bind");
    let states = StateDirectory::at(scratch.directory("state"));
    write_states(&states);
    let services = printed(&scratch, "xinetd", &["127.0.0.1".parse().unwrap()], &states);
    let both = services.replace(
        "bind            = 127.0.0.1\n",
        "bind            = 127.0.0.1 127.0.0.2\n",
    );
    assert_eq!(both.matches(" 127.0.0.2\n").count(), 3, "{both}");
    let network = ["unshare", "--net"];
    let (mut xinetd, log) = xinetd_within(&network, &scratch, both);
    // 3335, on 0.0.0.0 or on ::, where it listens.
    let wanted = ["00000000:0D07", "00000000000000000000000000000000:0D07"];
    wait_until("xinetd on every address", || {
        let tables = ["tcp", "tcp6"].map(|table| format!("/proc/{}/net/{table}", xinetd.pid()));
        let tables = tables.map(|table| fs::read_to_string(table).unwrap());
        let lines = tables.iter().flat_map(|table| table.lines());
        let mut words = lines.map(|line| line.split_whitespace().collect::<Vec<_>>());
        words.any(|words| words[3] == "0A" && wanted.contains(&words[1]))
    });
    let printed = fs::read_to_string(&log).unwrap();
    let warned = "WARNING: attribute bind expects 1 values and 2 values were specified";
    assert_eq!(printed.matches(warned).count(), 3, "{printed}");
    assert!(xinetd.is_running());
}

#[test]
fn inetd_serves_the_generated_lines() {
    let block = Block::claim();
    let scratch = Scratch::new("units-inetd");
    let address = block.address(3333).ip();
    let states = StateDirectory::at(scratch.directory("state"));
    write_states(&states);
    let lines = printed(&scratch, "inetd", &[address], &states);
    let file = scratch.write("inetd.conf", lines);
    let inetd = binaries::target().join("test-programs/openbsd-inetd/usr/sbin/inetd");
    assert!(inetd.is_file(), "run tests/install-deps.sh: {inetd:?}");
    let mut command = Command::new(inetd);
    command.arg("-i").arg(file);
    let mut inetd = Running::start(&scratch, "inetd", &mut command);
    wait_for_listeners(address);
    all_answer(address);
    // More than its default of 256 a minute.
    for _ in 0..300 {
        let received = probe(at(address, 3334), b"").unwrap();
        assert_eq!(received, Received::line(LINES[2].1), "{}", received.text());
    }
    assert!(inetd.is_running());
}

/// The server lines, with the place of the server put in, as HAProxy reads them.
fn server_lines(text: &str) -> String {
    let lines = text.lines().filter_map(|line| line.strip_prefix("#   "));
    let lines = lines.filter(|line| line.starts_with("server "));
    let lines = lines.map(|line| line.replace("ADDRESS:PORT", "127.0.0.1:80"));
    lines
        .map(|line| format!("    {}\n", line.replace(":PORT", ":80")))
        .collect()
}

#[test]
fn haproxy_accepts_the_generated_server_lines() {
    let scratch = Scratch::new("units-haproxy");
    let configuration = scratch.write("agentcheck.toml", CONFIGURATION);
    for more in [&[][..], &["--address", "10.0.0.11", "--allow", "10.0.0.2"]] {
        for launcher in ["systemd", "xinetd", "inetd"] {
            let text = run(Command::new(binaries::collector())
                .args(["generate", launcher, "--config"])
                .arg(&configuration)
                .args(more));
            let servers = server_lines(&text);
            assert_eq!(servers.lines().count(), 4, "{text}");
            let file = format!(
                "defaults\n    mode http\n    timeout connect 1s\n    timeout client 1s\n    timeout server 1s\n\
                 frontend f\n    bind 127.0.0.1:8080\n    default_backend b\nbackend b\n{servers}"
            );
            let file = scratch.write("haproxy.cfg", file);
            let checked = output(Command::new(binary()).args(["-c", "-f"]).arg(file));
            let printed = String::from_utf8_lossy(&checked.stderr).into_owned();
            assert!(checked.status.success(), "{servers}{printed}");
        }
    }
}

#[test]
fn services_that_cannot_be_served_are_refused() {
    let scratch = Scratch::new("units-refused");
    let refused = |configuration: &Path, more: &[&str]| {
        let refused = output(
            Command::new(binaries::collector())
                .args(["generate", "systemd", "--config"])
                .arg(configuration)
                .args(more),
        );
        assert!(refused.stdout.is_empty(), "{refused:?}");
        let printed = String::from_utf8(refused.stderr).unwrap();
        (refused.status.code(), printed)
    };
    let good = scratch.write("good.toml", CONFIGURATION);
    let mut shown = String::new();
    for wrong in [["--address", "10.0.0.11"], ["--port", "3334"]] {
        let (status, printed) = refused(&good, &wrong);
        assert_eq!(status, Some(1));
        shown += &format!("{}\n{printed}\n", wrong.join(" "));
    }
    for wrong in [
        ["--address", "localhost"],
        ["--allow", "any"],
        ["--port", "0"],
    ] {
        assert_eq!(refused(&good, &wrong).0, Some(2), "{wrong:?}");
    }
    let bad = scratch.write("bad.toml", CONFIGURATION.replace("3335", "3334"));
    let (status, printed) = refused(&bad, &[]);
    assert_eq!(status, Some(1));
    shown += &printed;
    let place = scratch.path().display().to_string();
    snapshot::check(
        &shown,
        &[("[SCRATCH]", place)],
        str![[r#"
--address 10.0.0.11
agentcheck: no other host could connect to 10.0.0.11: name the balancers, as in --allow 10.0.0.2

--port 3334
agentcheck: port 3334 belongs to service api alone: choose another --port for the other services

[SCRATCH]/bad.toml:11:8: error: duplicate port 3334, first defined by the service "api" at line 8
11 | port = 3334
   |        ^^^^
   = a port serves one service; services that share a socket need no port
agentcheck: 1 error

"#]],
    );
}

/// The printed backends, with the port of a real application, are a configuration that HAProxy runs without a warning,
/// and its servers follow the agent.
#[test]
fn haproxy_follows_the_agent_with_the_generated_backends() {
    let mut scene = Scene::new("generate-haproxy");
    let sources = ["web", "shop"].map(|name| scene.number(&format!("{name}_number"), "73"));
    scene.put("shop_number", "12");
    scene.configure(&format!(
        "{}[service.web]\nweight = \"web_number.value\"\n[service.shop]\nweight = \"shop_number.value\"\n",
        sources.concat()
    ));
    scene.start();
    scene.wait_for_reply("web", "up 73%");
    scene.wait_for_reply("shop", "up 12%");
    scene.respond(&["--name-from-client"]);
    let application = scene.serve(0).address();
    let host = scene.agent.ip().to_string();
    let configuration = scene.configuration.to_str().unwrap();
    let words = [
        "generate",
        "haproxy",
        "--address",
        &host,
        "--config",
        configuration,
    ];
    let text = run(&mut scene.command(&words));
    assert_eq!(text.matches(&format!("{host}:PORT")).count(), 2, "{text}");
    // In this test, application and responder have an address each.
    // (2.0 does not inherit an agent-addr from default-server.)
    let address = format!("{application} agent-addr {host}");
    let text = text.replace(&format!("{host}:PORT"), &address);
    // A faster check than the printed one, for the test's sake.
    let text = text.replace("agent-inter 2s", "agent-inter 300");
    let backends: Vec<Backend> = text
        .split("\nbackend ")
        .skip(1)
        .map(|section| {
            let mut lines = section.lines().map(str::trim);
            let mut backend = Backend::new(lines.next().unwrap(), vec![]);
            backend.lines = lines.map(str::to_owned).collect();
            backend
        })
        .collect();
    assert_eq!(backends.len(), 2, "{text}");
    let haproxy = scene.balance(&backends);
    for (service, weight) in [("web", 73), ("shop", 12)] {
        let server = format!("{service}-1");
        haproxy.wait_for_server(service, &server, "the agent's weight", |seen| {
            seen.weight == weight && seen.status == "UP" && seen.agent_ended("L7OK")
        });
    }
    let log = haproxy.log();
    // The results of checks are warnings, too; those about the configuration name its file.
    assert!(
        !log.contains("parsing [") && !log.contains("[ALERT]"),
        "{log}"
    );
}
