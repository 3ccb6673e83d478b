//! `HAProxy` with mistakes in its configuration, and servers whose state has another cause than the agent.

use super::{balance, doctor_of_both, finds, finds_count, installation};
use agentcheck_tests::agent::{Agent, Answer};
use agentcheck_tests::haproxy::{Backend, Haproxy, Server};
use agentcheck_tests::snapshot::{self, file};

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
    finds(
        || doctor_of_both(&here, &[]),
        &[
            "error haproxy: farm/web:",
            "warning haproxy: farm/api:",
            "warning haproxy: farm/bare:",
            "warning haproxy: backend fixed:",
        ],
    );
    let mut count = 4;
    if Haproxy::shows_agent_results() {
        let lines = [
            "error haproxy: fixed/lost: agent L4CON",
            "error haproxy: fixed/ghost: agent CHECKED agent reports an error : unknown:ghost",
        ];
        finds(|| doctor_of_both(&here, &[]), &lines);
        count = 6;
    }
    let printed = finds_count(|| doctor_of_both(&here, &[]), count);
    assert_eq!(printed.status, Some(1));
    // Other versions have findings of their own.
    if printed.has("ok haproxy: version ") {
        snapshot::check(
            &printed.findings(),
            &here.variables(),
            file!["balancer.txt"],
        );
    }
}

/// `HAProxy` asks another agent, another port, or no agent, and takes the state from another server.
#[test]
fn cause_of_a_servers_state_is_found() {
    let mut here = installation("doctor-causes");
    let other = Agent::start(
        here.block.address(3399),
        Answer::Bytes(b"up 90%\n".to_vec()),
    );
    let site = here.server("web").address;
    let foreign = Server::new("web", site, other.address());
    let backends = [
        Backend::new("foreign", vec![foreign]),
        Backend::new(
            "disabled",
            vec![Server {
                more: "disabled".to_owned(),
                ..here.server("web")
            }],
        ),
        Backend::new("off", vec![here.server("api")]),
        {
            let mut tracking = Backend::new(
                "tracking",
                vec![Server {
                    more: "track checked/api".to_owned(),
                    ..here.server("api")
                }],
            );
            tracking.lines.retain(|line| !line.contains("balance"));
            tracking
        },
        Backend::new("checked", vec![here.server("api").checked()]),
    ];
    let haproxy = here.balance(&backends);
    haproxy.wait_for_server("foreign", "web", "the other agent's weight", |seen| {
        seen.weight == 90
    });
    haproxy.run("set server off/api state maint");
    haproxy.run("disable agent off/api");
    let mut lines = vec![
        "warning haproxy: foreign/web: weight 90 of 100, which our reply does not give: up 73%"
            .to_owned(),
        "warning haproxy: disabled/web: disabled in haproxy.cfg, and the agent sends: up 73%"
            .to_owned(),
        "warning haproxy: off/api: in maintenance, and its agent checks are off".to_owned(),
        // The server that it tracks fails its health check: nothing listens there.
        "note haproxy: tracking/api: DOWN; it tracks checked/api".to_owned(),
    ];
    // The port is in show servers state from 2.4 on.
    if Haproxy::version() >= (2, 4) {
        lines.push(format!(
            "warning haproxy: foreign/web: HAProxy asks {}, and this host serves web on port 3333",
            other.address()
        ));
    }
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let wanted = match Haproxy::shows_agent_results() {
        true => &lines[..],
        // Without the result of the exchange, a weight may be the one of an earlier reply.
        false => &lines[1..],
    };
    finds(|| doctor_of_both(&here, &[]), wanted);
}
