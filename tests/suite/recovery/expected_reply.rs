//! The reply that should be sent at a moment, from a configuration, the polls so far and the state of the
//! collector. It is written against the documentation, and shares no code with the product.

use super::policy::{Keys, Stale, TargetState, Verdict, lines};
use super::product::Published;
use agentcheck_common::{AdministrativeState, BootTime, OperationalState, Reply};
use agentcheck_tests::state::reply;
use std::time::Duration;

/// The expected reply at a moment, by the documentation alone.
#[derive(Debug)]
pub(crate) struct Wanted {
    keys: Keys,
    started: Option<BootTime>,
    /// The latest poll since the start: when it was sent, and its result.
    polled: Option<(BootTime, Option<TargetState>)>,
    /// The latest poll that was good, also before the start.
    good: Option<(BootTime, TargetState)>,
    /// What `keep` keeps.
    last: Option<Verdict>,
    /// How long that stays.
    hold_for: Option<Duration>,
    active: Option<ActivePlan>,
}

/// What was published last.
#[derive(Clone, Copy, Debug)]
struct ActivePlan {
    verdict: Verdict,
    until: BootTime,
    hold_for: Option<Duration>,
    /// What follows.
    then: Stale,
    /// And when, after the end, if it is a release.
    after: Duration,
}

/// The expected reply at a moment.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Expected {
    /// Nothing: there is nothing to go by.
    Nothing,
    /// This.
    Verdict(Verdict),
    /// On the way from so many per cent to full, or there.
    Released(u16, bool),
}

impl Wanted {
    /// No reply yet.
    pub(crate) fn new(keys: Keys) -> Self {
        Self {
            keys,
            started: None,
            polled: None,
            good: None,
            last: None,
            hold_for: None,
            active: None,
        }
    }

    pub(crate) fn reboot(&mut self) {
        *self = Self::new(self.keys);
    }

    /// The collector starts while the state file contains the reply `printed`.
    pub(crate) fn start(&mut self, now: BootTime, printed: Option<Reply>) {
        self.started = Some(now);
        self.polled = None;
        self.last = printed.map(|printed| (TargetState::Current(printed), None));
    }

    pub(crate) fn poll(&mut self, now: BootTime, outcome: Option<TargetState>) {
        self.polled = Some((now, outcome));
        if let Some(outcome) = outcome {
            self.good = Some((now, outcome));
        }
    }

    /// The collector has published a verdict; returns the fault, if there is one.
    pub(crate) fn publish(&mut self, published: &Published) -> Option<String> {
        let Published { at, until } = *published;
        let Some((verdict, hold_for)) = self.verdict(at) else {
            return Some("a verdict, and there was nothing to go by".to_owned());
        };
        self.active = Some(ActivePlan {
            verdict,
            until,
            hold_for,
            then: self.keys.stale,
            after: self.keys.release.0,
        });
        let in_time = at < until && until <= at.after(self.keys.fresh_for);
        (!in_time).then(|| format!("fresh until {until:?}, at {at:?}"))
    }

    /// The collector stops, after it published a verdict or before.
    pub(crate) fn stop(&mut self, now: BootTime, published: bool) {
        if let Some(active) = &mut self.active
            && published
            && !takes_out(active.verdict.0)
            && !matches!(self.keys.on_stop, Stale::Keep)
        {
            active.until = now;
            active.then = self.keys.on_stop;
            active.after = Duration::ZERO;
        }
    }

    /// The verdict of a running collector, and how long it stays.
    fn verdict(&mut self, now: BootTime) -> Option<(Verdict, Option<Duration>)> {
        let keys = self.keys;
        // Replaced a little before its end, so that HAProxy never gets the reply of a dead collector from a live one.
        let grace = Duration::from_millis(250).min(keys.fresh_for / 10);
        let in_time = |sent: BootTime| now < sent.after(keys.fresh_for - grace);
        let decided = match self.polled.filter(|(sent, _)| in_time(*sent)) {
            Some((_, Some(outcome))) => Some((outcome, keys.limit(outcome))),
            None if self.polled.is_none() && self.started.is_some_and(in_time) => return None,
            // A rule that was true when it was last known stays true as long as that reading is fresh.
            _ => self
                .good
                .filter(|(sent, outcome)| {
                    in_time(*sent) && !matches!(outcome, TargetState::Weight(_))
                })
                .map(|(_, outcome)| (outcome, keys.normal())),
        };
        if let Some(verdict) = decided {
            self.last = decided;
            self.hold_for = keys.hold_for(verdict.0);
            return Some((verdict, self.hold_for));
        }
        match keys.on_failure {
            Some(target) => Some(((target, keys.normal()), None)),
            None => Some((self.last?, self.hold_for)),
        }
    }

    /// The expected reply of the responder at `now`.
    pub(crate) fn expected(&self, now: BootTime) -> Expected {
        let Some(active) = self.active else {
            return Expected::Nothing;
        };
        let (target, limit) = active.verdict;
        let (_, over) = self.keys.release;
        let released = |from: u16, begin: BootTime| {
            if now < begin {
                Expected::Verdict((target, limit))
            } else {
                Expected::Released(from.min(100), now >= begin.after(over))
            }
        };
        if now < active.until {
            return Expected::Verdict((target, limit));
        }
        if takes_out(target) {
            return active
                .hold_for
                .map_or(Expected::Verdict((target, limit)), |time| {
                    released(self.keys.floor, active.until.after(time))
                });
        }
        match active.then {
            Stale::Keep => Expected::Verdict((target, limit)),
            Stale::State(stale) => Expected::Verdict((stale, self.keys.normal())),
            Stale::Release => {
                let percent = self.percent(target);
                let limit = match target {
                    TargetState::Current(reply) => reply.maxconn.map(|limit| limit.get()),
                    TargetState::Line(_) => None,
                    _ => limit,
                };
                let full = percent >= 100 && limit == self.keys.normal();
                if full && !active.after.is_zero() {
                    Expected::Verdict(active.verdict)
                } else {
                    released(percent, active.until.after(active.after))
                }
            }
        }
    }

    /// The share of traffic that a verdict gives, in per cent.
    fn percent(&self, target: TargetState) -> u16 {
        let line = match target {
            TargetState::Floor => return self.keys.floor,
            TargetState::Weight(percent) => return percent.clamp(self.keys.floor, 100),
            TargetState::Line(at) => reply(lines(true)[at]),
            TargetState::Current(reply) => reply,
            TargetState::Full | TargetState::Drain | TargetState::Down | TargetState::Maint => {
                return 100;
            }
        };
        line.percent.map_or(100, |percent| percent.get())
    }
}

/// Whether this takes the server out of service, in one way or another.
fn takes_out(target: TargetState) -> bool {
    let line = match target {
        TargetState::Drain | TargetState::Down | TargetState::Maint => return true,
        TargetState::Full | TargetState::Floor | TargetState::Weight(_) => return false,
        TargetState::Line(at) => reply(lines(true)[at]),
        TargetState::Current(reply) => reply,
    };
    matches!(
        line.operational,
        Some(OperationalState::Down | OperationalState::Stopped | OperationalState::Fail)
    ) || matches!(
        line.administrative,
        Some(AdministrativeState::Drain | AdministrativeState::Maint)
    ) || line.percent.is_some_and(|percent| percent.get() == 0)
}
