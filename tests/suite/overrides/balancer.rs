//! Overrides on a real `HAProxy`.

use super::operated_polling;
use agentcheck_tests::haproxy::Backend;

/// Worded as owner, over a service that leaves the balancer's administrative state alone: `HAProxy` shows
/// MAINT, and lets the server in again when the override ends; a drain that another agent left behind is
/// lifted on command, and one that an operator sets later stays.
#[test]
fn balancer_leaves_maint_after_resume_and_drain_after_ready() {
    let keys = "override_admin_state = \"manage\"";
    let mut scene = operated_polling("balancer", keys, "200ms");
    scene.respond(&["--name-from-client"]);
    let servers = vec![scene.server("web"), scene.server("api")];
    scene.balance(&[Backend::new("farm", servers)]);
    let haproxy = scene.haproxy();
    haproxy.wait_for_server("farm", "web", "73%", |seen| seen.weight == 73);

    scene.succeeds(&["maint", "web", "--reason", "kernel"]);
    haproxy.wait_for_server("farm", "web", "MAINT", |seen| seen.administrative & 1 != 0);
    scene.succeeds(&["resume", "web"]);
    haproxy.wait_for_server("farm", "web", "in again", |seen| {
        seen.administrative == 0 && seen.weight == 73
    });

    haproxy.run("set server farm/api state drain");
    haproxy.wait_for_server("farm", "api", "DRAIN", |seen| seen.administrative & 8 != 0);
    scene.succeeds(&["ready", "api", "--for", "2s"]);
    haproxy.wait_for_server("farm", "api", "in again", |seen| seen.administrative == 0);
    agentcheck_tests::processes::wait_until("replies without ready", || {
        let file = std::fs::read_to_string(scene.states.file("api")).unwrap();
        !file.contains(" ready ")
    });
    haproxy.run("set server farm/api state drain");
    // It stays, for as many exchanges as it takes to be sure.
    let asked = std::cell::Cell::new(0);
    haproxy.wait_for_server("farm", "api", "DRAIN for some rounds", |seen| {
        asked.set(if seen.administrative & 8 == 0 {
            0
        } else {
            asked.get() + 1
        });
        asked.get() > 50
    });
}
