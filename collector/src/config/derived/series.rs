//! `[derive.NAME]` with `source` and `series`: counters and histograms of a Prometheus scrape. The collector follows
//! each series by itself.

use super::super::diagnostics::Diagnostic;
use super::super::toml_reader::{Entry, Findings, Table};
use super::super::{Derived, DerivedInput, SourceId};
use super::{Known, both, percentile};
use crate::reading::prometheus::Selector;
use crate::source::Format;

/// Reads the rest of the table after `series`.
pub(super) fn read(
    name: &str,
    series: &Entry<'_>,
    table: &mut Table<'_>,
    known: &Known<'_>,
    findings: &mut Findings<'_>,
) -> Option<Derived> {
    let selectors = selectors(series, findings);
    let source = source(table, known, findings);
    if let Some(expression) = table.take("expression") {
        findings.push(
            Diagnostic::error(expression.key_span(), "both expression and series")
                .remedy("remove one: a number is derived from an expression or from series"),
        );
    }
    for key in ["ewma", "min", "max", "mean"] {
        if let Some(entry) = table.take(key) {
            findings.push(
                Diagnostic::error(entry.key_span(), format!("{key} has no effect with series"))
                    .remedy("write rate, or for histograms percentile and over"),
            );
        }
    }
    let over = table.take("over");
    let input = match (table.take("rate"), table.take("percentile")) {
        (Some(rate), None) => {
            let window = rate.span_of_time(findings);
            DerivedInput::Rate(selectors?, window?)
        }
        (None, Some(entry)) => {
            let (percent, window) = percentile(&entry, over, findings)?;
            DerivedInput::Histogram(selectors?, percent, window)
        }
        (Some(_), Some(percentile)) => {
            both("rate", &percentile, findings);
            return None;
        }
        (None, None) => {
            let message = format!("the derived number {name:?} has no aggregation");
            findings.push(
                Diagnostic::error(series.key_span(), message)
                    .remedy("add rate = \"1m\", or percentile = 99 and over = \"1m\"")
                    .consequence(),
            );
            return None;
        }
    };
    Some(Derived {
        name: name.to_owned(),
        input,
        sources: vec![source?],
    })
}

/// One selector or a list; the first that matches a series counts.
fn selectors(entry: &Entry<'_>, findings: &mut Findings<'_>) -> Option<Vec<Selector>> {
    let texts = entry.text_or_texts(findings, "'http_requests_total{code=~\"5..\"}'")?;
    let mut read = Vec::new();
    for text in texts {
        match Selector::parse(&text.value) {
            Ok(selector) => read.push(selector),
            Err(wrong) => {
                let message = format!("invalid selector {:?}: {wrong}", text.value);
                findings.push(Diagnostic::error(text.span, message));
            }
        }
    }
    (!read.is_empty()).then_some(read)
}

/// The source, which has `format = "prometheus"`.
fn source(
    table: &mut Table<'_>,
    known: &Known<'_>,
    findings: &mut Findings<'_>,
) -> Option<SourceId> {
    let text = table.required(findings, "source")?.string(findings)?;
    let id = known.ids.get(text.value.as_str()).copied();
    let named = id.and_then(|id| known.sources.named.get(id.0));
    let (Some(id), Some(named)) = (id, named) else {
        if !known.places.contains_key(text.value.as_str()) {
            let message = format!("unknown source {:?}", text.value);
            findings.push(Diagnostic::error(text.span, message).consequence());
        }
        return None;
    };
    if named.source.kind.format() != Some(Format::Prometheus) {
        findings.push(
            Diagnostic::error(
                text.span,
                format!("the source {:?} has no series", text.value),
            )
            .remedy("add format = \"prometheus\" to the source"),
        );
        return None;
    }
    Some(id)
}
