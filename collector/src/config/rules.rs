//! `[[service.NAME.rule]]`, and the parsing of expressions that other keys share.

mod reply;

pub(super) use reply::{RESTORED, state};

use super::Rule;
use super::diagnostics::Diagnostic;
use super::toml_reader::{Entry, Findings, Table, Text};
use crate::expression::template::{self, Template, Written};
use crate::expression::{Environment, Expression, Scope, Type};
use agentcheck_common::ServiceName;
use reply::{hold_for, state_of_rule};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::time::Duration;

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
    match Expression::compile_at(&text.value, text.span.clone(), expected, environment) {
        Ok(expression) => Some(expression),
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
    let mut rules = Vec::with_capacity(tables.len());
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
        for (source, used) in parsed.rule.when.uses().iter() {
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
        for (source, used) in rule.when.uses().iter() {
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
    let reads_content = uses.iter().any(|(_, used)| used.content);
    if rule.state.takes_server_out() && reads_content && uses.keys().all(|name| load.contains(name))
    {
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
    let hold_for = hold_for(table, state.as_ref(), findings);
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
