//! Patterns: regular expressions of Python, which match from the start of the text.

use super::action::{Action, Element};
use super::decision::{Decision, Document, PluginRules};
use crate::setup::import::service::{Note, Rule};
use crate::setup::import::toml_writer::{excerpt, expression_string, string};

/// Adds the rules of patterns. Returns those of healthy patterns where thresholds follow, which come first then.
pub(super) fn rules(
    plugin: &PluginRules<'_, '_>,
    metric: &str,
    both: bool,
    decision: &mut Decision<'_>,
) -> Vec<Rule> {
    let mut healthy: Vec<Rule> = Vec::new();
    // The text of a failed poll for Herald's patterns.
    let failed = if plugin.from_file { "None" } else { "" };
    let mut on_failure = None;
    let mut before: Vec<(&str, regex::Regex)> = Vec::new();
    let mut undecided = false;
    let json = plugin.document == Document::Json;
    if json {
        decision.service.differs(
            "Herald's patterns match Python's text of any value: True, False, None and 1.0. Here string() gives true, \
             false and 1, and null has no value. A pattern with True or False also matches true or false.",
        );
    }
    let subject = match json {
        true => format!("string({metric})"),
        false => metric.to_owned(),
    };
    for element in &plugin.patterns {
        let action = Action::of(element.action);
        let pattern = anchored(element.value, json);
        let mut when = format!("{subject}.matches({})", expression_string(&pattern));
        if both {
            for rule in &healthy {
                when = format!("{when} && !{}", rule.when);
            }
        }
        let mut rule = decision.rule_of(element, &action, when);
        for (key, _) in &element.more {
            let text = format!(
                "{}: a pattern has one action, and Herald takes either one.",
                excerpt(key)
            );
            rule.notes.push(Note::NotMoved(text));
        }
        if rule.is_undecided() {
            undecided = true;
            decision.service.rule(rule);
            continue;
        }
        rule.notes
            .extend(shadowed(element, &before).map(Note::Mind));
        if let Some(compiled) = compiled(&pattern) {
            if compiled.is_match(failed) && !undecided {
                on_failure.get_or_insert_with(|| action.clone());
            }
            before.push((element.action, compiled));
        }
        if both && matches!(action, Action::Healthy(..)) && !undecided {
            healthy.push(rule);
        } else {
            decision.service.rule(rule);
        }
    }
    let on_failure = on_failure.unwrap_or_else(|| plugin.default.clone());
    if !both && plugin.document == Document::Text && on_failure.reply().is_some() {
        let reply = on_failure.rule_reply();
        let text = format!(
            "A failed poll is an empty text for Herald's patterns, so its reply is {}.",
            excerpt(reply.value())
        );
        let service = &mut decision.service;
        service
            .last_keys
            .push(("on_failure", string(reply.value())));
        service.notes.push(Note::Plain(text));
    }
    healthy
}

fn compiled(pattern: &str) -> Option<regex::Regex> {
    let mut builder = regex::RegexBuilder::new(pattern);
    builder.size_limit(256 * 1024).build().ok()
}

/// The pattern as Python's `re.match` reads it: it starts at the start of the text, and `$` also matches before a
/// final newline. For JSON, Python's spelling of a Boolean also matches JSON's.
fn anchored(pattern: &str, json: bool) -> String {
    let mut made = String::new();
    let mut class = false;
    let mut rest = pattern;
    while let Some(character) = rest.chars().next() {
        let boolean = ["True", "False"]
            .into_iter()
            .find(|word| rest.starts_with(word));
        if let Some(word) = boolean.filter(|_| json && !class) {
            made.push_str(&format!("(?:{word}|{})", word.to_ascii_lowercase()));
            rest = rest.get(word.len()..).unwrap_or_default();
            continue;
        }
        rest = rest.get(character.len_utf8()..).unwrap_or_default();
        match character {
            '\\' => {
                made.push('\\');
                if let Some(escaped) = rest.chars().next() {
                    made.push(if escaped == 'Z' { 'z' } else { escaped });
                    rest = rest.get(escaped.len_utf8()..).unwrap_or_default();
                }
            }
            '$' if !class => made.push_str("\n?$"),
            _ => {
                class = match character {
                    '[' => true,
                    ']' => false,
                    _ => class,
                };
                made.push(character);
            }
        }
    }
    if pattern.contains('|') {
        format!("^(?:{made})")
    } else if made.starts_with('^') {
        made
    } else {
        format!("^{made}")
    }
}

/// A note where an earlier pattern with another action matches the very word that this one is for.
fn shadowed(element: &Element<'_>, before: &[(&str, regex::Regex)]) -> Option<String> {
    let core = element.value.trim_start_matches('^').trim_end_matches('$');
    let core = core.trim_start_matches(".*").trim_end_matches(".*");
    let literal = core
        .chars()
        .all(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_' | ':'));
    if !literal || core.is_empty() {
        return None;
    }
    let (action, _) = before
        .iter()
        .find(|(action, pattern)| *action != element.action && pattern.is_match(core))?;
    Some(format!(
        "the earlier pattern for {} matches {core:?} too, here as in Herald. Anchor it, as in '^word$'.",
        excerpt(action)
    ))
}
