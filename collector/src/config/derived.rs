//! `[derive.NAME]`

mod series;

use super::diagnostics::Diagnostic;
use super::rules;
use super::sources::{Sources, check_name};
use super::toml_reader::{Entry, Findings, Table};
use super::{Derived, DerivedInput};
use crate::expression::{Environment, Type};
use crate::filters::derive::Aggregation;
use std::ops::Range;
use std::time::Duration;

const KEYS: [&str; 10] = [
    "expression",
    "source",
    "series",
    "ewma",
    "rate",
    "min",
    "max",
    "mean",
    "percentile",
    "over",
];

/// The keys of which each says how a number is derived.
const WAYS: [&str; 6] = ["ewma", "rate", "min", "max", "mean", "percentile"];

const HOUR: Duration = Duration::from_secs(3600);
const LEAST: Duration = Duration::from_millis(100);

/// A derived number and where its name stands.
pub(super) struct Named {
    pub(super) derived: Derived,
    pub(super) span: Range<usize>,
}

/// All of `[derive]`: what is right, and the names of what is not.
pub(super) fn read(
    table: Option<Table<'_>>,
    sources: &Sources,
    findings: &mut Findings<'_>,
) -> (Vec<Named>, Vec<String>) {
    let environment = sources.environment();
    let (mut named, mut broken) = (Vec::new(), Vec::new());
    for entry in table.map(|mut table| table.take_all()).unwrap_or_default() {
        let span = entry.key_span();
        check_name(entry.key, span.clone(), findings);
        if let Some(taken) = sources.place(entry.key) {
            // Within one file the other one is easily found.
            let number = |at| findings.files.number(at);
            let message = match number(taken.start) == number(span.start) {
                true => format!("there is a source {} already", entry.key),
                false => {
                    let other = findings.place(taken.start);
                    format!("there is a source {} already, in {other}", entry.key)
                }
            };
            findings.push(
                Diagnostic::error(span.clone(), message)
                    .remedy("expressions would not know which is meant"),
            );
        }
        let table = entry.table(findings, &format!("[derive.{}]", entry.key));
        match table.and_then(|table| derived(entry.key, table, &environment, sources, findings)) {
            Some(derived) => named.push(Named { derived, span }),
            None => broken.push(entry.key.to_owned()),
        }
    }
    (named, broken)
}

fn derived(
    name: &str,
    mut table: Table<'_>,
    environment: &Environment,
    sources: &Sources,
    findings: &mut Findings<'_>,
) -> Option<Derived> {
    let header = table.span.clone();
    if let Some(series) = table.take("series") {
        let derived = series::read(name, &series, &mut table, sources, findings);
        table.finish(findings, &KEYS);
        return derived;
    }
    if let Some(source) = table.take("source") {
        let message = "source has no effect without series";
        findings.push(Diagnostic::error(source.key_span(), message));
    }
    let of = table
        .need(findings, "expression", "\"cpu.value\"")
        .and_then(|entry| entry.text(findings, "\"cpu.value\""));
    let memory = memory(&mut table, findings);
    table.finish(findings, &KEYS);
    let of = of?;
    let expression = rules::expression(&of, Type::Number, environment, findings)?;
    let used = sources.indices(expression.uses().keys());
    if used.is_empty() {
        findings.push(
            Diagnostic::error(of.span, format!("{name} is derived from no source"))
                .remedy("it would never change"),
        );
        return None;
    }
    let Some(memory) = memory else {
        findings.push(
            Diagnostic::error(header, format!("nothing says how {name} is derived"))
                .remedy("add one of ewma, rate, min, max, mean, percentile")
                .consequence(),
        );
        return None;
    };
    Some(Derived {
        name: name.to_owned(),
        input: DerivedInput::Number(expression, memory),
        sources: used,
    })
}

/// What the one key that says how means; `None` where there is none.
fn memory(table: &mut Table<'_>, findings: &mut Findings<'_>) -> Option<Aggregation> {
    let over = table.take("over");
    let given: Vec<Entry<'_>> = WAYS.iter().filter_map(|key| table.take(key)).collect();
    let first = given.first()?;
    for extra in given.iter().skip(1) {
        findings.push(
            Diagnostic::error(
                extra.key_span(),
                format!("{} beside {}", extra.key, first.key),
            )
            .remedy("a number is derived in one way; [derive.OTHER] may derive it in another"),
        );
    }
    if first.key != "percentile"
        && let Some(over) = over
    {
        let message = "over has no effect without percentile";
        findings.push(Diagnostic::error(over.key_span(), message));
    }
    let memory = match first.key {
        "percentile" => percentile(first, over, findings),
        key => first.duration(findings, LEAST, HOUR).map(|span| match key {
            "ewma" => Aggregation::Ewma(span),
            "rate" => Aggregation::Rate(span),
            "min" => Aggregation::Min(span),
            "max" => Aggregation::Max(span),
            _ => Aggregation::Mean(span),
        }),
    };
    // What is wrong with it has been said: anything will do for the rest of the check.
    Some(memory.unwrap_or(Aggregation::Ewma(LEAST)))
}

fn percentile(
    entry: &Entry<'_>,
    over: Option<Entry<'_>>,
    findings: &mut Findings<'_>,
) -> Option<Aggregation> {
    let percent = entry.integer(findings, 0, 100);
    let Some(over) = over else {
        findings.push(
            Diagnostic::error(entry.key_span(), "a percentile over what time?")
                .remedy("add over = \"1m\""),
        );
        return None;
    };
    let window = over.duration(findings, LEAST, HOUR)?;
    let percent = u8::try_from(percent?).ok()?;
    Some(Aggregation::Percentile(f64::from(percent), window))
}
