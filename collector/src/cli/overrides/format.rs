//! Overrides in words, for operators.

use crate::overrides::Override;
use crate::overrides::store::ALL;
use crate::render::text::{moment, printable};
use crate::status::snapshot::OverrideStatus;
use std::fmt::Write as _;
use std::time::Duration;

pub(super) fn shown(name: &str) -> &str {
    if name == ALL { "all" } else { name }
}

pub(super) fn human(span: Duration) -> String {
    humantime::format_duration(span).to_string()
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
        moment(one.set.wall)
    );
    if let Some(end) = one.stages.last().and_then(|last| last.end.as_ref()) {
        let _ = write!(said, " until {}", moment(end.wall));
    }
    if !one.reason.is_empty() {
        let _ = write!(said, ": {}", printable(&one.reason));
    }
    said
}

pub(super) fn standing_account(one: &OverrideStatus) -> String {
    let mut said = format!("{} by {} since {}", one.action, one.by, moment(one.set));
    if !one.reason.is_empty() {
        let _ = write!(said, ": {}", printable(&one.reason));
    }
    said
}
