//! The product against the model, in memory: after any moves in any order, each probe that arrives brings the
//! server to its decision. What an operator set on the balancer stays, where operators own it.

use super::moves::{World, policies, runner, stories};
use agentcheck_common::{AdministrativeState, OperationalState, Reply};
use proptest::test_runner::{TestCaseError, TestError};
use std::cell::Cell;

/// How many configurations the stories share.
const POLICIES: usize = 60;

/// Runs random stories. Returns the counts of their events, or a story that failed, after up to `cut_down` attempts
/// to shorten it.
pub(crate) fn run_stories(
    seed: u64,
    story_count: u32,
    cut_down: u32,
    on_the_way: OnTheWay,
) -> Result<String, String> {
    let (event_count, moves) = (Cell::new(0), Cell::new(0));
    let mut runner = runner(seed, story_count, cut_down);
    let policies = policies(&mut runner, POLICIES, true);
    let reported = runner.run(&stories(policies), |(policy, checked, events, last)| {
        let mut world = World::new(&policy, checked, on_the_way);
        for event in &events {
            let step = world.after(*event).map_err(TestCaseError::fail)?;
            moves.set(moves.get() + usize::from(step.is_some()));
        }
        event_count.set(event_count.get() + events.len());
        let settled = world.settle(last).map_err(TestCaseError::fail)?;
        moves.set(moves.get() + settled.len());
        Ok(())
    });
    match reported {
        Ok(()) => Ok(format!(
            "{story_count} random stories with {} events, {} of them on the balancer",
            event_count.get(),
            moves.get()
        )),
        Err(TestError::Fail(reason, story)) => Err(format!("{reason}\n{story:#?}")),
        Err(TestError::Abort(reason)) => panic!("no stories: {reason}"),
    }
}

/// The changes to a reply before HAProxy gets it.
pub(crate) type OnTheWay = fn(Reply) -> Reply;

/// Ways to word a reply that do not always lead back, as agents are known to do.
pub(crate) const POOR: [(&str, OnTheWay); 5] = [
    ("without up", |reply| Reply {
        operational: reply
            .operational
            .filter(|word| *word != OperationalState::Up),
        ..reply
    }),
    ("without ready", |reply| Reply {
        administrative: reply
            .administrative
            .filter(|word| *word != AdministrativeState::Ready),
        ..reply
    }),
    ("without 100%", |reply| Reply {
        percent: reply.percent.filter(|percent| percent.get() != 100),
        ..reply
    }),
    ("with ready beside every up", |reply| Reply {
        administrative: reply
            .administrative
            .or((reply.operational == Some(OperationalState::Up))
                .then_some(AdministrativeState::Ready)),
        ..reply
    }),
    ("with drain for 0%", |reply| Reply {
        administrative: reply.administrative.or(reply
            .percent
            .filter(|percent| percent.get() == 0)
            .map(|_| AdministrativeState::Drain)),
        ..reply
    }),
];
