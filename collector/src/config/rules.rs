//! `[[service.NAME.rule]]`, and what rules share with other keys: states, exact lines, expressions.

use super::diagnostic::{Diagnostic, Place};
use super::raw::{Findings, Table, Text};
use super::sources::Named;
use super::{Rule, State};
use crate::expression::{Expression, Scope, Type, Vocabulary, closest};
use crate::source::Kind;
use agentcheck_common::reply::NotAReply;
use agentcheck_common::{Reply, ServiceName};
use std::ops::Range;

const RULE_KEYS: [&str; 4] = ["name", "when", "reply", "line"];
const LATER_RULE_KEYS: [&str; 5] = ["leave_when", "for", "leave_for", "if_stale", "stand_for"];

const STATES: [(&str, State); 5] = [
    ("full", State::Full),
    ("floor", State::Floor),
    ("drain", State::Drain),
    ("down", State::Down),
    ("maint", State::Maint),
];

/// Compiles an expression; its mistakes become findings in their place.
pub(super) fn expression(
    text: &Text,
    expected: Type,
    vocabulary: &Vocabulary,
    findings: &mut Findings<'_>,
) -> Option<Expression> {
    match Expression::compile(&text.value, expected, vocabulary) {
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

/// Whether a condition that looks at no source is true.
pub(super) fn always_holds(rule: &Rule) -> bool {
    rule.when.uses().is_empty() && rule.when.truth(&Scope::new()) == Ok(true)
}

/// The rules, with the place of each one's condition.
pub(super) fn read(
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
        State::Line(reply) => reply.takes_out(),
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

/// A state by its word, or a whole line.
pub(super) fn say(text: &Text, findings: &mut Findings<'_>) -> Option<State> {
    let known = STATES.iter().find(|(word, _)| *word == text.value);
    match known {
        Some((_, state)) => Some(*state),
        None => line(text, findings).map(State::Line),
    }
}
