//! `agentcheck history` and `agentcheck explain --at`: past replies and their reasons.

use super::{DataDir, Failed, Output};
use crate::render::text::{self, printable};
use crate::status::history::{self, Entry};
use crate::sys::clock;
use clap::Args;
use std::fmt::Write as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

#[derive(Args)]
pub(super) struct History {
    /// Only these services
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
    /// How far back
    #[arg(long, value_name = "TIME", value_parser = super::span, default_value = "1d")]
    since: Duration,
    /// For programs: one line of JSON an entry
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    data: DataDir,
}

fn entries(data: &DataDir) -> Result<Vec<Entry>, Failed> {
    history::read(&data.data_dir).map_err(|error| {
        let directory = data.data_dir.join(history::DIRECTORY);
        Failed(format!(
            "agentcheck: the history in {} cannot be read: {error}; it is for root and the group of the \
             collector\n",
            directory.display()
        ))
    })
}

fn now() -> f64 {
    clock::unix_time_f64()
}

/// Lists what was said.
pub(super) fn list(given: &History) -> Result<Output, Failed> {
    let since = now() - given.since.as_secs_f64();
    let mut said = String::new();
    let shown = entries(&given.data)?.into_iter().filter(|entry| {
        let named = match &entry.service {
            Some(service) => given.services.is_empty() || given.services.contains(service),
            None => true,
        };
        named && entry.time >= since
    });
    for entry in shown {
        if given.json {
            // It was read from such a line.
            let line = serde_json::to_string(&entry).unwrap_or_default();
            let _ = writeln!(said, "{line}");
        } else {
            let _ = writeln!(said, "{}", told(&entry));
        }
    }
    if said.is_empty() && !given.json {
        let span = humantime::format_duration(given.since);
        return Err(Failed(format!(
            "agentcheck: nothing was written in the last {span}: there was no change, or no collector with \
             a directory {}\n",
            given.data.data_dir.display()
        )));
    }
    Ok(said.into())
}

fn told(entry: &Entry) -> String {
    let time = stamp(entry.time);
    match &entry.service {
        None => format!("{time}  the collector {}", printable(&entry.reply)),
        Some(service) => format!(
            "{time}  {service}: {} ({})",
            printable(&entry.reply),
            who(entry)
        ),
    }
}

fn who(entry: &Entry) -> String {
    match entry.by.as_str() {
        "rule" if !entry.why.is_empty() => format!("rule {}", printable(&entry.why)),
        "failure" | "override" => format!("{}: {}", entry.by, printable(&entry.why)),
        by => by.to_owned(),
    }
}

fn stamp(time: f64) -> String {
    let whole = Duration::try_from_secs_f64(time).unwrap_or_default();
    text::moment(whole.as_secs())
}

/// What was said at a moment.
pub(super) fn explain_at(service: &str, at: &str, data: &DataDir) -> Result<Output, Failed> {
    let time = moment(at, now()).ok_or_else(|| {
        Failed(format!(
            "agentcheck: --at {:?} is no time: write 2026-11-21T14:30:00Z, 14:30 (UTC), or 10m for ten \
             minutes ago\n",
            at
        ))
    })?;
    let entries = entries(data)?;
    let of_service = |entry: &&Entry| match &entry.service {
        Some(named) => named == service,
        None => true,
    };
    let mut before: Vec<&Entry> = entries
        .iter()
        .filter(of_service)
        .filter(|entry| entry.time <= time)
        .collect();
    let after = entries
        .iter()
        .filter(of_service)
        .find(|entry| entry.time > time);
    // What the collector went through since then belongs to it.
    let said_at = before.iter().rposition(|entry| entry.service.is_some());
    let Some(said_at) = said_at else {
        let oldest = entries.first().map_or("there is none".to_owned(), |entry| {
            format!("the oldest entry is of {}", stamp(entry.time))
        });
        return Err(Failed(format!(
            "agentcheck: nothing is known of {} at {}: {oldest}\n",
            service,
            stamp(time)
        )));
    };
    let story = before.split_off(said_at.saturating_sub(2));
    let mut said = format!("{service} at {}:\n", stamp(time));
    for entry in story {
        let _ = writeln!(said, "  {}", told(entry));
    }
    if let Some(after) = after {
        let _ = writeln!(said, "then\n  {}", told(after));
    }
    Ok(said.into())
}

/// A moment as an operator writes it, in seconds since 1970.
fn moment(text: &str, now: f64) -> Option<f64> {
    let text = text.trim();
    if let Ok(span) = humantime::parse_duration(text) {
        return Some(now - span.as_secs_f64());
    }
    if let Ok(time) = humantime::parse_rfc3339_weak(text) {
        return seconds(time);
    }
    let part = |text: &str, most: u32| {
        let number: u32 = text.parse().ok()?;
        (number <= most).then_some(f64::from(number))
    };
    let parts: Vec<&str> = text.split(':').collect();
    let (hours, minutes, rest) = match parts.as_slice() {
        [hours, minutes] => (part(hours, 23)?, part(minutes, 59)?, 0.0),
        [hours, minutes, rest] => (part(hours, 23)?, part(minutes, 59)?, part(rest, 59)?),
        _ => return None,
    };
    let of_day = hours * 3600.0 + minutes * 60.0 + rest;
    let today = (now / 86_400.0).floor() * 86_400.0 + of_day;
    Some(if today > now { today - 86_400.0 } else { today })
}

fn seconds(time: SystemTime) -> Option<f64> {
    Some(time.duration_since(UNIX_EPOCH).ok()?.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_as_operators_write_them() {
        // 2023-11-14T22:13:20Z
        let now = 1_700_000_000.0;
        let at = |text: &str| moment(text, now).map(stamp);
        let is = |text: &str| Some(text.to_owned());
        assert_eq!(at("10m"), is("2023-11-14T22:03:20Z"));
        assert_eq!(at("2023-11-14T20:00:00Z"), is("2023-11-14T20:00:00Z"));
        assert_eq!(at("2023-11-14 20:00:00"), is("2023-11-14T20:00:00Z"));
        assert_eq!(at("14:30"), is("2023-11-14T14:30:00Z"));
        assert_eq!(at("14:30:05"), is("2023-11-14T14:30:05Z"));
        // Not yet today: yesterday.
        assert_eq!(at("23:30"), is("2023-11-13T23:30:00Z"));
        for wrong in ["", "noon", "25:00", "14", "14:60", "1:2:3:4", "14:30:99x"] {
            assert_eq!(at(wrong), None, "{wrong}");
        }
    }
}
