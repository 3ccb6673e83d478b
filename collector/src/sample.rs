//! `agentcheck check --sample`: a sample of what the sources give, through the expressions, so that what only
//! a reading tells is known before there is one: missing keys, types that do not fit, patterns that match
//! nowhere. Pure.
//!
//! A sample is a JSON object with the sources by name, and in each the fields that expressions would see:
//!
//! ```json
//! {"app": {"json": {"msg-per-second": 1890}}, "cpu": {"value": 97.5}, "queue": {"error": "timeout"}}
//! ```

use crate::config::{Config, Finding, Service, Weight};
use crate::evaluate::{Decided, Memory, evaluate};
use crate::expression::Expression;
use crate::observe::Observed;
use crate::reading::{Content, Failure, FileFacts, Numbers, Reading, Reason};
use crate::source::{Format, Kind, Source};
use crate::text::number;
use agentcheck_common::BootTime;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

/// What came of a sample.
#[derive(Debug)]
pub struct TriedOut {
    /// What would be said for each service, and why, in lines for people.
    pub said: String,
    /// Expressions that have no value.
    pub findings: Vec<Finding>,
}

/// Puts a sample through a configuration.
///
/// # Errors
/// What is wrong with the sample itself, in one line.
pub fn try_out(config: &Config, sample: &str) -> Result<TriedOut, String> {
    let sample: Map<String, Value> = serde_json::from_str(sample)
        .map_err(|error| format!("not a JSON object of sources: {error}"))?;
    for name in sample.keys() {
        if !config.sources.iter().any(|source| source.name == *name) {
            return Err(format!("there is no source {name}"));
        }
    }
    // Two polls a second apart, so that what is derived from a rise is there, too.
    let moments = [BootTime(1_000_000_000), BootTime(2_000_000_000)];
    let mut observed = Observed::new(config, BootTime(0));
    for now in moments {
        for (index, source) in config.sources.iter().enumerate() {
            let reading = match sample.get(&source.name) {
                Some(given) => reading(source, given, now)
                    .map_err(|wrong| format!("source {}: {wrong}", source.name))?,
                None => {
                    let failure = Failure::new(Reason::Missing, "not in the sample");
                    Reading::failed(now, Duration::ZERO, failure)
                }
            };
            observed.take(index, reading, now);
        }
    }
    let now = BootTime(2_500_000_000);
    let world = observed.world(now);
    let mut tried = TriedOut {
        said: String::new(),
        findings: Vec::new(),
    };
    for service in &config.services {
        for expression in service.expressions() {
            if let Some((span, why)) = expression.lacks(world.scope) {
                let place = expression.place();
                tried.findings.push(Finding::within(place, span, &why));
            }
        }
        let outcome = evaluate(service, &world, &Memory::default(), now);
        let said = outcome.verdict.map(|verdict| {
            let by = decided_by(service, &verdict.decided);
            format!("{} ({by})", verdict.reply)
        });
        let said = said.unwrap_or_else(|| "nothing: a failure, and nothing to keep".to_owned());
        // Writing to a String cannot fail.
        let _ = writeln!(tried.said, "service {}: {said}", service.name);
        for rule in &service.rules {
            let truth = shown(&rule.when, world.scope);
            let _ = writeln!(tried.said, "  rule {}: {truth}", rule.name);
        }
        match &service.weight {
            Weight::Full => {}
            Weight::Expression(weight) => {
                let _ = writeln!(tried.said, "  weight: {}", shown(weight, world.scope));
            }
            Weight::Capacity(capacity) => {
                let rate = shown(&capacity.rate, world.scope);
                let utilization = shown(&capacity.utilization, world.scope);
                let _ = writeln!(tried.said, "  rate: {rate}, utilization: {utilization}");
            }
        }
        if let Some(limit) = &service.maxconn {
            let total = shown(&limit.total, world.scope);
            let _ = writeln!(tried.said, "  maxconn: {total}");
        }
    }
    Ok(tried)
}

fn decided_by(service: &Service, decided: &Decided) -> String {
    match decided {
        Decided::Rule { index, .. } => {
            let rule = service.rules.get(*index);
            rule.map_or_else(String::new, |rule| format!("rule {}", rule.name))
        }
        Decided::Weight(weighed) => format!("weight {}", number(weighed.shaped.raw)),
        Decided::Failure(why) => format!("failure, {why}"),
        Decided::Override(forced) => format!("override {}", forced.action),
    }
}

fn shown(expression: &Expression, scope: &crate::expression::Scope<'_>) -> String {
    match (expression.truth(scope), expression.number(scope)) {
        (Ok(truth), _) => truth.to_string(),
        (_, Ok(value)) => number(value),
        (Err(unknown), _) => format!("unknown, {unknown}"),
    }
}

/// The reading that a sample of a source describes.
fn reading(source: &Source, given: &Value, now: BootTime) -> Result<Reading, String> {
    let Value::Object(fields) = given else {
        return Err("an object of fields, as in {\"value\": 3}".to_owned());
    };
    let mut reading = Reading::failed(now, Duration::ZERO, Failure::new(Reason::Other, ""));
    let mut content = None;
    let mut error = None;
    let mut parts = BTreeMap::new();
    for (field, value) in fields {
        match (field.as_str(), value) {
            ("json", document) => content = Some(Content::Json(document.clone())),
            ("value", Value::Number(value)) => content = value.as_f64().map(Content::Number),
            ("text", Value::String(text)) => reading.text = Some(text.clone()),
            ("metrics", Value::String(text)) => {
                let read = Format::Prometheus.read(text.as_bytes());
                content = Some(read.map_err(|failure| failure.to_string())?);
            }
            ("error", Value::String(reason)) => {
                let known = Reason::ALL
                    .iter()
                    .copied()
                    .find(|known| known.word() == reason);
                error = Some(known.ok_or_else(|| format!("{reason} is no reason"))?);
            }
            ("exists", Value::Bool(exists)) => {
                let mtime_age = fields.get("mtime_age").and_then(Value::as_f64);
                reading.file = Some(FileFacts {
                    exists: *exists,
                    mtime_age,
                });
            }
            // Belongs to `exists`.
            ("mtime_age", Value::Number(_)) => {}
            ("perf", Value::Object(numbers)) => {
                let numbers = numbers
                    .iter()
                    .filter_map(|(label, value)| Some((label.clone(), value.as_f64()?)));
                content = Some(Content::Perf(numbers.collect()));
            }
            ("latency", Value::Number(seconds)) => {
                let seconds = seconds.as_f64().unwrap_or(0.0);
                reading.latency = Duration::try_from_secs_f64(seconds).unwrap_or_default();
            }
            ("status", Value::Number(status)) => {
                reading.status = status.as_u64().and_then(|status| status.try_into().ok());
            }
            ("exit", Value::Number(exit)) => {
                reading.exit = exit.as_i64().and_then(|exit| exit.try_into().ok());
            }
            (part, Value::Number(value)) => {
                parts.insert(part.to_owned(), value.as_f64().unwrap_or(0.0));
            }
            (field, _) => return Err(format!("{field} cannot be that")),
        }
    }
    reading.outcome = match (error, content) {
        (Some(reason), _) => Err(Failure::new(reason, "as the sample says")),
        (None, Some(Content::Number(value))) if !parts.is_empty() => {
            let names: &[&str] = match &source.kind {
                Kind::System(metric) => metric.parts(),
                _ => &[],
            };
            if let Some(unknown) = parts.keys().find(|part| !names.contains(&part.as_str())) {
                return Err(format!("it has no {unknown}"));
            }
            let parts = names
                .iter()
                .filter_map(|name| Some((*name, *parts.get(*name)?)))
                .collect();
            Ok(Content::Numbers(Numbers { value, parts }))
        }
        (None, Some(content)) => Ok(content),
        (None, None) if !parts.is_empty() => {
            return Err("parts without their value".to_owned());
        }
        (None, None) => Ok(Content::Text),
    };
    Ok(reading)
}
