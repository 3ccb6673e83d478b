//! Applications that could die without anything of it in what is said: a rule behind `app.ok && ...` does
//! not hold where the poll failed, and a weight that does not need the application stays full. Pure.
//!
//! Found by evaluating the service, as the collector does, in worlds in which what it polls has failed for
//! long and all else is at ease. What counts is a full share that the weight led to:
//!
//! - Rules, a weight and a limit that look at nothing that failed are left out: at ease they say nothing.
//! - The other sources give numbers, low, middling and high, where they give numbers; what else they would
//!   give is unknown, so that nothing is said of a service that depends on it.
//! - Where the failure makes another difference for any of these numbers, or where the other sources have
//!   failed, too, the operator has thought of it, and nothing is said.
//! - Sources that ask the same server fail together (but for what the kernel answers for a hung one).

use crate::config::{Config, Finding, Service, Weight};
use crate::decision::evaluate::{DecisionSource, EvalContext, LatestPoll, ServiceMemory, evaluate};
use crate::expression::{Expression, Scope};
use crate::reading::{Content, Failure, FileFacts, Numbers, Reading, Reason};
use crate::source::{Format, Kind, Source};
use agentcheck_common::BootTime;
use std::time::Duration;

const DAY: Duration = Duration::from_secs(86_400);

/// What other sources give where they give numbers: something for percentages, and something for bytes.
const NUMBERS: [f64; 3] = [0.0, 100.0, 1e12];

/// Warnings of what could die unnoticed, for each service and application one.
#[must_use]
pub fn find(config: &Config) -> Vec<Finding> {
    // One for all, because to make one costs more than to use it.
    let mut scope = Scope::new();
    let services = config.services.iter();
    services
        .flat_map(|service| of_service(config, service, &mut scope))
        .collect()
}

fn of_service(config: &Config, service: &Service, scope: &mut Scope<'static>) -> Vec<Finding> {
    let polled: Vec<(usize, &Source)> = config
        .polled_for(service)
        .into_iter()
        .filter_map(|index| Some((index, config.sources.get(index)?)))
        .collect();
    let mut found: Vec<Finding> = Vec::new();
    let mut told: Vec<usize> = Vec::new();
    for (index, source) in &polled {
        if told.contains(index) {
            continue;
        }
        let tried = source.kind.failures_when_dead();
        let mut unnoticed = Vec::new();
        let mut dead = None;
        for reason in tried {
            let failing: Vec<usize> = polled
                .iter()
                .filter(|(other, with)| other == index || together(source, with, *reason))
                .map(|(other, _)| *other)
                .collect();
            let death = FailureScenario::new(config, service, &failing, *reason);
            if death
                .as_ref()
                .is_some_and(|death| death.is_unnoticed(scope))
            {
                unnoticed.push(reason.word());
                dead = dead.or(death.map(|death| (death, failing)));
            }
        }
        let Some((death, failing)) = dead else {
            continue;
        };
        let all = unnoticed.len() == tried.len();
        let how = (!all).then(|| format!(" ({})", unnoticed.join(", ")));
        found.extend(death.finding(&source.name, &how.unwrap_or_default()));
        told.extend(failing);
    }
    found
}

/// Whether `other` fails, too, where `source` fails for this reason.
fn together(source: &Source, other: &Source, reason: Reason) -> bool {
    let place = source.kind.endpoint();
    let same = place.is_some() && place == other.kind.endpoint();
    // The kernel takes connections for a program that hangs, or that answers nothing but errors.
    let reached = reason == Reason::Refused || !source.kind.is_answered_by_application();
    same && (reached || other.kind.is_answered_by_application())
}

/// A source or derived number that the service uses.
struct KnownInput<'c> {
    name: &'c str,
    /// None is a derived number.
    source: Option<&'c Source>,
    fails: bool,
}

/// What is dead, and the part of a service that looks at it.
struct FailureScenario<'c> {
    part: Service,
    known: Vec<KnownInput<'c>>,
    names: Vec<String>,
    reason: Reason,
}

/// What an evaluation came to.
#[derive(Clone, Copy, PartialEq)]
enum Answer {
    /// The weight, and it is full.
    Full,
    Share(f64),
    Rule(usize),
    /// Something is unknown: `on_failure` answers, and the description says why.
    Unknown,
}

/// How the sources are that are not dead.
#[derive(Clone, Copy)]
enum Others {
    Giving(f64),
    Failed,
}

impl<'c> FailureScenario<'c> {
    /// None where the service decides by nothing that fails.
    fn new(
        config: &'c Config,
        service: &Service,
        failing: &[usize],
        reason: Reason,
    ) -> Option<Self> {
        let known: Vec<KnownInput<'c>> = service
            .sources
            .iter()
            .filter_map(|index| known(config, *index, failing))
            .collect();
        let looks = |expression: &Expression| {
            let names = expression.uses().keys();
            let mut dead = known.iter().filter(|known| known.fails);
            names.len() > 0 && dead.any(|known| expression.uses().contains_key(known.name))
        };
        let mut part = Service {
            sources: (0..known.len()).collect(),
            rules: service
                .rules
                .iter()
                .filter(|rule| looks(&rule.when))
                .cloned()
                .collect(),
            weight: service.weight.clone(),
            maxconn: service.maxconn.clone(),
            shaping: service.shaping.clone(),
            fresh_for: service.fresh_for,
            ..Service::new(service.name)
        };
        let weighs = part.weight.expressions().any(looks);
        // A constant is what it is.
        let depends = |expression: &Expression| !expression.uses().is_empty();
        if !weighs && part.weight.expressions().any(depends) {
            part.weight = Weight::Full;
        }
        part.maxconn = part.maxconn.filter(|limit| looks(&limit.total));
        (weighs || !part.rules.is_empty()).then(|| Self {
            names: known.iter().map(|known| known.name.to_owned()).collect(),
            part,
            known,
            reason,
        })
    }

    fn is_unnoticed(&self, scope: &mut Scope<'static>) -> bool {
        let giving = NUMBERS.map(Others::Giving);
        let mut full = giving.iter();
        if !full.any(|others| self.said(true, *others, scope) == Answer::Full) {
            return false;
        }
        let mut worlds = giving.into_iter().chain([Others::Failed]);
        !worlds.any(|others| {
            let dead = self.said(true, others, scope);
            dead != Answer::Full && dead != self.said(false, others, scope)
        })
    }

    /// What the part of the service says long after it died, or while it is well.
    fn said(&self, dead: bool, others: Others, scope: &mut Scope<'static>) -> Answer {
        let start = BootTime(1_000_000_000);
        let mut memory = ServiceMemory::default();
        let mut said = Answer::Unknown;
        // Twice, with more between them than a rule can wait for.
        for passed in [60 * DAY, 120 * DAY] {
            let now = start.after(passed);
            let mut latest = Vec::new();
            for known in &self.known {
                // It was good once, so that it has an age.
                scope.set(known.name, &good(known, None, start));
                let reading = match others {
                    _ if known.fails && dead => failed(known, self.reason, now),
                    _ if known.fails => good(known, None, now),
                    Others::Giving(number) => good(known, Some(number), now),
                    Others::Failed => failed(known, Reason::Other, now),
                };
                scope.set(known.name, &reading);
                latest.push(Some(LatestPoll {
                    sent: now,
                    failure: reading.outcome.as_ref().err().map(|failure| failure.reason),
                }));
            }
            scope.at(now);
            let context = EvalContext {
                names: &self.names,
                latest: &latest,
                scope,
                started: start,
            };
            let outcome = evaluate(&self.part, &context, &memory, now);
            memory = outcome.memory;
            said = match outcome.verdict.map(|verdict| verdict.decided) {
                Some(DecisionSource::Rule { index, .. }) => Answer::Rule(index),
                Some(DecisionSource::Weight(weighed)) if weighed.shaped.raw >= 100.0 => {
                    Answer::Full
                }
                Some(DecisionSource::Weight(weighed)) => Answer::Share(weighed.shaped.raw),
                _ => Answer::Unknown,
            };
        }
        said
    }

    fn finding(&self, dead: &str, how: &str) -> Option<Finding> {
        let rules: Vec<String> = self
            .part
            .rules
            .iter()
            .map(|rule| format!("{:?}", rule.name))
            .collect();
        let (place, then) = match (self.part.rules.first(), rules.as_slice()) {
            (Some(rule), [only]) => (&rule.when, format!("rule {only} does not hold then")),
            (Some(rule), all) => {
                let all = all.join(", ");
                (&rule.when, format!("rules {all} do not hold then"))
            }
            (None, _) => {
                let weight = self.part.weight.expressions().next()?;
                (weight, "the weight is full then".to_owned())
            }
        };
        let message = format!(
            "{} keeps its full share when {dead} fails{how}, and nothing says so: {then}",
            self.part.name
        );
        let remedy = format!(
            "add a rule with when = \"!{dead}.ok\" that says what then; on_failure answers only for what is unknown"
        );
        Some(Finding::about(place, &message).remedy(remedy))
    }
}

fn known<'c>(config: &'c Config, index: usize, failing: &[usize]) -> Option<KnownInput<'c>> {
    if let Some(source) = config.sources.get(index) {
        return Some(KnownInput {
            name: &source.name,
            source: Some(source),
            fails: failing.contains(&index),
        });
    }
    let derived = config.derived.get(index - config.sources.len())?;
    Some(KnownInput {
        name: &derived.name,
        source: None,
        fails: derived.sources.iter().any(|of| failing.contains(of)),
    })
}

/// A good poll. What it gave is unknown but for a number, where it gives one.
fn good(known: &KnownInput<'_>, number: Option<f64>, sent: BootTime) -> Reading {
    let kind = known.source.map(|source| &source.kind);
    let content = match (kind, number) {
        (_, None) => Content::Nothing,
        (None, Some(number)) => Content::Number(number),
        (Some(Kind::System(metric)), Some(value)) => Content::Numbers(Numbers {
            value,
            parts: metric.parts().iter().map(|part| (*part, value)).collect(),
        }),
        (Some(kind), Some(number)) => match kind.format() {
            Some(Format::Number) => Content::Number(number),
            _ => Content::Nothing,
        },
    };
    Reading {
        outcome: Ok(content),
        ..failed(known, Reason::Other, sent)
    }
}

/// A poll that failed; what it found besides that is unknown but for a file that is not there. One that took
/// too long took that long.
fn failed(known: &KnownInput<'_>, reason: Reason, sent: BootTime) -> Reading {
    let kind = known.source.map(|source| &source.kind);
    let gone = matches!(kind, Some(Kind::File(_))) && reason == Reason::Missing;
    let latency = match known.source {
        Some(source) if reason == Reason::Timeout => source.timeout,
        _ => Duration::ZERO,
    };
    Reading {
        file: gone.then_some(FileFacts {
            exists: false,
            mtime_age: None,
        }),
        ..Reading::failed(sent, latency, Failure::new(reason, ""))
    }
}

#[cfg(test)]
mod tests;
