//! Many servers of one real `HAProxy` beside as many of the model, moved in lockstep. Each gets a move of its
//! own; when `HAProxy` has acted on it, both are compared.

use super::haproxy_peers::{Answer, Peers};
use super::model::{Admin, Command, LIMIT, Move, Server, WEIGHT};
use agentcheck_tests::address::Block;
use agentcheck_tests::haproxy::{self, Backend, Haproxy, ServerState};
use agentcheck_tests::processes::wait_for;
use agentcheck_tests::scratch::Scratch;
use std::collections::{BTreeSet, HashMap};
use std::fmt::Write as _;

/// Milliseconds between two probes of one server, and between two health checks.
const INTERVAL: u32 = 200;

/// How many commands go over `HAProxy`'s socket at once: they must fit its buffer.
const COMMANDS: usize = 40;

/// The model and the real thing.
pub(crate) struct Lockstep {
    scratch: Scratch,
    peers: Peers,
    haproxy: Haproxy,
    _block: Block,
    /// The servers as the model has them.
    pub(crate) servers: Vec<Server>,
    /// The same before the latest step, and what that was.
    earlier: Vec<(Server, Option<Move>)>,
    /// How many timed-out health checks of each server the test has counted so far.
    late: Vec<usize>,
    names: Vec<String>,
    /// What has happened to each of them.
    stories: Vec<String>,
    /// Moves so far, of all servers together.
    pub(crate) moves: usize,
}

impl Lockstep {
    /// One server for each of `checked`: whether it has a health check.
    pub(crate) fn start(name: &str, checked: &[bool]) -> Self {
        let scratch = Scratch::new(name);
        let block = Block::claim();
        let (agent, application) = (block.agent(), block.address(8081));
        let names: Vec<String> = (0..checked.len()).map(|at| format!("s{at}")).collect();
        let peers = Peers::open(&names, agent, application);
        let backends: Vec<Backend> = names
            .iter()
            .zip(checked)
            .map(|(name, checked)| {
                let mut server =
                    haproxy::Server::new(name, application, agent).sending(&format!("{name}\\n"));
                server.check = *checked;
                server.weight = WEIGHT;
                server.agent_inter = INTERVAL;
                server.more = format!("maxconn {LIMIT}");
                if *checked {
                    let _ = write!(server.more, " inter {INTERVAL}");
                }
                // A backend of its own, for a path of its own.
                let mut backend = Backend::new(name, vec![server]);
                backend.lines.push(format!("option httpchk GET /{name}"));
                backend
            })
            .collect();
        let haproxy = Haproxy::start(&scratch, &backends);
        let mut stage = Self {
            scratch,
            peers,
            haproxy,
            _block: block,
            servers: checked
                .iter()
                .map(|checked| Server::new(*checked))
                .collect(),
            earlier: Vec::new(),
            late: vec![0; names.len()],
            stories: names.iter().map(|_| String::new()).collect(),
            names,
            moves: 0,
        };
        stage.rest();
        stage.compare();
        stage
    }

    /// Makes these moves, at most one for each server, and compares all.
    pub(crate) fn play(&mut self, moves: &[(usize, Move)]) {
        self.remember();
        let mut commands = Vec::new();
        let mut disabled = Vec::new();
        for (at, step) in moves {
            let name = &self.names[*at];
            match step {
                // No balancer asks, and the step is not kept for later.
                Move::Sends(_) | Move::Loses(_) if !self.servers[*at].asked => {}
                Move::Sends(reply) => {
                    let line = reply.to_string().into_bytes();
                    self.peers.answer(name, Answer::Line(line));
                }
                Move::Loses(fault) => self.peers.answer(name, Answer::Fault(*fault)),
                Move::Passes(passes) => self.peers.pass(name, *passes),
                Move::Commands(Command::DisableAgent) if self.servers[*at].asked => {
                    disabled.push(*at)
                }
                Move::Commands(command) => commands.push(command.line(name)),
                Move::Reload { .. } => unreachable!("a reload is for all servers"),
            }
            self.note(*at, step);
        }
        self.disable_agents(disabled);
        for commands in commands.chunks(COMMANDS) {
            // It refuses what the model takes for nothing: the agent's health where it is disabled.
            let _ = self.haproxy.query(&commands.join("; "));
        }
        self.rest();
        self.compare();
    }

    /// Disables these agents, each between two probes: a probe that is under way then is suspended, and delays the
    /// first probe after `enable agent` until `timeout check` (2.6.12). It is only late.
    fn disable_agents(&self, mut servers: Vec<usize>) {
        let mut begun: Vec<_> = self
            .names
            .iter()
            .map(|name| self.peers.begun(name).0)
            .collect();
        let mut over = vec![false; self.names.len()];
        wait_for(
            "the next probe of every agent that is to be disabled",
            || {
                servers.retain(|at| {
                    let name = &self.names[*at];
                    let probes = self.peers.begun(name).0;
                    if probes != begun[*at] {
                        begun[*at] = probes;
                        over[*at] = true;
                    } else if over[*at] {
                        self.haproxy.run(&Command::DisableAgent.line(name));
                        return false;
                    }
                    true
                });
                servers.first().map_or(Ok(()), |at| Err(&self.names[*at]))
            },
        );
    }

    /// Reloads the balancer, and so moves every server.
    pub(crate) fn reload(&mut self, saved: bool) {
        self.remember();
        self.haproxy.reload(&self.scratch, saved);
        for at in 0..self.servers.len() {
            self.note(at, &Move::Reload { saved });
        }
        self.rest();
        self.compare();
    }

    fn remember(&mut self) {
        self.earlier = self
            .servers
            .iter()
            .map(|server| (server.clone(), None))
            .collect();
    }

    fn note(&mut self, at: usize, step: &Move) {
        self.earlier[at].1 = Some(*step);
        self.servers[at] = self.servers[at].clone().after(step);
        self.moves += 1;
        let _ = write!(self.stories[at], "{}; ", describe(step));
    }

    /// Waits until a whole exchange has begun and ended since, of every agent and every health check that
    /// the model expects: `HAProxy` has acted on one when it begins the next.
    fn rest(&self) {
        let begun: Vec<_> = self
            .names
            .iter()
            .map(|name| self.peers.begun(name))
            .collect();
        let waiting = |at: usize| {
            let (server, name) = (&self.servers[at], &self.names[at]);
            let (probes, checks) = self.peers.begun(name);
            let is_checked = server.checked && server.admin != Admin::Maint;
            (server.asked && probes < begun[at].0 + 2) || (is_checked && checks < begun[at].1 + 2)
        };
        let mut left: Vec<usize> = (0..self.names.len()).collect();
        wait_for("two exchanges of every agent and every check", || {
            left.retain(|at| waiting(*at));
            let reported =
                |at: &usize| format!("{:?} after {}", self.servers[*at], self.stories[*at]);
            left.first().map_or(Ok(()), |at| Err(reported(at)))
        });
    }

    /// Compares model and `HAProxy`. A health check whose deadline passed, as it does on a busy machine (its
    /// deadline is its interval), is something that happened: the model learns of it.
    fn compare(&mut self) {
        let mut were_late = BTreeSet::new();
        loop {
            let seen: HashMap<String, ServerState> = self
                .haproxy
                .servers()
                .into_iter()
                .map(|seen| (seen.server.clone(), seen))
                .collect();
            let mut wrong = Vec::new();
            let mut again = false;
            for at in 0..self.names.len() {
                let real = ServerView::seen(&seen[&self.names[at]]);
                let model = ServerView::of(&self.servers[at]);
                if model == real {
                    continue;
                }
                if self.is_late_again(at) {
                    were_late.insert(at);
                    again = true;
                } else if !were_late.contains(&at) || !self.explained(at, &real) {
                    let (name, story) = (&self.names[at], &self.stories[at]);
                    let checked = self.servers[at].checked;
                    wrong.push(format!(
                        "{name}, check {checked}: after {story}\n  model   {model:?}\n  haproxy {real:?} {}",
                        seen[name].status
                    ));
                }
            }
            if again {
                self.rest();
                continue;
            }
            assert!(
                wrong.is_empty(),
                "the model and HAProxy are not of one opinion:\n{}",
                wrong.join("\n")
            );
            return;
        }
    }

    /// Whether more health checks of this server have run out of time than when this was asked last.
    fn is_late_again(&mut self, at: usize) -> bool {
        let name = &self.names[at];
        let subject = format!("Health check for server {name}/{name} failed, reason: Layer");
        let log = self.haproxy.log();
        let late = log
            .lines()
            .filter(|line| line.contains(&subject) && line.contains("timeout"))
            .count();
        std::mem::replace(&mut self.late[at], late) != late
    }

    /// Whether a health check that failed once, before the latest step or after it, is all that the model
    /// did not know.
    fn explained(&mut self, at: usize, real: &ServerView) -> bool {
        let failed_once = |server: Server| {
            let passes = Move::Passes(server.passes);
            server.after(&Move::Passes(false)).after(&passes)
        };
        let after_it = failed_once(self.servers[at].clone());
        let before_it = self.earlier.get(at).map(|(server, step)| {
            let server = failed_once(server.clone());
            step.map_or(server.clone(), |step| server.after(&step))
        });
        let mut candidates = [Some(after_it), before_it].into_iter().flatten();
        let found = candidates.find(|server| ServerView::of(server) == *real);
        if let Some(server) = found {
            self.stories[at].push_str("a health check was late; ");
            self.servers[at] = server;
            return true;
        }
        false
    }
}

/// What both show.
#[derive(Debug, PartialEq, Eq)]
struct ServerView {
    running: bool,
    administrative: u8,
    weight: u16,
    limit: u32,
}

impl ServerView {
    fn of(server: &Server) -> Self {
        Self {
            running: server.running,
            administrative: match server.admin {
                Admin::Ready => 0,
                Admin::Maint => 1,
                Admin::Drain => 8,
            },
            weight: server.weight,
            limit: server.limit,
        }
    }

    fn seen(seen: &ServerState) -> Self {
        Self {
            running: seen.operational == 2,
            administrative: seen.administrative,
            weight: seen.weight,
            limit: seen.session_limit.unwrap_or(0),
        }
    }
}

fn describe(step: &Move) -> String {
    match step {
        Move::Sends(reply) => format!("{reply}"),
        Move::Commands(command) => command.line("SERVER"),
        other => format!("{other:?}"),
    }
}
