//! `[source.NAME.http]`

use super::super::diagnostic::Diagnostic;
use super::super::raw::{Findings, Table};
use super::{format, max_bytes};
use crate::source::Kind;
use crate::source::http::Http;

/// The keys of this kind, besides those of every kind.
pub(super) const KEYS: &[&str] = &["url", "format", "max_bytes", "redirects"];

/// Keys that a later version will know.
pub(super) const LATER: &[&str] = &[
    "method",
    "headers",
    "bearer_file",
    "basic_file",
    "ca",
    "expect_status",
];

pub(super) fn read(table: &mut Table<'_>, findings: &mut Findings<'_>) -> Option<Kind> {
    let format = format(table, findings);
    let max_bytes = max_bytes(table, findings);
    let redirects = table
        .take("redirects")
        .and_then(|entry| entry.integer(findings, 0, 10))
        .and_then(|count| u32::try_from(count).ok())
        .unwrap_or(0);
    let example = "\"http://127.0.0.1:8081/health\"";
    let url = table
        .need(findings, "url", example)?
        .text(findings, example)?;
    if let Err(wrong) = Http::check_url(&url.value) {
        findings.push(
            Diagnostic::error(url.span, format!("url {wrong}"))
                .remedy(format!("it looks like {example}")),
        );
    }
    Some(Kind::Http(Http {
        url: url.value,
        format,
        max_bytes,
        redirects,
    }))
}
