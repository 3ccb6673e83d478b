//! The reply that should be sent at a moment, from a configuration, the polls so far and the state of the
//! collector. It is written against the documentation, and shares no code with the product.

use super::policy::{Keys, Say, Stale, Verdict, lines};
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
    polled: Option<(BootTime, Option<Say>)>,
    /// The latest poll that was good, also before the start.
    good: Option<(BootTime, Say)>,
    /// What `keep` keeps.
    last: Option<Verdict>,
    /// How long that stays.
    hold_for: Option<Duration>,
    spoken: Option<Spoken>,
}

/// What was published last.
#[derive(Clone, Copy, Debug)]
struct Spoken {
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
    Said(Verdict),
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
            spoken: None,
        }
    }

    pub(crate) fn reboot(&mut self) {
        *self = Self::new(self.keys);
    }

    /// The collector is started while the reply is `said`.
    pub(crate) fn start(&mut self, now: BootTime, printed: Option<Reply>) {
        self.started = Some(now);
        self.polled = None;
        self.last = printed.map(|printed| (Say::Words(printed), None));
    }

    pub(crate) fn poll(&mut self, now: BootTime, says: Option<Say>) {
        self.polled = Some((now, says));
        if let Some(says) = says {
            self.good = Some((now, says));
        }
    }

    /// The collector has published a verdict; what is wrong with that.
    pub(crate) fn publish(&mut self, published: &Published) -> Option<String> {
        let Published { at, until } = *published;
        let Some((verdict, hold_for)) = self.verdict(at) else {
            return Some("a verdict, and there was nothing to go by".to_owned());
        };
        self.spoken = Some(Spoken {
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
        if let Some(spoken) = &mut self.spoken
            && published
            && !takes_out(spoken.verdict.0)
            && !matches!(self.keys.on_stop, Stale::Keep)
        {
            spoken.until = now;
            spoken.then = self.keys.on_stop;
            spoken.after = Duration::ZERO;
        }
    }

    /// The verdict of a running collector, and how long it stays.
    fn verdict(&mut self, now: BootTime) -> Option<(Verdict, Option<Duration>)> {
        let keys = self.keys;
        // Replaced a little before its end, so that HAProxy never gets the reply of a dead collector from a live one.
        let grace = Duration::from_millis(250).min(keys.fresh_for / 10);
        let in_time = |sent: BootTime| now < sent.after(keys.fresh_for - grace);
        let decided = match self.polled.filter(|(sent, _)| in_time(*sent)) {
            Some((_, Some(says))) => Some((says, keys.limit(says))),
            None if self.polled.is_none() && self.started.is_some_and(in_time) => return None,
            // A rule that held when it was last known holds as long as that is fresh.
            _ => self
                .good
                .filter(|(sent, says)| in_time(*sent) && !matches!(says, Say::Weight(_)))
                .map(|(_, says)| (says, keys.normal())),
        };
        if let Some(verdict) = decided {
            self.last = decided;
            self.hold_for = keys.hold_for(verdict.0);
            return Some((verdict, self.hold_for));
        }
        match keys.on_failure {
            Some(say) => Some(((say, keys.normal()), None)),
            None => Some((self.last?, self.hold_for)),
        }
    }

    /// The expected reply of the responder at `now`.
    pub(crate) fn expected(&self, now: BootTime) -> Expected {
        let Some(spoken) = self.spoken else {
            return Expected::Nothing;
        };
        let (say, limit) = spoken.verdict;
        let (_, over) = self.keys.release;
        let released = |from: u16, begin: BootTime| {
            if now < begin {
                Expected::Said((say, limit))
            } else {
                Expected::Released(from.min(100), now >= begin.after(over))
            }
        };
        if now < spoken.until {
            return Expected::Said((say, limit));
        }
        if takes_out(say) {
            return spoken
                .hold_for
                .map_or(Expected::Said((say, limit)), |time| {
                    released(self.keys.floor, spoken.until.after(time))
                });
        }
        match spoken.then {
            Stale::Keep => Expected::Said((say, limit)),
            Stale::Say(stale) => Expected::Said((stale, self.keys.normal())),
            Stale::Release => {
                let percent = self.percent(say);
                let limit = match say {
                    Say::Words(reply) => reply.maxconn.map(|limit| limit.get()),
                    Say::Line(_) => None,
                    _ => limit,
                };
                let full = percent >= 100 && limit == self.keys.normal();
                if full && !spoken.after.is_zero() {
                    Expected::Said(spoken.verdict)
                } else {
                    released(percent, spoken.until.after(spoken.after))
                }
            }
        }
    }

    /// The share of traffic that a verdict gives, in per cent.
    fn percent(&self, say: Say) -> u16 {
        let line = match say {
            Say::Floor => return self.keys.floor,
            Say::Weight(percent) => return percent.clamp(self.keys.floor, 100),
            Say::Line(at) => reply(lines(true)[at]),
            Say::Words(reply) => reply,
            Say::Full | Say::Drain | Say::Down | Say::Maint => return 100,
        };
        line.percent.map_or(100, |percent| percent.get())
    }
}

/// Whether this takes the server out of service, in one way or another.
fn takes_out(say: Say) -> bool {
    let line = match say {
        Say::Drain | Say::Down | Say::Maint => return true,
        Say::Full | Say::Floor | Say::Weight(_) => return false,
        Say::Line(at) => reply(lines(true)[at]),
        Say::Words(reply) => reply,
    };
    matches!(
        line.operational,
        Some(OperationalState::Down | OperationalState::Stopped | OperationalState::Fail)
    ) || matches!(
        line.administrative,
        Some(AdministrativeState::Drain | AdministrativeState::Maint)
    ) || line.percent.is_some_and(|percent| percent.get() == 0)
}
