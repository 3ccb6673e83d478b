//! Readings, what is remembered and `now` in; a verdict, what is to be remembered and when to ask again
//! out. Pure: no clock, no file, no thread.
//!
//! A rule holds or does not, or that is unknown (a source failed, a key is missing). Rules are tried in
//! order:
//!
//! | the rule now | when last known | what happens |
//! |---|---|---|
//! | holds | any | it decides |
//! | does not hold | any | the next rule is tried |
//! | unknown | true, and still fresh | the rule still decides |
//! | unknown | false, and still fresh | blocks later rules and the weight, with two exceptions; else `on_failure` |
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

use crate::config::{OnFailure, Service};
use crate::expression::{Expression, Scope, Simple};
use crate::filters::capacity::{self, Basis};
use crate::filters::shape::{self, Shaped};
use crate::overrides::Action;
use crate::reading::Reason;
use crate::reply::compose::{self, ReplyStyle};
use crate::reply::state::ServerState;
use agentcheck_common::{BootTime, Description, Maxconn, Operational, Reply};
use description::Why;
use inputs::Inputs;
use std::time::Duration;

/// How long before a verdict runs out it is renewed or replaced: a live collector must not be so late that
/// what is said of a dead one is heard. A tenth of the freshness, and at most this.
const GRACE: Duration = Duration::from_millis(250);

/// How long a poll is good for deciding, where what it leads to is fresh for `fresh_for`.
fn good_for(service: &Service) -> Duration {
    service
        .fresh_for
        .saturating_sub(GRACE.min(service.fresh_for / 10))
}

/// What is known of one source: its latest finished poll.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LatestPoll {
    /// When the poll was sent.
    pub sent: BootTime,
    /// Why it failed, if it did.
    pub failure: Option<Reason>,
}

/// Everything that evaluation looks at, besides the service and what it remembers.
pub struct EvalContext<'w> {
    /// The names of the sources, in the order of the configuration.
    pub names: &'w [String],
    /// The latest poll of each source, in the same order; `None` before the first has finished.
    pub latest: &'w [Option<LatestPoll>],
    /// The values that those polls gave.
    pub scope: &'w Scope<'w>,
    /// Since when polls are made.
    pub started: BootTime,
    /// For each name the sources behind it, as indices into `names`: a source itself, or those of a derived
    /// number.
    pub behind: &'w [Vec<usize>],
    /// Seconds since 1970; `None` if the wall clock is not known.
    pub unix: Option<f64>,
}

/// What a service remembers from one evaluation to the next.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct ServiceMemory {
    /// The last reply that a rule or the weight led to: what `keep` keeps.
    pub last: Option<Reply>,
    /// How long that stands without a collector, where it takes the server out; none is for ever.
    pub hold_for: Option<Duration>,
    /// The last known truth of each rule, in their order.
    pub rule_states: Vec<Option<RuleState>>,
    /// The server was taken out and its weight has not decided since.
    pub was_out: bool,
    /// Of the shaping of the weight.
    pub shape: shape::ShapeMemory,
    /// Of a weight by capacity.
    pub capacity: capacity::CapacityMemory,
    /// When the application was started, as it says itself.
    pub start: Option<Simple>,
    /// What counts since then.
    pub counter: Option<f64>,
    /// Whether the weight looks like a fraction where a percentage is meant.
    pub fraction: FractionWatch,
    /// The values that a rule's description has shown last.
    pub last_shown: Vec<ShownValue>,
    /// Until when the balancers' drain and maint are lifted, because an override was worded as owner.
    pub ready_window: Option<BootTime>,
}

/// Who decided.
#[derive(Clone, Debug, PartialEq)]
pub enum DecisionSource {
    /// The rule with this index; `kept` says why it is unknown by now, if it is.
    Rule {
        /// Index into the service's rules.
        index: usize,
        /// Why what was last known of the rule stands.
        kept: Option<String>,
    },
    /// The weight.
    Weight(Weighed),
    /// No rule and no weight could decide.
    Failure(Undecided),
    /// An operator, over all of these.
    Override(ActiveOutage),
}

/// Why nothing decides.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Undecided {
    /// The source that failed and how, or what is missing.
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

/// What an operator said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActiveOutage {
    /// What is wanted.
    pub action: Action,
    /// Who said it.
    pub by: String,
}

/// How a weight came about.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Weighed {
    /// Its stages.
    pub shaped: Shaped,
    /// Where a weight by capacity comes from.
    pub basis: Option<Basis>,
    /// Whether the server is on its way back.
    pub ramping: bool,
}

/// What is to be said, and how long it is good.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// What is said.
    pub reply: Reply,
    /// Who decided it.
    pub decided: DecisionSource,
    /// When the oldest poll that it rests on was sent.
    pub oldest_reading_at: BootTime,
    /// When it stops being fresh: always later than the moment of evaluation.
    pub until: BootTime,
    /// How long a reply that takes the server out stands after that; none is for ever.
    pub hold_for: Option<Duration>,
}

/// The outcome of one evaluation.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// The verdict; `None` where there is nothing to say yet: sources have not been polled, or nothing
    /// was ever said that could be kept.
    pub verdict: Option<Verdict>,
    /// Why there is no verdict; `None` with a verdict, and until each source has been polled.
    pub unknown: Option<Undecided>,
    /// To be given to the next evaluation.
    pub memory: ServiceMemory,
    /// When to evaluate again if no news comes.
    pub wake_at: BootTime,
}

/// Evaluates a service at `now`.
#[must_use]
pub fn evaluate(
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
    walk.look_for_restarts(&mut memory);
    let decided = match walk.rules(&mut memory.rule_states) {
        Some(decided) => decided,
        None => walk.weigh(&mut memory),
    };
    let mut unknown = None;
    let verdict = walk.verdict(decided, &mut memory, &mut unknown);
    let news = polled.wake_at(service, now).min(walk.wake_at);
    let news = news.min(clock_changes_at(service, context, now));
    Outcome {
        // A truth that is only kept may end before any source is overdue.
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
    /// When the oldest poll was sent that the walk has looked at so far.
    of: BootTime,
    /// When something changes without news.
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
                (last.described(description), memory.hold_for)
            }
            DecisionSource::Rule { index, kept } => {
                let rule = self.service.rules.get(*index)?;
                let why = self.why_of_rule(rule, kept.as_deref(), memory);
                // What takes the server out needs no limit, and so rests on no reading of one.
                let limit = if rule.state.takes_out() {
                    self.normal()
                } else {
                    self.limit().unwrap_or_else(|_| self.normal())
                };
                self.remember(rule.state, limit, &why, rule.hold_for, memory)
            }
            DecisionSource::Weight(weighed) => match self.limit() {
                Ok(limit) => {
                    let state = ServerState::Weight(weighed.shaped.percent);
                    let why = self.why_of_weight(weighed);
                    let said = self.remember(state, limit, &why, None, memory);
                    if weighed.shaped.moving {
                        self.wake_at = self.wake_at.min(self.now.after(MOVING));
                    }
                    said
                }
                Err(reason) => {
                    let decided = DecisionSource::Failure(Undecided::because(reason));
                    return self.verdict(decided, memory, unknown);
                }
            },
            DecisionSource::Failure(why) => match self.service.on_failure {
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
                        // The word that tells it from any other down in the balancer's log.
                        Some(Operational::Stopped) => format!("maintenance kept: {}", why.reason),
                        _ => format!("kept: {}", why.reason),
                    };
                    let description = self.style(None).describe(&why, "kept");
                    (last.described(description), memory.hold_for)
                }
            },
            // Comes over the verdict, and never from here.
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

    /// Whether a rule leaves the last reply as it is.
    fn keeps(&self, index: usize) -> bool {
        let rule = self.service.rules.get(index);
        rule.is_some_and(|rule| rule.state == ServerState::Keep)
    }

    /// The reply of a rule or the weight, remembered as what `keep` keeps.
    fn remember(
        &self,
        state: ServerState,
        limit: Option<Maxconn>,
        why: &Why,
        hold_for: Option<Duration>,
        memory: &mut ServiceMemory,
    ) -> (Reply, Option<Duration>) {
        let style = self.style(limit);
        let reply = compose::reply(state, &style, style.text(&why.full, &why.state));
        memory.last = Some(reply.described(Description::NONE));
        memory.hold_for = hold_for;
        if let ServerState::Weight(_) = state {
            memory.was_out = false;
        } else {
            note_reply(&reply, memory, self.now);
        }
        (reply, hold_for)
    }

    fn worded(&self, state: ServerState, limit: Option<Maxconn>, why: &str) -> Reply {
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

/// What something else than the weight says: the weight goes on from there.
pub fn note_reply(reply: &Reply, memory: &mut ServiceMemory, now: BootTime) {
    if reply.takes_out() {
        memory.was_out = true;
        memory.shape.taken_out();
    } else if let Some(percent) = reply.percent {
        memory.shape.replaced(percent, now);
    }
}

/// How often a weight is looked at that moves by itself: a ramp, an average, a step.
const MOVING: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests;
