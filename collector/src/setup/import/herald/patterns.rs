//! Patterns: regular expressions of Python, matched from the beginning on.

use super::action::{Action, Element};
use super::decision::{Decision, Document, Given};
use crate::setup::import::service::{Note, Rule};
use crate::setup::import::toml_writer::{expression_string, shown, string};

/// The rules of patterns, of which those that say that all is well come back where thresholds follow.
pub(super) fn rules(
    given: &Given<'_, '_>,
    metric: &str,
    both: bool,
    decision: &mut Decision<'_>,
) -> Vec<Rule> {
    let mut healthy: Vec<Rule> = Vec::new();
    // What a failed poll is to Herald's patterns.
    let failed = if given.from_file { "None" } else { "" };
    let mut on_failure = None;
    let mut before: Vec<(&str, regex::Regex)> = Vec::new();
    if given.document == Document::Json {
        decision.service.differs(
            "Herald's patterns make text of everything first; here what they look at has to be text.",
        );
    }
    for element in &given.patterns {
        let action = Action::of(element.action);
        let pattern = anchored(element.value);
        let mut when = format!("{metric}.matches({})", expression_string(&pattern));
        if both {
            for rule in &healthy {
                when = format!("{when} && !{}", rule.when);
            }
        }
        let what = format!("{} for {}", element.action, element.value);
        let Some(mut rule) = decision.made(&what, &action, when) else {
            continue;
        };
        rule.name = decision.names.service(element.action);
        for extra in &element.more {
            let text = format!(
                "{}: a pattern has one action, Herald takes either.",
                shown(extra.0)
            );
            rule.notes.push(Note::NotMoved(text));
        }
        if let Some(text) = shadowed(element, &before) {
            rule.notes.push(Note::Mind(text));
        }
        if let Some(compiled) = compiled(&pattern) {
            if compiled.is_match(failed) {
                on_failure.get_or_insert_with(|| action.clone());
            }
            before.push((element.action, compiled));
        }
        if both && matches!(action, Action::Healthy(..)) {
            healthy.push(rule);
        } else {
            decision.service.rule(rule);
        }
    }
    let on_failure = on_failure.unwrap_or_else(|| given.default.clone());
    if !both
        && given.document == Document::Text
        && let Some(say) = on_failure.rule()
    {
        let text = format!(
            "A failed poll is an empty text to Herald's patterns, and so it says {}.",
            shown(say.value())
        );
        decision
            .service
            .keys
            .push(("on_failure", string(say.value())));
        decision.service.notes.push(Note::Plain(text));
    }
    healthy
}

fn compiled(pattern: &str) -> Option<regex::Regex> {
    let mut builder = regex::RegexBuilder::new(pattern);
    builder.size_limit(256 * 1024).build().ok()
}

/// A pattern of Python's `re.match`: from the beginning on, and its `$` is before a last newline too.
fn anchored(pattern: &str) -> String {
    let mut made = String::new();
    let mut class = false;
    let mut characters = pattern.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => {
                let escaped = characters.next();
                made.push('\\');
                made.extend(escaped.map(|c| if c == 'Z' { 'z' } else { c }));
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

/// Says so where an earlier pattern with another action takes the very word that this one is for.
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
        "the pattern for {} before it takes {core:?} too, here as in Herald; anchor it, as in '^word$'.",
        shown(action)
    ))
}
