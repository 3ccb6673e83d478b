//! A sample of the random stories on the real `HAProxy`: many hosts at once, each with a server of its own and
//! the replies of its product.

use super::lockstep::Lockstep;
use super::moves::{Event, World, events, policies, random, runner};
use super::policy::{Policy, TargetState};
use agentcheck_common::Reply;
use agentcheck_tests::haproxy::Haproxy;
use proptest::strategy::Strategy as _;
use proptest::test_runner::TestRunner;

/// How many hosts, and servers, there are at once.
const WIDTH: usize = 150;

/// How many configurations they share.
const POLICIES: usize = 50;

/// A reload comes after every so many steps, with and without saved states in turn.
const RELOAD_EVERY: usize = 6;

/// The number of steps before all verdicts are final.
const STEPS: usize = 10;

/// One host and its random future.
struct Played {
    policy: Policy,
    context: World,
}

/// Plays `rounds` times with new hosts.
pub(crate) fn play(seed: u64, rounds: u32) {
    let (mut stories, mut moves) = (0, 0);
    for round in 0..rounds {
        moves += one_round(seed.wrapping_add(u64::from(round)));
        stories += WIDTH;
    }
    println!(
        "{stories} random stories on HAProxy {:?}, {moves} moves in them, every server where its verdict \
         wanted it",
        Haproxy::version()
    );
}

fn one_round(seed: u64) -> usize {
    let mut runner = runner(seed, 1, 0);
    let checked: Vec<bool> = (0..WIDTH).map(|at| at % 2 == 0).collect();
    let policies = policies(&mut runner, POLICIES, Haproxy::version() >= (3, 1));
    let mut played: Vec<Played> = checked
        .iter()
        .zip(policies.into_iter().cycle())
        .map(|(checked, policy)| {
            let context = World::new(&policy, *checked, |reply: Reply| reply);
            Played { policy, context }
        })
        .collect();
    let mut stage = Lockstep::start("replay", &checked);
    for step in 1..=STEPS {
        let mut steps = Vec::new();
        for (at, played) in played.iter_mut().enumerate() {
            let futures = events(played.policy.keys.owner);
            let step = loop {
                let event = random(&mut runner, &futures);
                let came = played.context.after(event);
                let came = came.unwrap_or_else(|wrong| panic!("{:?}: {wrong}", played.policy));
                if let Some(step) = came {
                    break step;
                }
            };
            steps.push((at, step));
        }
        stage.play(&steps);
        for (played, server) in played.iter_mut().zip(&stage.servers) {
            // It may have learnt of a late health check.
            played.context.server.clone_from(server);
        }
        if step % RELOAD_EVERY == 0 {
            let saved = (step / RELOAD_EVERY).is_multiple_of(2);
            let reload = Event::Balancer(super::model::Move::Reload { saved });
            for played in &mut played {
                played.context.after(reload).expect("no agent replies");
            }
            stage.reload(saved);
        }
    }
    settle(&mut runner, &mut played, &mut stage);
    stage.moves
}

/// All verdicts are final and all probes arrive: every server is in the state of its verdict.
fn settle(runner: &mut TestRunner, played: &mut [Played], stage: &mut Lockstep) {
    let lasts = (0..=100u16).prop_map(TargetState::Weight).boxed();
    let rules = proptest::sample::select(super::policy::BY_RULE.to_vec()).boxed();
    let moves: Vec<Vec<_>> = played
        .iter_mut()
        .enumerate()
        .map(|(at, played)| {
            let last = random(runner, if at % 3 == 0 { &lasts } else { &rules });
            let settled = played.context.settle(last);
            settled.unwrap_or_else(|wrong| panic!("{:?}: {wrong}", played.policy))
        })
        .collect();
    let longest = moves.iter().map(Vec::len).max().unwrap_or_default();
    for step in 0..longest {
        let steps = moves.iter().enumerate();
        let steps: Vec<_> = steps
            .filter_map(|(at, moves)| Some((at, *moves.get(step)?)))
            .collect();
        stage.play(&steps);
    }
    for (played, server) in played.iter().zip(&stage.servers) {
        assert_eq!(&played.context.server, server, "one story, two ends");
    }
}
