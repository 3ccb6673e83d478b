//! `[source.NAME.file]`

use super::super::diagnostics::Diagnostic;
use super::super::toml_reader::{Findings, Table};
use super::{absolute, max_bytes};
use crate::source::file::{File, Missing};
use crate::source::{Format, Kind};

pub(super) fn read(table: &mut Table<'_>, findings: &mut Findings<'_>) -> Option<Kind> {
    let format = format_or_none(table, findings);
    let size_at = table.span_of("max_bytes");
    let max_bytes = max_bytes(table, findings);
    if let Some(span) = size_at.filter(|_| format.is_none()) {
        findings.push(
            Diagnostic::error(span, "max_bytes has no effect with format = \"none\"")
                .remedy("remove max_bytes"),
        );
    }
    // With format "none" the question is whether the file exists.
    let default = match format {
        None => Missing::Ok,
        Some(_) => Missing::Fail,
    };
    let missing = table
        .take("missing")
        .and_then(|entry| entry.choice(findings, &[("fail", Missing::Fail), ("ok", Missing::Ok)]))
        .unwrap_or(default);
    let example = "\"/run/app/load\"";
    let path = table
        .need(findings, "path", example)?
        .text(findings, example)?;
    absolute(&path.value, path.span, "path", findings);
    Some(Kind::File(File {
        path: path.value.into(),
        format,
        max_bytes,
        missing,
    }))
}

/// A format, or `none`.
fn format_or_none(table: &mut Table<'_>, findings: &mut Findings<'_>) -> Option<Format> {
    let mut choices = Format::ALL
        .map(|format| (format.name(), Some(format)))
        .to_vec();
    choices.push(("none", None));
    table
        .take("format")
        .and_then(|entry| entry.choice(findings, &choices))
        .unwrap_or(Some(Format::default()))
}
