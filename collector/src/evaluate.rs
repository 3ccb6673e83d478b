//! Readings, what is remembered and `now` in; a verdict, what is to be remembered and when to ask again
//! out. Pure: no clock, no file, no thread.
//!
//! A condition is true, false or unknown (a source failed, a key is missing). Rules are tried in order:
//!
//! | condition now | its last truth | what happens |
//! |---|---|---|
//! | true | any | the rule decides |
//! | false | any | the next rule is tried |
//! | unknown | true, and still fresh | the rule still decides |
//! | unknown | false, and still fresh | later rules are tried, but only one that is unknown too and held may decide; else `on_failure` |
//! | unknown | none, or no longer fresh | `on_failure` |
//!
//! So what is unknown never takes a server out that was in, nor lets one in that was out, and a look at
//! another source never answers for one that is gone: while a rule is unknown, no later rule and no weight
//! decides in its place. A weight that is unknown is answered by `on_failure` too.

use crate::config::{OnFailure, Service, State};
use crate::expression::{Expression, Scope, Unknown};
use crate::reading::Reason;
use crate::text;
use crate::wording;
use agentcheck_common::{BootTime, Description, Operational, Percent, Reply};
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
pub struct Latest {
    /// When the poll was sent.
    pub sent: BootTime,
    /// Why it failed, if it did.
    pub failure: Option<Reason>,
}

/// Everything that evaluation looks at, besides the service and what it remembers.
pub struct World<'w> {
    /// The names of the sources, in the order of the configuration.
    pub names: &'w [String],
    /// The latest poll of each source, in the same order; `None` before the first has finished.
    pub latest: &'w [Option<Latest>],
    /// The values that those polls gave.
    pub scope: &'w Scope<'w>,
    /// Since when polls are made.
    pub started: BootTime,
}

/// What a service remembers from one evaluation to the next.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Memory {
    /// The last reply that a rule or the weight led to: what `keep` keeps.
    pub last: Option<Reply>,
    /// The last known truth of each rule, in their order.
    pub truths: Vec<Option<Truth>>,
}

/// What a rule's condition last was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Truth {
    /// Whether it held.
    pub held: bool,
    /// When the oldest poll that said so was sent.
    pub of: BootTime,
}

/// Who decided.
#[derive(Clone, Debug, PartialEq)]
pub enum Decided {
    /// The rule with this index; `kept` says why its condition is unknown by now, if it is.
    Rule {
        /// Index into the service's rules.
        index: usize,
        /// Why the rule's last truth stands for its condition.
        kept: Option<String>,
    },
    /// The weight, with the number that its expression gave (100 where there is none).
    Weight(f64),
    /// Nobody could: why.
    Failure(String),
}

/// What is to be said, and how long it is good.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// What is said.
    pub reply: Reply,
    /// Who decided it.
    pub decided: Decided,
    /// When the oldest poll that it rests on was sent.
    pub of: BootTime,
    /// When it stops being fresh: always later than the moment of evaluation.
    pub until: BootTime,
}

/// The outcome of one evaluation.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// The verdict; `None` where there is nothing to say yet: sources have not been polled, or nothing
    /// was ever said that could be kept.
    pub verdict: Option<Verdict>,
    /// To be given to the next evaluation.
    pub memory: Memory,
    /// When to evaluate again if no news comes.
    pub wake_at: BootTime,
}

/// Evaluates a service at `now`.
#[must_use]
pub fn evaluate(service: &Service, world: &World<'_>, memory: &Memory, now: BootTime) -> Outcome {
    let polled = Polled::new(service, world, now);
    if polled.waiting {
        return Outcome {
            verdict: None,
            memory: memory.clone(),
            wake_at: world.started.after(good_for(service)),
        };
    }
    let overdue: Vec<&str> = polled.overdue().collect();
    let overdue_scope;
    let scope = if overdue.is_empty() {
        world.scope
    } else {
        overdue_scope = world.scope.with_overdue(&overdue);
        &overdue_scope
    };

    let mut memory = memory.clone();
    memory.truths.resize(service.rules.len(), None);
    let mut walk = Walk {
        service,
        polled: &polled,
        scope,
        of: now,
        now,
    };
    let decided = walk.decide(&mut memory.truths);
    let verdict = walk.verdict(decided, &mut memory);
    let news = polled.wake_at(service, now);
    Outcome {
        // A truth that is only kept may end before any source is overdue.
        wake_at: verdict.as_ref().map_or(news, |verdict| {
            news.min(verdict.of.after(good_for(service)))
                .max(now.after(Duration::from_millis(1)))
        }),
        verdict,
        memory,
    }
}

/// A number as a weight: never below the floor, never above the configured weight, whole.
fn weight(number: f64, floor: Percent) -> State {
    // What is a whole number but for the last bits of a double counts as that number.
    let whole = (number + 1e-6).floor().clamp(f64::from(floor.get()), 100.0);
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // clamped to 1..=100
    let percent = whole as u16;
    Percent::new(percent).map_or(State::Floor, State::Weight)
}

/// The state of the sources that a service uses.
struct Polled<'w> {
    /// Name, and the latest poll; `None` is overdue.
    sources: Vec<(&'w str, Option<Latest>)>,
    /// Whether one has not been polled yet, and there is still time.
    waiting: bool,
    now: BootTime,
}

impl<'w> Polled<'w> {
    fn new(service: &Service, world: &World<'w>, now: BootTime) -> Self {
        let mut waiting = false;
        let mut sources = Vec::with_capacity(service.sources.len());
        for index in &service.sources {
            let Some(name) = world.names.get(*index) else {
                continue;
            };
            let latest = world.latest.get(*index).copied().flatten();
            let since = latest.map_or(world.started, |latest| latest.sent);
            let in_time = now < since.after(good_for(service));
            waiting |= latest.is_none() && in_time;
            sources.push((name.as_str(), latest.filter(|_| in_time)));
        }
        Self {
            sources,
            waiting,
            now,
        }
    }

    fn overdue(&self) -> impl Iterator<Item = &'w str> {
        self.sources
            .iter()
            .filter(|(_, latest)| latest.is_none())
            .map(|(name, _)| *name)
    }

    fn latest(&self, source: &str) -> Option<Latest> {
        self.sources
            .iter()
            .find(|(name, _)| *name == source)
            .and_then(|(_, latest)| *latest)
    }

    /// When the oldest poll was sent that `expression` rests on. That a source is overdue is what the
    /// collector itself sees, now.
    fn age_of(&self, expression: &Expression) -> BootTime {
        expression
            .uses()
            .keys()
            .map(|source| self.latest(source).map_or(self.now, |latest| latest.sent))
            .min()
            .unwrap_or(self.now)
    }

    /// Why an expression is unknown: rather the source that failed than what it lacks for it.
    fn reason(&self, expression: &Expression, unknown: &Unknown) -> String {
        let failed = expression.uses().keys().find_map(|source| {
            let failure = match self.latest(source) {
                None => Some(Reason::Overdue),
                Some(latest) => latest.failure,
            };
            failure.map(|reason| format!("{source} {reason}"))
        });
        failed.unwrap_or_else(|| unknown.to_string())
    }

    /// The content of an overdue source is not looked at, whatever it was.
    fn overdue_content(&self, expression: &Expression) -> Option<Unknown> {
        expression
            .uses()
            .iter()
            .find(|(source, used)| used.content && self.latest(source).is_none())
            .map(|(source, _)| Unknown(format!("{source} {}", Reason::Overdue)))
    }

    /// When something changes without news: a source becomes overdue. Where one is, or none is used,
    /// the verdict has to be renewed before it ends.
    fn wake_at(&self, service: &Service, now: BootTime) -> BootTime {
        let renew = now.after(service.fresh_for / 3);
        let next = self
            .sources
            .iter()
            .map(|(_, latest)| match latest {
                Some(latest) => latest.sent.after(good_for(service)),
                None => renew,
            })
            .min();
        // Never now or before: that would be a loop.
        next.unwrap_or(renew)
            .max(now.after(Duration::from_millis(1)))
    }
}

/// One walk through rules and weight.
struct Walk<'w> {
    service: &'w Service,
    polled: &'w Polled<'w>,
    scope: &'w Scope<'w>,
    /// When the oldest poll was sent that the walk has looked at so far.
    of: BootTime,
    now: BootTime,
}

impl Walk<'_> {
    fn decide(&mut self, truths: &mut [Option<Truth>]) -> Decided {
        let mut decided = None;
        // Why an earlier rule, which did not hold when that was last known, is unknown by now.
        let mut passed: Option<String> = None;
        // When the oldest poll was sent that a kept truth rests on.
        let mut kept_of = self.now;
        for (index, (rule, last)) in self.service.rules.iter().zip(truths).enumerate() {
            let of = self.polled.age_of(&rule.when);
            let truth = match self.polled.overdue_content(&rule.when) {
                Some(unknown) => Err(unknown),
                None => rule.when.truth(self.scope),
            };
            // Rules after the one that decides are looked at too, so that their truths are known when
            // they are needed.
            let before = last.filter(|last| self.now < last.of.after(good_for(self.service)));
            if let Ok(held) = truth {
                *last = Some(Truth { held, of });
            }
            if decided.is_some() {
                continue;
            }
            self.of = self.of.min(of);
            decided = match (truth, before, &passed) {
                (Ok(true), _, None) => Some(Decided::Rule { index, kept: None }),
                // It would decide in the place of the unknown one.
                (Ok(true), _, Some(_)) | (Ok(false), _, _) => None,
                (Err(unknown), Some(truth), _) => {
                    kept_of = kept_of.min(truth.of);
                    let reason = self.polled.reason(&rule.when, &unknown);
                    if truth.held {
                        self.of = self.of.min(kept_of);
                        let kept = Some(reason);
                        Some(Decided::Rule { index, kept })
                    } else {
                        passed.get_or_insert(reason);
                        None
                    }
                }
                (Err(unknown), None, _) => {
                    Some(Decided::Failure(self.polled.reason(&rule.when, &unknown)))
                }
            };
        }
        match (decided, passed) {
            (Some(decided), _) => decided,
            (None, Some(reason)) => Decided::Failure(reason),
            (None, None) => self.weigh(),
        }
    }

    fn weigh(&mut self) -> Decided {
        let Some(expression) = &self.service.weight else {
            return Decided::Weight(100.0);
        };
        self.of = self.of.min(self.polled.age_of(expression));
        let number = match self.polled.overdue_content(expression) {
            Some(unknown) => Err(unknown),
            None => expression.number(self.scope),
        };
        match number {
            Ok(number) => Decided::Weight(number),
            Err(unknown) => Decided::Failure(self.polled.reason(expression, &unknown)),
        }
    }

    fn verdict(&self, decided: Decided, memory: &mut Memory) -> Option<Verdict> {
        let reply = match &decided {
            Decided::Rule { index, kept } => {
                let rule = self.service.rules.get(*index)?;
                let mut why = format!("rule={}", rule.name);
                self.append_numbers(&mut why, &rule.when);
                if let Some(reason) = kept {
                    why.push_str(&format!(" kept: {reason}"));
                }
                let reply = self.worded(rule.state, &why);
                memory.last = Some(reply.described(Description::NONE));
                reply
            }
            Decided::Weight(number) => {
                let mut why = String::new();
                if let Some(expression) = &self.service.weight {
                    self.append_numbers(&mut why, expression);
                }
                let reply = self.worded(weight(*number, self.service.floor), why.trim());
                memory.last = Some(reply.described(Description::NONE));
                reply
            }
            Decided::Failure(reason) => match self.service.on_failure {
                OnFailure::Say(state) => self.worded(state, reason),
                OnFailure::Keep => {
                    let last = memory.last?;
                    // The word that tells it from any other down in the balancer's log.
                    let maintenance = match last.operational {
                        Some(Operational::Stopped) => "maintenance ",
                        _ => "",
                    };
                    let why = format!("{maintenance}kept: {reason}");
                    last.described(Description::lossy(&why))
                }
            },
        };
        Some(Verdict {
            reply,
            decided,
            of: self.of,
            until: self.of.after(self.service.fresh_for),
        })
    }

    fn worded(&self, state: State, why: &str) -> Reply {
        let service = self.service;
        wording::reply(state, service.floor, service.administration, why)
    }

    /// The numbers that led to it; three are as many as a description has room for.
    fn append_numbers(&self, why: &mut String, expression: &Expression) {
        for (label, number) in expression.numbers_used(self.scope).take(3) {
            why.push_str(&format!(" {label}={}", text::number(number)));
        }
    }
}
