//! Rules: which one decides, and the state of each.

use super::{DecisionSource, Undecided, Walk, good_for};
use crate::config::Rule;
use crate::expression::Expression;
use agentcheck_common::BootTime;
use std::collections::BTreeSet;

/// The last known state of a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RuleState {
    /// Whether it was active.
    pub active: bool,
    /// When the oldest poll behind this was sent.
    pub observed_at: BootTime,
    /// Since when its condition asks for a change without a break: the start of `for` and `clear_for`.
    pub pending_since: Option<BootTime>,
}

/// The condition that changes a rule: `when` while it is inactive; while it is active `clear_when`, or the negated
/// `when`.
fn condition(rule: &Rule, held: bool) -> (&Expression, bool) {
    match &rule.clear_when {
        Some(leave) if held => (leave, true),
        _ => (&rule.when, !held),
    }
}

/// The state of a rule after an evaluation of its condition, with polls as old as `of`.
fn next(
    rule: &Rule,
    last: Option<RuleState>,
    changes: bool,
    of: BootTime,
    now: BootTime,
) -> RuleState {
    let held = last.is_some_and(|last| last.active);
    let still = RuleState {
        active: held,
        observed_at: of,
        pending_since: None,
    };
    if !changes {
        return still;
    }
    let since = last.and_then(|last| last.pending_since).unwrap_or(now);
    if now.since(since) >= delay(rule, held) {
        return RuleState {
            active: !held,
            ..still
        };
    }
    RuleState {
        pending_since: Some(since),
        ..still
    }
}

fn delay(rule: &Rule, held: bool) -> std::time::Duration {
    if held {
        rule.clear_after
    } else {
        rule.enter_after
    }
}

/// An unknown rule that keeps later rules from deciding.
struct Blocked<'w> {
    /// The first such rule, and why it is unknown.
    by: usize,
    reason: String,
    /// Whether all such rules have a fresh last state, which is inactive.
    known: bool,
    /// The failed sources that made them unknown.
    failed: BTreeSet<&'w str>,
    /// The first true rule that does not decide because of that.
    masked: Option<usize>,
}

impl Blocked<'_> {
    fn by(index: usize, reason: String) -> Self {
        Self {
            by: index,
            reason,
            known: true,
            failed: BTreeSet::new(),
            masked: None,
        }
    }
}

impl Walk<'_> {
    /// The rule that decides; `None` if the weight does.
    pub(super) fn rules(
        &mut self,
        rule_states: &mut [Option<RuleState>],
    ) -> Option<DecisionSource> {
        let mut decided = None;
        let mut blocked: Option<Blocked<'_>> = None;
        // When the oldest poll behind a kept state was sent.
        let mut kept_of = self.now;
        for (index, (rule, last)) in self.service.rules.iter().zip(rule_states).enumerate() {
            let held = last.is_some_and(|last| last.active);
            let (expression, changes_if) = condition(rule, held);
            let of = self.polled.age_of(expression);
            let truth = match self.polled.overdue_content(expression) {
                Some(unknown) => Err(unknown),
                None => expression.truth(self.scope),
            };
            // Later rules are evaluated too, so that their timers run.
            let before =
                last.filter(|last| self.now < last.observed_at.after(good_for(self.service)));
            let known = match &truth {
                Ok(truth) => {
                    let next = next(rule, *last, *truth == changes_if, of, self.now);
                    if let Some(since) = next.pending_since {
                        let due = since.after(delay(rule, next.active));
                        self.wake_at = self.wake_at.min(due);
                    }
                    *last = Some(next);
                    Ok(next.active)
                }
                Err(unknown) => {
                    if let Some(last) = last {
                        // It may have been false for a moment.
                        last.pending_since = None;
                    }
                    Err(unknown)
                }
            };
            if decided.is_some() {
                continue;
            }
            self.of = self.of.min(of);
            decided = match known {
                Ok(false) => None,
                Ok(true) => {
                    let answers = blocked.as_ref().is_none_or(|blocked| {
                        let uses = rule.when.uses().iter();
                        let mut health = uses.filter(|(_, used)| used.health);
                        health.any(|(source, _)| blocked.failed.contains(source.as_str()))
                    });
                    match &mut blocked {
                        Some(blocked) if !answers => {
                            blocked.masked.get_or_insert(index);
                            None
                        }
                        _ => Some(DecisionSource::Rule { index, kept: None }),
                    }
                }
                Err(unknown) => {
                    let reason = self.polled.reason(expression, unknown);
                    if let Some(before) = before {
                        kept_of = kept_of.min(before.observed_at);
                    }
                    let was_active = before.is_some_and(|before| before.active);
                    if was_active && blocked.as_ref().is_none_or(|blocked| blocked.known) {
                        self.of = self.of.min(kept_of);
                        let kept = Some(reason);
                        Some(DecisionSource::Rule { index, kept })
                    } else {
                        let blocked = blocked.get_or_insert_with(|| Blocked::by(index, reason));
                        blocked.known &= before.is_some();
                        blocked.failed.extend(self.polled.failed(expression));
                        None
                    }
                }
            };
        }
        decided.or(blocked.map(|blocked| {
            DecisionSource::Failure(Undecided {
                masked: blocked.masked.map(|masked| (blocked.by, masked)),
                reason: blocked.reason,
            })
        }))
    }
}
