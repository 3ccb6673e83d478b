//! How often the log reports something that fails and recovers: at once where it is news, once a minute while
//! it flaps, once an hour while it persists. Pure.

use agentcheck_common::BootTime;
use std::collections::VecDeque;
use std::fmt::Display;
use std::time::Duration;

/// How many changes within [`WINDOW`] are logged one by one; further ones are counted.
pub const BURST: usize = 4;

/// The time in which changes are counted, and the interval between summaries.
pub const WINDOW: Duration = Duration::from_secs(60);

/// How often a failure that persists is logged again.
pub const REMIND: Duration = Duration::from_secs(3600);

/// The log state of something that is tried repeatedly. `K` is a kind of failure. It takes memory from the first
/// failure on.
#[derive(Clone, Debug)]
pub struct FailureThrottle<K>(Option<Box<Throttle<K>>>);

#[derive(Clone, Debug)]
struct Throttle<K> {
    /// The failure that the log shows; `None`: no failure.
    logged: Option<K>,
    /// The present failure.
    failing: Option<Failing<K>>,
    /// The times of the latest lines about changes, at most [`BURST`].
    logged_at: VecDeque<BootTime>,
    /// The time of the latest line of any kind.
    latest: BootTime,
    /// The text of the latest failure.
    last: String,
    folded: Option<Folded>,
}

#[derive(Clone, Debug)]
struct Failing<K> {
    kind: K,
    since: BootTime,
    failures: u64,
}

/// The events since lines are counted instead of logged.
#[derive(Clone, Debug)]
struct Folded {
    since: BootTime,
    tries: u64,
    failures: u64,
    changes: u64,
}

/// An event for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event<K> {
    /// It fails, or fails in another way.
    Failed,
    /// It works again.
    Recovered {
        /// The last kind of failure.
        after: K,
        /// How many times it failed in a row.
        failures: u64,
        /// From the first of these failures until now.
        span: Duration,
    },
    /// It fails and recovers repeatedly.
    Flapping {
        /// How many times it failed within `span`.
        failures: u64,
        /// Of how many tries.
        tries: u64,
        /// At least [`WINDOW`].
        span: Duration,
        /// The last failure within.
        last: String,
        /// Whether it fails at the end of `span`.
        fails: bool,
    },
    /// It fails in the same way as [`REMIND`] ago.
    Persisting {
        /// How many times in a row.
        failures: u64,
        /// From the first of these failures until now.
        span: Duration,
    },
}

impl<K> Default for FailureThrottle<K> {
    fn default() -> Self {
        Self(None)
    }
}

impl<K> Default for Throttle<K> {
    fn default() -> Self {
        Self {
            logged: None,
            failing: None,
            logged_at: VecDeque::with_capacity(BURST),
            latest: BootTime(0),
            last: String::new(),
            folded: None,
        }
    }
}

impl<K> FailureThrottle<K> {
    /// Whether there ever was a failure.
    pub fn has_failed(&self) -> bool {
        self.0.is_some()
    }
}

impl<K: Copy + PartialEq> FailureThrottle<K> {
    /// The event to log after a try that ended `now`: with success, or with a failure of this kind.
    pub fn note(
        &mut self,
        outcome: Result<(), (K, &dyn Display)>,
        now: BootTime,
    ) -> Option<Event<K>> {
        if self.0.is_none() && outcome.is_ok() {
            return None;
        }
        self.0.get_or_insert_default().note(outcome, now)
    }
}

impl<K: Copy + PartialEq> Throttle<K> {
    fn note(&mut self, outcome: Result<(), (K, &dyn Display)>, now: BootTime) -> Option<Event<K>> {
        let before = self.failing.clone();
        self.failing = outcome.as_ref().err().map(|(kind, _)| Failing {
            kind: *kind,
            since: before.as_ref().map_or(now, |failing| failing.since),
            failures: before.as_ref().map_or(0, |failing| failing.failures) + 1,
        });
        let kind = self.failing.as_ref().map(|failing| failing.kind);
        if let Err((_, failure)) = outcome {
            self.last = failure.to_string();
        }
        let has_changed = kind != before.as_ref().map(|failing| failing.kind);

        let mut news = None;
        if let Some(folded) = &mut self.folded {
            folded.tries += 1;
            folded.changes += u64::from(has_changed);
            folded.failures += u64::from(kind.is_some());
            if now.since(folded.since) < WINDOW {
                return None;
            }
            let folded = self.folded.take()?;
            if folded.changes > 0 {
                news = Some(Event::Flapping {
                    failures: folded.failures,
                    tries: folded.tries,
                    span: now.since(folded.since),
                    last: self.last.clone(),
                    fails: kind.is_some(),
                });
                self.folded = Some(Folded::new(now));
            }
        }
        if news.is_none() && kind != self.logged {
            while self
                .logged_at
                .front()
                .is_some_and(|at| now.since(*at) >= WINDOW)
            {
                self.logged_at.pop_front();
            }
            if self.logged_at.len() >= BURST {
                self.folded = Some(Folded {
                    tries: 1,
                    changes: 1,
                    failures: u64::from(kind.is_some()),
                    ..Folded::new(now)
                });
                return None;
            }
            self.logged_at.push_back(now);
            news = Some(match before {
                Some(before) if kind.is_none() => Event::Recovered {
                    after: before.kind,
                    failures: before.failures,
                    span: now.since(before.since),
                },
                _ => Event::Failed,
            });
        }
        if news.is_none() && now.since(self.latest) >= REMIND {
            news = self.failing.as_ref().map(|failing| Event::Persisting {
                failures: failing.failures,
                span: now.since(failing.since),
            });
        }
        if news.is_some() {
            self.logged = kind;
            self.latest = now;
        }
        news
    }
}

impl Folded {
    fn new(since: BootTime) -> Self {
        Self {
            since,
            tries: 0,
            failures: 0,
            changes: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// At a second: success, or a failure of a kind.
    fn note(fold: &mut FailureThrottle<u8>, second: u64, kind: Option<u8>) -> Option<Event<u8>> {
        let failure = format!("failure {kind:?} at {second}");
        let outcome = kind.map_or(Ok(()), |kind| Err((kind, &failure as &dyn Display)));
        fold.note(outcome, BootTime(0).after(Duration::from_secs(second)))
    }

    const fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn beginning_end_and_change_are_logged_at_once() {
        let mut fold = FailureThrottle::default();
        assert_eq!(note(&mut fold, 100, None), None);
        assert_eq!(note(&mut fold, 102, Some(1)), Some(Event::Failed));
        assert_eq!(note(&mut fold, 104, Some(1)), None);
        assert_eq!(note(&mut fold, 106, Some(2)), Some(Event::Failed));
        let back = Event::Recovered {
            after: 2,
            failures: 3,
            span: seconds(6),
        };
        assert_eq!(note(&mut fold, 108, None), Some(back));
        assert_eq!(note(&mut fold, 110, None), None);
        // From the very first.
        assert_eq!(
            note(&mut FailureThrottle::default(), 100, Some(1)),
            Some(Event::Failed)
        );
    }

    #[test]
    fn flapping_is_logged_once_a_minute() {
        let mut fold = FailureThrottle::default();
        let mut logged = Vec::new();
        for second in 0..90 {
            let kind = (second % 2 == 0).then_some(1);
            logged.extend(note(&mut fold, 1000 + second, kind).map(|news| (second, news)));
        }
        let seconds_told: Vec<u64> = logged.iter().map(|(second, _)| *second).collect();
        assert_eq!(seconds_told, [0, 1, 2, 3, 64]);
        let flaps = Event::Flapping {
            failures: 31,
            tries: 61,
            span: seconds(60),
            last: String::from("failure Some(1) at 1064"),
            fails: true,
        };
        assert_eq!(logged[4].1, flaps);
        // It ended with a success; that is logged at the end of the minute, and then nothing more.
        let mut logged = Vec::new();
        for second in 90..400 {
            logged.extend(note(&mut fold, 1000 + second, None).map(|news| (second, news)));
        }
        let flaps = Event::Flapping {
            failures: 12,
            tries: 60,
            span: seconds(60),
            last: String::from("failure Some(1) at 1088"),
            fails: false,
        };
        assert_eq!(logged, [(124, flaps)]);
        assert_eq!(note(&mut fold, 1400, Some(1)), Some(Event::Failed));
    }

    #[test]
    fn persisting_failure_is_logged_once_an_hour() {
        let mut fold = FailureThrottle::default();
        let logged: Vec<(u64, Event<u8>)> = (0..8000)
            .filter_map(|second| Some((second, note(&mut fold, 50 + second, Some(1))?)))
            .collect();
        let still = |failures, span| Event::Persisting {
            failures,
            span: seconds(span),
        };
        assert_eq!(
            logged,
            [
                (0, Event::Failed),
                (3600, still(3601, 3600)),
                (7200, still(7201, 7200))
            ]
        );
    }

    proptest! {
        /// For all events: no flood, and after quiet times the log is right.
        #[test]
        fn the_log_is_never_flooded_and_never_wrong(
            story in prop::collection::vec((0_u64..40, prop::option::of(0_u8..3)), 1..300),
            end in prop::option::of(0_u8..3),
        ) {
            let mut fold = FailureThrottle::default();
            let mut now = 5000;
            let mut logged = Vec::new();
            let mut known = false;
            let mut receive = |news: Option<Event<u8>>, now: u64, kind: Option<u8>| {
                if let Some(news) = news {
                    logged.push(now);
                    known = match &news {
                        Event::Failed | Event::Persisting { .. } => true,
                        Event::Recovered { .. } => false,
                        Event::Flapping { fails, failures, tries, .. } => {
                            assert!(failures <= tries);
                            *fails
                        }
                    };
                    assert_eq!(known, kind.is_some(), "{news:?}");
                }
            };
            for (later, kind) in story {
                now += later;
                receive(note(&mut fold, now, kind), now, kind);
            }
            for _ in 0..4 {
                now += 60;
                receive(note(&mut fold, now, end), now, end);
            }
            prop_assert_eq!(known, end.is_some());
            for (index, at) in logged.iter().enumerate() {
                let within = logged[index..].iter().filter(|later| **later < at + 60);
                prop_assert!(within.count() <= BURST + 1, "{:?}", logged);
            }
        }
    }
}
