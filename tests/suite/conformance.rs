//! How `HAProxy` reacts to each reply, case by case, on the real `HAProxy`. Every other part relies on this. The
//! responder sends each reply that a state file can contain; a scripted agent sends the others.
//!
//! The ids come from the project's notes on `HAProxy`: C for single replies, S for sequences, F for faults.

mod faults;
mod transitions;

use agentcheck_common::Reply;
use agentcheck_tests::address::Block;
use agentcheck_tests::agent::{Agent, Answer};
use agentcheck_tests::application::Application;
use agentcheck_tests::conformance::cases::{self, Act, Case, Step};
use agentcheck_tests::haproxy::{Backend, Haproxy, Server};
use agentcheck_tests::responder::one_shot;
use agentcheck_tests::scratch::Scratch;
use agentcheck_tests::state::StateDirectory;
use std::fmt::Write as _;

/// Where a case runs: its server and its agent.
struct Stage<'a> {
    haproxy: &'a Haproxy,
    states: &'a StateDirectory,
    server: &'a str,
    agent: &'a Agent,
}

const BACKEND: &str = "conformance";

#[test]
fn haproxy_reacts_to_replies_and_sequences_as_in_the_table() {
    let scratch = Scratch::new("conformance");
    let block = Block::claim();
    let states = StateDirectory::at(scratch.directory("state"));
    let application = Application::start(block.address(8081), 0);
    let table = cases::table(Haproxy::version());

    let names: Vec<String> = (0..table.len())
        .map(|index| format!("case{index}"))
        .collect();
    let agents: Vec<Agent> = names
        .iter()
        .map(|_| Agent::start(block.agent(), Answer::Bytes(b"\n".to_vec())))
        .collect();
    let servers = names.iter().zip(&agents).zip(&table);
    let servers = servers.map(|((name, agent), case)| {
        let mut server = Server::new(name, application.address(), agent.address());
        server.check = case.checked;
        server
    });
    let haproxy = Haproxy::start(&scratch, &[Backend::new(BACKEND, servers.collect())]);

    let failures: Vec<String> = std::thread::scope(|scope| {
        let running: Vec<_> = (table.iter().zip(&names).zip(&agents))
            .map(|((case, name), agent)| {
                let stage = Stage {
                    haproxy: &haproxy,
                    states: &states,
                    server: name,
                    agent,
                };
                scope.spawn(move || stage.run(case))
            })
            .collect();
        running
            .into_iter()
            .flat_map(|case| case.join().expect("a case reports, it does not panic"))
            .collect()
    });
    let by_responder = table
        .iter()
        .flat_map(|case| &case.steps)
        .filter(|step| is_ours(&step.act))
        .count();
    println!(
        "{} cases of C01 to C16 and S01 to S06 in {} steps, {by_responder} of them by our responder",
        table.len(),
        table.iter().map(|case| case.steps.len()).sum::<usize>(),
    );
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// The line of a state file that leads to these bytes, if there is one.
fn holdable(bytes: &[u8]) -> Option<&str> {
    let line = bytes.strip_suffix(b"\n")?;
    Reply::parse(line).ok()?;
    std::str::from_utf8(line).ok()
}

fn is_ours(act: &Act) -> bool {
    match act {
        Act::Sends(bytes) => holdable(bytes).is_some(),
        Act::HasNoState => true,
        Act::SendsAndStaysOpen(_) | Act::Resets | Act::Operator(_) => false,
    }
}

impl Stage<'_> {
    /// Plays a case and returns what was not as expected.
    fn run(&self, case: &Case) -> Vec<String> {
        let mut failures = Vec::new();
        let mut story = String::new();
        for step in &case.steps {
            self.act(&step.act);
            self.agent.wait_for_exchanges(3);
            let _ = write!(story, "{}; ", describe(step));
            let seen = self.haproxy.server_at_rest(BACKEND, self.server);
            let differences = step.expected.differences(&seen);
            if !differences.is_empty() {
                failures.push(format!(
                    "{}{}: after {story}{}\n  {seen:?}",
                    case.id,
                    if case.checked { " with check" } else { "" },
                    differences.join("; ")
                ));
            }
        }
        for fault in self.agent.faults() {
            failures.push(format!("{}: {story}{fault}", case.id));
        }
        println!("{} {story}", case.id);
        failures
    }

    fn act(&self, act: &Act) {
        match act {
            Act::Sends(bytes) => self.agent.set_answer(match holdable(bytes) {
                Some(line) => {
                    self.states.set_raw_reply(self.server, line);
                    Answer::Program(one_shot(self.states, &[self.server]))
                }
                None => Answer::Bytes(bytes.to_vec()),
            }),
            Act::SendsAndStaysOpen(bytes) => {
                self.agent.set_answer(Answer::BytesAndOpen(bytes.to_vec()))
            }
            Act::Resets => self.agent.set_answer(Answer::Reset),
            Act::HasNoState => {
                self.states.remove_file(self.server);
                let one_shot = one_shot(self.states, &[self.server]);
                self.agent.set_answer(Answer::Program(one_shot));
            }
            Act::Operator(command) => {
                let server = format!("{BACKEND}/{}", self.server);
                self.haproxy.run(&command.replace("SERVER", &server));
            }
        }
    }
}

fn describe(step: &Step) -> String {
    match &step.act {
        Act::Sends(bytes) => format!("\"{}\"", bytes.escape_ascii()),
        Act::SendsAndStaysOpen(bytes) => format!("\"{}\" left open", bytes.escape_ascii()),
        Act::Resets => "reset".to_owned(),
        Act::HasNoState => "no state file".to_owned(),
        Act::Operator(command) => format!("operator: {command}"),
    }
}
