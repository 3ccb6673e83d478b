//! `[derive.NAME]`

mod order;
mod series;

use super::diagnostics::Diagnostic;
use super::rules;
use super::settings::DERIVE;
use super::sources::{Sources, check_name};
use super::toml_reader::{Entry, Findings, Table, Text};
use super::{Derived, DerivedInput, SourceId};
use crate::expression::{CLOCK, Environment, Expression, Type};
use crate::filters::derive::Aggregation;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::time::Duration;

/// The keys that name an aggregation.
const AGGREGATIONS: [&str; 6] = ["ewma", "rate", "min", "max", "mean", "percentile"];

/// A derived number, and the place of its name.
pub(super) struct Named {
    pub(super) derived: Derived,
    pub(super) span: Range<usize>,
    /// The names that its expression reads.
    pub(super) reads: BTreeSet<String>,
    /// The least and the greatest value, if they are known.
    pub(super) range: Option<(f64, f64)>,
}

/// All of `[derive]`: the correct ones, each after those that it reads, and the names of the others.
pub(super) fn read(
    table: Option<Table<'_>>,
    sources: &Sources,
    findings: &mut Findings<'_>,
) -> (Vec<Named>, Vec<String>) {
    let mut environment = sources.environment();
    let mut known = Known {
        sources,
        ids: sources.by_name(),
        places: sources.places(),
        derived: BTreeMap::new(),
    };
    let (mut named, mut broken) = (Vec::new(), Vec::new());
    let entries = table.map(|mut table| table.take_all()).unwrap_or_default();
    for entry in &entries {
        let span = entry.key_span();
        check_name(entry.key, span.clone(), findings);
        if let Some(taken) = known.places.get(entry.key) {
            let first = findings.place(taken.start, span.start);
            let message = format!(
                "duplicate name {:?}, first defined as a source {first}",
                entry.key
            );
            findings.push(Diagnostic::error(span, message).remedy("rename one of the two"));
        }
        // Each can read all others, whatever their order in the file.
        environment.add_derived(entry.key, None);
    }
    let entries = order::sorted(entries, |name| known.places.contains_key(name), findings);
    for name in &entries.cyclic {
        environment.add_broken(name);
        broken.push((*name).to_owned());
    }
    for entry in entries.sorted {
        let table = entry.section(findings, &DERIVE);
        let derived =
            table.and_then(|table| derived(&entry, table, &environment, &known, findings));
        let Some(derived) = derived else {
            environment.add_broken(entry.key);
            broken.push(entry.key.to_owned());
            continue;
        };
        environment.add_derived(entry.key, derived.range);
        known
            .derived
            .insert(entry.key.to_owned(), derived.derived.sources.clone());
        named.push(derived);
    }
    (named, broken)
}

/// What a derived number can read.
struct Known<'s> {
    sources: &'s Sources,
    ids: BTreeMap<&'s str, SourceId>,
    /// The place of each source, correct or not.
    places: BTreeMap<&'s str, Range<usize>>,
    /// By name, the sources that the derived numbers before this one need.
    derived: BTreeMap<String, Vec<SourceId>>,
}

impl Known<'_> {
    /// The sources that an expression needs, directly or through derived numbers.
    fn needed<'n>(&self, names: impl Iterator<Item = &'n String>) -> Vec<SourceId> {
        let mut needed = BTreeSet::new();
        for name in names {
            needed.extend(self.ids.get(name.as_str()));
            needed.extend(self.derived.get(name).into_iter().flatten());
        }
        needed.into_iter().collect()
    }
}

fn derived(
    entry: &Entry<'_>,
    mut table: Table<'_>,
    environment: &Environment,
    known: &Known<'_>,
    findings: &mut Findings<'_>,
) -> Option<Named> {
    let name = entry.key;
    let span = entry.key_span();
    if let Some(series) = table.take("series") {
        let derived = series::read(name, &series, &mut table, known, findings);
        table.close(findings);
        return Some(Named {
            derived: derived?,
            span,
            reads: BTreeSet::new(),
            range: None,
        });
    }
    if let Some(source) = table.take("source") {
        let message = "source has no effect without series";
        findings.push(Diagnostic::error(source.key_span(), message));
    }
    let text = table
        .required(findings, "expression")
        .and_then(|entry| entry.string(findings));
    let aggregation = aggregation(&mut table, findings);
    table.close(findings);
    let text = text?;
    let expression = rules::expression(&text, Type::Number, environment, findings)?;
    let sources = known.needed(expression.uses().keys());
    if sources.is_empty() {
        return no_source(name, &text, &expression, findings);
    }
    let bounded = !matches!(aggregation, Some(Aggregation::Rate(_)));
    Some(Named {
        range: expression.range(environment).filter(|_| bounded),
        reads: expression.uses().keys().cloned().collect(),
        derived: Derived {
            name: name.to_owned(),
            input: DerivedInput::Number(expression, aggregation),
            sources,
        },
        span,
    })
}

fn no_source(
    name: &str,
    text: &Text,
    expression: &Expression,
    findings: &mut Findings<'_>,
) -> Option<Named> {
    // A derived number with mistakes has no sources; its mistakes are reported.
    if expression.uses().keys().all(|name| name == CLOCK) {
        let message = format!("the derived number {name:?} reads no source");
        findings.push(
            Diagnostic::error(text.span.clone(), message)
                .remedy("it would never change: read a source, such as cpu.value"),
        );
    }
    None
}

/// The aggregation of a derived number; `None` if it is a named expression.
fn aggregation(table: &mut Table<'_>, findings: &mut Findings<'_>) -> Option<Aggregation> {
    let over = table.take("over");
    let given: Vec<Entry<'_>> = AGGREGATIONS
        .iter()
        .filter_map(|key| table.take(key))
        .collect();
    let first = given.first();
    if let Some(first) = first {
        for extra in given.iter().skip(1) {
            both(first.key, extra, findings);
        }
    }
    if let Some(over) = over
        && first.is_none_or(|first| first.key != "percentile")
    {
        let message = "over has no effect without percentile";
        findings.push(Diagnostic::error(over.key_span(), message));
    }
    let first = first?;
    let aggregation = match first.key {
        "percentile" => percentile(first, over, findings)
            .map(|(percent, window)| Aggregation::Percentile(percent, window)),
        key => first.span_of_time(findings).map(|window| match key {
            "ewma" => Aggregation::Ewma(window),
            "rate" => Aggregation::Rate(window),
            "min" => Aggregation::Min(window),
            "max" => Aggregation::Max(window),
            _ => Aggregation::Mean(window),
        }),
    };
    // After a mistake, any value serves the rest of the check.
    Some(aggregation.unwrap_or(Aggregation::Ewma(Duration::from_secs(1))))
}

/// Two aggregations.
fn both(first: &str, extra: &Entry<'_>, findings: &mut Findings<'_>) {
    let message = format!("both {first} and {}", extra.key);
    findings.push(
        Diagnostic::error(extra.key_span(), message)
            .remedy("remove one, or write another [derive.NAME] for it"),
    );
}

/// The percentage and the window of a percentile.
fn percentile(
    entry: &Entry<'_>,
    over: Option<Entry<'_>>,
    findings: &mut Findings<'_>,
) -> Option<(f64, Duration)> {
    let percent = entry.count(findings);
    let Some(over) = over else {
        findings.push(
            Diagnostic::error(entry.key_span(), "percentile without over")
                .remedy("add over = \"1m\""),
        );
        return None;
    };
    let window = over.span_of_time(findings)?;
    let percent = u8::try_from(percent?).ok()?;
    Some((f64::from(percent), window))
}
