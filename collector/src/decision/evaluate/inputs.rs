//! The sources that one service uses, at one moment.

use super::{EvalContext, LatestPoll, good_for};
use crate::config::{InputId, Service};
use crate::expression::{CLOCK, Expression, Unknown};
use crate::reading::Reason;
use agentcheck_common::BootTime;
use std::time::Duration;

/// The state of the sources that a service uses.
pub(super) struct Inputs<'w> {
    /// Name, and the latest poll; `None` is overdue.
    sources: Vec<(&'w str, Option<LatestPoll>)>,
    /// Whether one has not been polled yet, and there is still time.
    pub(super) waiting: bool,
    /// Whether one is overdue. In the usual case none is, and no name is compared.
    has_overdue: bool,
    now: BootTime,
    context: &'w EvalContext<'w>,
}

impl<'w> Inputs<'w> {
    pub(super) fn new(service: &Service, context: &'w EvalContext<'w>, now: BootTime) -> Self {
        let mut waiting = false;
        let mut sources = Vec::with_capacity(service.inputs.len());
        for input in &service.inputs {
            let Some(name) = context.names.get(input.0) else {
                continue;
            };
            let latest = context.latest.get(input.0).copied().flatten();
            let since = latest.map_or(context.started, |latest| latest.sent);
            let in_time = now < since.after(good_for(service));
            waiting |= latest.is_none() && in_time;
            sources.push((name.as_str(), latest.filter(|_| in_time)));
        }
        Self {
            has_overdue: sources.iter().any(|(_, latest)| latest.is_none()),
            sources,
            waiting,
            now,
            context,
        }
    }

    pub(super) fn overdue(&self) -> impl Iterator<Item = &'w str> {
        self.sources
            .iter()
            .filter(|(_, latest)| latest.is_none())
            .map(|(name, _)| *name)
    }

    fn latest(&self, source: &str) -> Option<LatestPoll> {
        self.sources
            .iter()
            .find(|(name, _)| *name == source)
            .and_then(|(_, latest)| *latest)
    }

    /// When the oldest poll that `expression` uses was sent. An overdue source counts as of now.
    pub(super) fn age_of(&self, expression: &Expression) -> BootTime {
        expression
            .uses()
            .keys()
            .map(|source| self.latest(source).map_or(self.now, |latest| latest.sent))
            .min()
            .unwrap_or(self.now)
    }

    /// Why an expression is unknown: the source that failed, if one did, and otherwise the missing value.
    pub(super) fn reason(&self, expression: &Expression, unknown: &Unknown) -> String {
        let sources = expression.uses().keys().filter(|name| *name != CLOCK);
        let failed = sources.into_iter().find_map(|source| {
            let failure = match self.latest(source) {
                None => Some(Reason::Overdue),
                Some(latest) => latest.failure,
            };
            failure.map(|reason| format!("{source} {reason}"))
        });
        failed.unwrap_or_else(|| unknown.to_string())
    }

    /// The failed or overdue sources behind an expression, and the derived numbers among them.
    pub(super) fn failed(&self, expression: &Expression) -> Vec<&'w str> {
        let names = self.context.names;
        let used = expression.uses().keys();
        let used = used.filter_map(|name| names.iter().position(|known| known == name));
        let behind = used.flat_map(|index| {
            let behind = self.context.behind.get(index).into_iter().flatten();
            [InputId(index)].into_iter().chain(behind.copied())
        });
        let failed = behind.filter(|input| {
            let latest = self.context.latest.get(input.0).copied().flatten();
            latest.is_none_or(|latest| latest.failure.is_some())
                || names
                    .get(input.0)
                    .is_some_and(|name| self.latest(name).is_none() && self.knows(name))
        });
        failed
            .filter_map(|input| names.get(input.0).map(String::as_str))
            .collect()
    }

    fn knows(&self, source: &str) -> bool {
        self.sources.iter().any(|(name, _)| *name == source)
    }

    /// The reason if an expression reads content of an overdue source, which does not count.
    pub(super) fn overdue_content(&self, expression: &Expression) -> Option<Unknown> {
        if !self.has_overdue {
            return None;
        }
        expression
            .uses()
            .iter()
            .find(|(source, used)| {
                used.content && *source != CLOCK && self.latest(source).is_none()
            })
            .map(|(source, _)| Unknown(format!("{source} {}", Reason::Overdue)))
    }

    /// When a source becomes overdue. If one is, or none is used, the verdict must be renewed before it ends.
    pub(super) fn wake_at(&self, service: &Service, now: BootTime) -> BootTime {
        let renew = now.after(service.fresh_for / 3);
        let next = self
            .sources
            .iter()
            .map(|(_, latest)| match latest {
                Some(latest) => latest.sent.after(good_for(service)),
                None => renew,
            })
            .min();
        // Always later than now, because the caller would loop.
        next.unwrap_or(renew)
            .max(now.after(Duration::from_millis(1)))
    }
}
