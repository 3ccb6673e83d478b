//! `[service.NAME]` and `[[service.NAME.rule]]`

use super::diagnostic::{Diagnostic, Place};
use super::raw::{Entry, Findings, Table, Text};
use super::sources::{Named, Sources};
use super::{Administration, OnFailure, Rule, Service, Stale, State};
use crate::expression::{Expression, Scope, Type, Vocabulary, closest};
use crate::source::{Kind, Source};
use crate::wording;
use agentcheck_common::reply::NotAReply;
use agentcheck_common::{Percent, Reply, ServiceName};
use std::collections::BTreeSet;
use std::ops::Range;
use std::time::Duration;

const SERVICE_KEYS: [&str; 9] = [
    "weight",
    "floor",
    "fresh_for",
    "stale",
    "release_after",
    "release_over",
    "on_failure",
    "administration",
    "rule",
];
const LATER_SERVICE_KEYS: [&str; 14] = [
    "ceiling",
    "smooth",
    "ramp",
    "max_step",
    "dead_band",
    "maxconn",
    "balancers",
    "describe",
    "on_stop",
    "haproxy_weight",
    "override_administration",
    "maintenance_file",
    "fail_after",
    "capacity",
];
const RULE_KEYS: [&str; 4] = ["name", "when", "reply", "line"];
const LATER_RULE_KEYS: [&str; 5] = ["leave_when", "for", "leave_for", "if_stale", "stand_for"];

const STATES: [(&str, State); 5] = [
    ("full", State::Full),
    ("floor", State::Floor),
    ("drain", State::Drain),
    ("down", State::Down),
    ("maint", State::Maint),
];

/// The longest time that anything may be good for, or take.
const LONGEST: Duration = Duration::from_secs(30 * 86_400);

pub(super) fn read(
    table: Option<Table<'_>>,
    sources: &Sources,
    findings: &mut Findings<'_>,
) -> Vec<Service> {
    let Sources {
        named: sources,
        broken,
    } = sources;
    let mut vocabulary = Vocabulary::new(sources.iter().map(|named| &named.source));
    for name in broken {
        vocabulary.add_broken(name);
    }
    let mut used = BTreeSet::new();
    let services = table
        .map(|mut table| table.take_all())
        .unwrap_or_default()
        .into_iter()
        .filter_map(|entry| service(entry, sources, &vocabulary, &mut used, findings))
        .collect();
    for named in sources {
        if !used.contains(&named.source.name) {
            let message = format!("no service uses the source {}", named.source.name);
            findings.push(Diagnostic::warning(named.span.clone(), message).consequence());
        }
    }
    services
}

fn service(
    entry: Entry<'_>,
    sources: &[Named],
    vocabulary: &Vocabulary,
    used: &mut BTreeSet<String>,
    findings: &mut Findings<'_>,
) -> Option<Service> {
    let span = entry.key_span();
    let name = ServiceName::parse(entry.key.as_bytes());
    if name.is_none() {
        findings.push(
            Diagnostic::error(
                span.clone(),
                format!("a service cannot be called {:?}", entry.key),
            )
            .remedy(
                "1 to 64 letters, digits, dots, underscores and hyphens, a letter or digit first",
            ),
        );
    }
    let mut table = entry.table(findings, &format!("[service.{}]", entry.key))?;

    let weight_entry = table.take("weight");
    let weight = weight_entry.and_then(|entry| {
        let text = entry.text(findings, "'headroom(cpu.value, 100)'")?;
        expression(&text, Type::Number, vocabulary, findings)
    });
    let rules = table
        .take("rule")
        .and_then(|entry| entry.tables(findings, "[[service.web.rule]]"))
        .unwrap_or_default();
    let rules = rules_of(rules, vocabulary, sources, findings);
    if let (Some((always, _)), Some(weight)) = (
        rules.iter().find(|(rule, _)| always_holds(rule)),
        weight_entry,
    ) {
        let message = format!(
            "the weight is never used: rule {:?} always holds",
            always.name
        );
        findings.push(Diagnostic::warning(weight.key_span(), message));
    }

    let mut names = BTreeSet::new();
    let expressions = rules.iter().map(|(rule, _)| &rule.when).chain(&weight);
    for expression in expressions {
        names.extend(expression.uses().keys().cloned());
    }
    used.extend(names.iter().cloned());
    let indices: Vec<usize> = sources
        .iter()
        .enumerate()
        .filter(|(_, named)| names.contains(&named.source.name))
        .map(|(index, _)| index)
        .collect();
    let polled: Vec<&Source> = indices
        .iter()
        .filter_map(|index| sources.get(*index).map(|named| &named.source))
        .collect();

    let service = Service {
        name: name?,
        fresh_for: fresh_for(&mut table, &polled, findings),
        stale: stale(&mut table, findings),
        on_failure: on_failure(&mut table, findings),
        floor: table
            .take("floor")
            .and_then(|entry| entry.integer(findings, 1, 100))
            .and_then(|floor| u16::try_from(floor).ok())
            .and_then(Percent::new)
            .unwrap_or(LEAST_FLOOR),
        administration: table
            .take("administration")
            .and_then(|entry| {
                let choices = [
                    ("shared", Administration::Shared),
                    ("owner", Administration::Owner),
                ];
                entry.choice(findings, &choices)
            })
            .unwrap_or(Administration::Shared),
        sources: indices,
        rules: rules.into_iter().map(|(rule, _)| rule).collect(),
        weight,
    };
    warn_of_silence(&service, &span, findings);
    table.finish(findings, &SERVICE_KEYS, &LATER_SERVICE_KEYS);
    Some(service)
}

/// Load never leads below this: a busy farm would empty itself node by node.
const LEAST_FLOOR: Percent = match Percent::new(1) {
    Some(floor) => floor,
    None => Percent::FULL,
};

/// A service that neither weighs nor rules says full for ever; that is hardly meant.
fn warn_of_silence(service: &Service, span: &Range<usize>, findings: &mut Findings<'_>) {
    if service.weight.is_none() && service.rules.is_empty() {
        findings.push(
            Diagnostic::warning(
                span.clone(),
                format!("the service {} has no weight and no rule", service.name),
            )
            .remedy("it always says full")
            .consequence(),
        );
    }
}

fn expression(
    text: &Text,
    expected: Type,
    vocabulary: &Vocabulary,
    findings: &mut Findings<'_>,
) -> Option<Expression> {
    match Expression::compile(&text.value, expected, vocabulary) {
        Ok(expression) => Some(expression),
        Err(faults) => {
            for fault in faults {
                let span = findings.within_string(text.span.clone(), fault.span);
                let consequence = fault.message.starts_with("there is no source");
                let mut finding = Diagnostic::error(span, fault.message);
                finding.remedy = fault.remedy;
                finding.consequence = consequence;
                findings.push(finding);
            }
            None
        }
    }
}

/// Whether a condition that looks at no source is true.
fn always_holds(rule: &Rule) -> bool {
    rule.when.uses().is_empty() && rule.when.truth(&Scope::new()) == Ok(true)
}

/// The rules, with the place of each one's condition.
fn rules_of(
    tables: Vec<Table<'_>>,
    vocabulary: &Vocabulary,
    sources: &[Named],
    findings: &mut Findings<'_>,
) -> Vec<(Rule, Range<usize>)> {
    let mut rules: Vec<(Rule, Range<usize>)> = Vec::new();
    for mut table in tables {
        let header = table.span.clone();
        let rule = rule(&mut table, vocabulary, findings);
        table.finish(findings, &RULE_KEYS, &LATER_RULE_KEYS);
        let Some((rule, when, name)) = rule else {
            continue;
        };
        for (earlier, place) in &rules {
            let line = Place::of(findings.text, place.start).line;
            if earlier.name == rule.name {
                findings.push(
                    Diagnostic::error(
                        name.clone(),
                        format!("there is a rule {:?} on line {line} already", rule.name),
                    )
                    .remedy("two rules of a service need two names"),
                );
            }
            let never = if always_holds(earlier) {
                format!(
                    "this rule is never reached: rule {:?} on line {line} always holds",
                    earlier.name
                )
            } else if earlier.when.text().trim() == rule.when.text().trim() {
                format!(
                    "this rule never decides: rule {:?} on line {line} has the same condition",
                    earlier.name
                )
            } else {
                continue;
            };
            findings.push(
                Diagnostic::error(when.clone(), never)
                    .remedy("rules are tried in order, the first that holds decides"),
            );
            break;
        }
        warn_of_rule(&rule, &header, sources, &when, findings);
        rules.push((rule, when));
    }
    rules
}

fn warn_of_rule(
    rule: &Rule,
    header: &Range<usize>,
    sources: &[Named],
    when: &Range<usize>,
    findings: &mut Findings<'_>,
) {
    if rule.when.uses().is_empty() && rule.when.truth(&Scope::new()) == Ok(false) {
        findings.push(Diagnostic::warning(when.clone(), "this never holds"));
    }
    let uses = rule.when.uses();
    let of_system = |name: &String| {
        sources
            .iter()
            .any(|named| named.source.name == *name && matches!(named.source.kind, Kind::System(_)))
    };
    let removes = match rule.state {
        State::Drain | State::Down | State::Maint => true,
        State::Line(reply) => wording::takes_out(&reply),
        State::Full | State::Weight(_) | State::Floor => false,
    };
    if removes && !uses.is_empty() && uses.keys().all(of_system) {
        findings.push(
            Diagnostic::warning(
                header.clone(),
                format!(
                    "rule {:?} takes the server out because of this machine's load alone",
                    rule.name
                ),
            )
            .remedy("a busy farm would empty itself node by node; reply = \"floor\" keeps a share"),
        );
    }
}

fn rule(
    table: &mut Table<'_>,
    vocabulary: &Vocabulary,
    findings: &mut Findings<'_>,
) -> Option<(Rule, Range<usize>, Range<usize>)> {
    let name = table
        .need(findings, "name", "\"maintenance\"")
        .and_then(|entry| entry.text(findings, "\"maintenance\""));
    if let Some(name) = &name
        && ServiceName::parse(name.value.as_bytes()).is_none()
    {
        findings.push(
            Diagnostic::error(
                name.span.clone(),
                format!("a rule cannot be called {:?}", name.value),
            )
            .remedy(
                "1 to 64 letters, digits, dots, underscores and hyphens, a letter or digit first",
            ),
        );
    }
    let example = "'app.json.state == \"maintenance\"'";
    let when = table
        .need(findings, "when", example)
        .and_then(|entry| entry.text(findings, example));
    let compiled = when
        .as_ref()
        .and_then(|when| expression(when, Type::Truth, vocabulary, findings));
    let state = match (table.take("reply"), table.take("line")) {
        (Some(reply), None) => reply.choice(findings, &STATES),
        (None, Some(entry)) => entry
            .text(findings, "\"up ready 20%\"")
            .and_then(|text| line(&text, findings))
            .map(State::Line),
        (Some(_), Some(entry)) => {
            findings.push(
                Diagnostic::error(entry.key_span(), "a rule has a reply or a line, not both")
                    .remedy("line is the exact text for HAProxy, reply one of the states"),
            );
            None
        }
        (None, None) => {
            findings.push(
                Diagnostic::error(table.span.clone(), "the rule says nothing")
                    .remedy("add reply = \"drain\" (or full, floor, down, maint), or a line")
                    .consequence(),
            );
            None
        }
    };
    let (name, when) = (name?, when?);
    let rule = Rule {
        name: name.value,
        when: compiled?,
        state: state?,
    };
    Some((rule, when.span, name.span))
}

/// An exact line for HAProxy.
fn line(text: &Text, findings: &mut Findings<'_>) -> Option<Reply> {
    const WORDS: [&str; 7] = ["up", "down", "stopped", "fail", "ready", "drain", "maint"];
    let wrong = match Reply::parse(text.value.as_bytes()) {
        Ok(reply) => return Some(reply),
        Err(wrong) => wrong,
    };
    let finding = match wrong {
        NotAReply::UnknownWord { at, len } => {
            let word = text.value.get(at..at + len).unwrap_or_default();
            let span = findings.within_string(text.span.clone(), at..at + len);
            let remedy = if word.to_ascii_lowercase().starts_with("weight:") {
                "HAProxy before 3.1 does not know it; a percentage, as in 42%, works on all"
                    .to_owned()
            } else if word.contains('#') {
                "a # is a description only after a blank".to_owned()
            } else if word.bytes().all(|byte| byte.is_ascii_digit()) {
                format!("a weight is a percentage: {word}%")
            } else if let Some(meant) = closest(&word.to_ascii_lowercase(), WORDS.into_iter()) {
                format!("did you mean {meant}?")
            } else {
                format!("the words are {}, N% and maxconn:N", WORDS.join(", "))
            };
            Diagnostic::error(span, format!("HAProxy does not know the word {word:?}"))
                .remedy(remedy)
        }
        other => Diagnostic::error(text.span.clone(), other.to_string()),
    };
    findings.push(finding);
    None
}

fn fresh_for(table: &mut Table<'_>, polled: &[&Source], findings: &mut Findings<'_>) -> Duration {
    let period = polled
        .iter()
        .map(|source| source.every + source.timeout)
        .max()
        .unwrap_or_default();
    let default = Duration::from_secs(10).max(period * 3);
    let Some(entry) = table.take("fresh_for") else {
        return default;
    };
    let least = Duration::from_millis(100);
    let Some(chosen) = entry.duration(findings, least, LONGEST) else {
        return default;
    };
    if chosen < period {
        let slowest = polled
            .iter()
            .max_by_key(|source| source.every + source.timeout)
            .map_or("", |source| source.name.as_str());
        findings.push(
            Diagnostic::error(
                entry.span(),
                format!(
                    "fresh_for is shorter than every + timeout of {slowest}, {}",
                    humantime::format_duration(period)
                ),
            )
            .remedy(format!(
                "a reply would be stale before its next reading; the default is {}",
                humantime::format_duration(default)
            )),
        );
    }
    chosen
}

/// A state by its word, or a whole line.
fn say(text: &Text, findings: &mut Findings<'_>) -> Option<State> {
    let known = STATES.iter().find(|(word, _)| *word == text.value);
    match known {
        Some((_, state)) => Some(*state),
        None => line(text, findings).map(State::Line),
    }
}

fn stale(table: &mut Table<'_>, findings: &mut Findings<'_>) -> Stale {
    let after = table.take("release_after");
    let over = table.take("release_over");
    let chosen = table
        .take("stale")
        .and_then(|entry| entry.text(findings, "\"keep\""));
    let released = chosen
        .as_ref()
        .is_some_and(|chosen| chosen.value == "release");
    if !released {
        for entry in [after, over].into_iter().flatten() {
            findings.push(
                Diagnostic::error(
                    entry.key_span(),
                    format!("{} has no effect without stale = \"release\"", entry.key),
                )
                .consequence(),
            );
        }
    }
    let Some(chosen) = chosen else {
        return Stale::Keep;
    };
    match chosen.value.as_str() {
        "keep" => Stale::Keep,
        "release" => {
            let mut span = |entry: Option<Entry<'_>>, default| {
                entry
                    .and_then(|entry| entry.duration(findings, Duration::from_secs(1), LONGEST))
                    .unwrap_or(default)
            };
            Stale::Release {
                after: span(after, Duration::from_secs(300)),
                over: span(over, Duration::from_secs(300)),
            }
        }
        "full" => {
            findings.push(
                Diagnostic::error(chosen.span, "stale cannot be \"full\"").remedy(
                    "a server that jumps to full among busy ones gets too much; \
                     \"release\" goes there step by step",
                ),
            );
            Stale::Keep
        }
        _ => say(&chosen, findings).map_or(Stale::Keep, Stale::Say),
    }
}

fn on_failure(table: &mut Table<'_>, findings: &mut Findings<'_>) -> OnFailure {
    let Some(chosen) = table
        .take("on_failure")
        .and_then(|entry| entry.text(findings, "\"keep\""))
    else {
        return OnFailure::Keep;
    };
    match chosen.value.as_str() {
        "keep" => OnFailure::Keep,
        _ => say(&chosen, findings).map_or(OnFailure::Keep, OnFailure::Say),
    }
}
