//! Overrides in words, for operators.

use crate::overrides::store::ALL;
use crate::overrides::{Moment, Override};
use crate::status::OverrideStatus;
use std::fmt::Write as _;
use std::time::{Duration, UNIX_EPOCH};

pub(super) fn shown(name: &str) -> &str {
    if name == ALL { "all" } else { name }
}

pub(super) fn human(span: Duration) -> String {
    humantime::format_duration(span).to_string()
}

fn at(moment: &Moment) -> String {
    time(moment.wall)
}

fn time(wall: u64) -> String {
    match UNIX_EPOCH.checked_add(Duration::from_secs(wall)) {
        Some(time) => humantime::format_rfc3339_seconds(time).to_string(),
        None => "a time that is none".to_owned(),
    }
}

/// An override in words.
pub(super) fn account(one: &Override) -> String {
    let stages: Vec<String> = one
        .stages
        .iter()
        .map(|stage| stage.action.to_string())
        .collect();
    let mut said = format!(
        "{} by {} since {}",
        stages.join(", then "),
        one.by,
        at(&one.set)
    );
    if let Some(end) = one.stages.last().and_then(|last| last.end.as_ref()) {
        let _ = write!(said, " until {}", at(end));
    }
    if !one.reason.is_empty() {
        let _ = write!(said, ": {}", printable(&one.reason));
    }
    said
}

pub(super) fn standing_account(one: &OverrideStatus) -> String {
    let mut said = format!("{} by {} since {}", one.action, one.by, time(one.set));
    if !one.reason.is_empty() {
        let _ = write!(said, ": {}", printable(&one.reason));
    }
    said
}

/// A reason was written by another operator: no control characters on this one's terminal.
fn printable(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { '?' } else { c })
        .collect()
}
