//! The account for programs: JSON in a form that is kept. Times are seconds, counted back or forth from the
//! moment of the look, because the clock that the files have means nothing elsewhere.

use super::{Freshness, Overview, ServiceOverview, judge};
use crate::status::snapshot::{OverrideStatus, RuleStatus, SourceStatus};
use agentcheck_common::BootTime;
use serde_json::{Map, Value, json};

/// The version of the form.
const FORMAT: u32 = 1;

/// The account as a JSON document.
#[must_use]
pub fn listed(account: &Overview) -> Value {
    let now = account.now;
    let services = account.services.iter();
    let sources = account.sources.iter();
    json!({
        "format": FORMAT,
        "level": judge(account).level.word(),
        "collector": {
            "state": account.liveness.word(),
            "pid": account.pid,
            "up_for": account.written.map(|(started, _)| ago(now, started)),
            "snapshot_age": account.written.map(|(_, at)| ago(now, at)),
        },
        "services": services
            .map(|service| (service.name.clone(), listed_service(service, now)))
            .collect::<Map<_, _>>(),
        "configuration": {
            "age": account.loaded.map(|loaded| ago(now, loaded)),
            "refused": account.refused().map(|(began, why)| json!({
                "age": ago(now, began),
                "why": why,
            })),
        },
        "override_faults": account.faults,
        "sources": sources
            .map(|(name, source)| (name.clone(), listed_source(source, now)))
            .collect::<Map<_, _>>(),
    })
}

/// A document as text, on one line or over many, in printable ASCII: what else an application sent is escaped,
/// for somebody may look at it on a terminal.
#[must_use]
pub fn written(document: &Value, on_one_line: bool) -> String {
    let text = if on_one_line {
        document.to_string()
    } else {
        format!("{document:#}")
    };
    let mut ascii = String::with_capacity(text.len() + 1);
    for character in text.chars() {
        if character.is_ascii() && character != '\u{7f}' {
            ascii.push(character);
            continue;
        }
        // Such characters are found inside of strings alone.
        for unit in character.encode_utf16(&mut [0; 2]) {
            ascii.push_str(&format!("\\u{unit:04x}"));
        }
    }
    ascii.push('\n');
    ascii
}

fn listed_service(service: &ServiceOverview, now: BootTime) -> Value {
    let said = service.current.as_ref().ok();
    let known = service.known.clone().unwrap_or_default();
    let frozen = service.current.as_ref().err();
    json!({
        "reply": said.map_or_else(|| frozen.cloned(), |said| Some(said.reply.to_string())),
        "valid": said.is_some(),
        "percent": said.and_then(|said| said.reply.percent).map(|percent| percent.get()),
        "out": service.is_out(),
        "at_floor": service.is_at_floor(),
        "stale": said.is_some_and(super::CurrentReply::is_stale),
        "fresh_for": said.and_then(|said| said.fresh).map(|fresh| match fresh {
            Freshness::Until(until) => ago(until, now),
            Freshness::Stale(since) => -ago(now, since),
        }),
        "next": said.and_then(|said| said.next).map(|(at, reply)| json!({
            "reply": reply.to_string(),
            "in": ago(at, now),
        })),
        "age": known.oldest_reading_at.map(|of| ago(now, BootTime(of))),
        "since": known.since.map(|since| ago(now, BootTime(since))),
        "decided_by": known.decided_by,
        "why": known.why,
        "weight": known.weight,
        "floor": known.floor,
        "rules": known.rules.iter().map(|rule| listed_rule(rule, now)).collect::<Vec<_>>(),
        "sources": known.sources,
        "overrides": known.overrides.iter().map(|over| listed_override(over, now)).collect::<Vec<_>>(),
    })
}

fn listed_rule(rule: &RuleStatus, now: BootTime) -> Value {
    json!({
        "name": rule.name,
        "active": rule.active,
        "age": rule.observed_at.map(|of| ago(now, BootTime(of))),
        "pending_for": rule.pending_since.map(|since| ago(now, BootTime(since))),
    })
}

fn listed_override(over: &OverrideStatus, now: BootTime) -> Value {
    json!({
        "scope": over.scope,
        "action": over.action.to_string(),
        "counts": over.counts,
        "by": over.by,
        "reason": over.reason,
        "ends_in": over.ends.map(|ends| ago(BootTime(ends), now)),
        "until": over.until,
    })
}

fn listed_source(source: &SourceStatus, now: BootTime) -> Value {
    json!({
        "ok": source.ok,
        "age": ago(now, BootTime(source.sent)),
        "latency": source.latency,
        "error": source.error,
        "detail": source.detail,
        "status": source.status,
        "exit": source.exit,
        "value": source.value,
    })
}

/// Seconds from `earlier` to `later`, to a millisecond.
fn ago(later: BootTime, earlier: BootTime) -> f64 {
    (later.since(earlier).as_secs_f64() * 1000.0).round() / 1000.0
}
