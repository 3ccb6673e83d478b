//! The overview as JSON, in a stable format. Times are seconds before or after the moment of the command,
//! because the boot-time clock has no meaning elsewhere.

use super::{Freshness, Overview, ServiceOverview, health_check};
use crate::status::snapshot::{OverrideStatus, RuleStatus, SourceStatus};
use agentcheck_common::BootTime;
use serde_json::{Map, Value, json};

/// The version of the format.
const FORMAT: u32 = 1;

/// The overview as a JSON document.
#[must_use]
pub fn to_json(overview: &Overview) -> Value {
    let now = overview.now;
    let services = overview.services.iter();
    let sources = overview.sources.iter();
    json!({
        "format": FORMAT,
        "level": health_check(overview).level.word(),
        "collector": {
            "state": overview.liveness.word(),
            "pid": overview.pid,
            "up_for": overview.snapshot_times.map(|(started, _)| seconds_between(now, started)),
            "snapshot_age": overview.snapshot_times.map(|(_, at)| seconds_between(now, at)),
        },
        "services": services
            .map(|service| (service.name.clone(), service_json(service, now)))
            .collect::<Map<_, _>>(),
        "configuration": {
            "age": overview.loaded_at.map(|loaded| seconds_between(now, loaded)),
            "refused": overview.refused().map(|(began, why)| json!({
                "age": seconds_between(now, began),
                "why": why,
            })),
        },
        "override_faults": overview.override_faults,
        "sources": sources
            .map(|(name, source)| (name.clone(), source_json(source, now)))
            .collect::<Map<_, _>>(),
    })
}

/// A document as text, on one line or several.
#[must_use]
pub fn json_text(document: &Value, on_one_line: bool) -> String {
    if on_one_line {
        ascii_json(&document.to_string())
    } else {
        ascii_json(&format!("{document:#}"))
    }
}

/// A JSON text and a line end. All other characters than printable ASCII are escaped, so that it is safe on a
/// terminal.
#[must_use]
pub fn ascii_json(text: &str) -> String {
    let mut ascii = String::with_capacity(text.len() + 1);
    for character in text.chars() {
        if character.is_ascii() && character != '\u{7f}' {
            ascii.push(character);
            continue;
        }
        // Only strings contain such characters.
        for unit in character.encode_utf16(&mut [0; 2]) {
            ascii.push_str(&format!("\\u{unit:04x}"));
        }
    }
    ascii.push('\n');
    ascii
}

fn service_json(service: &ServiceOverview, now: BootTime) -> Value {
    let current = service.current.as_ref().ok();
    let known = service.snapshot.clone().unwrap_or_default();
    let no_op = service.current.as_ref().err();
    json!({
        "reply": current.map_or_else(|| no_op.cloned(), |current| Some(current.reply.to_string())),
        "valid": current.is_some(),
        "percent": current.and_then(|current| current.reply.percent).map(|percent| percent.get()),
        "out": service.is_out(),
        "at_floor": service.is_at_floor(),
        "stale": current.is_some_and(super::CurrentReply::is_stale),
        "fresh_for": current.and_then(|current| current.freshness).map(|fresh| match fresh {
            Freshness::Until(until) => seconds_between(until, now),
            Freshness::Stale(since) => -seconds_between(now, since),
        }),
        "next": current.and_then(|current| current.next).map(|(at, reply)| json!({
            "reply": reply.to_string(),
            "in": seconds_between(at, now),
        })),
        "age": known.oldest_reading_at.map(|of| seconds_between(now, BootTime(of))),
        "since": known.since.map(|since| seconds_between(now, BootTime(since))),
        "decided_by": known.decided_by,
        "why": known.why,
        "weight": known.weight,
        "floor": known.floor,
        "rules": known.rules.iter().map(|rule| rule_json(rule, now)).collect::<Vec<_>>(),
        "sources": known.sources,
        "overrides": known.overrides.iter().map(|over| override_json(over, now)).collect::<Vec<_>>(),
    })
}

fn rule_json(rule: &RuleStatus, now: BootTime) -> Value {
    json!({
        "name": rule.name,
        "active": rule.active,
        "age": rule.observed_at.map(|of| seconds_between(now, BootTime(of))),
        "pending_for": rule.pending_since.map(|since| seconds_between(now, BootTime(since))),
    })
}

fn override_json(over: &OverrideStatus, now: BootTime) -> Value {
    json!({
        "scope": over.scope,
        "action": over.action.to_string(),
        "counts": over.counts,
        "by": over.by,
        "reason": over.reason,
        "ends_in": over.ends.map(|ends| seconds_between(BootTime(ends), now)),
        "until": over.until,
        "until_error": over.until_error,
    })
}

fn source_json(source: &SourceStatus, now: BootTime) -> Value {
    json!({
        "ok": source.ok,
        "age": seconds_between(now, BootTime(source.sent)),
        "latency": source.latency,
        "error": source.error,
        "detail": source.detail,
        "status": source.status,
        "exit": source.exit,
        "value": source.value,
    })
}

/// Seconds from `earlier` to `later`, to a millisecond.
fn seconds_between(later: BootTime, earlier: BootTime) -> f64 {
    (later.since(earlier).as_secs_f64() * 1000.0).round() / 1000.0
}
