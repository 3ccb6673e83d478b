//! `[derive.NAME]` with `source` and `series`: counters and histograms of a Prometheus scrape, each series
//! with a memory of its own.

use super::super::diagnostics::Diagnostic;
use super::super::sources::Sources;
use super::super::toml_reader::{Entry, Findings, Table};
use super::super::{Derived, DerivedInput};
use super::{HOUR, LEAST};
use crate::reading::prometheus::Selector;
use crate::source::Format;

/// Reads what is left of the table once `series` has been taken out.
pub(super) fn read(
    name: &str,
    series: &Entry<'_>,
    table: &mut Table<'_>,
    sources: &Sources,
    findings: &mut Findings<'_>,
) -> Option<Derived> {
    let selectors = selectors(series, findings);
    let source = source(table, sources, findings);
    if let Some(of) = table.take("expression") {
        findings.push(
            Diagnostic::error(of.key_span(), "of beside series")
                .remedy("a number is derived from an expression, or from series of a source"),
        );
    }
    for key in ["ewma", "min", "max", "mean"] {
        if let Some(entry) = table.take(key) {
            findings.push(
                Diagnostic::error(entry.key_span(), format!("{key} beside series"))
                    .remedy("series have rate, and histograms percentile with over"),
            );
        }
    }
    let over = table.take("over");
    let of = match (table.take("rate"), table.take("percentile")) {
        (Some(rate), None) => {
            let window = rate.duration(findings, LEAST, HOUR);
            DerivedInput::Rate(selectors?, window?)
        }
        (None, Some(percentile)) => {
            let percent = percentile.integer(findings, 0, 100);
            let Some(over) = over else {
                findings.push(
                    Diagnostic::error(percentile.key_span(), "a percentile over what time?")
                        .remedy("add over = \"1m\""),
                );
                return None;
            };
            let window = over.duration(findings, LEAST, HOUR);
            let percent = f64::from(u8::try_from(percent?).ok()?);
            DerivedInput::Histogram(selectors?, percent, window?)
        }
        (Some(_), Some(percentile)) => {
            findings.push(
                Diagnostic::error(percentile.key_span(), "percentile beside rate").remedy(
                    "a number is derived in one way; [derive.OTHER] may derive it in another",
                ),
            );
            return None;
        }
        (None, None) => {
            findings.push(
                Diagnostic::error(
                    series.key_span(),
                    format!("nothing says how {name} is derived"),
                )
                .remedy("add rate = \"1m\", or percentile = 99 with over = \"1m\"")
                .consequence(),
            );
            return None;
        }
    };
    Some(Derived {
        name: name.to_owned(),
        input: of,
        sources: vec![source?],
    })
}

/// One selector or a list of them, of which the first that takes any series counts.
fn selectors(entry: &Entry<'_>, findings: &mut Findings<'_>) -> Option<Vec<Selector>> {
    let texts = entry.text_or_texts(findings, "'http_requests_total{code=~\"5..\"}'")?;
    let mut read = Vec::new();
    for text in texts {
        match Selector::parse(&text.value) {
            Ok(selector) => read.push(selector),
            Err(wrong) => findings.push(Diagnostic::error(text.span, wrong)),
        }
    }
    (!read.is_empty()).then_some(read)
}

/// The index of the source, which has to give a scrape.
fn source(table: &mut Table<'_>, sources: &Sources, findings: &mut Findings<'_>) -> Option<usize> {
    let text = table
        .need(findings, "source", "\"exporter\"")?
        .text(findings, "\"exporter\"")?;
    let named = sources.named.iter().enumerate();
    let found = named
        .into_iter()
        .find(|(_, named)| named.source.name == text.value);
    let Some((index, named)) = found else {
        if sources.place(&text.value).is_none() {
            let message = format!("there is no source {}", text.value);
            findings.push(Diagnostic::error(text.span, message).consequence());
        }
        return None;
    };
    if named.source.kind.format() != Some(Format::Prometheus) {
        findings.push(
            Diagnostic::error(
                text.span,
                format!("the source {} has no series", text.value),
            )
            .remedy("it has them with format = \"prometheus\""),
        );
        return None;
    }
    Some(index)
}
