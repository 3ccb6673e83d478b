//! `agentcheck history` and `agentcheck explain --at`: past replies and their reasons.

use super::local_time::{self, Zone};
use super::{DataDir, Failed, Output};
use crate::render::text::printable;
use crate::status::history::{self, Entry};
use crate::status::overview::ascii_json;
use crate::sys::clock;
use clap::Args;
use std::collections::BTreeSet;
use std::fmt::Write as _;

/// How many entries `explain --at` shows before the one in effect.
const BEFORE: usize = 2;

#[derive(Args)]
#[command(after_help = "\
Times are local, with the time zone. TIME: 10m (ago), 14:30, '2026-11-21 14:30',
or 2026-11-21T14:30:00Z.
Example: agentcheck history web --since 2h")]
pub(super) struct History {
    /// Show only these services [default: all]
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
    /// Show entries since TIME
    #[arg(long, value_name = "TIME", default_value = "1d")]
    since: String,
    /// Read and show times in UTC
    #[arg(long)]
    utc: bool,
    /// Print one JSON object per line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    data: DataDir,
}

fn read_entries(data: &DataDir) -> Result<Vec<Entry>, Failed> {
    history::read(&data.data_dir).map_err(|error| {
        let directory = data.data_dir.join(history::DIRECTORY);
        let directory = directory.display();
        Failed::new(format!(
            "cannot read history {directory}: {error}{}",
            super::permission_hint(&error)
        ))
    })
}

/// Fails for a service without any entry.
fn check_service(entries: &[Entry], name: &str) -> Result<(), Failed> {
    let known = entries.iter().filter_map(|entry| entry.service.as_deref());
    let known: BTreeSet<&str> = known.collect();
    if known.contains(name) {
        return Ok(());
    }
    let known: Vec<String> = known.into_iter().map(printable).collect();
    let known = match known.as_slice() {
        [] => "no service".to_owned(),
        known => known.join(", "),
    };
    let name = printable(name);
    Err(Failed::new(format!(
        "no service {name} in the history, which contains {known}"
    )))
}

fn parse_time(zone: &Zone, option: &str, text: &str) -> Result<f64, Failed> {
    zone.parse(text, clock::unix_time_f64()).ok_or_else(|| {
        let forms = local_time::FORMS;
        Failed::new(format!("invalid {option} {text:?}: {forms}"))
    })
}

/// Lists the entries.
pub(super) fn list(given: &History) -> Result<Output, Failed> {
    let zone = Zone::new(given.utc);
    let since = parse_time(&zone, "--since", &given.since)?;
    let entries = read_entries(&given.data)?;
    for name in &given.services {
        check_service(&entries, name)?;
    }
    let mut text = String::new();
    let listed = entries.iter().filter(|entry| {
        let named = match &entry.service {
            Some(service) => given.services.is_empty() || given.services.contains(service),
            None => true,
        };
        named && entry.time >= since
    });
    for entry in listed {
        if given.json {
            // It was read from such a line.
            let line = serde_json::to_string(entry).unwrap_or_default();
            text.push_str(&ascii_json(&line));
        } else {
            let _ = writeln!(text, "{}", entry_line(entry, &zone));
        }
    }
    if text.is_empty() && !given.json {
        return Err(Failed::new(format!(
            "no entry since {} in {}",
            zone.format(since),
            given.data.data_dir.join(history::DIRECTORY).display()
        )));
    }
    Ok(text.into())
}

fn entry_line(entry: &Entry, zone: &Zone) -> String {
    let time = zone.format(entry.time);
    let why = printable(&entry.why);
    match (&entry.service, entry.event) {
        (Some(service), _) => {
            let (service, reply) = (printable(service), printable(&entry.reply));
            format!("{time}  {service}: {reply} ({})", decided_by(entry))
        }
        (None, Some(event)) if why.is_empty() => format!("{time}  collector: {}", event.text()),
        (None, Some(event)) => format!("{time}  collector: {}: {why}", event.text()),
        (None, None) => format!("{time}  collector: {why}"),
    }
}

fn decided_by(entry: &Entry) -> String {
    let why = printable(&entry.why);
    let mut text = match entry.by.as_str() {
        "rule" if !why.is_empty() => format!("rule {why}"),
        "failure" | "override" => format!("{}: {why}", entry.by),
        by => printable(by),
    };
    if !entry.limit.is_empty() {
        let _ = write!(text, ", limit {}", printable(&entry.limit));
    }
    text
}

/// The reply in effect at a moment, with the entries around it.
pub(super) fn explain_at(
    service: &str,
    at: &str,
    utc: bool,
    data: &DataDir,
) -> Result<Output, Failed> {
    let zone = Zone::new(utc);
    let time = parse_time(&zone, "--at", at)?;
    let entries = read_entries(data)?;
    check_service(&entries, service)?;
    let mut relevant = entries;
    relevant.retain(|entry| entry.service.as_deref().is_none_or(|name| name == service));
    let in_effect = relevant
        .iter()
        .rposition(|entry| entry.service.is_some() && entry.time <= time);
    let Some(in_effect) = in_effect else {
        let oldest = relevant.iter().find(|entry| entry.service.is_some());
        let oldest = oldest.map_or_else(String::new, |entry| zone.format(entry.time));
        return Err(Failed::new(format!(
            "no entry for {service} at {}; its oldest entry is of {oldest}",
            zone.format(time)
        )));
    };
    let next = relevant
        .iter()
        .position(|entry| entry.service.is_some() && entry.time > time);
    let last = next.unwrap_or_else(|| relevant.len().saturating_sub(1));
    let mut text = format!("{service} at {}:\n", zone.format(time));
    let shown = relevant.iter().enumerate().take(last + 1);
    for (index, entry) in shown.skip(in_effect.saturating_sub(BEFORE)) {
        let mark = if index == in_effect { '>' } else { ' ' };
        let _ = writeln!(text, "  {mark} {}", entry_line(entry, &zone));
    }
    Ok(text.into())
}
