//! What only another user may find out: a unit of that user writes a file, or the collector's commands run
//! as that user.

use super::{COLLECTOR, Host, Tree};
use agentcheck_tests::binaries;
use agentcheck_tests::processes::{wait_for, wait_until};
use std::fs;

const EXAMPLE: &str = "usr/share/doc/agentcheck/examples/another-user";
const DROP_IN: &str = "agentcheck-collector.service.d/commands-as-another-user.conf";

/// The account of the example, and its spool, which no other user may read.
const SPOOL: &str = "useradd --system --user-group --home-dir /nonexistent orders
    install -d -o orders -g orders -m 700 /var/spool/orders";

/// The unit of the example with its timer, the configuration of the example, and a spool that fills.
#[test]
fn collector_reads_a_file_that_another_users_unit_writes() {
    let tree = Tree::installed("writes");
    for unit in ["orders-depth.service", "orders-depth.timer"] {
        let text = fs::read_to_string(tree.path.join(EXAMPLE).join(unit)).unwrap();
        tree.file(&format!("{}/{unit}", super::OPERATOR), &text);
    }
    let text = fs::read_to_string(tree.path.join(EXAMPLE).join("agentcheck.toml")).unwrap();
    tree.configuration(&text);
    let host = tree.boot();
    host.systemd.run(&["sh", "-euc", SPOOL]);
    host.systemd
        .run(&["systemctl", "enable", "--now", "orders-depth.timer"]);
    host.start(&[COLLECTOR]);
    host.wait_for_reply("orders", "up 100% ");
    let refused = host.systemd.output(&[
        "setpriv",
        "--reuid=agentcheck",
        "--clear-groups",
        "ls",
        "/var/spool/orders",
    ]);
    assert!(!refused.status.success());
    for (more, line) in [(250, "up 75% "), (250, "up 50% ")] {
        let touch =
            format!("cd /var/spool/orders; for i in $(seq {more}); do mktemp -q -p .; done");
        host.systemd.run(&["sh", "-euc", &touch]);
        host.wait_for_reply("orders", line);
    }
    let wrote = host
        .systemd
        .run(&["stat", "-c", "%U %a", "/run/orders-depth/depth"]);
    assert_eq!(wrote, "orders 644\n");

    // It fails: the file stays as it was, and grows too old, which a rule notices.
    host.systemd
        .run(&["mv", "/var/spool/orders", "/var/spool/moved"]);
    host.systemd
        .wait_for_property("orders-depth.service", "Result", "exit-code");
    host.wait_for_reply("orders", "up 1% # rule=old");
    host.systemd
        .run(&["mv", "/var/spool/moved", "/var/spool/orders"]);
    host.wait_for_reply("orders", "up 50% ");
}

/// The latest poll of a source, as the account has it.
fn polled(host: &Host, source: &str) -> String {
    let status = fs::read_to_string(host.states.path().join("status.json")).unwrap_or_default();
    let begin = format!("\"{source}\":{{");
    let (_, rest) = status.split_once(&begin).unwrap_or_default();
    rest.split('}').next().unwrap_or_default().to_owned()
}

#[test]
fn command_source_runs_as_another_user() {
    let tree = Tree::installed("commands");
    tree.enable(DROP_IN);
    tree.configuration(
        r#"
[source.depth.command]
argv = ["/bin/sh", "-c", "[ $(id -un) = orders ] && ls /var/spool/orders | wc -l"]
user = "orders"
format = "number"
interval = "300ms"

[source.rights.command]
argv = ["/bin/sh", "-c", "grep -q 'CapEff:.0*$' /proc/self/status && grep -q 'NoNewPrivs:.1' /proc/self/status && echo 1"]
user = "orders"
format = "number"
interval = "300ms"

[source.hangs.command]
argv = ["/bin/sleep", "1000000"]
user = "orders"
format = "number"
interval = "300ms"
timeout = "300ms"

[service.orders]
weight = "100.0 - depth.value * rights.value"

[service.hangs]
weight = "hangs.value"
"#,
    );
    let host = tree.boot();
    host.systemd.run(&["sh", "-euc", SPOOL]);
    host.start(&[COLLECTOR]);
    host.wait_for_reply("orders", "up 100% ");
    host.systemd
        .run(&["touch", "/var/spool/orders/one", "/var/spool/orders/two"]);
    host.wait_for_reply("orders", "up 98% ");

    // One that hangs is ended, though it is another user's, or the next could not begin.
    let sent = || {
        let polled = polled(&host, "hangs");
        let sent = polled.split("\"sent\":").nth(1).unwrap_or_default();
        let sent: String = sent.chars().take_while(char::is_ascii_digit).collect();
        (sent, polled)
    };
    for _ in 0..3 {
        let (before, _) = sent();
        let after = wait_for("another poll of the one that hangs", || {
            let (at, polled) = sent();
            let other = at != before && !at.is_empty();
            if other { Ok(polled) } else { Err(polled) }
        });
        assert!(after.contains("not finished within 300ms"), "{after}");
    }

    // Back to the shipped unit, as the drop-in describes.
    let text = fs::read_to_string(binaries::workspace().join("systemd/optional").join(DROP_IN));
    let reclaim = "sh /usr/lib/agentcheck/setup reclaim";
    assert!(text.unwrap().contains(reclaim));
    host.systemd.run(&["systemctl", "stop", COLLECTOR]);
    host.systemd
        .run(&["rm", &format!("/etc/systemd/system/{DROP_IN}")]);
    host.systemd.run(&["systemctl", "daemon-reload"]);
    host.systemd.run(&["sh", "-euc", reclaim]);
    host.start(&[COLLECTOR]);
    wait_until("commands as another user to be refused", || {
        polled(&host, "depth").contains("only a collector that runs as root")
    });
    let owner = host
        .systemd
        .run(&["stat", "-c", "%U", "/run/agentcheck/status.json"]);
    assert_eq!(owner, "agentcheck\n");
}
