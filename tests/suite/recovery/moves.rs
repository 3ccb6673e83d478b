//! Everything that can happen, one move after the other: to the application, to the collector, between responder
//! and `HAProxy`, and on the balancer.

use super::expected_reply::{Expected, Wanted};
use super::model::{Admin, Command, FAULTS, Fault, Move, Server};
use super::policy::{BY_RULE, Keys, Policy, Stale, TargetState, lines};
use super::product::{Host, Published};
use agentcheck_common::{Percent, Reply};
use agentcheck_tests::state::reply;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};
use std::fmt::Debug;
use std::time::Duration;

/// One thing that happens.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Event {
    /// The application is polled, if there is a collector, and leads to a verdict, or does not answer.
    Polled(Option<TargetState>),
    /// The collector is killed.
    Crashes,
    /// The collector stops.
    Stops,
    /// The collector is started, if there is none.
    Starts,
    /// The host is started anew, without a collector yet.
    Reboots,
    /// Time passes.
    Passes(Duration),
    /// `HAProxy` asks, and gets the responder's reply.
    Probed,
    /// Something on the balancer, or on the way to it.
    Balancer(Move),
    /// Another agent replies to the balancer, or ours in another configuration.
    Other(&'static str),
}

/// How many things happen in a story at most.
const LONGEST: usize = 60;

/// How long time passes at once, at most, where a collector lives.
const AWAKE: Duration = Duration::from_secs(30);

/// What other agents leave behind.
const OTHERS: [&str; 6] = ["drain", "maint", "down", "0%", "maint down", "up drain 30%"];

fn reply_keys(owner: bool) -> BoxedStrategy<TargetState> {
    prop_oneof![
        5 => (0..=100u16).prop_map(TargetState::Weight),
        5 => select(BY_RULE.to_vec()),
        2 => (0..lines(owner).len()).prop_map(TargetState::Line),
    ]
    .boxed()
}

/// The replies in place of a verdict: all but full, which no key accepts where it could flood a server.
fn instead(owner: bool) -> BoxedStrategy<TargetState> {
    let states = select(vec![
        TargetState::Floor,
        TargetState::Drain,
        TargetState::Down,
        TargetState::Maint,
    ]);
    prop_oneof![3 => states, 1 => (0..lines(owner).len()).prop_map(TargetState::Line)].boxed()
}

/// The keys of a configuration; `weight_form = "absolute"` only where HAProxy knows `weight:N`.
fn keys(knows_weight: bool) -> BoxedStrategy<Keys> {
    let seconds = |range: std::ops::RangeInclusive<u64>| range.prop_map(Duration::from_secs);
    let nobody = |owner| {
        prop_oneof![
            Just(Stale::Keep),
            Just(Stale::Release),
            instead(owner).prop_map(Stale::State),
        ]
    };
    any::<bool>()
        .prop_flat_map(move |owner| {
            let fresh_for = select(vec![3, 10, 60]).prop_map(Duration::from_secs);
            let numbers = (1..=100u16, fresh_for, (seconds(1..=60), seconds(1..=600)));
            let instead = proptest::option::of(instead(owner));
            let hold_for = proptest::option::of(seconds(1..=60));
            let words = (
                nobody(owner),
                nobody(owner),
                instead,
                hold_for,
                any::<bool>(),
                any::<bool>(),
            );
            (numbers, words).prop_map(move |(numbers, words)| {
                let (floor, fresh_for, release) = numbers;
                let (stale, on_stop, on_failure, hold_for, limits, absolute) = words;
                Keys {
                    owner,
                    absolute: absolute && knows_weight,
                    floor,
                    fresh_for,
                    stale,
                    on_stop,
                    release,
                    on_failure,
                    hold_for,
                    limits,
                }
            })
        })
        .boxed()
}

/// The number of configurations: reading one takes longer than running a story with it.
pub(crate) fn policies(runner: &mut TestRunner, count: usize, knows_weight: bool) -> Vec<Policy> {
    let keys = keys(knows_weight);
    (0..count).map(|_| random(runner, &keys).policy()).collect()
}

/// A random one.
pub(crate) fn random<T: Debug>(runner: &mut TestRunner, strategy: &BoxedStrategy<T>) -> T {
    let tree = strategy.new_tree(runner).expect("there is always a choice");
    tree.current()
}

fn commands() -> BoxedStrategy<Command> {
    prop_oneof![
        3 => select(vec![Command::Ready, Command::Drain, Command::Maint]),
        2 => select(vec![Command::EnableServer, Command::DisableServer]),
        3 => select(vec![Command::EnableAgent, Command::DisableAgent]),
        2 => select(vec![Command::AgentUp, Command::AgentDown]),
        2 => select(vec![Command::HealthUp, Command::HealthDown]),
        1 => (0..=256u16).prop_map(Command::Weight),
        1 => (0..=100u32).prop_map(Command::Limit),
    ]
    .boxed()
}

/// Anything that can happen to one server; a reload happens to all.
pub(crate) fn events(owner: bool) -> BoxedStrategy<Event> {
    let balancer = |step: Move| Event::Balancer(step);
    prop_oneof![
        20 => reply_keys(owner).prop_map(|target| Event::Polled(Some(target))),
        5 => Just(Event::Polled(None)),
        3 => Just(Event::Crashes),
        2 => Just(Event::Stops),
        6 => Just(Event::Starts),
        1 => Just(Event::Reboots),
        8 => (1..5_000u64).prop_map(|ms| Event::Passes(Duration::from_millis(ms))),
        6 => (1..1_500u64).prop_map(|s| Event::Passes(Duration::from_secs(s))),
        25 => Just(Event::Probed),
        4 => select(FAULTS.to_vec()).prop_map(move |fault| balancer(Move::Loses(fault))),
        5 => any::<bool>().prop_map(move |passes| balancer(Move::Passes(passes))),
        12 => commands().prop_map(move |command| balancer(Move::Commands(command))),
        2 => select(OTHERS.to_vec()).prop_map(Event::Other),
    ]
    .boxed()
}

/// A configuration, whether its server has a health check, the events, and the constant verdict at the end.
pub(crate) fn stories(
    policies: Vec<Policy>,
) -> BoxedStrategy<(Policy, bool, Vec<Event>, TargetState)> {
    select(policies)
        .prop_flat_map(|policy| {
            let owner = policy.keys.owner;
            let last = prop_oneof![
                1 => (0..=100u16).prop_map(TargetState::Weight),
                1 => select(BY_RULE.to_vec()),
            ];
            let reloads = any::<bool>().prop_map(|saved| Event::Balancer(Move::Reload { saved }));
            let events = vec(prop_oneof![98 => events(owner), 2 => reloads], 0..LONGEST);
            (Just(policy), any::<bool>(), events, last)
        })
        .boxed()
}

/// Random choices that a seed repeats.
pub(crate) fn runner(seed: u64, cases: u32, cut_down: u32) -> TestRunner {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let config = ProptestConfig {
        cases,
        failure_persistence: None,
        max_shrink_iters: cut_down,
        ..ProptestConfig::default()
    };
    TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes))
}

/// A host, the server of its agent, and the expected state of both.
pub(crate) struct World {
    keys: Keys,
    host: Host,
    wanted: Wanted,
    /// The server, as the model has it.
    pub(crate) server: Server,
    /// Whether the collector has published anything since its start.
    published: bool,
    /// The weight of the latest reply on the way to full.
    released: u16,
    /// What becomes of a reply on its way: nothing, but where a test wants to see it noticed.
    on_the_way: fn(Reply) -> Reply,
}

impl World {
    /// Before anything has happened.
    pub(crate) fn new(policy: &Policy, checked: bool, on_the_way: fn(Reply) -> Reply) -> Self {
        Self {
            keys: policy.keys,
            host: Host::new(policy),
            wanted: Wanted::new(policy.keys),
            published: false,
            server: Server {
                knows_weight: policy.keys.absolute || Server::new(checked).knows_weight,
                ..Server::new(checked)
            },
            released: 0,
            on_the_way,
        }
    }

    /// Applies one event. Returns its meaning for the balancer, if it has one.
    ///
    /// # Errors
    /// The difference from the expected state.
    pub(crate) fn after(&mut self, event: Event) -> Result<Option<Move>, String> {
        let published = match event {
            Event::Polled(target) if self.host.lives() => {
                self.wanted.poll(self.host.now, target);
                self.host.poll(target.as_ref())
            }
            Event::Starts if !self.host.lives() => {
                self.published = false;
                self.wanted.start(self.host.now, self.host.current_reply());
                self.host.start()
            }
            // A collector that lives does the same every few seconds.
            Event::Passes(span) if self.host.lives() => self.host.pass(span.min(AWAKE)),
            Event::Passes(span) => self.host.pass(span),
            Event::Crashes => {
                self.host.crash();
                return Ok(None);
            }
            Event::Stops => {
                self.wanted
                    .stop(self.host.now, self.published && self.host.lives());
                self.host.stop();
                self.released = 0;
                return Ok(None);
            }
            Event::Reboots => {
                self.host.reboot();
                self.wanted.reboot();
                return Ok(None);
            }
            Event::Probed => return self.probed().map(Some),
            Event::Balancer(step) => return Ok(Some(self.moved(step))),
            Event::Other(line) => return Ok(Some(self.moved(Move::Sends(reply(line))))),
            Event::Polled(_) | Event::Starts => return Ok(None),
        };
        self.published(&published)?;
        Ok(None)
    }

    fn published(&mut self, all: &[Published]) -> Result<(), String> {
        for published in all {
            self.released = 0;
            self.published = true;
            if let Some(wrong) = self.wanted.publish(published) {
                return Err(wrong);
            }
        }
        Ok(())
    }

    fn moved(&mut self, step: Move) -> Move {
        self.server = self.server.clone().after(&step);
        step
    }

    /// A probe. If its reply arrives, the server has the expected state from then on.
    fn probed(&mut self) -> Result<Move, String> {
        let printed = self.host.current_reply();
        let expected = self.wanted.expected(self.host.now);
        let step = printed.map_or(Move::Loses(Fault::Freezes), |printed| {
            Move::Sends((self.on_the_way)(printed))
        });
        let before = self.server.clone();
        self.moved(step);
        if !before.asked {
            return Ok(step);
        }
        let differences = match (expected, printed) {
            (Expected::Nothing, None) => Vec::new(),
            (Expected::Nothing, Some(_)) => vec!["no reply was expected".to_owned()],
            (_, None) => vec!["a reply was expected".to_owned()],
            (Expected::Verdict(verdict), _) => {
                self.keys.differences(verdict, &before, &self.server)
            }
            (Expected::Released(from, done), Some(printed)) => {
                self.released_differences(from, done, &printed, &before)
            }
        };
        if differences.is_empty() {
            return Ok(step);
        }
        let received = printed.map_or("nothing".to_owned(), |printed| printed.to_string());
        Err(format!(
            "expected the reply {expected:?}, received {received:?}: {}\n  before {before:?}\n  after  {:?}",
            differences.join("; "),
            self.server
        ))
    }

    /// On the way to full nothing falls, and the end is full.
    fn released_differences(
        &mut self,
        from: u16,
        done: bool,
        printed: &Reply,
        before: &Server,
    ) -> Vec<String> {
        let percent = printed.percent.map_or(0, Percent::get);
        let least = from.max(self.released);
        self.released = percent;
        let verdict = (TargetState::Weight(percent), self.keys.normal());
        // The floor is for weights from load; the way begins where the server was.
        let keys = Keys {
            floor: 0,
            ..self.keys
        };
        let mut wrong = keys.differences(verdict, before, &self.server);
        if !(least..=100).contains(&percent) || (done && percent != 100) {
            wrong.push(format!("{percent}% on the way from {least}%"));
        }
        wrong
    }

    /// From now on, the application constantly reports `target` and probes arrive. The server reaches the verdict's
    /// state at the first probe, and keeps it.
    ///
    /// # Errors
    /// Where it is not.
    pub(crate) fn settle(&mut self, target: TargetState) -> Result<Vec<Move>, String> {
        let admin = self.server.admin;
        let mut moves = Vec::new();
        for event in [
            Event::Balancer(Move::Commands(Command::EnableAgent)),
            Event::Balancer(Move::Passes(true)),
            Event::Starts,
            Event::Polled(Some(target)),
            Event::Probed,
            Event::Passes(Duration::from_secs(2)),
            Event::Polled(Some(target)),
            Event::Probed,
        ] {
            moves.extend(self.after(event)?);
        }
        let server = &self.server;
        let out = matches!(target, TargetState::Down | TargetState::Maint);
        let in_maintenance = !self.keys.owner && admin == Admin::Maint;
        if server.running == (out || in_maintenance) {
            return Err(format!(
                "the verdict is {target:?}, and the server is {server:?}"
            ));
        }
        if !self.keys.owner && server.admin != admin {
            return Err(format!("{admin:?} was another's, and is {server:?}"));
        }
        Ok(moves)
    }
}
