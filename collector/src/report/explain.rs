//! Why a service has its reply: readings, expressions, rules, the stages of the weight and the reply, with
//! the numbers, in lines for people. Pure: it tells of an evaluation that was made.

mod stages;

use crate::config::{Config, DerivedInput, Rule, Service, Weight};
use crate::decision::evaluate::{DecisionSource, EvalContext, Outcome, RuleState, ServiceMemory};
use crate::decision::plan::plan;
use crate::expression::{Expression, Scope, Type};
use crate::filters::derive;
use crate::reading::{Content, Reading};
use crate::render::text::{counted, number, span};
use crate::status::snapshot::ServiceStatus;
use agentcheck_common::{BootTime, Description};
use std::time::Duration;

/// Where the memory comes from that an evaluation went on from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Origin {
    /// A collector that is at work, as of so long ago.
    Alive(Duration),
    /// A collector of this boot that has ended.
    LeftBehind,
    /// There is none.
    Nobody,
}

/// An evaluation, and what went into it.
pub struct Evaluation<'e> {
    /// The configuration.
    pub config: &'e Config,
    /// The service.
    pub service: &'e Service,
    /// The sources' polls, by index into the configuration's sources, in the order in which they were made.
    pub readings: &'e [(usize, Reading)],
    /// What evaluation looked at.
    pub context: &'e EvalContext<'e>,
    /// What was remembered before.
    pub before: &'e ServiceMemory,
    /// Where that comes from.
    pub origin: Origin,
    /// What the collector tells of the service.
    pub known: Option<&'e ServiceStatus>,
    /// What came of it.
    pub outcome: &'e Outcome,
    /// When it was made.
    pub now: BootTime,
}

/// A label and a text for each line. The texts hold what applications sent, and have to be made printable.
pub type Lines = Vec<(&'static str, String)>;

impl Evaluation<'_> {
    /// The explanation.
    #[must_use]
    pub fn explained(&self) -> Lines {
        let mut lines = vec![("memory", self.memory())];
        self.sources(&mut lines);
        self.derived(&mut lines);
        self.rules(&mut lines);
        self.weight(&mut lines);
        self.reply(&mut lines);
        self.collector(&mut lines);
        lines
    }

    fn memory(&self) -> String {
        match self.origin {
            Origin::Alive(ago) => format!(
                "of the collector, {} ago: averages, steps, timers, and what held",
                span(ago)
            ),
            Origin::LeftBehind => {
                "left behind by a collector that has ended; one that starts goes on from it"
                    .to_owned()
            }
            Origin::Nobody => {
                "none: no collector tells of this service, so averages, steps and timers begin \
                with this look"
                    .to_owned()
            }
        }
    }

    fn sources(&self, lines: &mut Lines) {
        for index in self.config.polled_for(self.service) {
            let Some(source) = self.config.sources.get(index) else {
                continue;
            };
            let polls = self.readings.iter().filter(|(of, _)| *of == index);
            for (at, (_, reading)) in polls.enumerate() {
                let again = if at > 0 { " again" } else { "" };
                let text = format!("{}{again}: {}", source.name, polled(reading));
                lines.push(("source", text));
                let needed = source.debounce.fail_after;
                if !reading.is_ok() && needed.required > 1 {
                    let text = format!(
                        "{}: counted at once; the collector believes it after {needed} polls (fail_after)",
                        source.name
                    );
                    lines.push(("", text));
                }
            }
        }
    }

    fn derived(&self, lines: &mut Lines) {
        for index in &self.service.sources {
            let Some(at) = index.checked_sub(self.config.sources.len()) else {
                continue;
            };
            let Some(derived) = self.config.derived.get(at) else {
                continue;
            };
            let value = format!("{}.value", derived.name);
            let value = Expression::compile(&value, Type::Number, &self.config.environment());
            let value = value.map_or_else(|_| "?".to_owned(), |value| self.value(&value));
            let from = match &derived.input {
                DerivedInput::Number(of, None) => of.text().to_owned(),
                DerivedInput::Number(of, Some(derive::Aggregation::Rate(_))) => {
                    format!("the rise a second of {} between two polls", of.text())
                }
                DerivedInput::Number(of, _) => format!(
                    "of {} in this look alone; the collector has more to go by",
                    of.text()
                ),
                DerivedInput::Rate(..) | DerivedInput::Histogram(..) => {
                    "between two polls; the collector looks over its whole window".to_owned()
                }
            };
            lines.push(("derived", format!("{} = {value}, {from}", derived.name)));
        }
    }

    fn rules(&self, lines: &mut Lines) {
        let decided = self
            .outcome
            .verdict
            .as_ref()
            .map(|verdict| &verdict.decided);
        for (index, rule) in self.service.rules.iter().enumerate() {
            let before = self.before.rule_states.get(index).copied().flatten();
            let after = self
                .outcome
                .memory
                .rule_states
                .get(index)
                .copied()
                .flatten();
            let decides =
                matches!(decided, Some(DecisionSource::Rule { index: of, .. }) if *of == index);
            let decides = if decides { ". It decides" } else { "" };
            let state = self.state(rule, before, after);
            lines.push(("rule", format!("{}: {state}{decides}", rule.name)));
            let waits = !rule.enter_after.is_zero() || !rule.clear_after.is_zero();
            if before.is_none() && (waits || rule.clear_when.is_some()) {
                let text = "one look cannot tell what was before: for, clear_for and clear_when count as if it \
                    had not held";
                lines.push(("", text.to_owned()));
            }
        }
    }

    fn state(&self, rule: &Rule, before: Option<RuleState>, after: Option<RuleState>) -> String {
        let held = before.is_some_and(|before| before.active);
        let (name, condition) = match &rule.clear_when {
            Some(leave) if held => ("clear_when", leave),
            _ => ("when", &rule.when),
        };
        let scope = self.context.scope;
        let said = match condition.truth(scope) {
            Ok(truth) => truth.to_string(),
            Err(unknown) => format!("unknown, {unknown}"),
        };
        let used = used(condition, scope);
        let condition = format!("{name} {} is {said}{used}", condition.text());
        let Some(after) = after else {
            return format!("unknown: {condition}");
        };
        let holds = match (after.active, held) {
            (true, true) => "still holds",
            (true, false) => "holds",
            (false, true) => "holds no longer",
            (false, false) => "does not hold",
        };
        let waits = after.pending_since.map(|since| {
            let delay = if after.active {
                rule.clear_after
            } else {
                rule.enter_after
            };
            let (passed, delay) = (span(self.now.since(since)), span(delay));
            format!(", for {passed} of the {delay} that it takes")
        });
        format!("{holds}: {condition}{}", waits.unwrap_or_default())
    }

    fn weight(&self, lines: &mut Lines) {
        let decided = self
            .outcome
            .verdict
            .as_ref()
            .map(|verdict| &verdict.decided);
        let asked = matches!(decided, Some(DecisionSource::Weight(_)));
        let not = if asked { "" } else { "; it does not decide" };
        match &self.service.weight {
            Weight::Full => lines.push(("weight", format!("100, since the service has none{not}"))),
            Weight::Expression(weight) => {
                let used = used(weight, self.context.scope);
                let value = self.value(weight);
                lines.push(("weight", format!("{} = {value}{used}{not}", weight.text())));
            }
            Weight::Capacity(capacity) => {
                for (name, expression) in [
                    ("rate", Some(&capacity.rate)),
                    ("utilization", Some(&capacity.utilization)),
                    ("errors", capacity.errors.as_ref()),
                ] {
                    let Some(expression) = expression else {
                        continue;
                    };
                    let value = self.value(expression);
                    lines.push((
                        "capacity",
                        format!("{name}: {} = {value}", expression.text()),
                    ));
                }
                let full = number(capacity.terms.reference_rate);
                let text = format!("100 * rate / (utilization + failing) / {full}{not}");
                lines.push(("weight", text));
            }
        }
        if let Some(DecisionSource::Weight(weighed)) = decided {
            stages::told(self.service, self.before, weighed, self.now, lines);
        }
        if let Some(limit) = &self.service.maxconn {
            let total = self.value(&limit.total);
            let shared = counted(usize::try_from(limit.balancers).unwrap_or(0), "balancer");
            let text = format!("{} = {total}, over {shared}", limit.total.text());
            lines.push(("maxconn", text));
        }
    }

    fn value(&self, expression: &Expression) -> String {
        expression
            .number(self.context.scope)
            .map_or_else(|unknown| format!("unknown, {unknown}"), number)
    }

    fn reply(&self, lines: &mut Lines) {
        let Some(verdict) = &self.outcome.verdict else {
            let text = "nothing: no rule and no weight is known, and there is no reply to keep";
            lines.push(("reply", text.to_owned()));
            return;
        };
        if let DecisionSource::Failure(why) = &verdict.decided {
            lines.push(("failure", format!("{}; on_failure decides", why.reason)));
            let name = |index: usize| self.service.rules.get(index).map(|rule| &rule.name);
            if let Some((unknown, masked)) = why.masked
                && let (Some(unknown), Some(masked)) = (name(unknown), name(masked))
            {
                let text = format!(
                    "rule {masked} is true and does not decide: rule {unknown} before it is unknown"
                );
                lines.push(("", text));
            }
        }
        if let DecisionSource::Rule {
            kept: Some(why), ..
        } = &verdict.decided
        {
            lines.push((
                "",
                format!("as it was last known, since it is unknown now: {why}"),
            ));
        }
        lines.push(("reply", verdict.reply.to_string()));
        let fresh = span(verdict.until.since(self.now));
        let then = plan(self.service, verdict).then;
        lines.push((
            "fresh",
            format!("for {fresh}; in the end, without a collector: {then}"),
        ));
    }

    /// What the collector says, beside what follows from this look.
    fn collector(&self, lines: &mut Lines) {
        let (Origin::Alive(ago), Some(known)) = (self.origin, self.known) else {
            return;
        };
        for over in known.overrides.iter().filter(|over| over.counts) {
            let text = format!(
                "{} by {}, over what follows from rules and weight",
                over.action, over.by
            );
            lines.push(("override", text));
        }
        let words = |line: &str| {
            let reply = agentcheck_common::Reply::parse(line.as_bytes()).ok();
            reply.map(|reply| reply.described(Description::NONE))
        };
        let here = self.outcome.verdict.as_ref().map(|verdict| verdict.reply);
        let here = here.map(|reply| reply.described(Description::NONE));
        let text = match &known.reply {
            None => "has no reply yet".to_owned(),
            Some(line) if words(line) == here => format!("says the same, as of {} ago", span(ago)),
            Some(line) => format!(
                "says \"{line}\", as of {} ago: its readings are others",
                span(ago)
            ),
        };
        lines.push(("collector", text));
        let told = known
            .rules
            .iter()
            .map(|rule| (&rule.name[..], &rule.when[..]));
        let rules = self.service.rules.iter();
        if !told.eq(rules.map(|rule| (&rule.name[..], rule.when.text()))) {
            let text =
                "was started with other rules than this configuration has: restart it to use them";
            lines.push(("", text.to_owned()));
        }
    }
}

/// The values of readings that an expression looks at.
fn used(expression: &Expression, scope: &Scope<'_>) -> String {
    let values = expression.values_used(scope);
    let shown: Vec<String> = values
        .map(|(label, value)| format!("{label}={value}"))
        .collect();
    if shown.is_empty() {
        return String::new();
    }
    format!(" ({})", shown.join(", "))
}

/// What a poll found, in one line.
fn polled(reading: &Reading) -> String {
    let mut text = match &reading.outcome {
        Err(failure) => failure.to_string(),
        Ok(content) => match content {
            Content::Number(value) => format!("ok, {}", number(*value)),
            Content::Numbers(numbers) => {
                let parts = numbers.parts.iter();
                let parts = parts.map(|(name, part)| format!(", {name} {}", number(*part)));
                format!("ok, {}{}", number(numbers.value), parts.collect::<String>())
            }
            Content::Perf(values) => format!("ok, {}", counted(values.len(), "number")),
            Content::Json(_) => "ok, JSON".to_owned(),
            Content::Rows(_) => "ok, CSV".to_owned(),
            Content::Metrics(_) => "ok, metrics".to_owned(),
            Content::Text => "ok, text".to_owned(),
            Content::Nothing => "ok".to_owned(),
        },
    };
    if let Some(status) = reading.status {
        text.push_str(&format!(", HTTP status {status}"));
    }
    if let Some(exit) = reading.exit {
        text.push_str(&format!(", exit status {exit}"));
    }
    if let Some(body) = &reading.text {
        text.push_str(&format!(", {}", counted(body.len(), "byte")));
    }
    if reading.file.is_some_and(|file| !file.exists) {
        text.push_str(", not there");
    }
    format!("{text}, in {}", span(reading.latency))
}

#[cfg(test)]
mod tests;
