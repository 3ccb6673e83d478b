//! `[metrics]`: the file for Prometheus, and how often the collector writes it.

use super::Metrics;
use super::diagnostics::Diagnostic;
use super::settings::METRICS;
use super::toml_reader::{Entry, Findings};
use std::path::PathBuf;

const EXAMPLE: &str = "write \"/run/agentcheck/agentcheck.prom\"";

pub(super) fn read(entry: Entry<'_>, findings: &mut Findings<'_>) -> Option<Metrics> {
    let mut table = entry.section(findings, &METRICS)?;
    let interval = table.duration(findings, "interval");
    let textfile = table
        .required(findings, "textfile")
        .and_then(|entry| textfile(&entry, findings));
    table.close(findings);
    Some(Metrics {
        textfile: textfile?,
        interval,
    })
}

/// A file that the textfile collector of node_exporter reads.
fn textfile(entry: &Entry<'_>, findings: &mut Findings<'_>) -> Option<PathBuf> {
    let text = entry.string(findings)?;
    let path = PathBuf::from(&text.value);
    let suffix = path
        .extension()
        .is_some_and(|extension| extension == "prom");
    let expected = if !path.is_absolute() {
        "expected an absolute path"
    } else if !suffix || text.value.ends_with('/') {
        "expected a name that ends in .prom; node_exporter ignores other files"
    } else {
        return Some(path);
    };
    let message = format!("{}: {expected}", entry.invalid(findings));
    findings.push(Diagnostic::error(text.span, message).remedy(EXAMPLE));
    None
}
