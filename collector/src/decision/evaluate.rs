//! Evaluation of rules and weight. It takes readings, a memory and `now`. It returns a verdict, the next memory and
//! the next time.
//!
//! A rule is active, inactive, or unknown because a source failed or a key is missing. Rules are tried in order:
//!
//! | the rule now | when last known | what happens |
//! |---|---|---|
//! | active | any | it decides |
//! | inactive | any | the next rule is tried |
//! | unknown | active, and still fresh | the rule still decides |
//! | unknown | inactive, and still fresh | blocks later rules and the weight, with two exceptions; else `on_failure` |
//! | unknown | none, or no longer fresh | the same, with the first exception alone |
//!
//! Behind an unknown rule, a later rule decides only in two cases. First, it is true and reads the health (`ok`,
//! `error`, `age`, `exit`, `status`, `exists`) of a source whose failure made the earlier rule unknown: that is
//! the operator's answer to the failure. Second, it is unknown too and was active when last known.
//!
//! So an unknown condition never takes out a server that was in, nor lets in one that was out, and another source
//! never decides in place of one that failed. An unknown weight leads to `on_failure` too.

mod description;
mod fraction;
mod inputs;
mod rules;
mod weight;

pub use description::ShownValue;
pub use fraction::FractionWatch;
pub use rules::RuleState;

use crate::config::{InputId, OnFailure, Service};
use crate::expression::{Expression, Scope, Simple};
use crate::filters::capacity::{self, CapacityWeight};
use crate::filters::shape::{self, Shaped};
use crate::overrides::Action;
use crate::reading::Reason;
use crate::reply::compose::{self, ReplyStyle};
use crate::reply::state::ServerState;
use crate::reply::words::ReplyWords;
use agentcheck_common::{BootTime, Maxconn, OperationalState, Reply};
use description::Why;
use inputs::Inputs;
use std::time::Duration;

/// How long before its end a verdict is renewed, at most; it is a tenth of `fresh_for`. HAProxy must not get the
/// reply of a dead collector from a live one.
const GRACE: Duration = Duration::from_millis(250);

/// How long a poll counts.
fn good_for(service: &Service) -> Duration {
    service
        .fresh_for
        .saturating_sub(GRACE.min(service.fresh_for / 10))
}

/// The latest finished poll of a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LatestPoll {
    /// When the poll was sent.
    pub sent: BootTime,
    /// Why it failed, if it did.
    pub failure: Option<Reason>,
}

/// What evaluation reads besides the service and its memory.
pub struct EvalContext<'w> {
    /// The name of each input, by [`InputId`].
    pub names: &'w [String],
    /// The latest poll of each input, by [`InputId`]; `None` before the first has finished.
    pub latest: &'w [Option<LatestPoll>],
    /// The values that those polls gave.
    pub scope: &'w Scope<'w>,
    /// When polling began.
    pub started: BootTime,
    /// The sources behind each derived number, by [`InputId`]; empty for a source.
    pub behind: &'w [Box<[InputId]>],
    /// Seconds since 1970; `None` if the wall clock is not known.
    pub unix: Option<f64>,
}

/// The memory of a service from one evaluation to the next.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct ServiceMemory {
    /// The last reply of a rule or the weight, which `keep` keeps.
    pub last: Option<ReplyWords>,
    /// How long that reply stays without a collector if it takes the server out; `None` is without an end.
    pub hold_for: Option<Duration>,
    /// The last known state of each rule, in their order.
    pub rule_states: Vec<Option<RuleState>>,
    /// The server was taken out and its weight has not decided since.
    pub was_out: bool,
    /// The memory of the weight's shaping.
    pub shape: shape::ShapeMemory,
    /// The memory of a weight by capacity.
    pub capacity: capacity::CapacityMemory,
    /// The start time that the application reports.
    pub start: Option<Simple>,
    /// The last value of the counter that restarts with the application.
    pub counter: Option<f64>,
    /// Whether the weight looks like a fraction where a percentage is meant.
    pub fraction: FractionWatch,
    /// The last values in a rule's description.
    pub last_shown: Vec<ShownValue>,
    /// Until when replies lift the balancers' drain and maint, after an override that managed the administrative
    /// state.
    pub ready_window: Option<BootTime>,
}

/// What decided.
#[derive(Clone, Debug, PartialEq)]
pub enum DecisionSource {
    /// The rule with this index.
    Rule {
        /// Index into the service's rules.
        index: usize,
        /// Why its last state counts; `None` if its state is known.
        kept: Option<String>,
    },
    /// The weight.
    Weight(Weighed),
    /// No rule and no weight could decide.
    Failure(Undecided),
    /// An operator's order, which precedes all of these.
    Override(ActiveOutage),
}

/// Why nothing decides.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Undecided {
    /// The source that failed with its failure, or the missing value.
    pub reason: String,
    /// The unknown rule that blocks, and the first later rule that is true, as indices into the service's rules.
    pub masked: Option<(usize, usize)>,
}

impl Undecided {
    /// For a reason that no rule blocks.
    #[must_use]
    pub fn because(reason: String) -> Self {
        Self {
            reason,
            masked: None,
        }
    }
}

/// An operator's outage or force-up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActiveOutage {
    /// The action.
    pub action: Action,
    /// The operator.
    pub by: String,
}

/// The computation of a weight.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Weighed {
    /// Its stages.
    pub shaped: Shaped,
    /// The factors of a weight by capacity.
    pub capacity: Option<CapacityWeight>,
    /// Whether the server is in a ramp.
    pub ramping: bool,
}

/// A reply, and how long it is valid.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// The reply.
    pub reply: Reply,
    /// What decided it.
    pub decided: DecisionSource,
    /// When the oldest poll that it uses was sent.
    pub oldest_reading_at: BootTime,
    /// When it stops being fresh: always later than the moment of evaluation.
    pub until: BootTime,
    /// How long a reply that takes the server out stays after that; `None` is without an end.
    pub hold_for: Option<Duration>,
}

/// The outcome of one evaluation.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// The verdict; `None` while sources have not been polled, or there is no reply to keep.
    pub verdict: Option<Verdict>,
    /// Why there is no verdict; `None` with a verdict, and until each source has been polled.
    pub unknown: Option<Undecided>,
    /// The memory for the next evaluation.
    pub memory: ServiceMemory,
    /// When to evaluate again if no reading arrives.
    pub wake_at: BootTime,
}

/// Evaluates a service at `now`: the first half of [`super::decide::decide`]. Only `decide` and the daemon call it.
#[must_use]
pub(crate) fn evaluate(
    service: &Service,
    context: &EvalContext<'_>,
    memory: &ServiceMemory,
    now: BootTime,
) -> Outcome {
    let polled = Inputs::new(service, context, now);
    if polled.waiting {
        return Outcome {
            verdict: None,
            unknown: None,
            memory: memory.clone(),
            wake_at: context.started.after(good_for(service)),
        };
    }
    let overdue: Vec<&str> = polled.overdue().collect();
    let overdue_scope;
    let scope = if overdue.is_empty() {
        context.scope
    } else {
        overdue_scope = context.scope.with_overdue(&overdue);
        &overdue_scope
    };

    let mut memory = memory.clone();
    memory.rule_states.resize(service.rules.len(), None);
    let mut walk = Walk {
        service,
        polled: &polled,
        scope,
        of: now,
        wake_at: BootTime(u64::MAX),
        now,
    };
    walk.note_restart(&mut memory);
    let decided = match walk.rules(&mut memory.rule_states) {
        Some(decided) => decided,
        None => walk.weigh(&mut memory),
    };
    let mut unknown = None;
    let verdict = walk.verdict(decided, &mut memory, &mut unknown);
    let news = polled.wake_at(service, now).min(walk.wake_at);
    let news = news.min(clock_changes_at(service, context, now));
    Outcome {
        // A kept state may end before a source is overdue.
        wake_at: verdict.as_ref().map_or(news, |verdict| {
            news.min(verdict.oldest_reading_at.after(good_for(service)))
                .max(now.after(Duration::from_millis(1)))
        }),
        unknown: unknown.filter(|_| verdict.is_none()),
        verdict,
        memory,
    }
}

/// When a field of `clock` changes that the service reads.
fn clock_changes_at(service: &Service, context: &EvalContext<'_>, now: BootTime) -> BootTime {
    let period = service
        .expressions()
        .filter_map(Expression::clock_period)
        .min();
    match (context.unix, period) {
        (Some(unix), Some(period)) => {
            now.after(Scope::clock_rest(unix, period).max(Duration::from_millis(1)))
        }
        _ => BootTime(u64::MAX),
    }
}

/// One walk through rules and weight.
struct Walk<'w> {
    service: &'w Service,
    polled: &'w Inputs<'w>,
    scope: &'w Scope<'w>,
    /// When the oldest poll that the walk has used was sent.
    of: BootTime,
    /// When something changes without a reading.
    wake_at: BootTime,
    now: BootTime,
}

impl Walk<'_> {
    /// The verdict, or in `unknown` why there is none.
    fn verdict(
        &mut self,
        decided: DecisionSource,
        memory: &mut ServiceMemory,
        unknown: &mut Option<Undecided>,
    ) -> Option<Verdict> {
        let (reply, hold_for) = match &decided {
            DecisionSource::Rule { index, kept } if self.keeps(*index) => {
                let rule = self.service.rules.get(*index)?;
                let why = self.why_of_rule(rule, kept.as_deref(), memory);
                let Some(last) = memory.last else {
                    *unknown = Some(Undecided::because(format!(
                        "rule {} keeps the reply, and there is none",
                        rule.name
                    )));
                    return None;
                };
                let description = self.style(None).describe(&why.full, &why.state);
                (last.with_description(description), memory.hold_for)
            }
            DecisionSource::Rule { index, kept } => {
                let rule = self.service.rules.get(*index)?;
                let why = self.why_of_rule(rule, kept.as_deref(), memory);
                // A reply that takes the server out needs no limit, so it uses no reading of it.
                let limit = if rule.state.takes_server_out() {
                    self.normal()
                } else {
                    self.limit().unwrap_or_else(|_| self.normal())
                };
                self.remember(&rule.state, limit, &why, rule.hold_for, memory)
            }
            DecisionSource::Weight(weighed) => match self.limit() {
                Ok(limit) => {
                    let state = ServerState::Weight(weighed.shaped.percent);
                    let why = self.why_of_weight(weighed);
                    let remembered = self.remember(&state, limit, &why, None, memory);
                    if weighed.shaped.moving {
                        self.wake_at = self.wake_at.min(self.now.after(MOVING));
                    }
                    remembered
                }
                Err(reason) => {
                    let decided = DecisionSource::Failure(Undecided::because(reason));
                    return self.verdict(decided, memory, unknown);
                }
            },
            DecisionSource::Failure(why) => match &self.service.on_failure {
                OnFailure::Reply(state) => {
                    let reply = self.worded(state, self.normal(), &why.reason);
                    note_reply(&reply, memory, self.now);
                    (reply, None)
                }
                OnFailure::Keep => {
                    let Some(last) = memory.last else {
                        *unknown = Some(why.clone());
                        return None;
                    };
                    let why = match last.operational {
                        // This word distinguishes it from other downs in the balancer's log.
                        Some(OperationalState::Stopped) => {
                            format!("maintenance kept: {}", why.reason)
                        }
                        _ => format!("kept: {}", why.reason),
                    };
                    let description = self.style(None).describe(&why, "kept");
                    (last.with_description(description), memory.hold_for)
                }
            },
            // Only `apply_orders` makes it.
            DecisionSource::Override(_) => return None,
        };
        Some(Verdict {
            reply,
            decided,
            oldest_reading_at: self.of,
            until: self.of.after(self.service.fresh_for),
            hold_for,
        })
    }

    /// Whether a rule keeps the last reply.
    fn keeps(&self, index: usize) -> bool {
        let rule = self.service.rules.get(index);
        rule.is_some_and(|rule| rule.state == ServerState::Keep)
    }

    /// The reply of a rule or the weight. The memory has it for `keep`.
    fn remember(
        &self,
        state: &ServerState,
        limit: Option<Maxconn>,
        why: &Why,
        hold_for: Option<Duration>,
        memory: &mut ServiceMemory,
    ) -> (Reply, Option<Duration>) {
        let style = self.style(limit);
        let reply = compose::reply(state, &style, style.text(&why.full, &why.state));
        memory.last = Some(ReplyWords::of(&reply));
        memory.hold_for = hold_for;
        if let ServerState::Weight(_) = state {
            memory.was_out = false;
        } else {
            note_reply(&reply, memory, self.now);
        }
        (reply, hold_for)
    }

    fn worded(&self, state: &ServerState, limit: Option<Maxconn>, why: &str) -> Reply {
        let style = self.style(limit);
        compose::reply(state, &style, style.text(why, "failure"))
    }

    fn style(&self, maxconn: Option<Maxconn>) -> ReplyStyle {
        ReplyStyle {
            maxconn,
            ..self.service.reply_style()
        }
    }
}

/// Notes a reply that is not the weight's, from which the weight continues.
pub(super) fn note_reply(reply: &Reply, memory: &mut ServiceMemory, now: BootTime) {
    if reply.takes_server_out() {
        memory.was_out = true;
        memory.shape.taken_out();
    } else if let Some(percent) = reply.percent {
        memory.shape.replaced(percent, now);
    }
}

/// The time between evaluations of a weight that moves by itself: a ramp, an average, a step.
const MOVING: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests;
