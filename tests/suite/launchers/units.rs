//! The shipped units under a real systemd, installed by `make install`.

use super::{API, WEB};
use super::{answers_what_is_asked, moves_haproxy};
use agentcheck_tests::address::{Block, is_listening};
use agentcheck_tests::processes::wait_until;
use agentcheck_tests::raw_probe::{Received, probe};
use agentcheck_tests::scratch::Scratch;
use agentcheck_tests::state::StateDirectory;
use agentcheck_tests::systemd::{Systemd, installed, put};
use std::net::SocketAddr;
use std::path::Path;

/// Changes a socket unit's address in the way that the unit's own comment describes.
fn listen_on(tree: &Path, socket: &str, address: SocketAddr) {
    let inside = format!("etc/systemd/system/{socket}.d/address.conf");
    let text = format!("[Socket]\nListenStream=\nListenStream={address}\n");
    put(tree, &inside, &text);
}

/// The booted system with the product installed, both sockets on addresses of the test's own.
struct Host {
    systemd: Systemd,
    states: StateDirectory,
    scratch: Scratch,
    block: Block,
    stay: SocketAddr,
    per_probe: SocketAddr,
}

fn host(name: &str) -> Host {
    let block = Block::claim();
    let scratch = Scratch::new(name);
    let tree = installed(&scratch);
    let (stay, per_probe) = (block.agent(), block.agent());
    listen_on(&tree, "agentcheck.socket", stay);
    listen_on(&tree, "agentcheck-inetd.socket", per_probe);
    let systemd = Systemd::boot(&scratch, &tree);
    let states = StateDirectory::at(systemd.path("/run/agentcheck"));
    states.set_reply("web", WEB);
    states.set_reply("api", API);
    Host {
        systemd,
        states,
        scratch,
        block,
        stay,
        per_probe,
    }
}

impl Host {
    fn starts(&self, socket: &str, address: SocketAddr) {
        self.systemd.run(&["systemctl", "start", socket]);
        wait_until(format_args!("{socket}"), || is_listening(address));
    }
}

#[test]
fn systemd_starts_one_loop_for_all_probes() {
    let host = host("unit-loop");
    let systemd = &host.systemd;
    host.starts("agentcheck.socket", host.stay);
    let probes = answers_what_is_asked(host.stay, true);
    moves_haproxy(&host.scratch, &host.block, host.stay);
    let status = || systemd.property("agentcheck.service", "NRestarts");
    assert_eq!(status(), "0", "one process has answered all of them");

    // The loop finds a new state file without a signal.
    host.states.set_reply("web", "up 12%");
    let received = probe(host.stay, b"web\n").unwrap();
    assert_eq!(received, Received::line("up 12%"));

    // It is killed and comes back by itself, and the socket is open all the time.
    let first = systemd.property("agentcheck.service", "MainPID");
    systemd.run(&["systemctl", "kill", "-s", "KILL", "agentcheck.service"]);
    let received = probe(host.stay, b"web\n").unwrap();
    // The probe may have been in the hands of the process that was killed.
    assert!(
        received == Received::line("up 12%") || received.bytes.is_empty(),
        "{received:?}"
    );
    wait_until("another process of agentcheck.service", || {
        let main = systemd.property("agentcheck.service", "MainPID");
        main != first && main != "0"
    });
    let received = probe(host.stay, b"web\n").unwrap();
    assert_eq!(received, Received::line("up 12%"));

    // Stopped, it ends with status 0.
    systemd.run(&[
        "systemctl",
        "stop",
        "agentcheck.socket",
        "agentcheck.service",
    ]);
    let of_service = |property| systemd.property("agentcheck.service", property);
    assert_eq!(of_service("ExecMainStatus"), "0");
    assert_eq!(of_service("Result"), "success");
    println!("agentcheck.socket: {probes} probes and HAProxy");
}

#[test]
fn systemd_starts_one_process_per_probe() {
    let host = host("unit-probe");
    let systemd = &host.systemd;
    host.starts("agentcheck-inetd.socket", host.per_probe);
    let mut probes = answers_what_is_asked(host.per_probe, true);
    // More within a moment than the limits that systemd has by itself would let through.
    for _ in 0..250 {
        let received = probe(host.per_probe, b"web\n").unwrap();
        assert_eq!(received, Received::line(WEB), "after {probes}");
        probes += 1;
    }
    moves_haproxy(&host.scratch, &host.block, host.per_probe);
    let socket = |property| systemd.property("agentcheck-inetd.socket", property);
    assert_eq!(socket("ActiveState"), "active");
    let accepted: usize = socket("NAccepted").parse().unwrap();
    assert!(accepted >= probes, "{accepted} processes, {probes} probes");
    wait_until("the last process to end", || socket("NConnections") == "0");

    // A failed process is collected without a failed unit; the journal would know of it.
    let journal = systemd.run(&["journalctl", "--no-pager", "-o", "cat"]);
    assert!(!journal.contains("status="), "{journal}");
    assert!(!journal.contains("Failed"), "{journal}");
    println!("agentcheck-inetd.socket: {probes} probes and HAProxy");
}

/// `systemd-analyze verify` always ends with status 0, so any output is a failure.
#[test]
fn systemd_verifies_the_units_without_a_message() {
    let host = host("unit-verify");
    let output = host.systemd.output(&[
        "systemd-analyze",
        "verify",
        "agentcheck.socket",
        "agentcheck.service",
        "agentcheck-inetd.socket",
        "agentcheck-inetd@.service",
        "agentcheck-collector.service",
    ]);
    let text = [output.stdout, output.stderr].concat();
    assert_eq!(String::from_utf8_lossy(&text), "");
    assert!(output.status.success());
}
