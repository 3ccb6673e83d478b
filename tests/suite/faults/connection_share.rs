//! Four servers have a quarter of their weight, and one loses its collector. Its share of the connections does
//! not rise.

use agentcheck_tests::address::Block;
use agentcheck_tests::collector::Herald;
use agentcheck_tests::haproxy::{Backend, Haproxy, Server};
use agentcheck_tests::scene::Scene;
use agentcheck_tests::scratch::Scratch;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

const CONNECTIONS: u64 = 400;

#[test]
fn server_without_collector_gets_no_larger_share() {
    let scratch = Scratch::new("share");
    let block = Block::claim();
    let frontend = block.address(8080);
    let mut servers = Vec::new();
    let mut hosts: Vec<Scene> = (0..4)
        .map(|index| {
            let name = format!("server{index}");
            let mut scene = Scene::new(&name);
            let agent = scene.agent;
            let application = scene.serve(5250);
            servers.push(Server::new(&name, application.address(), agent));
            let mut service = Herald::new("web", &application.url());
            service.fresh_for = "2s";
            if index == 1 {
                // A bad configuration, to show that the count below notices it.
                service.stale = "up 100%";
            }
            scene.configure(&Herald::configuration(&[service]));
            scene.start();
            scene.respond(&["web"]);
            scene
        })
        .collect();
    let mut backend = Backend::new("farm", servers);
    backend.frontend = Some(frontend);
    let haproxy = Haproxy::start(&scratch, &[backend]);
    for index in 0..hosts.len() {
        let server = format!("server{index}");
        haproxy.wait_for_server("farm", &server, "a quarter of its weight", |seen| {
            seen.weight == 25
        });
    }

    let before = shares(&haproxy, frontend);
    println!("of {CONNECTIONS} connections, all collectors alive: {before:?}");
    assert_even(&before);

    hosts[0].kill();
    haproxy.wait_for_server("farm", "server0", "the stale reply", |seen| {
        seen.agent_text.contains("stale")
    });
    let after = shares(&haproxy, frontend);
    println!("of {CONNECTIONS} connections, server0 stale: {after:?}");
    assert_even(&after);

    hosts[1].kill();
    haproxy.wait_for_server("farm", "server1", "all its weight", |seen| {
        seen.weight == 100
    });
    let raised = shares(&haproxy, frontend);
    println!(
        "of {CONNECTIONS} connections, server1 back to full, as it should never be: {raised:?}"
    );
    assert!(raised[1] > CONNECTIONS / 2, "{raised:?}");
}

/// Roundrobin gives servers of one weight exactly the same; where a check comes in between, one more or
/// less.
fn assert_even(shares: &[u64]) {
    let fair = CONNECTIONS / 4;
    assert!(
        shares.iter().all(|share| share.abs_diff(fair) <= 2),
        "{shares:?}"
    );
}

/// How many of so many connections, one after the other, go to each server.
fn shares(haproxy: &Haproxy, frontend: SocketAddr) -> Vec<u64> {
    let sessions = || -> Vec<u64> {
        let servers = haproxy.servers();
        servers.iter().map(|seen| seen.sessions).collect()
    };
    let before = sessions();
    for _ in 0..CONNECTIONS {
        let mut stream = TcpStream::connect(frontend).expect("the frontend listens");
        stream
            .write_all(b"GET / HTTP/1.1\r\nHost: farm\r\nConnection: close\r\n\r\n")
            .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer:?}");
    }
    let after = sessions();
    after
        .iter()
        .zip(&before)
        .map(|(now, then)| now - then)
        .collect()
}
