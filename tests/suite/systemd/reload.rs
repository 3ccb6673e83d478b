//! `systemctl reload` is `agentcheck reload`: it fails if the configuration is refused, and the unit continues.

use super::{COLLECTOR, Tree};
use agentcheck_tests::messages::NOT_RELOADED;
use agentcheck_tests::processes::wait_until;

fn configuration(weight: &str) -> String {
    format!(
        "[source.load.system]\nmetric = \"load\"\ninterval = \"200ms\"\n\
         [service.web]\nweight = \"load.value < 0.0 ? 1.0 : {weight}\"\ndescription_detail = \"none\"\n"
    )
}

#[test]
fn systemctl_reload_fails_where_the_configuration_is_refused() {
    let tree = Tree::installed("reload");
    tree.configuration(&configuration("73.0"));
    let host = tree.boot();
    host.start(&[COLLECTOR]);
    host.wait_for_reply("web", "up 73%");
    let process = host.property(COLLECTOR, "MainPID");
    let file = host.systemd.path("/etc/agentcheck/agentcheck.toml");

    std::fs::write(&file, configuration("41.0")).unwrap();
    host.systemd.run(&["systemctl", "reload", COLLECTOR]);
    // It was in force when the command ended.
    let plan = agentcheck_tests::collector::Plan::read(&host.states, "web").unwrap();
    assert_eq!(plan.fresh, "up 41%");
    wait_until("the unit to be active", || {
        host.property(COLLECTOR, "ActiveState") == "active"
    });

    std::fs::write(&file, configuration("nothing.at_all")).unwrap();
    let refused = host.systemd.output(&["systemctl", "reload", COLLECTOR]);
    assert!(!refused.status.success());
    wait_until("systemd to show why", || {
        let printed = host.property(COLLECTOR, "StatusText");
        printed.starts_with("reload failed: ") && printed.contains("agentcheck.toml:5:")
    });
    wait_until("the unit to be active again", || {
        host.property(COLLECTOR, "ActiveState") == "active"
    });
    host.continues_writing("web");
    host.wait_for_reply("web", "up 41%");
    let refused = &format!("agentcheck: {NOT_RELOADED}");
    host.systemd.wait_for_journal(COLLECTOR, refused);

    // A signal of any permitted sender has the same effect.
    std::fs::write(&file, configuration("12.0")).unwrap();
    host.systemd.run(&[
        "systemctl",
        "kill",
        "--signal=HUP",
        "--kill-whom=main",
        COLLECTOR,
    ]);
    host.wait_for_reply("web", "up 12%");
    wait_until("systemd to show that it is well", || {
        host.property(COLLECTOR, "StatusText")
            .starts_with("1 service, ")
    });
    assert_eq!(host.property(COLLECTOR, "MainPID"), process);
    assert_eq!(host.property(COLLECTOR, "NRestarts"), "0");
    println!("{}", host.property(COLLECTOR, "StatusText"));
}
