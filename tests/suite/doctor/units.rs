//! doctor in a booted system: units give the addresses and the hidden paths.

use super::{Report, finds, stop_loop};
use agentcheck_tests::processes::{run, wait_for};
use agentcheck_tests::scratch::Scratch;
use agentcheck_tests::systemd::{Systemd, installed, put};

/// A socket unit with the drop-in from its comment, which accepts a balancer and this host's loopback; and a source in
/// a directory that the collector's unit hides.
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
    let doctor = || Report::inside(&systemd, &[]);
    let probed = [
        "note listener: probing 10.0.0.11:3333: nothing listens on the loopback",
        "ok listener: 10.0.0.11:3333: ",
        "ok probe: agent-send \"web\\n\": up 73%",
        "ok probe: without agent-send: ",
        "note haproxy.cfg: server web 10.0.0.11:PORT check ",
    ];
    let printed = finds(doctor, &probed);
    for line in [
        "ok systemd: agentcheck.socket listens on 10.0.0.11:3333 (Stream)",
        "ok source: hidden: ",
        "warning sandbox: source hidden: /tmp/hidden is hidden from the collector: agentcheck-collector.service has PrivateTmp=yes",
    ] {
        assert!(printed.has(line), "{line} is not in {}", printed.text);
    }
    assert!(!printed.text.contains("source seen:"), "{}", printed.text);
    assert_eq!(printed.status, Some(1));

    // With the remedy, the file is visible, and there is no warning.
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

    // A responder without a launcher's file is found by its listener.
    stop_loop(&systemd);
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
