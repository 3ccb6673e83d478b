//! A real balancer that hears it.

use super::desk::Desk;
use agentcheck_tests::address::Block;
use agentcheck_tests::haproxy::{Backend, Haproxy, Server};
use agentcheck_tests::responder::Loop;

/// Worded as owner, over a service that leaves the balancer's administrative state alone: `HAProxy` shows
/// MAINT, and lets the server in again when the override ends; a drain that another agent left behind is
/// lifted on command, and one that an operator sets later stays.
#[test]
fn quiet_maintenance_ends_and_a_release_lifts_what_others_left() {
    let keys = "override_administration = \"owner\"";
    let desk = Desk::polling("balancer", keys, "200ms");
    let block = Block::claim();
    let agent = block.agent();
    let _responder = Loop::start(&desk.scratch, &desk.states, &["--ask"], &[agent]);
    let servers = vec![
        Server::new("web", block.address(8081), agent).sending("web\\n"),
        Server::new("api", block.address(8081), agent).sending("api\\n"),
    ];
    let haproxy = Haproxy::start(&desk.scratch, &[Backend::new("farm", servers)]);
    haproxy.wait_for_server("farm", "web", "73%", |seen| seen.weight == 73);

    desk.told(&["maint", "web", "--reason", "kernel"]);
    haproxy.wait_for_server("farm", "web", "MAINT", |seen| seen.administrative & 1 != 0);
    desk.told(&["resume", "web"]);
    haproxy.wait_for_server("farm", "web", "in again", |seen| {
        seen.administrative == 0 && seen.weight == 73
    });

    haproxy.tell("set server farm/api state drain");
    haproxy.wait_for_server("farm", "api", "DRAIN", |seen| seen.administrative & 8 != 0);
    desk.told(&["release", "api", "--for", "2s"]);
    haproxy.wait_for_server("farm", "api", "in again", |seen| seen.administrative == 0);
    agentcheck_tests::processes::wait_until("ready to be no longer said", || {
        let file = std::fs::read_to_string(desk.states.file("api")).unwrap();
        !file.contains(" ready ")
    });
    haproxy.tell("set server farm/api state drain");
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
