//! S07: every state is reached from every other, even if the agent was killed in between.
//!
//! For both styles of replies, with and without a health check, each ordered pair of states has a server of its
//! own. One accept loop replies to all, and is killed between the two states.

use agentcheck_tests::address::Block;
use agentcheck_tests::agent::{Agent, Answer};
use agentcheck_tests::application::Application;
use agentcheck_tests::conformance::expected::{Expected, down, draining, maintenance, running};
use agentcheck_tests::haproxy::{Backend, Haproxy, Server};
use agentcheck_tests::processes::LIMIT;
use agentcheck_tests::responder::Loop;
use agentcheck_tests::scratch::Scratch;
use agentcheck_tests::state::StateDirectory;
use std::collections::HashMap;
use std::time::{Duration, Instant};

const BACKEND: &str = "pairs";

/// One state: the line and the expected server.
#[derive(Clone, Debug)]
struct State {
    name: &'static str,
    line: &'static str,
    expected: Expected,
}

fn state(name: &'static str, line: &'static str, expected: Expected) -> State {
    State {
        name,
        line,
        expected,
    }
}

/// The states as the collector renders them where operators own the administrative state.
fn preserve() -> Vec<State> {
    let stopped = down(100).text("via agent : stopped (maintenance)");
    vec![
        state("full", "up 100%", running(100)),
        state("percent", "up 30%", running(30)),
        state("drain", "up 0%", running(0)),
        state(
            "down",
            "down 100% # reason",
            down(100).text("via agent : down (reason)"),
        ),
        state("maint", "stopped 100% # maintenance", stopped),
    ]
}

/// The states as the collector renders them where the agent owns it.
fn manage() -> Vec<State> {
    vec![
        state("full", "up ready 100%", running(100)),
        state("percent", "up ready 30%", running(30)),
        state("drain", "up drain 100%", draining(100)),
        state(
            "down",
            "down ready 100% # reason",
            down(100).text("via agent : down (reason)"),
        ),
        state("maint", "maint 100%", maintenance(100)),
    ]
}

/// A server's way from one state to another.
struct Pair {
    server: String,
    checked: bool,
    from: State,
    to: State,
}

fn pairs() -> Vec<Pair> {
    let mut pairs = Vec::new();
    for (rendering, states) in [("preserve", preserve()), ("manage", manage())] {
        for checked in [false, true] {
            for from in &states {
                for to in states.iter().filter(|to| to.name != from.name) {
                    let check = if checked { "checked" } else { "unchecked" };
                    pairs.push(Pair {
                        server: format!("{rendering}.{check}.{}.{}", from.name, to.name),
                        checked,
                        from: from.clone(),
                        to: to.clone(),
                    });
                }
            }
        }
    }
    pairs
}

#[test]
fn s07_every_state_is_reached_from_every_other() {
    let scratch = Scratch::new("pairs");
    let block = Block::claim();
    let states = StateDirectory::at(scratch.directory("state"));
    let application = Application::start(block.address(8081), 0);
    let pairs = pairs();
    let agent = block.agent();
    // Its exchanges count those of the others, which have the same interval.
    let pacemaker = Agent::start(block.agent(), Answer::Bytes(b"up\n".to_vec()));

    let mut servers: Vec<Server> = pairs
        .iter()
        .map(|pair| {
            let mut server = Server::new(&pair.server, application.address(), agent)
                .sending(&format!("{}\\n", pair.server));
            server.check = pair.checked;
            server
        })
        .collect();
    servers
        .push(Server::new("pacemaker", application.address(), pacemaker.address()).sending("x\\n"));

    for pair in &pairs {
        states.set_reply(&pair.server, pair.from.line);
    }
    let mut responder = Loop::start(&scratch, &states, &["--name-from-client"], &[agent]);
    let haproxy = Haproxy::start(&scratch, &[Backend::new(BACKEND, servers)]);
    let mut failures = settled("the first state", &haproxy, &pacemaker, &pairs, |pair| {
        pair.from.expected.clone()
    });

    responder.process().kill();
    failures.extend(settled(
        "the agent dead",
        &haproxy,
        &pacemaker,
        &pairs,
        |pair| pair.from.expected.clone().text("").agent(&["L4CON"]),
    ));

    for pair in &pairs {
        states.set_reply(&pair.server, pair.to.line);
    }
    let responder = Loop::start(&scratch, &states, &["--name-from-client"], &[agent]);
    failures.extend(settled(
        "the second state",
        &haproxy,
        &pacemaker,
        &pairs,
        |pair| pair.to.expected.clone(),
    ));
    drop(responder);
    println!(
        "S07: {} ordered pairs of states, agent dead in between",
        pairs.len()
    );
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// Waits until every server is as expected, and for three exchanges more. Returns the differences then.
fn settled(
    phase: &str,
    haproxy: &Haproxy,
    pacemaker: &Agent,
    pairs: &[Pair],
    expected: impl Fn(&Pair) -> Expected,
) -> Vec<String> {
    let differences = || {
        let seen: HashMap<_, _> = haproxy
            .servers()
            .into_iter()
            .map(|seen| (seen.server.clone(), seen))
            .collect();
        let wrong = pairs.iter().filter_map(|pair| {
            let seen = &seen[&pair.server];
            let differences = expected(pair).differences(seen);
            (!differences.is_empty())
                .then(|| format!("S07 {}, {phase}: {}", pair.server, differences.join("; ")))
        });
        wrong.collect::<Vec<_>>()
    };
    let start = Instant::now();
    while !differences().is_empty() && start.elapsed() < LIMIT {
        std::thread::sleep(Duration::from_millis(50));
    }
    pacemaker.wait_for_exchanges(3);
    differences()
}
