//! Recovery: after any sequence of events, a constant decision and arriving probes bring the server to that decision.
//!
//! The real `HAProxy` checks a model of itself. Random sequences of everything that can happen check the product
//! against the model: thousands in memory, a sample on the real `HAProxy`.

mod against_haproxy;
mod expected_reply;
mod haproxy_peers;
mod lockstep;
mod model;
mod moves;
mod policy;
mod product;
mod property;
mod replay;

use against_haproxy::Changes;
use agentcheck_tests::state::now;

/// The seed of all that is random here: the one that is asked for; another one in every run of `make prove`; and
/// always the same in the tests, so that what fails there is what was changed.
fn seed() -> u64 {
    let chosen = std::env::var("AGENTCHECK_SEED");
    let seed = chosen.map_or_else(
        |_| proving().map_or(1, |_| now().0),
        |seed| seed.parse().expect("AGENTCHECK_SEED is a number"),
    );
    println!("seed {seed}: AGENTCHECK_SEED={seed} runs the same stories again");
    seed
}

/// Whether this is `make prove`: more of everything.
fn proving() -> Option<u32> {
    let chosen = std::env::var("AGENTCHECK_PROVE").ok()?;
    Some(chosen.parse().expect("AGENTCHECK_PROVE is a number"))
}

#[test]
fn model_matches_haproxy_in_every_transition() {
    against_haproxy::every_transition(proving().map_or(Changes::Kinds, |_| Changes::All));
}

#[test]
fn every_probe_brings_the_server_to_its_decision() {
    let stories = proving().map_or(500, |times| times * 10_000);
    let reported = property::run_stories(seed(), stories, 5_000, |reply| reply);
    let reported = reported.unwrap_or_else(|story| panic!("{story}"));
    println!("{reported}, and every server was where its verdict wanted it");
}

#[test]
fn property_finds_replies_that_do_not_recover() {
    let seed = seed();
    for (what, on_the_way) in property::POOR {
        let story = property::run_stories(seed, 10_000, 0, on_the_way);
        let story = story.expect_err(what);
        println!("{what}: {}", story.lines().next().unwrap_or_default());
    }
}

#[test]
fn random_stories_match_the_model_on_haproxy() {
    replay::play(seed(), proving().unwrap_or(1));
}
