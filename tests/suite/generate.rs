//! `agentcheck generate` on the real launchers and on a real `HAProxy`: they accept the files without a warning, and
//! every service has its reply, on its own port where it has one.

mod haproxy;
mod xinetd;

use agentcheck_tests::address::{Block, is_listening};
use agentcheck_tests::binaries;
use agentcheck_tests::processes::{Running, output, run, wait_until};
use agentcheck_tests::raw_probe::{Received, probe};
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
    let address_text = address.to_string();
    let make = |more: &[&str]| {
        let mut words = vec![
            "agentcheck",
            "generate",
            "systemd",
            "--address",
            &address_text,
        ];
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
    let mut messages = String::new();
    for wrong in [["--address", "10.0.0.11"], ["--port", "3334"]] {
        let (status, printed) = refused(&good, &wrong);
        assert_eq!(status, Some(1));
        messages += &format!("{}\n{printed}\n", wrong.join(" "));
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
    messages += &printed;
    let place = scratch.path().display().to_string();
    snapshot::check(
        &messages,
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
