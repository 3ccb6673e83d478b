//! `[metrics]`: where the collector writes what Prometheus is to know, and how often.

use super::Metrics;
use super::diagnostics::Diagnostic;
use super::toml_reader::{Entry, Findings};
use std::path::PathBuf;
use std::time::Duration;

const KEYS: [&str; 2] = ["textfile", "interval"];

const EXAMPLE: &str = "\"/run/agentcheck/agentcheck.prom\"";

/// How often it is written unless told: as often as Prometheus commonly scrapes.
const EVERY: Duration = Duration::from_secs(15);

pub(super) fn read(entry: Entry<'_>, findings: &mut Findings<'_>) -> Option<Metrics> {
    let mut table = entry.table(findings, "[metrics]")?;
    let every = table.take("interval").and_then(|entry| {
        entry.duration(findings, Duration::from_secs(1), Duration::from_secs(3600))
    });
    let textfile = table
        .need(findings, "textfile", EXAMPLE)
        .and_then(|entry| textfile(&entry, findings));
    table.finish(findings, &KEYS);
    Some(Metrics {
        textfile: textfile?,
        interval: every.unwrap_or(EVERY),
    })
}

/// A file that node_exporter would read.
fn textfile(entry: &Entry<'_>, findings: &mut Findings<'_>) -> Option<PathBuf> {
    let text = entry.text(findings, EXAMPLE)?;
    let path = PathBuf::from(&text.value);
    let mut wrong = |message: &str, remedy: String| {
        findings.push(Diagnostic::error(text.span.clone(), message).remedy(remedy));
        None
    };
    if !path.is_absolute() {
        let remedy = format!("write it from the root, as in {EXAMPLE}");
        return wrong("a path that is not absolute", remedy);
    }
    let ends = path
        .extension()
        .is_some_and(|extension| extension == "prom");
    if !ends || text.value.ends_with('/') {
        let remedy = format!("node_exporter reads no other files: {EXAMPLE}");
        return wrong("a textfile whose name does not end in .prom", remedy);
    }
    Some(path)
}
