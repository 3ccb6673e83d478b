//! The one way to decide: rules and weight, and over them what operators order. Pure.
//!
//! The stage after an override is the override of a narrower scope or, without one, the verdict of rules and
//! weight, which are evaluated all the time.

use crate::config::Service;
use crate::decision::evaluate::{
    ActiveOutage, DecisionSource, EvalContext, Outcome, ServiceMemory, Undecided, Verdict,
    evaluate, note_reply,
};
use crate::decision::plan::{Plan, plan};
use crate::overrides::{Action, ActiveOverride, Effective};
use crate::render::text;
use crate::reply::compose::{self, ReplyStyle};
use crate::reply::state::{AdminStatePolicy, ServerState};
use agentcheck_common::schedule::Stage;
use agentcheck_common::{AdministrativeState, BootTime, Percent, Reply};
use std::time::Duration;

/// How long replies lift the balancers' administrative state after an override that managed it, over a service
/// that preserves it: many agent intervals, for balancers that miss some.
pub const READY_WINDOW: Duration = Duration::from_secs(60);

/// A verdict with its schedule.
#[derive(Clone, Debug, PartialEq)]
pub struct FinalDecision {
    /// The current reply, and its reason.
    pub verdict: Verdict,
    /// The replies from now on, while nothing renews them.
    pub plan: Plan,
}

/// The outcome of a decision.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// What the state file gets; `None` where there is no reply yet.
    pub final_decision: Option<FinalDecision>,
    /// The verdict of rules and weight alone, without overrides; `None` where there is none yet.
    pub beneath: Option<Verdict>,
    /// Why there is no reply yet; `None` with a reply, and until each source has been polled.
    pub unknown: Option<Undecided>,
    /// The memory for the next decision.
    pub memory: ServiceMemory,
    /// When to decide again if no reading arrives: always later than now.
    pub wake_at: BootTime,
}

/// Decides the reply of `service` at `now`, from the readings, the memory of the last decision and the orders of
/// operators.
///
/// The daemon calls both halves, because it evaluates costly services on another thread.
#[must_use]
pub fn decide(
    service: &Service,
    context: &EvalContext<'_>,
    memory: &ServiceMemory,
    overrides: &Effective<'_>,
    now: BootTime,
) -> Decision {
    apply_orders(
        service,
        evaluate(service, context, memory, now),
        overrides,
        now,
    )
}

/// The second half of [`decide`]: what operators order, over an evaluation. Only `decide` and the daemon call it.
#[must_use]
pub(crate) fn apply_orders(
    service: &Service,
    outcome: Outcome,
    overrides: &Effective<'_>,
    now: BootTime,
) -> Decision {
    let mut memory = outcome.memory;
    let ready_until = memory.ready_window.max(overrides.ready_until);
    let beneath = outcome.verdict;
    let final_decision = apply_overrides(service, beneath.as_ref(), overrides, ready_until, now);
    if let Some(final_decision) = &final_decision {
        let reply = &final_decision.verdict.reply;
        if overrides.outage().is_some() {
            note_reply(reply, &mut memory, now);
            if manages_during_overrides(service) {
                memory.ready_window = Some(now.after(READY_WINDOW));
            }
        } else if beneath
            .as_ref()
            .is_some_and(|beneath| beneath.reply.percent != reply.percent)
            && let Some(percent) = reply.percent
        {
            memory.shape.replaced(percent, now);
        }
    }
    let changes = overrides.changes().into_iter().chain(ready_until);
    let changes = changes.filter(|change| *change > now).min();
    // Renewed before it is stale: a live collector never shows the reply of a dead one.
    let renew = final_decision
        .as_ref()
        .filter(|_| overrides.outage().is_some())
        .map(|_| now.after(service.fresh_for / 3));
    Decision {
        unknown: outcome.unknown.filter(|_| final_decision.is_none()),
        final_decision,
        beneath,
        memory,
        wake_at: changes
            .into_iter()
            .chain(renew)
            .fold(outcome.wake_at, BootTime::min),
    }
}

/// Whether overrides manage the administrative state of a service that preserves it otherwise.
fn manages_during_overrides(service: &Service) -> bool {
    service.override_admin_state == AdminStatePolicy::Manage
        && service.admin_state == AdminStatePolicy::Preserve
}

/// Applies overrides to `beneath`, the verdict of rules and weight. `None` where there is no reply.
fn apply_overrides(
    service: &Service,
    beneath: Option<&Verdict>,
    overrides: &Effective<'_>,
    ready_until: Option<BootTime>,
    now: BootTime,
) -> Option<FinalDecision> {
    let lift = ready_until.filter(|until| *until > now);
    if *overrides == Effective::default() && lift.is_none() {
        // The common case.
        return beneath.map(|verdict| FinalDecision {
            plan: plan(service, verdict),
            verdict: verdict.clone(),
        });
    }
    let plain = beneath.map(|verdict| FinalDecision {
        plan: lifted(plan(service, verdict), lift, now),
        verdict: verdict.clone(),
    });
    let narrowest_first = overrides.outages.iter().rev();
    let ordered = narrowest_first.fold(plain, |beneath, active| {
        Some(outage(service, active, beneath, now))
    })?;
    let plan = limit_plan(service, ordered.plan, overrides, now);
    Some(FinalDecision {
        verdict: Verdict {
            reply: plan.stages.first().map_or(plan.then, |first| first.reply),
            ..ordered.verdict
        },
        plan,
    })
}

/// The decision of an outage or force-up.
fn outage(
    service: &Service,
    active: &ActiveOverride<'_>,
    beneath: Option<FinalDecision>,
    now: BootTime,
) -> FinalDecision {
    let state = match active.action {
        Action::Drain => ServerState::Drain,
        Action::Maint => ServerState::Maint,
        Action::Down => ServerState::Down,
        Action::ForceUp | Action::Limit { .. } => ServerState::Weight(service.shaping.ceiling),
    };
    let style = ReplyStyle {
        admin_state: service.override_admin_state,
        ..service.reply_style()
    };
    let (full, short) = why(active);
    let reply = compose::reply(&state, &style, style.text(&full, &short));
    let stale = format!("stale {}", reply.description.as_str());
    let stale = reply.with_description(style.describe(&stale, &stale));
    let fresh = now.after(service.fresh_for);
    let mut stages = Vec::new();
    let then = match active.ends {
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
            after(service, active, &reply, beneath, &mut stages, ends)
        }
    };
    let until = stages.first().map_or(fresh, |first| first.until);
    FinalDecision {
        verdict: Verdict {
            reply,
            decided: DecisionSource::Override(ActiveOutage {
                action: active.action,
                by: active.order.by.clone(),
            }),
            oldest_reading_at: now,
            until,
            hold_for: None,
        },
        plan: Plan { stages, then },
    }
}

/// The reply after an override that ends while no collector runs, after the last of the `stages`: the decision
/// beneath, as it was known. Adds the stages up to that reply.
fn after(
    service: &Service,
    active: &ActiveOverride<'_>,
    reply: &Reply,
    beneath: Option<FinalDecision>,
    stages: &mut Vec<Stage>,
    ends: BootTime,
) -> Reply {
    // A later stage of the same override lasts until the end of the whole override. Its own reply would need to
    // know when it began, so the present reply remains until that end.
    let ends = match (active.expires, active.stage + 1 < active.order.stages.len()) {
        (Some(expires), true) if expires > ends => {
            if let Some(last) = stages.last_mut() {
                last.until = expires;
            }
            expires
        }
        (None, true) => return *reply,
        _ => ends,
    };
    let lift = manages_during_overrides(service).then(|| ends.after(READY_WINDOW));
    let style = service.reply_style();
    let mut beneath = beneath.map_or_else(
        // Without any verdict: the lowest weight that leaves the server in.
        || Plan {
            stages: Vec::new(),
            then: compose::reply(&ServerState::Floor, &style, style.text("override over", "")),
        },
        |beneath| beneath.plan,
    );
    beneath.stages.retain(|stage| stage.until > ends);
    let beneath = lifted(beneath, lift, ends);
    stages.extend(beneath.stages);
    beneath.then
}

/// A schedule from `now` on under the operators' limits, each until its end.
#[must_use]
pub fn limit_plan(service: &Service, plan: Plan, overrides: &Effective<'_>, now: BootTime) -> Plan {
    let mut ends: Vec<BootTime> = overrides.limits.iter().filter_map(|one| one.ends).collect();
    ends.sort();
    let mut stages: Vec<Stage> = Vec::new();
    let mut from = now;
    for stage in plan.stages {
        let first = stages.len();
        // A limit that ends within the stage splits it.
        let splits = ends.iter().copied().filter(|end| *end < stage.until);
        for until in splits.chain([stage.until]) {
            if until <= from {
                continue;
            }
            let reply = limited_reply(service, stage.reply, overrides, from);
            match stages.get_mut(first..).and_then(<[Stage]>::last_mut) {
                Some(last) if last.reply == reply => last.until = until,
                _ => stages.push(Stage { until, reply }),
            }
            from = until;
        }
    }
    for until in ends {
        let reply = limited_reply(service, plan.then, overrides, from);
        if until > from && reply != plan.then {
            stages.push(Stage { until, reply });
            from = until;
        }
    }
    Plan {
        stages,
        then: limited_reply(service, plan.then, overrides, from),
    }
}

/// A reply under the operators' ceiling at a moment.
fn limited_reply(
    service: &Service,
    mut reply: Reply,
    overrides: &Effective<'_>,
    at: BootTime,
) -> Reply {
    let percent = reply.percent.unwrap_or(Percent::FULL);
    if let Some((active, ceiling)) = overrides.limit_at(at)
        && !reply.takes_server_out()
        && percent > ceiling
    {
        let (mut full, mut short) = why(active);
        let description = reply.description.as_str();
        if description.starts_with("stale") {
            full = format!("{description} {full}");
            short = format!("{description} {short}");
        } else {
            full = format!("{full} {description}");
        }
        reply.percent = Some(ceiling);
        reply.description = service.reply_style().describe(full.trim(), &short);
    }
    reply
}

/// The schedule from `from` on, with `ready` in every reply until `lift`.
fn lifted(plain: Plan, lift: Option<BootTime>, mut from: BootTime) -> Plan {
    let Some(lift) = lift else { return plain };
    let mut stages = Vec::new();
    for stage in plain.stages {
        // The stage in which the window ends is split in two.
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

/// The same reply with `ready`, unless it sets drain or maint itself.
fn ready(reply: Reply) -> Reply {
    Reply {
        administrative: reply.administrative.or(Some(AdministrativeState::Ready)),
        ..reply
    }
}

/// The description of an override, in full and in short. `until=` is the end of the whole override.
fn why(active: &ActiveOverride<'_>) -> (String, String) {
    let order = active.order;
    let short = format!("override={}", active.action.word());
    let mut full = format!("{short} by={}", order.by);
    if let Some(end) = order.stages.last().and_then(|stage| stage.end.as_ref()) {
        full.push_str(&format!(" until={}", text::moment(end.wall)));
    }
    if !order.reason.is_empty() {
        full.push_str(&format!(" {}", order.reason));
    }
    (full, short)
}

#[cfg(test)]
mod tests;
