//! `[[service.NAME.rule]]`, and the parsing of states, raw lines and expressions that other keys share.

use super::Rule;
use super::diagnostics::Diagnostic;
use super::toml_reader::{Entry, Findings, Table, Text};
use crate::expression::template::{self, Template, Written};
use crate::expression::{Environment, Expression, Scope, Type, closest};
use crate::reply::state::ServerState;
use agentcheck_common::reply::NotAReply;
use agentcheck_common::{Reply, ServiceName};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::time::Duration;

/// Replaced by the `restore_after` of the service, once that is known.
pub(super) const RESTORED: Duration = Duration::MAX;

const STATES: [(&str, ServerState); 5] = [
    ("full", ServerState::Full),
    ("floor", ServerState::Floor),
    ("drain", ServerState::Drain),
    ("down", ServerState::Down),
    ("maint", ServerState::Maint),
];

/// The form of the names of services and rules, for error messages.
pub(super) const NAME_FORM: &str =
    "use 1 to 64 letters, digits, dots, underscores and hyphens; begin with a letter or digit";

/// Compiles an expression; its mistakes become findings.
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
                let mut finding = Diagnostic::error(span, fault.message);
                finding.remedy = fault.remedy;
                finding.consequence = fault.consequence;
                findings.push(finding);
            }
            None
        }
    }
}

/// The value of a condition that reads no source.
fn constant(condition: &Expression) -> Option<bool> {
    if !condition.uses().is_empty() {
        return None;
    }
    condition.truth(&Scope::new()).ok()
}

/// A rule as it was read.
struct Parsed {
    rule: Rule,
    name: Range<usize>,
    when: Range<usize>,
}

/// The rules of a service.
pub(super) struct Rules {
    pub(super) rules: Vec<Rule>,
    /// The name of the first rule that is active at all times.
    pub(super) always: Option<String>,
}

/// What the rules before the current one are, by what makes a later one ineffective.
#[derive(Default)]
struct Earlier {
    /// The offset of each name.
    names: BTreeMap<String, usize>,
    /// The condition and the shortest `for` of the rules, with the name and the offset.
    conditions: BTreeMap<String, (Duration, String, usize)>,
    /// The rule that is active at all times, and its offset.
    always: Option<(String, usize)>,
    /// By source, the first rule that is unknown while the source has failed.
    masks: BTreeMap<String, String>,
}

/// Reads the rules of a service. `load` are the sources and derived numbers that measure only the load of this
/// machine.
pub(super) fn read(
    tables: Vec<Table<'_>>,
    environment: &Environment,
    load: &BTreeSet<String>,
    findings: &mut Findings<'_>,
) -> Rules {
    let mut earlier = Earlier::default();
    let mut rules = Vec::new();
    for mut table in tables {
        let header = table.span.clone();
        let parsed = rule(&mut table, environment, findings);
        table.close(findings);
        let Some(parsed) = parsed else { continue };
        super::work::count(1);
        earlier.check(&parsed, findings);
        warn_of_load(&parsed.rule, &header, load, findings);
        earlier.add(&parsed, findings);
        rules.push(parsed.rule);
    }
    Rules {
        rules,
        always: earlier.always.map(|(name, _)| name),
    }
}

impl Earlier {
    /// Reports what makes a rule ineffective.
    fn check(&self, parsed: &Parsed, findings: &mut Findings<'_>) {
        let rule = &parsed.rule;
        if let Some(at) = self.names.get(&rule.name) {
            let line = findings.line(*at);
            let message = format!(
                "duplicate rule {:?}, first defined at line {line}",
                rule.name
            );
            findings.push(Diagnostic::error(parsed.name.clone(), message));
        }
        let same = self.conditions.get(rule.when.text().trim());
        let same = same.filter(|(enter_after, ..)| *enter_after <= rule.enter_after);
        let message = if let Some((name, at)) = &self.always {
            let line = findings.line(*at);
            format!("this rule can never decide: rule {name:?} at line {line} is always active")
        } else if let Some((_, name, at)) = same {
            let line = findings.line(*at);
            format!(
                "this rule can never decide: rule {name:?} at line {line} has the same condition"
            )
        } else {
            self.warn_of_mask(parsed, findings);
            return;
        };
        findings.push(
            Diagnostic::error(parsed.when.clone(), message)
                .remedy("the first active rule decides: move this rule up, or remove it"),
        );
    }

    /// Warns of a rule that is true while a source has failed and cannot decide then, because an earlier rule is
    /// unknown.
    fn warn_of_mask(&self, parsed: &Parsed, findings: &mut Findings<'_>) {
        for (source, used) in parsed.rule.when.uses() {
            let Some(mask) = self.masks.get(source) else {
                continue;
            };
            if used.health || used.body || !used.content {
                continue;
            }
            let message = format!(
                "rule {:?} cannot decide while the source {source:?} has failed: rule {mask:?} is unknown then",
                parsed.rule.name
            );
            let remedy = format!(
                "move this rule before {mask:?}, or let it read {source}.ok, {source}.error or {source}.age"
            );
            findings.push(Diagnostic::warning(parsed.when.clone(), message).remedy(remedy));
        }
    }

    fn add(&mut self, parsed: &Parsed, findings: &mut Findings<'_>) {
        let rule = &parsed.rule;
        match constant(&rule.when) {
            Some(true) if rule.enter_after.is_zero() && self.always.is_none() => {
                self.always = Some((rule.name.clone(), parsed.when.start));
            }
            Some(false) => {
                findings.push(Diagnostic::warning(
                    parsed.when.clone(),
                    format!("rule {:?} is never active", rule.name),
                ));
            }
            _ => {}
        }
        self.names
            .entry(rule.name.clone())
            .or_insert(parsed.when.start);
        let condition = rule.when.text().trim().to_owned();
        let entry = (rule.enter_after, rule.name.clone(), parsed.when.start);
        let known = self
            .conditions
            .entry(condition)
            .or_insert_with(|| entry.clone());
        if entry.0 < known.0 {
            *known = entry;
        }
        for (source, used) in rule.when.uses() {
            if used.body {
                let first = || rule.name.clone();
                self.masks.entry(source.clone()).or_insert_with(first);
            }
        }
    }
}

/// Warns of a rule that takes the server out on load: in a busy farm it would take out one server after another.
fn warn_of_load(
    rule: &Rule,
    header: &Range<usize>,
    load: &BTreeSet<String>,
    findings: &mut Findings<'_>,
) {
    let uses = rule.when.uses();
    let reads_content = uses.values().any(|used| used.content);
    if rule.state.takes_out() && reads_content && uses.keys().all(|name| load.contains(name)) {
        let message = format!(
            "rule {:?} takes the server out on the load of this machine",
            rule.name
        );
        findings.push(Diagnostic::warning(header.clone(), message).remedy(
            "a busy farm would take out one server after another: reply = \"floor\" keeps a share",
        ));
    }
}

fn rule(
    table: &mut Table<'_>,
    environment: &Environment,
    findings: &mut Findings<'_>,
) -> Option<Parsed> {
    let name = table
        .required(findings, "name")
        .and_then(|entry| entry.string(findings));
    if let Some(name) = &name
        && ServiceName::parse(name.value.as_bytes()).is_none()
    {
        let message = format!("invalid rule name {:?}", name.value);
        findings.push(Diagnostic::error(name.span.clone(), message).remedy(NAME_FORM));
    }
    let condition = |entry: Entry<'_>, findings: &mut Findings<'_>| {
        let text = entry.string(findings)?;
        let compiled = expression(&text, Type::Truth, environment, findings)?;
        Some((compiled, text.span))
    };
    let when = table
        .required(findings, "when")
        .and_then(|entry| condition(entry, findings));
    let state = state_of_rule(table, findings);
    let clear_when = table
        .take("clear_when")
        .and_then(|entry| condition(entry, findings));
    let enter_after = table.duration(findings, "for");
    let clear_after = table.duration(findings, "clear_for");
    let hold_for = hold_for(table, state, findings);
    let description = table
        .take("description")
        .and_then(|entry| template(&entry, environment, findings));
    let (name, (when, when_span)) = (name?, when?);
    Some(Parsed {
        rule: Rule {
            name: name.value,
            when,
            clear_when: clear_when.map(|(condition, _)| condition),
            enter_after,
            clear_after,
            state: state?,
            hold_for,
            description,
        },
        name: name.span,
        when: when_span,
    })
}

/// The value of `reply` or `raw_reply`.
fn state_of_rule(table: &mut Table<'_>, findings: &mut Findings<'_>) -> Option<ServerState> {
    use ServerState::{Down, Drain, Floor, Full, Keep, Maint};
    if table.span_of("reply").is_none() && table.span_of("raw_reply").is_none() {
        findings.push(
            Diagnostic::error(table.span.clone(), "missing key \"reply\"")
                .remedy("add reply = \"drain\" (or full, floor, down, maint, keep), or a raw_reply")
                .consequence(),
        );
        return None;
    }
    let reply = table.choice(findings, "reply", [Full, Floor, Drain, Down, Maint, Keep]);
    let Some(raw) = table.take("raw_reply") else {
        return reply;
    };
    if reply.is_some() {
        findings.push(
            Diagnostic::error(raw.key_span(), "both reply and raw_reply")
                .remedy("remove one: reply is a state, raw_reply the exact line for HAProxy"),
        );
        return None;
    }
    let text = raw.string(findings)?;
    line(&text, &[], findings).map(ServerState::Raw)
}

/// How long the reply of a rule remains without a collector.
fn hold_for(
    table: &mut Table<'_>,
    state: Option<ServerState>,
    findings: &mut Findings<'_>,
) -> Option<Duration> {
    let on_stale = table.take("on_stale");
    let hold_for = table.take("hold_for");
    if state.is_some_and(|state| !state.takes_out()) {
        for entry in [on_stale, hold_for].into_iter().flatten() {
            let message = format!(
                "{} has no effect: the reply does not take the server out",
                entry.key
            );
            findings.push(
                Diagnostic::error(entry.key_span(), message)
                    .remedy("remove it: on_stale of the service covers such replies"),
            );
        }
        return None;
    }
    let restored =
        on_stale.and_then(|entry| entry.choice(findings, &[("hold", false), ("restore", true)]));
    match (restored, hold_for) {
        (Some(true), Some(bound)) => {
            findings.push(
                Diagnostic::error(bound.key_span(), "both hold_for and on_stale = \"restore\"")
                    .remedy("remove one: on_stale = \"restore\" begins after restore_after"),
            );
            None
        }
        (Some(true), None) => Some(RESTORED),
        (_, Some(bound)) => bound.span_of_time(findings),
        (_, None) => None,
    }
}

/// A description with values.
fn template(
    entry: &Entry<'_>,
    environment: &Environment,
    findings: &mut Findings<'_>,
) -> Option<Template> {
    let text = entry.string(findings)?;
    let written = match template::split(&text.value) {
        Ok(written) => written,
        Err(brace) => {
            let span = findings.within_string(text.span, brace);
            findings.push(
                Diagnostic::error(span, "a brace without its counterpart")
                    .remedy("{expression} shows a value; write {{ and }} for braces"),
            );
            return None;
        }
    };
    let mut template = Template::default();
    for piece in written {
        match piece {
            Written::Text(text) => template.push_text(text),
            Written::Value(range) => {
                let part = Text {
                    value: text.value.get(range.clone())?.to_owned(),
                    // A literal of its own, with the brace as its quote.
                    span: {
                        let within = findings.within_string(text.span.clone(), range);
                        within.start.saturating_sub(1)..within.end.saturating_add(1)
                    },
                };
                let value = expression(&part, Type::Unknown, environment, findings)?;
                template.push_value(simple(value, findings)?);
            }
        }
    }
    Some(template)
}

/// An expression with a single value: not a list, a map or null.
pub(super) fn simple(expression: Expression, findings: &mut Findings<'_>) -> Option<Expression> {
    let result = expression.result();
    if !matches!(result, Type::List | Type::Map | Type::Null) {
        return Some(expression);
    }
    let message = format!("expected a number or text, found {result}");
    let finding = Diagnostic::error(expression.place(), message);
    findings.push(match result {
        Type::List => finding.remedy("write list.join(', ') or size(list)"),
        Type::Map => finding.remedy("name a key of it"),
        _ => finding,
    });
    None
}

/// A raw line for HAProxy. `others` are further words that the key accepts.
fn line(text: &Text, others: &[&str], findings: &mut Findings<'_>) -> Option<Reply> {
    const WORDS: [&str; 7] = ["up", "down", "stopped", "fail", "ready", "drain", "maint"];
    let wrong = match Reply::parse(text.value.as_bytes()) {
        Ok(reply) => return Some(reply),
        Err(wrong) => wrong,
    };
    let NotAReply::UnknownWord { at, len } = wrong else {
        let message = format!("invalid reply {:?}: {wrong}", text.value);
        findings.push(Diagnostic::error(text.span.clone(), message));
        return None;
    };
    let word = text.value.get(at..at + len).unwrap_or_default();
    let span = findings.within_string(text.span.clone(), at..at + len);
    let known = STATES
        .iter()
        .map(|(word, _)| *word)
        .chain(others.iter().copied());
    let meant = closest(&word.to_ascii_lowercase(), WORDS.into_iter().chain(known));
    let (hint, remedy) = if word.to_ascii_lowercase().starts_with("weight:") {
        (
            String::new(),
            "write a percentage, such as 42%: HAProxy before 3.1 does not know weight:".to_owned(),
        )
    } else if word.contains('#') {
        (String::new(), "write a space before #".to_owned())
    } else if word.bytes().all(|byte| byte.is_ascii_digit()) {
        (String::new(), format!("write a percentage: {word}%"))
    } else if let Some(meant) = meant {
        (
            format!("; did you mean {meant:?}?"),
            format!("HAProxy knows {}, N% and maxconn:N", WORDS.join(", ")),
        )
    } else {
        (
            String::new(),
            format!("HAProxy knows {}, N% and maxconn:N", WORDS.join(", ")),
        )
    };
    let message = format!("unknown word {word:?} in a reply{hint}");
    findings.push(Diagnostic::error(span, message).remedy(remedy));
    None
}

/// A state, or a raw line. `others` are further words that the key accepts.
pub(super) fn state(
    text: &Text,
    others: &[&str],
    findings: &mut Findings<'_>,
) -> Option<ServerState> {
    let known = STATES.iter().find(|(word, _)| *word == text.value);
    match known {
        Some((_, state)) => Some(*state),
        None => line(text, others, findings).map(ServerState::Raw),
    }
}
