//! Small texts used throughout the page.

use crate::render::plot;
use crate::render::text::printable;
use agentcheck_common::Reply;
use std::time::{Duration, UNIX_EPOCH};

/// A duration in at most two units.
pub(super) fn age(span: Duration) -> String {
    let seconds = span.as_secs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) if seconds < 10 => format!("{:.1} s", span.as_secs_f64()),
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min {} s", seconds % 60),
        (0, _, _) => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}

/// A moment in UTC, for people and for programs.
pub(super) fn stamp(wall: f64) -> String {
    let whole = if wall.is_finite() {
        Duration::try_from_secs_f64(wall.floor()).ok()
    } else {
        None
    };
    // The year 9999 is the last one that can be formatted.
    let whole = whole.filter(|whole| whole.as_secs() < 253_402_300_800);
    match whole.and_then(|whole| UNIX_EPOCH.checked_add(whole)) {
        Some(time) => {
            let machine = humantime::format_rfc3339_seconds(time).to_string();
            let people = machine.replace('T', " ").replace('Z', " UTC");
            format!("<time datetime=\"{machine}\">{people}</time>")
        }
        None => "an invalid time".to_owned(),
    }
}

/// Text of others for the document: printable, and without markup.
pub(super) fn shown(text: &str) -> String {
    plot::escaped(&printable(text))
}

/// At most `most` characters of a text.
pub(super) fn cut(text: &str, most: usize) -> String {
    let mut characters = text.chars();
    let mut start: String = characters.by_ref().take(most).collect();
    if characters.next().is_some() {
        start.push('…');
    }
    start
}

/// The state of a reply, or `unknown` without one.
pub(super) fn state(reply: Option<&Reply>) -> &'static str {
    reply.map_or("unknown", crate::simulation::replay::state)
}

/// The state in its colour.
pub(super) fn badge(reply: Option<&Reply>) -> String {
    let word = state(reply);
    format!("<span class=\"badge {word}\">{word}</span>")
}
