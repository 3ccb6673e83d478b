//! Overrides as text, with local times.

use crate::cli::local_time::Zone;
use crate::overrides::Override;
use crate::overrides::store::ALL;
use crate::render::text::printable;
use crate::status::snapshot::OverrideStatus;
use std::fmt::Write as _;
use std::time::Duration;

/// The name of a scope.
pub(super) fn shown(name: &str) -> &str {
    if name == ALL { "all" } else { name }
}

/// A duration as text.
pub(super) fn human(span: Duration) -> String {
    humantime::format_duration(span).to_string()
}

/// The local time of a moment in seconds since 1970.
fn time(wall: u64) -> String {
    #[allow(clippy::cast_precision_loss)] // seconds since 1970
    Zone::new(false).format(wall as f64)
}

/// An override of a file.
pub(super) fn describe(one: &Override) -> String {
    let stages: Vec<String> = one
        .stages
        .iter()
        .map(|stage| stage.action.to_string())
        .collect();
    let mut text = format!(
        "{} by {} since {}",
        stages.join(", then "),
        one.by,
        time(one.set.wall)
    );
    if let Some(end) = one.stages.last().and_then(|last| last.end.as_ref()) {
        let _ = write!(text, " until {}", time(end.wall));
    }
    if !one.reason.is_empty() {
        let _ = write!(text, ": {}", printable(&one.reason));
    }
    text
}

/// An override of the status snapshot.
pub(super) fn describe_active(one: &OverrideStatus) -> String {
    let mut text = format!("{} by {} since {}", one.action, one.by, time(one.set));
    if !one.reason.is_empty() {
        let _ = write!(text, ": {}", printable(&one.reason));
    }
    text
}
