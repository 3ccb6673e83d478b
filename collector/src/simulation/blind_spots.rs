//! Finds applications that could die without an effect on the reply. A rule with `app.ok && ...` is inactive when the
//! poll fails, and a weight that does not read the application stays at 100%.
//!
//! It decides for the service, as the collector does, while a source has failed for long and all others are without
//! load. A finding is a weight of 100%:
//!
//! - It leaves out rules, weights and limits that read no failed source: without load they change nothing.
//! - The other sources return low, middling and high numbers, if they return numbers. Other content is unknown, so a
//!   service that depends on it has no finding.
//! - There is no finding if the failure changes the reply for any of these numbers, or when the other sources fail,
//!   too.
//! - Sources of the same server fail together, except those that the kernel answers for a hung server.

use crate::config::{Config, Finding, Input, InputId, Service, SourceId, Weight};
use crate::decision::decide::decide;
use crate::decision::evaluate::{DecisionSource, EvalContext, LatestPoll, ServiceMemory};
use crate::expression::{Expression, Scope};
use crate::overrides::Effective;
use crate::reading::{Content, Failure, FileFacts, Numbers, Reading, Reason};
use crate::source::{Format, Kind, Source};
use agentcheck_common::BootTime;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

const DAY: Duration = Duration::from_secs(86_400);

/// The numbers of other sources: some for percentages, one for bytes.
const NUMBERS: [f64; 3] = [0.0, 100.0, 1e12];

/// One warning for each service and application that could die unnoticed.
#[must_use]
pub fn find(config: &Config) -> Vec<Finding> {
    // One scope for all, because making it costs more than using it.
    let mut scope = Scope::new();
    let services = config.services.iter();
    services
        .flat_map(|service| of_service(config, service, &mut scope))
        .collect()
}

fn of_service(config: &Config, service: &Service, scope: &mut Scope<'static>) -> Vec<Finding> {
    let index = ServiceIndex::new(config, service);
    let polled: Vec<(SourceId, &Source)> = config
        .polled_for(service)
        .into_iter()
        .filter_map(|id| Some((id, config.sources.get(id.0)?)))
        .collect();
    let places: Vec<_> = polled
        .iter()
        .map(|(_, source)| source.kind.endpoint())
        .collect();
    let mut found: Vec<Finding> = Vec::new();
    let mut covered: BTreeSet<SourceId> = BTreeSet::new();
    for ((id, source), place) in polled.iter().zip(&places) {
        if covered.contains(id) {
            continue;
        }
        let tried = source.kind.failures_when_dead();
        let mut unnoticed = Vec::new();
        let mut dead = None;
        for reason in tried {
            let failing: Vec<SourceId> = polled
                .iter()
                .zip(&places)
                .filter(|((other, with), other_place)| {
                    let same_place = place.is_some() && *place == **other_place;
                    other == id || same_place && together(source, with, *reason)
                })
                .map(|((other, _), _)| *other)
                .collect();
            let scenario = FailureScenario::new(config, service, &index, &failing, *reason);
            if scenario
                .as_ref()
                .is_some_and(|scenario| scenario.is_unnoticed(scope))
            {
                unnoticed.push(reason.word());
                dead = dead.or(scenario.map(|scenario| (scenario, failing)));
            }
        }
        let Some((scenario, failing)) = dead else {
            continue;
        };
        let all = unnoticed.len() == tried.len();
        let how = (!all).then(|| format!(" ({})", unnoticed.join(", ")));
        found.extend(scenario.finding(&source.name, &how.unwrap_or_default()));
        covered.extend(failing);
    }
    found
}

/// Whether `other`, a source of the same server as `source`, fails, too, if `source` fails for this reason.
fn together(source: &Source, other: &Source, reason: Reason) -> bool {
    // The kernel accepts connections for a program that hangs or only returns errors.
    let reached = reason == Reason::Refused || !source.kind.is_answered_by_application();
    reached || other.kind.is_answered_by_application()
}

/// The names that a service reads and the rules that read each, so that each scenario costs what it touches.
struct ServiceIndex<'c> {
    inputs: BTreeMap<&'c str, InputId>,
    rules: BTreeMap<&'c str, Vec<usize>>,
    /// Derived numbers that the service reads, each with the sources that it needs.
    derived: Vec<(&'c str, &'c [SourceId])>,
}

impl<'c> ServiceIndex<'c> {
    fn new(config: &'c Config, service: &'c Service) -> Self {
        let mut index = Self {
            inputs: BTreeMap::new(),
            rules: BTreeMap::new(),
            derived: Vec::new(),
        };
        for input in &service.inputs {
            match config.input(*input) {
                Some(Input::Source(source)) => {
                    index.inputs.insert(&source.name, *input);
                }
                Some(Input::Derived(derived)) => {
                    index.inputs.insert(&derived.name, *input);
                    index.derived.push((&derived.name, &derived.sources));
                }
                None => {}
            }
        }
        for (at, rule) in service.rules.iter().enumerate() {
            for name in rule.when.uses().keys() {
                index.rules.entry(name).or_default().push(at);
            }
        }
        index
    }

    /// The names that have no value while these sources fail.
    fn failing_names(&self, config: &'c Config, failing: &[SourceId]) -> BTreeSet<&'c str> {
        let sources = failing.iter().filter_map(|id| config.sources.get(id.0));
        let derived = self.derived.iter();
        let derived = derived.filter(|(_, sources)| sources.iter().any(|of| failing.contains(of)));
        sources
            .map(|source| source.name.as_str())
            .chain(derived.map(|(name, _)| *name))
            .collect()
    }
}

/// A source or derived number that the service uses.
struct KnownInput<'c> {
    name: &'c str,
    /// None is a derived number.
    source: Option<&'c Source>,
    fails: bool,
}

/// Dead sources, and the part of a service that reads them.
struct FailureScenario<'c> {
    part: Service,
    known: Vec<KnownInput<'c>>,
    names: Vec<String>,
    /// The sources behind each of them, as positions in `known`.
    behind: Vec<Box<[InputId]>>,
    reason: Reason,
}

/// The result of a decision.
#[derive(Clone, Copy, PartialEq)]
enum Answer {
    /// The weight, which is 100%.
    Full,
    Share(f64),
    Rule(usize),
    /// Something is unknown: `on_failure` applies, and the description has the reason.
    Unknown,
}

/// The state of the other sources.
#[derive(Clone, Copy)]
enum Others {
    Giving(f64),
    Failed,
}

impl<'c> FailureScenario<'c> {
    /// `None` if no rule, weight or limit reads a source that fails.
    fn new(
        config: &'c Config,
        service: &Service,
        index: &ServiceIndex<'c>,
        failing: &[SourceId],
        reason: Reason,
    ) -> Option<Self> {
        let dead = index.failing_names(config, failing);
        let reads = |expression: &Expression| {
            expression
                .uses()
                .keys()
                .any(|name| dead.contains(name.as_str()))
        };
        let rules = dead
            .iter()
            .filter_map(|name| index.rules.get(name))
            .flatten();
        let rules: BTreeSet<usize> = rules.copied().collect();
        let mut part = Service {
            rules: rules
                .iter()
                .filter_map(|at| service.rules.get(*at))
                .cloned()
                .collect(),
            weight: service.weight.clone(),
            maxconn: service.maxconn.clone(),
            shaping: service.shaping.clone(),
            fresh_for: service.fresh_for,
            ..Service::new(service.name)
        };
        let weighs = part.weight.expressions().any(reads);
        // A constant depends on no source.
        let depends = |expression: &Expression| !expression.uses().is_empty();
        if !weighs && part.weight.expressions().any(depends) {
            part.weight = Weight::Full;
        }
        part.maxconn = part.maxconn.filter(|limit| reads(&limit.total));
        if !weighs && part.rules.is_empty() {
            return None;
        }
        let names = part
            .expressions()
            .flat_map(|expression| expression.uses().keys());
        let inputs = names.filter_map(|name| index.inputs.get(name.as_str()).copied());
        let inputs: BTreeSet<InputId> = inputs.collect();
        let local = |source: SourceId| {
            let at = inputs.iter().position(|input| *input == source.into());
            at.map(InputId)
        };
        let behind = inputs.iter().map(|input| {
            let sources = config.sources_behind(*input).into_iter();
            sources.filter_map(local).collect()
        });
        let behind = behind.collect();
        let known: Vec<KnownInput<'c>> = inputs
            .into_iter()
            .filter_map(|input| known(config, input, failing))
            .collect();
        part.inputs = (0..known.len()).map(InputId).collect();
        Some(Self {
            behind,
            names: known.iter().map(|known| known.name.to_owned()).collect(),
            part,
            known,
            reason,
        })
    }

    fn is_unnoticed(&self, scope: &mut Scope<'static>) -> bool {
        let giving = NUMBERS.map(Others::Giving);
        let mut full = giving.iter();
        if !full.any(|others| self.answer(true, *others, scope) == Answer::Full) {
            return false;
        }
        let mut states = giving.into_iter().chain([Others::Failed]);
        !states.any(|others| {
            let dead = self.answer(true, others, scope);
            dead != Answer::Full && dead != self.answer(false, others, scope)
        })
    }

    /// The decision of the part long after the sources died, or while they work.
    fn answer(&self, dead: bool, others: Others, scope: &mut Scope<'static>) -> Answer {
        let start = BootTime(1_000_000_000);
        let mut memory = ServiceMemory::default();
        let mut answer = Answer::Unknown;
        // Twice, with more time between than any rule waits.
        for passed in [60 * DAY, 120 * DAY] {
            let now = start.after(passed);
            let mut latest = Vec::new();
            for known in &self.known {
                // It was good before, so that it has an age.
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
                behind: &self.behind,
                unix: None,
            };
            let decision = decide(&self.part, &context, &memory, &Effective::default(), now);
            memory = decision.memory;
            let last = decision.final_decision;
            answer = match last.map(|last| last.verdict.decided) {
                Some(DecisionSource::Rule { index, .. }) => Answer::Rule(index),
                Some(DecisionSource::Weight(weighed)) if weighed.shaped.raw >= 100.0 => {
                    Answer::Full
                }
                Some(DecisionSource::Weight(weighed)) => Answer::Share(weighed.shaped.raw),
                _ => Answer::Unknown,
            };
        }
        answer
    }

    fn finding(&self, dead: &str, how: &str) -> Option<Finding> {
        let rules: Vec<String> = self
            .part
            .rules
            .iter()
            .map(|rule| format!("{:?}", rule.name))
            .collect();
        let (place, then) = match (self.part.rules.first(), rules.as_slice()) {
            (Some(rule), [only]) => (&rule.when, format!("rule {only} is inactive then")),
            (Some(rule), all) => {
                let all = all.join(", ");
                (&rule.when, format!("rules {all} are inactive then"))
            }
            (None, _) => {
                let weight = self.part.weight.expressions().next()?;
                (weight, "the weight is 100% then".to_owned())
            }
        };
        let message = format!(
            "{} keeps its full weight when {dead} fails{how}: {then}",
            self.part.name
        );
        let remedy = format!(
            "add a rule with when = \"!{dead}.ok\"; on_failure applies only if a value is unknown"
        );
        Some(Finding::about(place, &message).remedy(remedy))
    }
}

fn known<'c>(config: &'c Config, id: InputId, failing: &[SourceId]) -> Option<KnownInput<'c>> {
    Some(match config.input(id)? {
        Input::Source(source) => KnownInput {
            name: &source.name,
            source: Some(source),
            fails: failing.iter().any(|failing| InputId::from(*failing) == id),
        },
        Input::Derived(derived) => KnownInput {
            name: &derived.name,
            source: None,
            fails: derived.sources.iter().any(|of| failing.contains(of)),
        },
    })
}

/// A good poll. Its content is unknown, except a number.
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

/// A failed poll. Its content is unknown, except that a file is missing. A timeout takes the whole timeout.
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
