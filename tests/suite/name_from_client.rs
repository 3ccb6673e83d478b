//! One port for many services, with a real `HAProxy`: `agent-send` gives each server the reply of its own
//! service. A server line without `agent-send` gets no other service's reply.

use agentcheck_tests::address::Block;
use agentcheck_tests::haproxy::{Backend, Haproxy, Server};
use agentcheck_tests::responder::Loop;
use agentcheck_tests::scratch::Scratch;
use agentcheck_tests::state::StateDirectory;
use std::net::SocketAddr;

#[test]
fn each_server_gets_the_reply_of_its_own_service() {
    let scratch = Scratch::new("ask");
    let states = StateDirectory::at(scratch.directory("state"));
    states.set_reply("web", "up 73%");
    states.set_reply("api", "up 20%");
    states.set_reply("mail", "down 100% # queue stuck");
    states.set_reply("rest", "up 55%");
    let (plain, with_default) = (Block::claim(), Block::claim());
    // Each call gives another address.
    let (plain_agent, default_agent) = (plain.agent(), with_default.agent());
    let _plain = Loop::start(&scratch, &states, &["--name-from-client"], &[plain_agent]);
    let arguments = ["--name-from-client", "--default-service", "rest"];
    let _with_default = Loop::start(&scratch, &states, &arguments, &[default_agent]);

    let servers = |block: &Block, agent: SocketAddr| {
        let server = |name: &str| Server::new(name, block.address(8081), agent);
        let mut asking: Vec<Server> = ["web", "api", "mail"]
            .iter()
            .map(|name| server(name).sending(&format!("{name}\\n")))
            .collect();
        asking.push(server("silent"));
        asking.push(server("unknown").sending("nobody\\n"));
        asking
    };
    let backends = [
        Backend::new("plain", servers(&plain, plain_agent)),
        Backend::new("default", servers(&with_default, default_agent)),
    ];
    let haproxy = Haproxy::start(&scratch, &backends);
    for backend in ["plain", "default"] {
        haproxy.wait_for_server(backend, "web", "weight 73", |seen| {
            seen.weight == 73 && seen.agent_status == "L7OK"
        });
        haproxy.wait_for_server(backend, "api", "weight 20", |seen| {
            seen.weight == 20 && seen.agent_status == "L7OK"
        });
        haproxy.wait_for_server(backend, "mail", "down, with its reason", |seen| {
            seen.operational == 0 && seen.agent_text.contains("queue stuck")
        });
        // Nothing changes, and the statistics say why.
        haproxy.wait_for_server(backend, "unknown", "frozen", |seen| {
            seen.weight == 100 && seen.agent_text.contains("unknown:nobody")
        });
    }
    haproxy.wait_for_server("plain", "silent", "frozen", |seen| {
        seen.weight == 100 && seen.agent_text.contains("no-name")
    });
    haproxy.wait_for_server("default", "silent", "weight 55", |seen| {
        seen.weight == 55 && seen.agent_status == "L7OK"
    });
    // And so it stays: what each has heard by now is still its own.
    for (server, weight) in [("web", 73), ("api", 20), ("unknown", 100)] {
        assert_eq!(haproxy.server_at_rest("plain", server).weight, weight);
        assert_eq!(haproxy.server_at_rest("default", server).weight, weight);
    }
    println!("10 server lines on 2 ports");
}
