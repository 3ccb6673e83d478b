//! `agentcheck check --sample`: evaluates a sample of readings, and finds mistakes that only a reading shows: absent
//! keys, wrong types, patterns that do not match. Pure.
//!
//! A sample is a JSON object with the sources by name, each with the fields that expressions read, and optionally the
//! clock:
//!
//! ```json
//! {"app": {"json": {"msg-per-second": 1890}}, "cpu": {"value": 97.5}, "queue": {"error": "timeout"},
//!  "clock": {"unix": 1796070993}}
//! ```

use crate::config::{Config, Finding, Service, SourceId, Weight};
use crate::decision::decide::{FinalDecision, decide};
use crate::decision::evaluate::{DecisionSource, ServiceMemory};
use crate::decision::observations::Observations;
use crate::expression::{CLOCK, Expression};
use crate::overrides::Effective;
use crate::reading::{Failure, Reading, Reason};
use crate::render::text::number;
use crate::simulation::fields;
use agentcheck_common::BootTime;
use serde_json::{Map, Value};
use std::fmt::Write as _;
use std::time::Duration;

/// The outcome of a sample.
#[derive(Debug)]
pub struct SampleResult {
    /// The reply of each service with the reason, in lines for people.
    pub text: String,
    /// Expressions without a value of the right type.
    pub findings: Vec<Finding>,
}

/// Evaluates a configuration with a sample.
///
/// # Errors
/// A mistake in the sample itself, in one line.
pub fn try_out(config: &Config, sample: &str) -> Result<SampleResult, String> {
    let mut sample: Map<String, Value> = serde_json::from_str(sample)
        .map_err(|error| format!("not a JSON object of sources: {error}"))?;
    let clock = sample.remove(CLOCK).map(|clock| {
        let unix = clock.get("unix").and_then(Value::as_f64);
        unix.ok_or_else(|| "clock: expected an object such as {\"unix\": 1796070993}".to_owned())
    });
    let clock = clock.transpose()?;
    for name in sample.keys() {
        if !config.sources.iter().any(|source| source.name == *name) {
            return Err(format!("unknown source {name:?}"));
        }
    }
    // Two polls a second apart, because rates need two.
    let moments = [BootTime(1_000_000_000), BootTime(2_000_000_000)];
    let mut observed = Observations::new(config, BootTime(0));
    if let Some(unix) = clock {
        observed.set_clock(&config.timezone, unix, BootTime(2_500_000_000));
    }
    for now in moments {
        for (index, source) in config.sources.iter().enumerate() {
            let reading = match sample.get(&source.name) {
                Some(given) => fields::reading(source, given, now)
                    .map_err(|wrong| format!("source {}: {wrong}", source.name))?,
                None => {
                    let failure = Failure::new(Reason::Missing, "not in the sample");
                    Reading::failed(now, Duration::ZERO, failure)
                }
            };
            observed.take(SourceId(index), reading, now);
        }
    }
    let now = BootTime(2_500_000_000);
    let context = observed.context(now);
    let mut tried = SampleResult {
        text: String::new(),
        findings: Vec::new(),
    };
    for service in &config.services {
        for expression in service.expressions() {
            if let Some((span, why)) = expression.lacks(context.scope) {
                let place = expression.place();
                tried.findings.push(Finding::within(place, span, &why));
            }
        }
        let (memory, overrides) = (ServiceMemory::default(), Effective::default());
        let decision = decide(service, &context, &memory, &overrides, now);
        let reply = match decision.final_decision {
            Some(FinalDecision { verdict, .. }) => {
                let by = decision_source(service, &verdict.decided);
                format!("{} ({by})", verdict.reply)
            }
            None => "no reply: a failure, and no last reply to keep".to_owned(),
        };
        // Writing to a String cannot fail.
        let _ = writeln!(tried.text, "service {}: {reply}", service.name);
        for rule in &service.rules {
            let truth = shown(&rule.when, context.scope);
            let _ = writeln!(tried.text, "  rule {}: {truth}", rule.name);
        }
        match &service.weight {
            Weight::Full => {}
            Weight::Expression(weight) => {
                let _ = writeln!(tried.text, "  weight: {}", shown(weight, context.scope));
            }
            Weight::Capacity(capacity) => {
                let rate = shown(&capacity.rate, context.scope);
                let utilization = shown(&capacity.utilization, context.scope);
                let _ = writeln!(tried.text, "  rate: {rate}, utilization: {utilization}");
            }
        }
        if let Some(limit) = &service.maxconn {
            let total = shown(&limit.total, context.scope);
            let _ = writeln!(tried.text, "  maxconn: {total}");
        }
    }
    Ok(tried)
}

/// The source of a decision, for people.
#[must_use]
pub fn decision_source(service: &Service, decided: &DecisionSource) -> String {
    match decided {
        DecisionSource::Rule { index, .. } => {
            let rule = service.rules.get(*index);
            rule.map_or_else(String::new, |rule| format!("rule {}", rule.name))
        }
        DecisionSource::Weight(weighed) => format!("weight {}", number(weighed.shaped.raw)),
        DecisionSource::Failure(why) => format!("failure, {}", why.reason),
        DecisionSource::Override(forced) => format!("override {}", forced.action),
    }
}

fn shown(expression: &Expression, scope: &crate::expression::Scope<'_>) -> String {
    match (expression.truth(scope), expression.number(scope)) {
        (Ok(truth), _) => truth.to_string(),
        (_, Ok(value)) => number(value),
        (Err(unknown), _) => format!("unknown, {unknown}"),
    }
}
