//! `[[service.NAME.rule]]`, and what rules share with other keys: states, exact lines, expressions.

use super::LONGEST;
use super::Rule;
use super::diagnostics::Diagnostic;
use super::sources::Named;
use super::toml_reader::{Entry, Findings, Table, Text};
use crate::expression::template::{self, Template, Written};
use crate::expression::{Environment, Expression, Scope, Type, closest};
use crate::reply::state::ServerState;
use crate::source::Kind;
use agentcheck_common::reply::NotAReply;
use agentcheck_common::{Reply, ServiceName};
use std::ops::Range;
use std::time::Duration;

const RULE_KEYS: [&str; 10] = [
    "name",
    "when",
    "clear_when",
    "for",
    "clear_for",
    "reply",
    "raw_reply",
    "on_stale",
    "hold_for",
    "description",
];

/// What stands for the service's own `restore_after`, until that is known.
pub(super) const RESTORED: Duration = Duration::MAX;

const STATES: [(&str, ServerState); 5] = [
    ("full", ServerState::Full),
    ("floor", ServerState::Floor),
    ("drain", ServerState::Drain),
    ("down", ServerState::Down),
    ("maint", ServerState::Maint),
];

/// Compiles an expression; its mistakes become findings in their place.
pub(super) fn expression(
    text: &Text,
    expected: Type,
    environment: &Environment,
    findings: &mut Findings<'_>,
) -> Option<Expression> {
    match Expression::compile(&text.value, expected, environment) {
        Ok(expression) => Some(expression.placed(text.span.clone())),
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

/// Whether a condition that looks at no source is true, and does not have to be for long.
pub(super) fn always_holds(rule: &Rule) -> bool {
    rule.enter_after.is_zero()
        && rule.when.uses().is_empty()
        && rule.when.truth(&Scope::new()) == Ok(true)
}

/// Whether `rule` never comes to hold before `earlier`, because it waits for the same and no shorter.
fn is_behind(rule: &Rule, earlier: &Rule) -> bool {
    earlier.when.text().trim() == rule.when.text().trim() && earlier.enter_after <= rule.enter_after
}

/// The rules, with the place of each one's condition.
pub(super) fn read(
    tables: Vec<Table<'_>>,
    environment: &Environment,
    sources: &[Named],
    findings: &mut Findings<'_>,
) -> Vec<(Rule, Range<usize>)> {
    let mut rules: Vec<(Rule, Range<usize>)> = Vec::new();
    for mut table in tables {
        let header = table.span.clone();
        let rule = rule(&mut table, environment, findings);
        table.finish(findings, &RULE_KEYS);
        let Some((rule, when, name)) = rule else {
            continue;
        };
        for (earlier, place) in &rules {
            let line = findings.line(place.start);
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
            } else if is_behind(&rule, earlier) {
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
    // Whether a port listens at all, say, is no load.
    let of_load = uses.values().any(|used| used.content);
    if rule.state.takes_out() && of_load && uses.keys().all(of_system) {
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
    environment: &Environment,
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
        .and_then(|when| expression(when, Type::Truth, environment, findings));
    let state = match (table.take("reply"), table.take("raw_reply")) {
        (Some(reply), None) => reply.choice(findings, &STATES),
        (None, Some(entry)) => entry
            .text(findings, "\"up ready 20%\"")
            .and_then(|text| line(&text, findings))
            .map(ServerState::Raw),
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
    let clear_when = table.take("clear_when").and_then(|entry| {
        let text = entry.text(findings, "'cpu.value < 80.0'")?;
        expression(&text, Type::Truth, environment, findings)
    });
    let mut span = |key| {
        table
            .take(key)
            .and_then(|entry| entry.duration(findings, Duration::ZERO, LONGEST))
            .unwrap_or_default()
    };
    let (enter_after, leave_after) = (span("for"), span("clear_for"));
    let hold_for = hold_for(table, state, findings);
    let description = table
        .take("description")
        .and_then(|entry| template(&entry, environment, findings));
    let (name, when) = (name?, when?);
    let rule = Rule {
        name: name.value,
        when: compiled?,
        clear_when,
        enter_after,
        clear_after: leave_after,
        state: state?,
        hold_for,
        description,
    };
    Some((rule, when.span, name.span))
}

/// How long a reply that takes the server out stands without a collector; none is for ever.
fn hold_for(
    table: &mut Table<'_>,
    state: Option<ServerState>,
    findings: &mut Findings<'_>,
) -> Option<Duration> {
    let on_stale = table.take("on_stale");
    let bound = table.take("hold_for");
    if state.is_some_and(|state| !state.takes_out()) {
        for entry in [&on_stale, &bound].into_iter().flatten() {
            let message = format!("{} has no effect on what leaves the server in", entry.key);
            findings.push(
                Diagnostic::error(entry.key_span(), message)
                    .remedy("stale of the service says what follows such a reply"),
            );
        }
        return None;
    }
    let released = on_stale.and_then(|entry| {
        let choices = [("hold", false), ("restore", true)];
        entry.choice(findings, &choices)
    });
    match (released, bound) {
        (Some(true), Some(bound)) => {
            findings.push(
                Diagnostic::error(bound.key_span(), "hold_for beside on_stale = \"restore\"")
                    .remedy("hold_for says when it is released; without it, restore_after does"),
            );
            None
        }
        (Some(true), None) => Some(RESTORED),
        (_, Some(bound)) => bound.duration(findings, Duration::from_secs(1), LONGEST),
        (_, None) => None,
    }
}

/// A description with values in it.
fn template(
    entry: &Entry<'_>,
    environment: &Environment,
    findings: &mut Findings<'_>,
) -> Option<Template> {
    let text = entry.text(findings, "\"{queue.value} waiting\"")?;
    let written = match template::split(&text.value) {
        Ok(written) => written,
        Err(brace) => {
            let span = findings.within_string(text.span, brace);
            findings.push(
                Diagnostic::error(span, "this brace has no other")
                    .remedy("{{ and }} are braces; {expression} is its value"),
            );
            return None;
        }
    };
    let mut template = Template::default();
    for piece in written {
        match piece {
            Written::Text(shown) => template.push_text(shown),
            Written::Value(range) => {
                let part = Text {
                    value: text.value.get(range.clone())?.to_owned(),
                    // As if it were a literal of its own, of which the brace is the quote.
                    span: {
                        let within = findings.within_string(text.span.clone(), range);
                        within.start.saturating_sub(1)..within.end.saturating_add(1)
                    },
                };
                let value = expression(&part, Type::Unknown, environment, findings)?;
                template.push_value(simple(
                    value,
                    "a description shows numbers and text",
                    findings,
                )?);
            }
        }
    }
    Some(template)
}

/// An expression that can give one value that people read: no list and no map.
pub(super) fn simple(
    expression: Expression,
    remedy: &str,
    findings: &mut Findings<'_>,
) -> Option<Expression> {
    if matches!(expression.result(), Type::List | Type::Map | Type::Null) {
        let message = format!("this gives {}", expression.result());
        findings.push(Diagnostic::error(expression.place(), message).remedy(remedy));
        return None;
    }
    Some(expression)
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

/// A state by its word, or a whole line.
pub(super) fn say(text: &Text, findings: &mut Findings<'_>) -> Option<ServerState> {
    let known = STATES.iter().find(|(word, _)| *word == text.value);
    match known {
        Some((_, state)) => Some(*state),
        None => line(text, findings).map(ServerState::Raw),
    }
}
