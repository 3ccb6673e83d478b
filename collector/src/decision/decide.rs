//! What operators say, put over the verdict of rules and weight: what is said then, and until when, also
//! where no collector renews it. Pure.
//!
//! The stage after an override is the verdict beneath it, which goes on being evaluated all the time.

use crate::config::Service;
use crate::decision::evaluate::{
    ActiveOutage, DecisionSource, EvalContext, ServiceMemory, Verdict, evaluate, note_reply,
};
use crate::decision::plan::{Plan, plan};
use crate::overrides::{Action, ActiveOverride, Effective};
use crate::render::text;
use crate::reply::compose::{self, ReplyStyle};
use crate::reply::state::{AdminState, ServerState};
use agentcheck_common::schedule::Stage;
use agentcheck_common::{Administrative, BootTime, Percent, Reply};
use std::time::Duration;

/// For how long after an override that was worded as owner, over a service that is not, the balancers'
/// administrative state is lifted: a good many agent intervals, for balancers that miss some.
pub const READY_WINDOW: Duration = Duration::from_secs(60);

/// What is to be said, with and without anybody to decide.
#[derive(Clone, Debug, PartialEq)]
pub struct FinalDecision {
    /// What is said.
    pub verdict: Verdict,
    /// And when.
    pub plan: Plan,
}

/// What came of a decision.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// What is to be said; none where there is nothing to say yet.
    pub final_decision: Option<FinalDecision>,
    /// To be given to the next decision.
    pub memory: ServiceMemory,
    /// When to decide again if no news comes: always later than now.
    pub wake_at: BootTime,
}

/// Evaluates a service and puts what operators say over it. `lift` is until when a command has the balancers'
/// own drain and maint lifted.
#[must_use]
pub fn decide(
    service: &Service,
    context: &EvalContext<'_>,
    memory: &ServiceMemory,
    effective: &Effective<'_>,
    lift: Option<BootTime>,
    now: BootTime,
) -> Decision {
    let outcome = evaluate(service, context, memory, now);
    let mut memory = outcome.memory;
    let lift = memory.ready_window.max(lift);
    let beneath = outcome.verdict.as_ref();
    let final_decision = apply_overrides(service, beneath, effective, lift, now);
    if let Some(final_decision) = &final_decision {
        let reply = &final_decision.verdict.reply;
        if effective.forced.is_some() {
            note_reply(reply, &mut memory, now);
            if lifts_afterwards(service) {
                memory.ready_window = Some(now.after(READY_WINDOW));
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
    let renew = final_decision
        .as_ref()
        .filter(|_| effective.forced.is_some())
        .map(|_| now.after(service.fresh_for / 3));
    Decision {
        final_decision,
        memory,
        wake_at: changes
            .into_iter()
            .chain(renew)
            .fold(outcome.wake_at, BootTime::min),
    }
}

/// Whether an override is worded as owner over a service that is not.
fn lifts_afterwards(service: &Service) -> bool {
    service.override_admin_state == AdminState::Manage
        && service.admin_state == AdminState::Preserve
}

/// Puts overrides over `beneath`, the verdict of rules and weight, if there is one. `lift` is until when the
/// balancers' own drain and maint are to be lifted. None where there is nothing to say.
#[must_use]
pub fn apply_overrides(
    service: &Service,
    beneath: Option<&Verdict>,
    effective: &Effective<'_>,
    lift: Option<BootTime>,
    now: BootTime,
) -> Option<FinalDecision> {
    let lift = lift.filter(|lift| *lift > now);
    if *effective == Effective::default() && lift.is_none() {
        // Nearly always.
        return beneath.map(|verdict| FinalDecision {
            plan: plan(service, verdict),
            verdict: verdict.clone(),
        });
    }
    let limited = beneath.map(|verdict| limited(service, verdict, effective));
    let lifted = limited.map(|verdict| {
        let plan = lifted(service, &verdict, lift, now);
        FinalDecision {
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
    standing: &ActiveOverride<'_>,
    effective: &Effective<'_>,
    beneath: Option<FinalDecision>,
    now: BootTime,
) -> FinalDecision {
    let state = match standing.action {
        Action::Drain => ServerState::Drain,
        Action::Maint => ServerState::Maint,
        Action::Down => ServerState::Down,
        Action::ForceUp | Action::Limit { .. } => {
            let percent = effective.percent().unwrap_or(Percent::FULL);
            ServerState::Weight(percent.min(service.shaping.ceiling))
        }
    };
    let style = ReplyStyle {
        admin_state: service.override_admin_state,
        ..service.reply_style()
    };
    let (full, short) = why(standing);
    let reply = compose::reply(state, &style, style.text(&full, &short));
    let stale = format!("stale {}", reply.description.as_str());
    let stale = reply.described(style.describe(&stale, &stale));
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
    FinalDecision {
        verdict: Verdict {
            reply,
            decided: DecisionSource::Override(ActiveOutage {
                action: standing.action,
                by: standing.order.by.clone(),
            }),
            oldest_reading_at: now,
            until,
            hold_for: None,
        },
        plan: Plan { stages, then },
    }
}

/// What follows an override that ends while no collector is there: its next stages, and then the verdict
/// beneath, such as it was.
fn after(
    service: &Service,
    standing: &ActiveOverride<'_>,
    reply: &Reply,
    beneath: Option<FinalDecision>,
    stages: &mut Vec<Stage>,
    ends: BootTime,
) -> Reply {
    // Another stage of the same override goes on for as long as the whole of it; what it would say in its
    // own words is not worth a lie about when it began, so what is said now stays until all of it is over.
    let ends = match (
        standing.expires,
        standing.stage + 1 < standing.order.stages.len(),
    ) {
        (Some(over), true) if over > ends => {
            if let Some(last) = stages.last_mut() {
                last.until = over;
            }
            over
        }
        (None, true) => return *reply,
        _ => ends,
    };
    let lift = lifts_afterwards(service).then(|| ends.after(READY_WINDOW));
    let style = service.reply_style();
    let Some(beneath) = beneath else {
        // Nothing was ever known: the least that is in.
        let floor = compose::reply(ServerState::Floor, &style, style.text("override over", ""));
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
        let style = service.reply_style();
        let (full, short) = why(standing);
        let full = format!("{full} {}", verdict.reply.description.as_str());
        verdict.reply.percent = Some(limit);
        verdict.reply.description = style.describe(full.trim(), &short);
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
fn why(standing: &ActiveOverride<'_>) -> (String, String) {
    let short = format!("override={}", standing.action.word());
    let mut full = format!("{short} by={}", standing.order.by);
    // The end of the last stage: after an earlier one, the server is still out.
    let last = standing.order.stages.last();
    if let Some(end) = last.and_then(|stage| stage.end.as_ref()) {
        full.push_str(&format!(" until={}", text::moment(end.wall)));
    }
    if !standing.order.reason.is_empty() {
        full.push_str(&format!(" {}", standing.order.reason));
    }
    (full, short)
}

#[cfg(test)]
mod tests;
