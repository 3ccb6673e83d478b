//! What operators say, put over the verdict of rules and weight: what is said then, and until when, also
//! where no collector renews it. Pure.
//!
//! The stage after an override is the verdict beneath it, which goes on being evaluated all the time.

use crate::config::{Administration, Service, State};
use crate::decision::evaluate::{Decided, Forced, Memory, Verdict, World, evaluate, note};
use crate::decision::plan::{Plan, plan};
use crate::overrides::{Action, Effective, Standing};
use crate::render::text;
use crate::reply::compose::{self, Manner};
use agentcheck_common::schedule::Stage;
use agentcheck_common::{Administrative, BootTime, Percent, Reply};
use std::time::Duration;

/// For how long after an override that was worded as owner, over a service that is not, the balancers'
/// administrative state is lifted: a good many agent intervals, for balancers that miss some.
pub const LIFT_FOR: Duration = Duration::from_secs(60);

/// What is to be said, with and without anybody to decide.
#[derive(Clone, Debug, PartialEq)]
pub struct Overruled {
    /// What is said.
    pub verdict: Verdict,
    /// And when.
    pub plan: Plan,
}

/// What came of a decision.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// What is to be said; none where there is nothing to say yet.
    pub overruled: Option<Overruled>,
    /// To be given to the next decision.
    pub memory: Memory,
    /// When to decide again if no news comes: always later than now.
    pub wake_at: BootTime,
}

/// Evaluates a service and puts what operators say over it. `lift` is until when a command has the balancers'
/// own drain and maint lifted.
#[must_use]
pub fn decide(
    service: &Service,
    world: &World<'_>,
    memory: &Memory,
    effective: &Effective<'_>,
    lift: Option<BootTime>,
    now: BootTime,
) -> Decision {
    let outcome = evaluate(service, world, memory, now);
    let mut memory = outcome.memory;
    let lift = memory.lift.max(lift);
    let beneath = outcome.verdict.as_ref();
    let overruled = overrule(service, beneath, effective, lift, now);
    if let Some(overruled) = &overruled {
        let reply = &overruled.verdict.reply;
        if effective.forced.is_some() {
            note(reply, &mut memory, now);
            if lifts_afterwards(service) {
                memory.lift = Some(now.after(LIFT_FOR));
            }
        } else if beneath.is_some_and(|beneath| beneath.reply.percent != reply.percent)
            && let Some(percent) = reply.percent
        {
            memory.shape.replaced(percent, now);
        }
    }
    let changes = effective.changes().into_iter().chain(lift);
    let changes = changes.filter(|change| *change > now).min();
    // Before it is no longer fresh: what is said of a dead collector is not to be heard of a live one.
    let renew = overruled
        .as_ref()
        .filter(|_| effective.forced.is_some())
        .map(|_| now.after(service.fresh_for / 3));
    Decision {
        overruled,
        memory,
        wake_at: changes
            .into_iter()
            .chain(renew)
            .fold(outcome.wake_at, BootTime::min),
    }
}

/// Whether an override is worded as owner over a service that is not.
fn lifts_afterwards(service: &Service) -> bool {
    service.override_administration == Administration::Owner
        && service.administration == Administration::Shared
}

/// Puts overrides over `beneath`, the verdict of rules and weight, if there is one. `lift` is until when the
/// balancers' own drain and maint are to be lifted. None where there is nothing to say.
#[must_use]
pub fn overrule(
    service: &Service,
    beneath: Option<&Verdict>,
    effective: &Effective<'_>,
    lift: Option<BootTime>,
    now: BootTime,
) -> Option<Overruled> {
    let lift = lift.filter(|lift| *lift > now);
    if *effective == Effective::default() && lift.is_none() {
        // Nearly always.
        return beneath.map(|verdict| Overruled {
            plan: plan(service, verdict),
            verdict: verdict.clone(),
        });
    }
    let limited = beneath.map(|verdict| limited(service, verdict, effective));
    let lifted = limited.map(|verdict| {
        let plan = lifted(service, &verdict, lift, now);
        Overruled {
            verdict: Verdict {
                reply: plan.stages.first().map_or(plan.then, |first| first.reply),
                ..verdict
            },
            plan,
        }
    });
    match &effective.forced {
        None => lifted,
        Some(standing) => Some(forced(service, standing, effective, lifted, now)),
    }
}

/// The verdict of an override that decides in the place of rules and weight.
fn forced(
    service: &Service,
    standing: &Standing<'_>,
    effective: &Effective<'_>,
    beneath: Option<Overruled>,
    now: BootTime,
) -> Overruled {
    let state = match standing.action {
        Action::Drain => State::Drain,
        Action::Maint => State::Maint,
        Action::Down => State::Down,
        Action::ForceUp | Action::Limit { .. } => {
            let percent = effective.percent().unwrap_or(Percent::FULL);
            State::Weight(percent.min(service.shaping.ceiling))
        }
    };
    let manner = Manner {
        administration: service.override_administration,
        ..Manner::of(service)
    };
    let (full, short) = why(standing);
    let reply = compose::reply(state, &manner, manner.text(&full, &short));
    let stale = format!("stale {}", reply.description.as_str());
    let stale = reply.described(manner.describe(&stale, &stale));
    let fresh = now.after(service.fresh_for);
    let mut stages = Vec::new();
    let then = match standing.ends {
        None => {
            stages.push(Stage {
                until: fresh,
                reply,
            });
            stale
        }
        Some(ends) => {
            stages.push(Stage {
                until: fresh.min(ends),
                reply,
            });
            if fresh < ends {
                stages.push(Stage {
                    until: ends,
                    reply: stale,
                });
            }
            after(service, standing, &reply, beneath, &mut stages, ends)
        }
    };
    let until = stages.first().map_or(fresh, |first| first.until);
    Overruled {
        verdict: Verdict {
            reply,
            decided: Decided::Override(Forced {
                action: standing.action,
                by: standing.of.by.clone(),
            }),
            of: now,
            until,
            stand_for: None,
        },
        plan: Plan { stages, then },
    }
}

/// What follows an override that ends while no collector is there: its next stages, and then the verdict
/// beneath, such as it was.
fn after(
    service: &Service,
    standing: &Standing<'_>,
    reply: &Reply,
    beneath: Option<Overruled>,
    stages: &mut Vec<Stage>,
    ends: BootTime,
) -> Reply {
    // Another stage of the same override goes on for as long as the whole of it; what it would say in its
    // own words is not worth a lie about when it began, so what is said now stays until all of it is over.
    let ends = match (standing.over, standing.stage + 1 < standing.of.stages.len()) {
        (Some(over), true) if over > ends => {
            if let Some(last) = stages.last_mut() {
                last.until = over;
            }
            over
        }
        (None, true) => return *reply,
        _ => ends,
    };
    let lift = lifts_afterwards(service).then(|| ends.after(LIFT_FOR));
    let manner = Manner::of(service);
    let Some(beneath) = beneath else {
        // Nothing was ever known: the least that is in.
        let floor = compose::reply(State::Floor, &manner, manner.text("override over", ""));
        if let Some(lift) = lift {
            stages.push(Stage {
                until: lift,
                reply: ready(floor),
            });
        }
        return floor;
    };
    let mut rest = beneath.plan.stages.into_iter();
    let then = beneath.plan.then;
    if let Some(lift) = lift {
        stages.push(Stage {
            until: lift,
            reply: ready(then),
        });
    }
    let from = stages.last().map_or(ends, |last| last.until);
    stages.extend(rest.by_ref().filter(|stage| stage.until > from));
    then
}

/// A verdict under the ceiling of an operator.
fn limited(service: &Service, verdict: &Verdict, effective: &Effective<'_>) -> Verdict {
    let mut verdict = verdict.clone();
    let said = verdict.reply.percent.unwrap_or(Percent::FULL);
    if let (Some(limit), Some(standing)) = (effective.percent(), &effective.limit)
        && !verdict.reply.takes_out()
        && said > limit
    {
        let manner = Manner::of(service);
        let (full, short) = why(standing);
        let full = format!("{full} {}", verdict.reply.description.as_str());
        verdict.reply.percent = Some(limit);
        verdict.reply.description = manner.describe(full.trim(), &short);
    }
    verdict
}

/// The schedule of a verdict, saying ready until `lift`.
fn lifted(service: &Service, verdict: &Verdict, lift: Option<BootTime>, now: BootTime) -> Plan {
    let plain = plan(service, verdict);
    let Some(lift) = lift else { return plain };
    let mut stages = Vec::new();
    let mut from = now;
    for stage in plain.stages {
        // The stage in which the lift ends is said in two parts.
        if from < lift {
            stages.push(Stage {
                until: stage.until.min(lift),
                reply: ready(stage.reply),
            });
        }
        if stage.until > lift {
            stages.push(stage);
        }
        from = stage.until;
    }
    if from < lift {
        stages.push(Stage {
            until: lift,
            reply: ready(plain.then),
        });
    }
    Plan {
        stages,
        then: plain.then,
    }
}

/// The same reply, lifting drain and maint on the balancer; not where it sets them itself.
fn ready(reply: Reply) -> Reply {
    Reply {
        administrative: reply.administrative.or(Some(Administrative::Ready)),
        ..reply
    }
}

/// Why, at length and in short.
fn why(standing: &Standing<'_>) -> (String, String) {
    let short = format!("override={}", standing.action.word());
    let mut full = format!("{short} by={}", standing.of.by);
    if let Some(end) = standing
        .of
        .stages
        .get(standing.stage)
        .and_then(|stage| stage.end.as_ref())
    {
        full.push_str(&format!(" until={}", text::moment(end.wall)));
    }
    if !standing.of.reason.is_empty() {
        full.push_str(&format!(" {}", standing.of.reason));
    }
    (full, short)
}

#[cfg(test)]
mod tests;
