//! The reply of a rule: its state or raw line, and how long it stays without a collector. Other keys share states
//! and raw lines.

use super::super::diagnostics::Diagnostic;
use super::super::toml_reader::{Findings, Table, Text};
use crate::expression::closest;
use crate::reply::state::ServerState;
use agentcheck_common::Reply;
use agentcheck_common::reply::ReplyError;
use std::time::Duration;

/// Replaced by the `restore_after` of the service, once that is known.
pub(in super::super) const RESTORED: Duration = Duration::MAX;

const STATES: [(&str, ServerState); 5] = [
    ("full", ServerState::Full),
    ("floor", ServerState::Floor),
    ("drain", ServerState::Drain),
    ("down", ServerState::Down),
    ("maint", ServerState::Maint),
];

/// The value of `reply` or `raw_reply`.
pub(super) fn state_of_rule(
    table: &mut Table<'_>,
    findings: &mut Findings<'_>,
) -> Option<ServerState> {
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
    line(&text, &[], findings).map(|line| ServerState::Raw(Box::new(line)))
}

/// How long the reply of a rule remains without a collector.
pub(super) fn hold_for(
    table: &mut Table<'_>,
    state: Option<&ServerState>,
    findings: &mut Findings<'_>,
) -> Option<Duration> {
    let on_stale = table.take("on_stale");
    let hold_for = table.take("hold_for");
    if state.is_some_and(|state| !state.takes_server_out()) {
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

/// A raw line for HAProxy. `others` are further words that the key accepts.
fn line(text: &Text, others: &[&str], findings: &mut Findings<'_>) -> Option<Reply> {
    const WORDS: [&str; 7] = ["up", "down", "stopped", "fail", "ready", "drain", "maint"];
    let wrong = match Reply::parse(text.value.as_bytes()) {
        Ok(reply) => return Some(reply),
        Err(wrong) => wrong,
    };
    let ReplyError::UnknownWord { at, len } = wrong else {
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
pub(in super::super) fn state(
    text: &Text,
    others: &[&str],
    findings: &mut Findings<'_>,
) -> Option<ServerState> {
    let known = STATES.iter().find(|(word, _)| *word == text.value);
    match known {
        Some((_, state)) => Some(state.clone()),
        None => line(text, others, findings).map(|line| ServerState::Raw(Box::new(line))),
    }
}
