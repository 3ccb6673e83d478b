//! One port for many services, with a real `HAProxy`: `agent-send` gives each server the reply of its own
//! service. A server line without `agent-send` gets no other service's reply.

use agentcheck_tests::haproxy::{Backend, Server};
use agentcheck_tests::responder::Loop;
use agentcheck_tests::scene::Scene;
use std::net::SocketAddr;

#[test]
fn each_server_gets_the_reply_of_its_own_service() {
    let mut scene = Scene::new("ask");
    for (service, line) in [("web", "up 73%"), ("api", "up 20%"), ("rest", "up 55%")] {
        scene.states.set_reply(service, line);
    }
    scene.states.set_reply("mail", "down 100% # queue stuck");
    scene.respond(&["--name-from-client"]);
    let default_agent = scene.block.agent();
    let arguments = ["--name-from-client", "--default-service", "rest"];
    let _default = Loop::start(&scene.scratch, &scene.states, &arguments, &[default_agent]);

    let servers = |agent: SocketAddr| {
        let server = |name: &str| Server::new(name, scene.block.address(8081), agent);
        let named = |name: &str| server(name).sending(&format!("{name}\\n"));
        let unknown = server("unknown").sending("nobody\\n");
        let [web, api, mail] = ["web", "api", "mail"].map(named);
        vec![web, api, mail, server("silent"), unknown]
    };
    let backends = [
        Backend::new("plain", servers(scene.agent)),
        Backend::new("default", servers(default_agent)),
    ];
    scene.balance(&backends);
    let haproxy = scene.haproxy();
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
        // Nothing changes, and the statistics show why.
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
    // It stays so: each server still has its own reply.
    for (server, weight) in [("web", 73), ("api", 20), ("unknown", 100)] {
        assert_eq!(haproxy.server_at_rest("plain", server).weight, weight);
        assert_eq!(haproxy.server_at_rest("default", server).weight, weight);
    }
    println!("10 server lines on 2 ports");
}
